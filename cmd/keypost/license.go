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
	File    licenseFile    `cmd:"" help:"Write the file that goes with a license, where its product has one."`
	Issue   licenseIssue   `cmd:"" help:"Issue codes by hand: an order of the store manual."`
	Replace licenseReplace `cmd:"" help:"Revoke a leaked code and put a new one in its place."`
	Revoke  licenseRevoke  `cmd:"" help:"Revoke a license for good."`
	Suspend licenseSuspend `cmd:"" help:"Suspend a license for a while."`
	Restore licenseRestore `cmd:"" help:"Take revoke and suspend back."`
	Reset   licenseReset   `cmd:"" help:"Take all machines off a license."`
}

// licenseName names a license.
type licenseName struct {
	Code    string `arg:"" help:"The code; case, spaces and dashes do not count."`
	Product string `help:"The product, where several have the code."`
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
	listLimit
}

func (licenseList) Help() string { return "Example: keypost license list --product demo" }

func (c licenseList) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	list, err := o.Licenses(a, admin.LicenseFilter{Product: c.Product, Status: c.Status, Limit: c.more(c.JSON)})
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
	return "Example: keypost license show 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
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
		"order", l.Order.String(), "shared by", strings.Join(shares, "; "), "upgraded by", upgraded, "issued", begins(l.CreatedAt),
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
}

func (licenseReplace) Help() string {
	return "The store's repeats of the order, and resend, get the new code from then on. Its machines must activate again.\n\nExample: keypost license replace 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseReplace) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.ReplaceLicense(a, actor, c.name()) })
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
	return "A refund or a replacement stays in force: the license shows what it is revoked for.\n\nExample: keypost license restore 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
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
	return "Machines that hold a lease work on until it runs out.\n\nExample: keypost license reset 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseReset) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.LicenseDetail, error) { return o.ResetLicense(a, actor, c.name()) })
}
