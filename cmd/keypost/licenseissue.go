package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keypost/keypost/admin"
)

type licenseIssue struct {
	changing
	jsonFlag
	ProductID   *string  `arg:"" optional:"" name:"product" help:"The product's id. Not needed if there is only one product."`
	Product     string   `help:"The product's id, as a flag."`
	Name        string   `help:"The licensee's name."`
	Email       string   `help:"The licensee's e-mail address."`
	Quantity    int      `help:"How many codes, 1 to 250, or up to 100000 with --out." default:"1" aliases:"count"`
	Out         string   `help:"Write the codes to this file, one per line, for stores that want lists. An existing file is not overwritten." placeholder:"FILE"`
	Seed        []string `help:"An additional input of the code generator: NAME=VALUE. May be repeated." sep:"none"`
	Type        string   `help:"The license type." default:"single"`
	Language    string   `help:"The language of the mail with the codes: de, pt-BR."`
	Expires     *string  `help:"The expiry of the codes: 2027-12-31 (inclusive, UTC) or an RFC 3339 time." placeholder:"DATE"`
	Test        bool     `help:"Issue test codes."`
	Transaction *string  `help:"Your own id for the order. The same id again returns the same codes." placeholder:"ID"`
	Codes       bool     `help:"Print only the codes, one per line."`
}

func (licenseIssue) Help() string {
	return "Example: keypost license issue demo --name \"Ada Lovelace\" --email ada@example.com --transaction gift-1\n\n" +
		"Example: keypost license issue demo --count 1000 --out codes.txt --transaction reseller-1"
}

func (c licenseIssue) Run(a *app) error {
	issue, err := c.issue()
	if err != nil {
		return usageError{err}
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Out != "" {
		return c.batch(a, o, issue)
	}
	done, err := o.IssueCodes(a, actor, issue)
	a.notes(done.Notes)
	if err != nil {
		return err
	}
	if done.Before {
		fmt.Fprintln(a.err, "The order already existed: its name, e-mail and expiry were not changed.")
	}
	if c.Codes && done.Order.Status == admin.Issued {
		for _, code := range done.Order.Licenses {
			fmt.Fprintln(a.out, safe(code))
		}
		return nil
	}
	if err := showOrder(a, done.Order, c.JSON); err != nil {
		return err
	}
	if done.Order.Status == admin.Held {
		return errHeld
	}
	return nil
}

// issue is what the flags ask for.
func (c licenseIssue) issue() (i admin.Issue, err error) {
	i = admin.Issue{
		Product: c.Product, Name: c.Name, Email: c.Email, Quantity: c.Quantity, Seeds: c.Seed, Type: c.Type, Language: c.Language, Test: c.Test, Transaction: c.Transaction,
	}
	if i.ExpiresAt, err = parseExpiry(c.Expires); err != nil {
		return i, err
	}
	if c.ProductID != nil {
		if *c.ProductID == "" || c.Product != "" && c.Product != *c.ProductID {
			return i, errors.New("name one product")
		}
		i.Product = *c.ProductID
	}
	most := admin.MaxCodes
	if c.Out != "" {
		most = admin.MaxBatch
	}
	switch {
	case c.Quantity < 1 || c.Quantity > most:
		return i, fmt.Errorf("--quantity must be 1 to %d, or up to %d with --out", admin.MaxCodes, admin.MaxBatch)
	case c.Out != "" && (c.Codes || c.JSON):
		return i, errors.New("use --out without --codes and --json")
	case c.Codes && c.JSON:
		return i, errors.New("use --codes or --json, not both")
	}
	return i, nil
}

// batch writes codes to a file that appears whole or not at all. The same call
// again gives the same codes, also after it was broken off.
func (c licenseIssue) batch(a *app, o *admin.Admin, issue admin.Issue) error {
	if _, err := os.Lstat(c.Out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s already exists and was not changed: name another file", c.Out)
	}
	f, err := os.CreateTemp(filepath.Dir(c.Out), ".keypost-codes-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	bar := newBar(a.err)
	defer bar.end()
	begun := func(transaction string, notes []string) {
		a.notes(notes)
		if c.Transaction == nil {
			fmt.Fprintf(a.err, "If this is interrupted, continue with: --transaction %s\n", transaction)
		}
	}
	write := func(code string) error {
		_, err := fmt.Fprintln(f, code)
		return err
	}
	done, err := o.IssueBatch(a, actor, issue, begun, write, bar.at)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Link(f.Name(), c.Out)); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Wrote %d codes to %s, order %s %s.\n", done.Codes, safe(c.Out), done.Order.Store, safe(done.Order.Transaction))
	return nil
}
