package config

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A Product is a [[product]].
type Product struct {
	ID             string            `toml:"id"`
	Name           string            `toml:"name"`
	Aliases        []string          `toml:"aliases"`
	Limit          *int              `toml:"limit"`
	Limits         map[string]int    `toml:"limits"`
	PriceFloor     string            `toml:"price_floor"`
	UpgradeFrom    []string          `toml:"upgrade_from"`
	UpgradeKeyword string            `toml:"upgrade_keyword"`
	Gives          []string          `toml:"gives"`
	Generator      map[string]any    `toml:"generator"` // each kind has keys of its own
	AcceptTest     bool              `toml:"accept_test"`
	Adopt          bool              `toml:"adopt"`
	Lease          *channel.Duration `toml:"lease"`
	Language       string            `toml:"language"`

	kind  string       // of the generator
	codes ingest.Codes // what it makes
	pool  *pool        // nil: the codes come from none
	seeds []string     // what a made-up order needs for a code
}

func (c *Config) completeProduct(i int, aliases map[string]string) error {
	p := &c.Products[i]
	key := func(name string) string { return fmt.Sprintf("product[%d].%s", i, name) }
	if !channel.IsID(p.ID) {
		return c.errorf(key("id"), "%q: %s", p.ID, channel.IDHint)
	}
	if p.Name == "" {
		p.Name = p.ID
	}
	own := map[string]bool{}
	for n, alias := range append([]string{p.ID}, p.Aliases...) {
		at := key("aliases")
		if n == 0 {
			at = key("id")
		}
		fold := ingest.FoldAlias(alias)
		switch other, taken := aliases[fold]; {
		case fold == "":
			return c.errorf(at, "an alias is empty")
		case taken && !own[fold]:
			return c.errorf(at, "%q is also an alias of product %s: an alias belongs to one product", alias, other)
		}
		aliases[fold], own[fold] = p.ID, true
	}
	if err := c.checkUpgrade(key, *p); err != nil {
		return err
	}
	if err := c.checkBundle(key, *p); err != nil {
		return err
	}
	if p.Limit == nil {
		p.Limit = new(int)
	}
	if *p.Limit < 0 {
		return c.errorf(key("limit"), "it must be 0 (no limit) or more")
	}
	folded := map[string]int{}
	for licenseType, n := range p.Limits {
		_, twice := folded[ingest.Fold(licenseType)]
		if n < 0 || twice || ingest.Fold(licenseType) == "" {
			return c.errorf(key("limits"), "%q: name each license type once, with 0 (no limit) or more", licenseType)
		}
		folded[ingest.Fold(licenseType)] = n
	}
	p.Limits = folded
	if _, err := ingest.ParseAmount(p.PriceFloor); err != nil {
		return c.errorf(key("price_floor"), "%v", err)
	}
	if p.Language != "" && !ingest.IsLanguage(p.Language) {
		return c.errorf(key("language"), "%q: %s", p.Language, languageHint)
	}
	if p.Lease == nil {
		p.Lease = &channel.Duration{Duration: defaultLease}
	}
	if d := p.Lease.Duration; d != 0 && d < minLease {
		return c.errorf(key("lease"), `it must be "0s" (no leases) or at least %s`, minLease)
	}
	if err := c.completeGenerator(key, p); err != nil {
		return err
	}
	if _, verifies := p.codes.Compute.(keygen.Verifier); p.Adopt && !verifies {
		return c.errorf(key("adopt"), "a %s generator cannot recognise its own codes", p.kind)
	}
	return nil
}

