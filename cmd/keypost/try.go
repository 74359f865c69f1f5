package main

import (
	"fmt"
	"strings"

	"github.com/keypost/keypost/keygen"
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
	Expires  *string  `help:"When the codes end: 2027-12-31 or an RFC 3339 time." placeholder:"DATE"`
}

func (keygenTry) Help() string {
	return "No database is needed, but for a pool, whose next codes are shown and stay. Programs and servers of yours are called, with an order id that begins with check.\n\n" +
		"Example: keypost keygen try demo --name \"Ada Lovelace\" --seed \"Keyword: Computer-number - 5368-4402\""
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
	if _, ok := conf.product(c.Product); !ok {
		return fmt.Errorf("product %s: %w in the config", c.Product, store.ErrNotFound)
	}
	made, err := conf.desk().Try(a, store.Order{
		ID: "check-" + store.NewID(), Product: c.Product, LicenseType: c.Type, Name: c.Name, Email: c.Email, Seeds: c.Seed, OEMSeed: c.OEMSeed,
		Quantity: c.Quantity, ExpiresAt: expires,
	})
	if err != nil {
		return err
	}
	codes, err := c.filled(a, conf, made)
	if err != nil {
		return err
	}
	p, _ := conf.product(c.Product)
	if _, verifies := p.codes.Compute.(keygen.Verifier); verifies {
		fmt.Fprintln(a.err, "Keep these to yourself: they are signed, and software that checks offline takes them.")
	}
	if c.JSON {
		return printJSON(a.out, codes)
	}
	for _, t := range codes {
		fmt.Fprintln(a.out, strings.TrimSpace(safe(t.Code)+"  "+c.other(t.Product)))
	}
	return nil
}

// triedJSON is a code that was not issued.
type triedJSON struct {
	Product string `json:"product"`
	Code    string `json:"code"`
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
		t := triedJSON{c.Product, m.Code}
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
