package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
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

func (n licenseName) find(a *app, db *store.DB) (store.License, error) {
	if store.NormalCode(n.Code) == "" {
		return store.License{}, usageError{errors.New("the code is empty")}
	}
	list, err := db.Licenses(a, store.LicenseFilter{Code: n.Code, Product: n.Product})
	switch {
	case err != nil:
		return store.License{}, err
	case len(list) == 0:
		return store.License{}, fmt.Errorf("license %s: %w (see: keypost license list)", n.Code, store.ErrNotFound)
	case len(list) > 1:
		if err := licenseTable(a.err, list); err != nil {
			return store.License{}, err
		}
		return store.License{}, usageError{fmt.Errorf("%d products have this code: name one with --product", len(list))}
	}
	return list[0], nil
}

func licenseTable(w io.Writer, list []store.License) error {
	rows := [][]string{{"CODE", "PRODUCT", "TYPE", "STATUS", "MACHINES", "TEST", "STORE", "TRANSACTION", "LINE"}}
	for _, l := range list {
		rows = append(rows, []string{
			l.Code, l.Product, l.Type, status(l), seats(l), yes(l.Test), l.Order.Store, l.Order.Transaction, strconv.Itoa(l.Order.Line),
		})
	}
	return table(w, rows)
}

// status tells people of expiry, too.
func status(l store.License) string {
	if l.Status == store.Active && l.ExpiresAt != nil && !l.ExpiresAt.After(time.Now()) {
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
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Licenses(a, store.LicenseFilter{Product: c.Product, Status: c.Status, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(conf, db, len(list), filter{product: c.Product}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		out := []licenseJSON{}
		for _, l := range list {
			out = append(out, newLicenseJSON(l))
		}
		return printJSON(a.out, out)
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
	return withLicense(a, c.licenseName, func(db *store.DB, l store.License) error { return showLicense(a, db, l, c.JSON) })
}

func withLicense(a *app, n licenseName, do func(*store.DB, store.License) error) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := n.find(a, db)
	if err != nil {
		return err
	}
	return do(db, l)
}

// upgradeOf names the order that upgraded a license; nil: none did.
func upgradeOf(a *app, db *store.DB, l store.License) (*orderRefJSON, error) {
	o, err := db.UpgradedBy(a, l.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &orderRefJSON{o.Store, o.Transaction, o.Line}, nil
}

// sharedBy names the orders that share a license, and what each brought.
func sharedBy(a *app, db *store.DB, l store.License) (string, error) {
	shares, err := db.Shares(a, l.ID)
	if err != nil {
		return "", err
	}
	var list []string
	for _, s := range shares {
		ref, err := orderRef(a, db, s.OrderID)
		if err != nil || ref == nil {
			return "", err
		}
		machines := "no limit"
		if s.Seats > 0 {
			machines = strconv.Itoa(s.Seats)
		}
		if s.Refunded {
			machines += ", refunded"
		}
		list = append(list, fmt.Sprintf("%s (%s)", ref, machines))
	}
	return strings.Join(list, "; "), nil
}

func showLicense(a *app, db *store.DB, l store.License, asJSON bool) error {
	machines, err := db.Activations(a, l.ID)
	if err != nil {
		return err
	}
	reasons, err := db.Reasons(a, l.ID)
	if err != nil {
		return err
	}
	upgradedBy, err := upgradeOf(a, db, l)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.out, shownLicenseJSON{newLicenseJSON(l), append([]string{}, reasons...), upgradedBy, newActivationsJSON(machines)})
	}
	shared, err := sharedBy(a, db, l)
	if err != nil {
		return err
	}
	upgraded := ""
	if upgradedBy != nil {
		upgraded = upgradedBy.String()
	}
	if err := fields(a.out,
		"code", l.Code, "product", l.Product, "status", status(l), "because of", strings.Join(reasons, ", "), "type", l.Type,
		"test", yes(l.Test), "machines", seats(l), "expires", ends(l.ExpiresAt),
		"order", orderRefJSON(l.Order).String(), "shared by", shared, "upgraded by", upgraded, "issued", begins(l.CreatedAt),
	); err != nil || len(machines) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	rows := [][]string{{"ACTIVATION", "MACHINE", "PLATFORM", "VERSION", "SINCE", "LEASE UNTIL"}}
	for _, m := range machines {
		lease := ""
		if !m.LeaseExpires.IsZero() {
			lease = when(m.LeaseExpires)
		}
		rows = append(rows, []string{m.ID, m.Machine.Name, m.Machine.Platform, m.Machine.AppVersion, when(m.CreatedAt), lease})
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
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	old, err := c.find(a, db)
	if err != nil {
		return err
	}
	l, err := ingest.New(db, conf.desk()).Replace(a, old, actor)
	switch {
	case errors.Is(err, store.ErrStale):
		return errors.New("the code was replaced before: see the order's codes with keypost order show")
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrSuspended):
		reasons, _ := db.Reasons(a, old.ID)
		err = fmt.Errorf("%w (%s), and a new code would not be", err, strings.Join(reasons, ", "))
		if len(reasons) > 0 && strings.HasPrefix(reasons[0], "manual") {
			err = fmt.Errorf("%w: keypost license restore takes a person's decision back", err)
		}
		return err
	}
	if err != nil {
		return err
	}
	l.Order = old.Order
	return showLicense(a, db, l, c.JSON)
}

// change is what revoke, suspend, restore and reset share.
func (n licenseName) change(a *app, asJSON bool, do func(*store.DB, context.Context, string, string) (store.License, error)) error {
	return withLicense(a, n, func(db *store.DB, l store.License) error {
		changed, err := do(db, a, l.ID, actor)
		if err != nil {
			return err
		}
		changed.Order = l.Order
		return showLicense(a, db, changed, asJSON)
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
	return c.change(a, c.JSON, (*store.DB).RevokeLicense)
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
	return c.change(a, c.JSON, (*store.DB).SuspendLicense)
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
	return c.change(a, c.JSON, func(db *store.DB, ctx context.Context, id, actor string) (store.License, error) {
		l, err := db.RestoreLicense(ctx, id, actor)
		if err != nil || l.Status == store.Active {
			return l, err
		}
		reasons, err := db.Reasons(ctx, id)
		if err == nil {
			err = fmt.Errorf("it is still %s: %s", l.Status, strings.Join(reasons, ", "))
		}
		return l, err
	})
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
	return c.change(a, c.JSON, (*store.DB).ResetLicense)
}
