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
		fmt.Fprintln(a.err, "Keep these to yourself: they are signed, and software that checks offline takes them.")
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
