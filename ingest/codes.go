package ingest

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Codes says how a product's codes are made: exactly one field is set.
type Codes struct {
	Compute keygen.Generator // computes in place
	Outside keygen.Generator // leaves the process: the order is reserved meanwhile
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

// generate has an order's codes made and checks that the generator kept its word.
func generate(ctx context.Context, g keygen.Generator, o store.Order) ([]store.NewLicense, error) {
	codes, err := g.Generate(ctx, keygen.Request{
		OrderID: o.ID, Product: o.Product, LicenseType: o.LicenseType, Name: o.Name, Email: o.Email,
		Seeds: o.Seeds, OEMSeed: o.OEMSeed, Quantity: o.Quantity,
	})
	if err != nil {
		return nil, err
	}
	if len(codes) != o.Quantity {
		return nil, fmt.Errorf("the generator made %d codes, %d were wanted", len(codes), o.Quantity)
	}
	made := make([]store.NewLicense, len(codes))
	for i, code := range codes {
		if n := utf8.RuneCountInString(code); n < 1 || n > 255 || store.NormalCode(code) == "" || !utf8.ValidString(code) {
			return nil, fmt.Errorf("the generator's code %d of %d is not 1-255 characters", i+1, len(codes))
		}
		made[i] = store.NewLicense{ID: store.NewID(), Code: code}
	}
	return made, nil
}

// notices says whom an outcome is told to by mail. A buyer gets only codes that
// no reply carried: those of an order that was held before, for a reason that
// it still has.
func notices(o store.Order, out store.Outcome) []store.Notice {
	switch {
	case out.Held != "":
		return []store.Notice{{ID: store.NewID(), Kind: store.NoticeHeld, Audience: store.ToVendor}}
	case len(out.Codes) > 0 && o.Email != "" && o.Reason != "":
		return []store.Notice{CodesNotice(o)}
	}
	return nil
}

// CodesNotice tells an order's buyer its codes; a test order's go to the
// vendor's own address.
func CodesNotice(o store.Order) store.Notice {
	n := store.Notice{ID: store.NewID(), Kind: store.NoticeCodes, Audience: store.ToBuyer}
	if o.Test {
		n.Audience = store.ToTest
	}
	return n
}
