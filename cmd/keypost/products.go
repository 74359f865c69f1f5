package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// productConfig is a [[product]].
type productConfig struct {
	ID             string          `toml:"id"`
	Name           string          `toml:"name"`
	Aliases        []string        `toml:"aliases"`
	Limit          *int            `toml:"limit"`
	Limits         map[string]int  `toml:"limits"`
	PriceFloor     string          `toml:"price_floor"`
	UpgradeFrom    []string        `toml:"upgrade_from"`
	UpgradeKeyword string          `toml:"upgrade_keyword"`
	Gives          []string        `toml:"gives"`
	Generator      generatorConfig `toml:"generator"`
	AcceptTest     bool            `toml:"accept_test"`
	Adopt          bool            `toml:"adopt"`
	Lease          *duration       `toml:"lease"`

	codes ingest.Codes // what the generator makes
}

func (c *config) completeProduct(i int, aliases map[string]string) error {
	p := &c.Products[i]
	key := func(name string) string { return fmt.Sprintf("product[%d].%s", i, name) }
	if !idShape.MatchString(p.ID) {
		return c.errorf(key("id"), "%q: %s", p.ID, idHint)
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
			return c.errorf(at, "%q names product %s too: an alias belongs to one product", alias, other)
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
			return c.errorf(key("limits"), "%q: each license type once, with 0 (no limit) or more", licenseType)
		}
		folded[ingest.Fold(licenseType)] = n
	}
	p.Limits = folded
	if _, err := parseFloor(p.PriceFloor); err != nil {
		return c.errorf(key("price_floor"), "%v", err)
	}
	if p.Lease == nil {
		lease := duration(defaultLease)
		p.Lease = &lease
	}
	if d := time.Duration(*p.Lease); d != 0 && d < minLease {
		return c.errorf(key("lease"), `it must be "0s" (no leases) or at least %s`, minLease)
	}
	if err := c.completeGenerator(key, p); err != nil {
		return err
	}
	if _, verifies := p.codes.Compute.(keygen.Verifier); p.Adopt && !verifies {
		return c.errorf(key("adopt"), "a %s generator cannot tell its own codes from others", p.Generator.Kind)
	}
	return nil
}

// checkUpgrade: an upgrade needs older products, and a keyword to know the old
// code by.
func (c *config) checkUpgrade(key func(string) string, p productConfig) error {
	if len(p.UpgradeFrom) == 0 {
		if p.UpgradeKeyword != "" {
			return c.errorf(key("upgrade_keyword"), "upgrade_from is missing: name the products that are upgraded")
		}
		return nil
	}
	if strings.ContainsFunc(p.UpgradeKeyword, unicode.IsControl) {
		return c.errorf(key("upgrade_keyword"), "it must be on one line")
	}
	if strings.TrimSpace(p.UpgradeKeyword) == "" {
		return c.errorf(key("upgrade_from"), "upgrade_keyword is missing: name the keyword under which the store asks for the old code")
	}
	for _, id := range p.UpgradeFrom {
		switch old, ok := c.product(id); {
		case !ok:
			return c.errorf(key("upgrade_from"), "%q is no product's id", id)
		case id == p.ID:
			return c.errorf(key("upgrade_from"), "%s would upgrade itself", id)
		case len(old.Gives) > 0:
			return c.errorf(key("upgrade_from"), "%s is a bundle and has no codes of its own: name what it gives", id)
		}
	}
	return nil
}

// checkBundle: a bundle gives products that are none themselves.
func (c *config) checkBundle(key func(string) string, p productConfig) error {
	seen := map[string]bool{}
	for _, id := range p.Gives {
		part, ok := c.product(id)
		switch {
		case !ok:
			return c.errorf(key("gives"), "%q is no product's id", id)
		case len(part.Gives) > 0:
			return c.errorf(key("gives"), "%s gives products itself: name those", id)
		case seen[id]:
			return c.errorf(key("gives"), "%s is there twice", id)
		}
		seen[id] = true
	}
	if len(p.Gives) == 0 {
		return nil
	}
	for name, set := range map[string]bool{
		"generator": p.Generator.Kind != "", "limit": p.Limit != nil, "limits": p.Limits != nil, "lease": p.Lease != nil, "accept_test": p.AcceptTest, "adopt": p.Adopt,
	} {
		if set {
			return c.errorf(key(name), "a bundle has none: its codes are those of the products that it gives")
		}
	}
	return nil
}

// missingProducts has a finding for each product that has licenses and is not
// in the config: one that was taken out, or whose id was mistyped. Its calls are
// answered with 503 until it is back.
func (c *config) missingProducts(ctx context.Context, db *store.DB) (list []finding, err error) {
	var named []string
	for _, p := range c.Products {
		named = append(named, p.ID)
	}
	missing, err := db.OtherProducts(ctx, named)
	for _, p := range missing {
		list = append(list, finding{"product " + p.Product, "failed", fmt.Sprintf(
			"it has %s and is not in the config: nobody can activate it, and its calls get 503. Put the [[product]] back, or correct the id of the one that took its place",
			count(int(p.Licenses), "license"))})
	}
	return list, err
}

// reportMissing logs what missingProducts finds.
func (c *config) reportMissing(ctx context.Context, db *store.DB) {
	list, err := c.missingProducts(ctx, db)
	if err != nil {
		slog.Error("products that have licenses cannot be looked up", "err", err)
	}
	for _, f := range list {
		slog.Error(f.Subject + ": " + f.Detail)
	}
}

// limitOf is how many machines a code of a license type is for.
func (p productConfig) limitOf(licenseType string) int {
	return ingest.Product{Limit: *p.Limit, Limits: p.Limits}.LimitOf(licenseType)
}

// strangeType says of a license type that a product has no limit for which one
// counts instead; "" for one that it knows. A typo would otherwise show only
// when the buyer's machines are refused.
func (p productConfig) strangeType(licenseType string) string {
	_, known := p.Limits[ingest.Fold(licenseType)]
	if known || ingest.Fold(licenseType) == "single" {
		return ""
	}
	limit := "no limit"
	if n := p.limitOf(licenseType); n > 0 {
		limit = "the limit of " + count(n, "machine")
	}
	return fmt.Sprintf("The product %s has no limit of its own for the license type %q: %s counts.", p.ID, licenseType, limit)
}

// product finds a product by its id.
func (c *config) product(id string) (productConfig, bool) {
	for _, p := range c.Products {
		if p.ID == id {
			return p, true
		}
	}
	return productConfig{}, false
}

var floorShape = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,3})?) ([A-Z]{3})$`)

// parseFloor reads "10.00 USD"; "" is no floor.
func parseFloor(s string) (f ingest.Floor, err error) {
	if s == "" {
		return f, nil
	}
	m := floorShape.FindStringSubmatch(s)
	if m == nil {
		return f, fmt.Errorf(`%q is not an amount with its currency, like "10.00 USD"`, s)
	}
	f.Amount, _ = new(big.Rat).SetString(m[1])
	f.Currency = m[2]
	return f, nil
}
