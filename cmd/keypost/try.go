package main

import (
	"fmt"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (keygenCommands) Help() string {
	return "Example: keypost keygen try demo --name \"Ada Lovelace\""
}

type keygenCommands struct {
	Try keygenTry `cmd:"" help:"Show what a generator would issue, without issuing it."`
}

type keygenTry struct {
	jsonFlag
	Product  string   `arg:"" help:"The product, by its id."`
	Name     string   `help:"The licensee's name."`
	Email    string   `help:"The licensee's e-mail address."`
	Type     string   `help:"The license type." default:"single"`
	Quantity int      `help:"How many codes, 1 to 250." default:"1"`
	Seed     []string `help:"A value that the buyer entered: Keyword: NAME - VALUE or NAME=VALUE. May be repeated." sep:"none"`
	OEMSeed  string   `help:"A value that the vendor set at the store." name:"oem-seed"`
	Expires  *string  `help:"The expiry of the codes: 2027-12-31 (inclusive, UTC) or an RFC 3339 time." placeholder:"DATE"`
}

func (keygenTry) Help() string {
	return "Shows the codes, then their license files, if any. It needs a database only for a pool: the pool's next codes are shown and stay in the pool. Your own generator programs and servers are called, with an order id that starts with check.\n\n" +
		"Example: keypost keygen try demo --name \"Ada Lovelace\" --seed \"Keyword: Computer number - 5368-4402\""
}

func (c keygenTry) Run(a *app) error {
	expires, err := parseExpiry(c.Expires)
	if err != nil {
		return usageError{err}
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	done, err := admin.TryGenerator(a, conf.Admin(), c.Product, admin.Issue{
		Name: c.Name, Email: c.Email, Type: c.Type, Quantity: c.Quantity, Seeds: c.Seed, ExpiresAt: expires,
	}, c.OEMSeed)
	if err != nil {
		return err
	}
	a.notes(done.Notes)
	if done.Secret {
		fmt.Fprintln(a.err, "Keep these codes secret: they are signed, and software that checks offline accepts them.")
	}
	if c.JSON {
		return printJSON(a.out, done.Codes)
	}
	for _, t := range done.Codes {
		of := ""
		if t.Product != c.Product { // a bundle's part
			of = t.Product
		}
		fmt.Fprintln(a.out, strings.TrimSpace(safe(t.Code)+"  "+of))
	}
	for _, t := range done.Codes {
		if t.File != nil {
			fmt.Fprintf(a.out, "\n%s, of %s:\n", safe(t.File.Name), safe(t.Code))
			fmt.Fprintf(asIs(a.out), "%s", t.File.Content)
		}
	}
	return nil
}
