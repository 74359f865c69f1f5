package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Codes says where a product's codes come from: one of Compute, Outside and Pool.
type Codes struct {
	Compute keygen.Generator // computes in place
	Outside keygen.Generator // leaves the process: the order is reserved meanwhile
	Pool    string           // they were loaded beforehand, into the pool of this name
	// Share: an order whose code another order has adds its seats to that
	// order's license, where else it would be held (HeldSameName).
	Share bool
}

func (c Codes) generator() keygen.Generator {
	if c.Outside != nil {
		return c.Outside
	}
	return c.Compute
}

// codes are a product's. Test orders get those of the random kind, whatever
// the product's own is: anyone can place one.
func (p Product) codes(test bool) Codes {
	if test {
		return Codes{Compute: keygen.Random{}}
	}
	return p.Codes
}

// outside tells whether making the codes of a product leaves the process.
func (c *Catalog) outside(p Product, test bool) bool {
	return slices.ContainsFunc(c.parts(p), func(part Product) bool { return part.codes(test).Outside != nil })
}

// parts are the products that codes are made of: a bundle's, or p alone.
func (c *Catalog) parts(p Product) []Product {
	if len(p.Gives) == 0 {
		return []Product{p}
	}
	var parts []Product
	for _, id := range p.Gives {
		if part, ok := c.byID(id); ok {
			parts = append(parts, part)
		}
	}
	return parts
}

// Try generates the codes that an order of a product, o.Product, would get, and
// issues nothing. A pool's come without code.
func (c Catalog) Try(ctx context.Context, o store.Order) ([]store.NewLicense, error) {
	p, ok := c.byID(o.Product)
	if !ok {
		return nil, ErrNoProduct
	}
	o.Limit = p.LimitOf(o.LicenseType)
	return c.orderCodes(ctx, p, o)
}

// orderCodes generates an order's codes.
func (c *Catalog) orderCodes(ctx context.Context, p Product, o store.Order) ([]store.NewLicense, error) {
	list, err := c.bundleCodes(ctx, p, o)
	for i := range list {
		list[i].Plain = c.plain(o)
	}
	return list, err
}

// plain reports whether an order's codes must be such as its channel can carry in
// a reply; where there is no reply, any code will do.
func (c *Catalog) plain(o store.Order) bool {
	return c.Channels[o.Channel].Plain && !o.EightBit && !o.StatusOnly
}

// bundleCodes generates the codes of an order's parts, copy by copy, in each one of
// every part; of what is no bundle its own.
func (c *Catalog) bundleCodes(ctx context.Context, p Product, o store.Order) ([]store.NewLicense, error) {
	if len(p.Gives) == 0 {
		return p.ownCodes(ctx, o)
	}
	parts := c.parts(p)
	if len(parts) != len(p.Gives) {
		return nil, fmt.Errorf("the bundle %s gives products that are not in the config", p.ID)
	}
	list := make([]store.NewLicense, o.Quantity*len(parts))
	for i, part := range parts {
		o.Product, o.Limit = part.ID, part.LimitOf(o.LicenseType)
		made, err := part.ownCodes(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.ID, err)
		}
		for n, m := range made {
			m.Part = &store.Part{Product: part.ID, Limit: part.LimitOf(o.LicenseType)}
			list[n*len(parts)+i] = m
		}
	}
	return list, nil
}

// ownCodes generates the codes of one product, or says which pool they come from.
func (p Product) ownCodes(ctx context.Context, o store.Order) ([]store.NewLicense, error) {
	codes := p.codes(o.Test)
	if codes.Pool == "" {
		list, err := checkedCodes(ctx, codes.generator(), o)
		for i := range list {
			list[i].Share = codes.Share
		}
		return list, err
	}
	list := make([]store.NewLicense, o.Quantity)
	for i := range list {
		list[i] = store.NewLicense{ID: store.NewID(), Pool: codes.Pool}
	}
	return list, nil
}

// fixed reports whether a product's codes, or those of a part, would be the same
// again, so that it is no use to draw others. computed: they are made of the order
// itself, of a name, say.
func (c *Catalog) fixed(p Product, test bool) (fixed, computed bool) {
	for _, part := range c.parts(p) {
		codes := part.codes(test)
		if _, ok := codes.generator().(keygen.Fixed); ok {
			fixed, computed = true, computed || codes.Outside == nil
		}
	}
	return fixed, computed
}

// request is what a generator may know of an order.
func request(o store.Order) keygen.Request {
	return keygen.Request{
		OrderID: o.ID, Transaction: o.Transaction, At: o.CreatedAt, Product: o.Product, LicenseType: o.LicenseType, Name: o.Name, Email: o.Email,
		Seeds: o.Seeds, OEMSeed: o.OEMSeed, Quantity: o.Quantity, Limit: o.Limit, ExpiresAt: o.ExpiresAt,
	}
}

// checkedCodes calls a generator and checks that it kept its word.
func checkedCodes(ctx context.Context, g keygen.Generator, o store.Order) ([]store.NewLicense, error) {
	codes, err := g.Generate(ctx, request(o))
	if err != nil {
		return nil, err
	}
	if len(codes) != o.Quantity {
		return nil, fmt.Errorf("the generator made %d codes instead of %d", len(codes), o.Quantity)
	}
	made := make([]store.NewLicense, len(codes))
	for i, code := range codes {
		if err := CheckCode(code); err != nil {
			return nil, fmt.Errorf("the generator's code %d of %d %w", i+1, len(codes), err)
		}
		made[i] = store.NewLicense{ID: store.NewID(), Code: code}
	}
	return made, nil
}

// CheckCode tells why a code cannot be one.
func CheckCode(code string) error {
	switch n := utf8.RuneCountInString(code); {
	case !utf8.ValidString(code):
		return errors.New("is not UTF-8")
	case n > 255:
		return fmt.Errorf("has %d characters, but at most 255 are possible", n)
	case store.NormalCode(code) == "":
		return errors.New("consists only of spaces and dashes, which are ignored")
	}
	return nil
}

// Notices are the mails with an order's codes. A buyer is mailed only what no reply
// carried: codes where replies carry none or there are no replies, those of an
// order that was held, and a product's files, which no reply can carry; all of them
// where the channel's config says so. What is issued by hand is handed over by
// hand.
func (c *Catalog) Notices(o store.Order) []store.Notice {
	channel := c.Channels[o.Channel]
	mail := o.Email != "" && (o.Reason != "" || channel.MailCodes)
	if o.StatusOnly || channel.ByMail || mail || o.Channel != Manual && c.givesFiles(o) {
		return []store.Notice{CodesNotice(o)}
	}
	return nil
}

// heldNotice is the mail to the vendor about an order that a person must judge; of
// a test order it goes to the vendor's address for those.
func heldNotice(o store.Order) store.Notice {
	n := store.Notice{ID: store.NewID(), Kind: store.NoticeHeld, Audience: store.ToVendor}
	if o.Test {
		n.Audience = store.ToTest
	}
	return n
}

// CodesNotice is the mail with an order's codes to its buyer; a test order's goes
// to the vendor's address for those, and that of a buyer without one to the vendor.
func CodesNotice(o store.Order) store.Notice {
	n := store.Notice{ID: store.NewID(), Kind: store.NoticeCodes, Audience: store.ToBuyer}
	switch {
	case o.Test:
		n.Audience = store.ToTest
	case o.Email == "":
		n.Audience = store.ToVendor
	}
	return n
}
