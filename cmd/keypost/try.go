package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

func (keygenCommands) Help() string {
	return "Example: keypost keygen try demo --name \"Ada Lovelace\""
}

type keygenCommands struct {
	Try keygenTry `cmd:"" help:"Show what would be issued; nothing is."`
}

type keygenTry struct {
	jsonFlag
	Product  string   `arg:"" help:"The product, by its id."`
	Name     string   `help:"The licensee's name."`
	Email    string   `help:"The licensee's e-mail address."`
	Type     string   `help:"The license type." default:"single"`
	Quantity int      `help:"How many codes, 1 to 250." default:"1"`
	Seed     []string `help:"What the buyer was asked for: Keyword: NAME - VALUE or NAME=VALUE. May be repeated." sep:"none"`
	OEMSeed  string   `help:"What the vendor set at the store." name:"oem-seed"`
	Expires  *string  `help:"When the codes end: 2027-12-31 (that day, UTC, still counts) or an RFC 3339 time." placeholder:"DATE"`
}

func (keygenTry) Help() string {
	return "Files that would go with the codes are shown after them. No database is needed, but for a pool, whose next codes are shown and stay. Programs and servers of yours are called, with an order id that begins with check.\n\n" +
		"Example: keypost keygen try demo --name \"Ada Lovelace\" --seed \"Keyword: Computer number - 5368-4402\""
}

func (c keygenTry) Run(a *app) error {
	if c.Quantity < 1 || c.Quantity > defaultMaxQuantity {
		return usageError{fmt.Errorf("--quantity must be from 1 to %d", defaultMaxQuantity)}
	}
	expires, err := parseExpiry(c.Expires)
	if err != nil {
		return usageError{err}
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	p, ok := conf.product(c.Product)
	if !ok {
		return fmt.Errorf("product %s: %w in the config", c.Product, store.ErrNotFound)
	}
	if len(p.Gives) == 0 {
		a.note(p.strangeType(c.Type))
	}
	order := store.Order{
		ID: "check-" + store.NewID(), Transaction: "check", CreatedAt: time.Now(), Product: c.Product, LicenseType: c.Type, Name: c.Name, Email: c.Email, Seeds: c.Seed, OEMSeed: c.OEMSeed,
		Quantity: c.Quantity, ExpiresAt: expires,
	}
	made, err := conf.desk().Try(a, order)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: keypost init or keypost db create makes it", err)
	}
	if err != nil {
		return err
	}
	codes, err := c.filled(a, conf, made)
	if err != nil {
		return err
	}
	if err := c.files(conf.desk(), order, codes); err != nil {
		return err
	}
	for _, t := range codes {
		if p, _ := conf.product(t.Product); p.offline() || t.File != nil {
			fmt.Fprintln(a.err, "Keep these to yourself: they are signed, and software that checks offline takes them.")
			break
		}
	}
	if c.JSON {
		return printJSON(a.out, codes)
	}
	for _, t := range codes {
		fmt.Fprintln(a.out, strings.TrimSpace(safe(t.Code)+"  "+c.other(t.Product)))
	}
	for _, t := range codes {
		if t.File != nil {
			fmt.Fprintf(a.out, "\n%s, of %s:\n", safe(t.File.Name), safe(t.Code))
			fmt.Fprintf(asIs(a.out), "%s", t.File.Content)
		}
	}
	return nil
}

// files makes the files that go with codes.
func (c keygenTry) files(desk ingest.Catalog, o store.Order, codes []triedJSON) error {
	for i, t := range codes {
		f, err := desk.File(o, store.License{Product: t.Product, Code: t.Code, Status: store.Active, ExpiresAt: o.ExpiresAt})
		if errors.Is(err, ingest.ErrNoFile) {
			continue
		}
		if err != nil {
			return err
		}
		codes[i].File = &fileJSON{f.Name, f.Type, string(f.Content)}
	}
	return nil
}

// triedJSON is a code that was not issued.
type triedJSON struct {
	Product string    `json:"product"`
	Code    string    `json:"code"`
	File    *fileJSON `json:"file,omitempty"`
}

// fileJSON is a file that would go with a code.
type fileJSON struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
}

// other names a bundle's part.
func (c keygenTry) other(product string) string {
	if product == c.Product {
		return ""
	}
	return product
}

// filled puts a pool's next codes in their places.
func (c keygenTry) filled(a *app, conf *config, made []store.NewLicense) ([]triedJSON, error) {
	list := []triedJSON{}
	next := map[string][]string{}
	for _, m := range made {
		t := triedJSON{Product: c.Product, Code: m.Code}
		if m.Part != nil {
			t.Product = m.Part.Product
		}
		if m.Pool != "" {
			if next[m.Pool] == nil {
				_, db, err := a.open()
				if err != nil {
					return nil, err
				}
				next[m.Pool], err = db.NextPoolCodes(a, m.Pool, t.Product, len(made))
				db.Close()
				if err != nil {
					return nil, err
				}
			}
			if len(next[m.Pool]) == 0 {
				return nil, fmt.Errorf("pool %s: %w", m.Pool, store.ErrPoolEmpty)
			}
			t.Code, next[m.Pool] = next[m.Pool][0], next[m.Pool][1:]
		}
		list = append(list, t)
	}
	return list, nil
}
