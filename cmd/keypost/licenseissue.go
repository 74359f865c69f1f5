package main

import (
	"errors"
	"fmt"
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

type licenseIssue struct {
	changing
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
	if p, ok := conf.product(product); ok && len(p.Gives) == 0 {
		a.note(p.strangeType(c.Type))
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