// checkUpgrade: an upgrade needs older products, and a keyword to know the old
// code by.
func (c *Config) checkUpgrade(key func(string) string, p Product) error {
	if len(p.UpgradeFrom) == 0 {
		if p.UpgradeKeyword != "" {
			return c.errorf(key("upgrade_keyword"), "upgrade_from is missing: name the products that can be upgraded")
		}
		return nil
	}
	if strings.ContainsFunc(p.UpgradeKeyword, unicode.IsControl) {
		return c.errorf(key("upgrade_keyword"), "it must be on one line")
	}
	if strings.TrimSpace(p.UpgradeKeyword) == "" {
		return c.errorf(key("upgrade_from"), "upgrade_keyword is missing: set the keyword under which the store asks for the old code")
	}
	for _, id := range p.UpgradeFrom {
		switch old, ok := c.Product(id); {
		case !ok:
			return c.errorf(key("upgrade_from"), "no product has the id %q", id)
		case id == p.ID:
			return c.errorf(key("upgrade_from"), "%s would upgrade itself", id)
		case len(old.Gives) > 0:
			return c.errorf(key("upgrade_from"), "%s is a bundle and has no codes of its own: name the products that it gives", id)
		}
	}
	return nil
}

// checkBundle: a bundle gives products that are none themselves.
func (c *Config) checkBundle(key func(string) string, p Product) error {
	seen := map[string]bool{}
	for _, id := range p.Gives {
		part, ok := c.Product(id)
		switch {
		case !ok:
			return c.errorf(key("gives"), "no product has the id %q", id)
		case len(part.Gives) > 0:
			return c.errorf(key("gives"), "%s is itself a bundle: name the products that it gives", id)
		case seen[id]:
			return c.errorf(key("gives"), "%s is listed twice", id)
		}
		seen[id] = true
	}
	if len(p.Gives) == 0 {
		return nil
	}
	for name, set := range map[string]bool{
		"generator": p.Generator["kind"] != nil, "limit": p.Limit != nil, "limits": p.Limits != nil, "lease": p.Lease != nil, "accept_test": p.AcceptTest, "adopt": p.Adopt,
	} {
		if set {
			return c.errorf(key(name), "a bundle cannot have this key: its codes are those of the products that it gives")
		}
	}
	return nil
}

// Product finds a product by its id.
func (c *Config) Product(id string) (Product, bool) {
	for _, p := range c.Products {
		if p.ID == id {
			return p, true
		}
	}
	return Product{}, false
}

// desk is what the order desk needs to know.
func (p Product) desk() ingest.Product {
	floor, _ := ingest.ParseAmount(p.PriceFloor) // checked by completeProduct
	out := ingest.Product{ID: p.ID, Aliases: p.Aliases, Limit: *p.Limit, Limits: p.Limits, Floor: floor, Gives: p.Gives, Codes: p.codes, Language: p.Language}
	if len(p.UpgradeFrom) > 0 {
		out.Upgrade = &ingest.Upgrade{From: p.UpgradeFrom, Keyword: strings.TrimSpace(p.UpgradeKeyword)}
	}
	return out
}

// admin is what the operations need to know.
func (p Product) admin() admin.Product {
	out := admin.Product{Product: p.desk(), Name: p.Name, Generator: p.kind, Lease: p.Lease.Duration, Seeds: p.seeds}
	if p.pool != nil {
		out.Pool = &admin.ProductPool{Name: p.pool.Pool, File: p.pool.File, Low: *p.pool.Low}
	}
	return out
}

// Catalog is what is sold, and by which channels.
func (c *Config) Catalog() ingest.Catalog {
	out := ingest.Catalog{Channels: map[string]ingest.Channel{}, Mail: c.Mail != nil}
	for _, p := range c.Products {
		out.Products = append(out.Products, p.desk())
	}
	for _, ch := range c.Channels {
		out.Channels[ch.Name] = ch.desk()
	}
	return out
}

// Activation is the activation server's part; desk adopts codes.
func (c *Config) Activation(desk *ingest.Desk) activation.Config {
	out := activation.Config{Issuer: c.Server.PublicURL, Origins: c.Server.Origins}
	for _, p := range c.Products {
		a := activation.Product{ID: p.ID, Lease: p.Lease.Duration, AcceptTest: p.AcceptTest}
		if p.Adopt {
			a.Adopt = func(ctx context.Context, code string) (store.License, error) { return desk.Adopt(ctx, p.ID, code) }
		}
		if shape, ok := p.codes.Compute.(interface{ Malformed(string) bool }); ok {
			a.Malformed = shape.Malformed
		}
		out.Products = append(out.Products, a)
	}
	return out
}
