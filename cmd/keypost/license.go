package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
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
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Licenses(a, store.LicenseFilter{Product: c.Product, Status: c.Status, Limit: c.more(c.JSON)})
	if err != nil {
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
	expires, upgraded := "", ""
	if l.ExpiresAt != nil {
		expires = when(*l.ExpiresAt)
	}
	if upgradedBy != nil {
		upgraded = upgradedBy.String()
	}
	if err := fields(a.out,
		"code", l.Code, "product", l.Product, "status", status(l), "because of", strings.Join(reasons, ", "), "type", l.Type,
		"test", yes(l.Test), "machines", seats(l), "expires", expires,
		"order", orderRefJSON(l.Order).String(), "shared by", shared, "upgraded by", upgraded, "issued", when(l.CreatedAt),
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

type licenseIssue struct {
	jsonFlag
	ProductID   *string  `arg:"" optional:"" name:"product" help:"The product's id; not needed where there is one product."`
	Product     string   `help:"The same as a flag."`
	Name        string   `help:"The licensee's name."`
	Email       string   `help:"The licensee's e-mail address."`
	Quantity    int      `help:"How many codes, 1 to 250, or up to 100000 with --out." default:"1" aliases:"count"`
	Out         string   `help:"Write the codes to this file, one a line: for stores that take lists. A file that is there stays." placeholder:"FILE"`
	Seed        []string `help:"What a code is made of beside the name: NAME=VALUE. May be repeated." sep:"none"`
	Type        string   `help:"The license type." default:"single"`
	Expires     *string  `help:"When the codes end: 2027-12-31 (that day, UTC, still counts) or an RFC 3339 time." placeholder:"DATE"`
	Test        bool     `help:"Codes for testing."`
	Transaction *string  `help:"A name of your own for the order: the same one again returns the same codes." placeholder:"ID"`
	Codes       bool     `help:"Print the codes alone, one a line."`
}

func (licenseIssue) Help() string {
	return "Example: keypost license issue demo --name \"Ada Lovelace\" --email ada@example.com --transaction gift-1\n\n" +
		"Example: keypost license issue demo --count 1000 --out codes.txt --transaction reseller-1"
}

func (c licenseIssue) Run(a *app) error {
	most := defaultMaxQuantity
	if c.Out != "" {
		most = maxBatch
	}
	if c.Quantity < 1 || c.Quantity > most {
		return usageError{fmt.Errorf("--quantity must be from 1 to %d, or with --out to %d", defaultMaxQuantity, maxBatch)}
	}
	if c.Out != "" && (c.Codes || c.JSON) {
		return usageError{errors.New("--out writes the codes to a file: it goes with neither --codes nor --json")}
	}
	if c.Transaction != nil && (strings.TrimSpace(*c.Transaction) == "" || len(*c.Transaction) > 255) {
		return usageError{errors.New("--transaction must have 1-255 bytes, not all of them spaces")}
	}
	if strings.TrimSpace(c.Type) == "" {
		return usageError{errors.New("--type is empty")}
	}
	c.Name, c.Email = strings.TrimSpace(c.Name), strings.TrimSpace(c.Email)
	if err := checkPerson(c.Name, c.Email); err != nil {
		return usageError{err}
	}
	if c.Codes && c.JSON {
		return usageError{errors.New("--codes or --json, not both")}
	}
	expires, err := parseExpiry(c.Expires)
	if err != nil {
		return usageError{err}
	}
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	product, err := c.product(conf)
	if err != nil {
		return err
	}
	transaction := store.NewID()
	if c.Transaction != nil {
		transaction = *c.Transaction
	}
	if expires != nil && expires.Before(time.Now()) {
		fmt.Fprintln(a.err, "These codes have ended before they begin: they will not activate.")
	}
	desk := ingest.New(db, conf.desk())
	claim := ingest.Order{
		Channel: ingest.Manual, Store: ingest.Manual, Transaction: transaction, StoreProduct: product, LicenseType: c.Type,
		Name: c.Name, Email: c.Email, Seeds: c.Seed, Quantity: c.Quantity, ExpiresAt: expires, Test: c.Test,
		Message: store.Message{Channel: ingest.Manual}, Actor: actor,
	}
	if c.Out != "" {
		return c.batch(a, conf, db, desk, claim)
	}
	o, err := desk.Accept(a, claim)
	if err != nil {
		return err
	}
	if o.Name != c.Name || o.Email != c.Email || !sameTime(o.ExpiresAt, expires) {
		fmt.Fprintln(a.err, "The order was there before: its name, e-mail and end stay as they were.")
	}
	if c.Codes && o.Status == store.Issued {
		for _, code := range codes(o) {
			fmt.Fprintln(a.out, safe(code))
		}
		return nil
	}
	if err := showOrder(a, o, c.JSON); err != nil {
		return err
	}
	if o.Status == store.Held {
		return errHeld
	}
	return nil
}

// maxBatch is how many codes --out makes; more are more files.
const maxBatch = 100_000

// sameBatch: a transaction that is there already must be this batch, whole or
// broken off: its orders are of 250, but for the last of a whole one.
func (c licenseIssue) sameBatch(a *app, db *store.DB, claim ingest.Order) error {
	orders, err := db.Orders(a, store.OrderFilter{Store: claim.Store, Fold: ingest.Fold(claim.Transaction)})
	if err != nil {
		return err
	}
	have, whole := 0, true
	for _, o := range orders {
		have += o.Quantity
		whole = whole && o.Quantity == defaultMaxQuantity
	}
	if have > c.Quantity || have < c.Quantity && !whole {
		return fmt.Errorf("the transaction %s has %d codes: ask for as many to get them again, or take another transaction", claim.Transaction, have)
	}
	return nil
}

// batch issues codes by orders of 250, the lines of one transaction, and writes
// them to a file that appears whole or not at all. The same call again gives
// the same codes, also after it was broken off.
func (c licenseIssue) batch(a *app, conf *config, db *store.DB, desk *ingest.Desk, claim ingest.Order) error {
	if _, err := os.Lstat(c.Out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already and stays as it is: name another file", c.Out)
	}
	if err := c.sameBatch(a, db, claim); err != nil {
		return err
	}
	if p, ok := conf.product(claim.StoreProduct); ok && p.codes.Compute != nil { // else each order of it would be held
		first := store.Order{
			ID: "check", Transaction: claim.Transaction, CreatedAt: time.Now(), Product: p.ID, LicenseType: claim.LicenseType, Name: claim.Name, Email: claim.Email,
			Seeds: claim.Seeds, Quantity: min(defaultMaxQuantity, c.Quantity), ExpiresAt: claim.ExpiresAt, Test: claim.Test,
		}
		if _, err := conf.desk().Try(a, first); errors.Is(err, keygen.ErrRequest) {
			return err
		}
	}
	if c.Transaction == nil {
		fmt.Fprintf(a.err, "If this is broken off, go on with: --transaction %s\n", claim.Transaction)
	}
	f, err := os.CreateTemp(filepath.Dir(c.Out), ".keypost-codes-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	bar := newBar(a.err)
	defer bar.end()
	for done := 0; done < c.Quantity; done += claim.Quantity {
		claim.StoreLine, claim.Quantity = strconv.Itoa(done/defaultMaxQuantity+1), min(defaultMaxQuantity, c.Quantity-done)
		o, err := desk.Accept(a, claim)
		if err != nil {
			return fmt.Errorf("%w (after %d codes: run it again with --transaction %s)", err, done, claim.Transaction)
		}
		if o.Status != store.Issued {
			return fmt.Errorf("order %s %s %d is %s (%s): mend that, approve it (keypost order approve %[1]s %[2]s %[3]d), and run this again with --transaction %[2]s", o.Store, o.Transaction, o.Line, o.Status, o.Reason)
		}
		for _, code := range codes(o) {
			if strings.ContainsAny(code, "\r\n") {
				return errors.New("a code has several lines: it fits into no list")
			}
			if _, err := fmt.Fprintln(f, code); err != nil {
				return err
			}
		}
		bar.at("", int64(done+claim.Quantity), int64(c.Quantity))
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Link(f.Name(), c.Out)); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d codes are in %s, order %s %s.\n", c.Quantity, safe(c.Out), claim.Store, safe(claim.Transaction))
	return nil
}

// product is the one that was named, or the only one there is.
func (c licenseIssue) product(conf *config) (string, error) {
	id := c.Product
	if c.ProductID != nil {
		if *c.ProductID == "" || id != "" && id != *c.ProductID {
			return "", usageError{errors.New("name one product")}
		}
		id = *c.ProductID
	}
	if id == "" && len(conf.Products) == 1 {
		return conf.Products[0].ID, nil
	}
	if id == "" {
		return "", usageError{errors.New("name the product: keypost license issue PRODUCT")}
	}
	for _, p := range conf.Products {
		if p.ID == id {
			return id, nil
		}
	}
	return "", fmt.Errorf("product %s: %w in the config", id, store.ErrNotFound)
}

func sameTime(a, b *time.Time) bool {
	return a == b || a != nil && b != nil && a.Equal(*b)
}

func parseExpiry(s *string) (*time.Time, error) {
	if s == nil {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, *s)
	if err != nil {
		if at, err = time.Parse(time.DateOnly, *s); err != nil {
			return nil, fmt.Errorf("--expires %s: it must be like 2027-12-31 or 2027-12-31T18:00:00Z", *s)
		}
		at = at.AddDate(0, 0, 1)
	}
	if at.Year() < 1970 || at.Year() > 9998 {
		return nil, fmt.Errorf("--expires %s: the year must be from 1970 to 9998", *s)
	}
	return &at, nil
}

type licenseReplace struct {
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
	jsonFlag
	licenseName
}

func (licenseReset) Help() string {
	return "Machines that hold a lease work on until it runs out.\n\nExample: keypost license reset 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T"
}

func (c licenseReset) Run(a *app) error {
	return c.change(a, c.JSON, (*store.DB).ResetLicense)
}
