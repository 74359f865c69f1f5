package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/admin"
)

func (licenseCommands) Help() string {
	return "Example: keypost license show 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

type licenseCommands struct {
	List    licenseList    `cmd:"" help:"List licenses, newest first."`
	Show    licenseShow    `cmd:"" help:"Show one license and its machines."`
	File    licenseFile    `cmd:"" help:"Write a license's file, if its product has one."`
	Issue   licenseIssue   `cmd:"" help:"Issue codes by hand, as an order of the store manual."`
	Replace licenseReplace `cmd:"" help:"Revoke a leaked code and issue a new one instead."`
	Revoke  licenseRevoke  `cmd:"" help:"Revoke a license permanently."`
	Suspend licenseSuspend `cmd:"" help:"Suspend a license temporarily."`
	Edit    licenseEdit    `cmd:"" help:"Change a license's machine limit, expiry, type or note."`
	Release licenseRelease `cmd:"" help:"Remove one machine from a license."`
	Restore licenseRestore `cmd:"" help:"Undo revoke and suspend."`
	Reset   licenseReset   `cmd:"" help:"Remove all machines from a license."`
}

// licenseName names a license.
type licenseName struct {
	Code    string `arg:"" help:"The code. Case, spaces and dashes are ignored."`
	Product string `help:"The product, if several products have this code."`
}

func (n licenseName) name() admin.LicenseName {
	return admin.LicenseName{Code: n.Code, Product: n.Product}
}

func licenseTable(w io.Writer, list []admin.License) error {
	rows := [][]string{{"CODE", "PRODUCT", "TYPE", "STATUS", "MACHINES", "TEST", "STORE", "TRANSACTION", "LINE"}}
	for _, l := range list {
		rows = append(rows, []string{
			l.Code, l.Product, l.Type, status(l), seats(l.Used, l.Limit), yes(l.Test), l.Order.Store, l.Order.Transaction, strconv.Itoa(l.Order.Line),
		})
	}
	return table(w, rows)
}

// status tells people of expiry, too.
func status(l admin.License) string {
	if l.Expired(time.Now()) {
		return "active, expired"
	}
	return l.Status
}

type licenseList struct {
	jsonFlag
	Product string `help:"Only of this product."`
	Status  string `help:"Only with this status: active, suspended, revoked." enum:",active,suspended,revoked" default:""`

	Beginning string `help:"Only codes that start with this. Case, spaces and dashes are ignored." placeholder:"CODE"`
	listLimit
}

func (licenseList) Help() string { return "Example: keypost license list --product demo" }

func (c licenseList) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	list, err := o.Licenses(a, admin.LicenseFilter{Product: c.Product, Status: c.Status, Beginning: c.Beginning, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(o, len(list), admin.Named{Product: c.Product}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "No licenses.")
		return nil
	}
	return licenseTable(a.out, list)
}

type licenseShow struct {
	jsonFlag
	licenseName
}

func (licenseShow) Help() string {
	return "The start of a code is enough if it is unique.\n\nExample: keypost license show 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseShow) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.License(a, c.name()) })
}

// do does an operation on a license and shows it.
func (n licenseName) do(a *app, asJSON bool, operation func(*admin.Admin) (admin.LicenseDetail, error)) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	l, err := operation(o)
	if err != nil {
		return err
	}
	return showLicense(a, l, asJSON)
}

func showLicense(a *app, l admin.LicenseDetail, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, l)
	}
	var shares []string
	for _, s := range l.Shares {
		machines := "no limit"
		if s.Seats > 0 {
			machines = strconv.Itoa(s.Seats)
		}
		if s.Refunded {
			machines += ", refunded"
		}
		shares = append(shares, fmt.Sprintf("%s (%s)", s.Order, machines))
	}
	upgraded := ""
	if l.UpgradedBy != nil {
		upgraded = l.UpgradedBy.String()
	}
	if err := fields(a.out,
		"code", l.Code, "product", l.Product, "status", status(l.License), "because of", strings.Join(l.Reasons, ", "), "type", l.Type,
		"test", yes(l.Test), "machines", seats(l.Used, l.Limit), "expires", ends(l.ExpiresAt),
		"order", l.Order.String(), "shared by", strings.Join(shares, "; "), "upgraded by", upgraded, "issued", begins(l.CreatedAt), "note", l.Note,
	); err != nil || len(l.Activations) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	rows := [][]string{{"ACTIVATION", "MACHINE", "PLATFORM", "VERSION", "SINCE", "LEASE UNTIL"}}
	for _, m := range l.Activations {
		lease := ""
		if m.LeaseExpires != nil {
			lease = when(*m.LeaseExpires)
		}
		rows = append(rows, []string{m.ID, m.Name, m.Platform, m.AppVersion, when(m.CreatedAt), lease})
	}
	return table(a.out, rows)
}

type licenseReplace struct {
	changing
	jsonFlag
	licenseName
	Mail bool `help:"Mail all codes of the order to the buyer again, including the new one."`
}

func (licenseReplace) Help() string {
	return "Its machines must activate again, with the new code. From now on, resend mails the new code, and the store gets it if it sends the order again.\n\nExample: keypost license replace 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T --mail"
}

func (c licenseReplace) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	l, err := o.ReplaceLicense(a, actor, c.name())
	if err != nil {
		return err
	}
	if err := showLicense(a, l, c.JSON); err != nil {
		return err
	}
	if !c.Mail {
		a.note(fmt.Sprintf("The buyer was not notified. To mail the new code: {order resend %s}", l.Order))
		return nil
	}
	_, to, err := o.ResendCodes(a, actor, admin.OrderName{Store: l.Order.Store, Transaction: l.Order.Transaction, Line: &l.Order.Line})
	if err != nil {
		return fmt.Errorf("the code was replaced, but no mail was queued: %w", err)
	}
	a.note(codesGo(o, to))
	return nil
}

type licenseEdit struct {
	changing
	jsonFlag
	licenseName
	Limit   *int    `help:"The maximum number of machines; 0: no limit."`
	Expires *string `help:"The expiry: 2027-12-31 (inclusive, UTC), an RFC 3339 time, or never." placeholder:"DATE"`
	Type    *string `help:"The license type. This does not change the limit."`
	Note    *string `help:"A private note."`
}

func (licenseEdit) Help() string {
	return "Machines see the change when they renew their lease. The order itself and answers to the store do not change.\n\n" +
		"Example: keypost license edit 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T --limit 5 --note \"two more as a courtesy\""
}

func (c licenseEdit) Run(a *app) error {
	edit := admin.LicenseEdit{Limit: c.Limit, Type: c.Type, Note: c.Note}
	if c.Expires != nil && *c.Expires == "never" {
		edit.NoExpiry, c.Expires = true, nil
	}
	var err error
	if edit.ExpiresAt, err = parseExpiry(c.Expires); err != nil {
		return usageError{err}
	}
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.EditLicense(a, actor, c.name(), edit) })
}

type licenseRelease struct {
	changing
	jsonFlag
	licenseName
	Activation string `arg:"" help:"The activation's id, from keypost license show."`
}

func (licenseRelease) Help() string {
	return "Its seat is free immediately. The machine keeps working until its lease expires.\n\nExample: keypost license release 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T 01KABCDEFGHJKMNPQRSTVWXYZ0"
}

func (c licenseRelease) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) {
		return o.ReleaseMachine(a, actor, c.name(), c.Activation)
	})
}

type licenseRevoke struct {
	changing
	jsonFlag
	licenseName
}

func (licenseRevoke) Help() string {
	return "Example: keypost license revoke 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseRevoke) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.RevokeLicense(a, actor, c.name()) })
}

type licenseSuspend struct {
	changing
	jsonFlag
	licenseName
}

func (licenseSuspend) Help() string {
	return "Example: keypost license suspend 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseSuspend) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.SuspendLicense(a, actor, c.name()) })
}

type licenseRestore struct {
	changing
	jsonFlag
	licenseName
}

func (licenseRestore) Help() string {
	return "A refund or a replacement still revokes the license: keypost license show lists the reasons.\n\nExample: keypost license restore 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseRestore) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.RestoreLicense(a, actor, c.name()) })
}

type licenseReset struct {
	changing
	jsonFlag
	licenseName
}

func (licenseReset) Help() string {
	return "A machine keeps working until its lease expires.\n\nExample: keypost license reset 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseReset) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.ResetLicense(a, actor, c.name()) })
}
