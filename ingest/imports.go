package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/keypost/keypost/store"
)

// Import is the store of what came from elsewhere without a store's name.
const Import = "import"

// A Past is one code that was issued elsewhere.
type Past struct {
	Code  string
	Limit int // machines; 0: no limit
	store.Past
}

// ErrOther is what [Desk.Import] answers for a code that exists, or a sale that
// is known, with other codes.
var ErrOther = errors.New("it is here already, otherwise")

// Import makes an order of codes that were issued elsewhere, as they are, for
// the product o.StoreProduct names or, where that is none of the config's, for
// productID. Where the order names its sale as the store does, the store's
// repeats get these codes. It can be run again: added is false then.
func (d *Desk) Import(ctx context.Context, o Order, productID string, codes []Past) (added bool, err error) {
	c := d.config.Load()
	p, ok := c.byID(productID)
	if !ok {
		return false, fmt.Errorf("%q: %w", productID, ErrNoProduct)
	}
	o.Quantity = len(codes)
	n := d.draft(c, o, p)
	n.Keys = names(o, true).all()
	n.Message.Verdict = store.VerdictAccepted
	for _, past := range codes {
		n.Outcome.Codes = append(n.Outcome.Codes, store.NewLicense{
			ID: store.NewID(), Code: past.Code, Past: &past.Past, Part: &store.Part{Product: p.ID, Limit: past.Limit},
		})
	}
	got, added, err := d.db.AddOrder(ctx, *n)
	if errors.Is(err, store.ErrCodeTaken) {
		return false, ErrOther
	}
	if err != nil || added {
		return added, err
	}
	return false, sameCodes(got, codes)
}

// sameCodes: what was taken in before is what is to be taken in.
func sameCodes(got store.Order, codes []Past) error {
	same := func(l store.License, past Past) bool { return store.NormalCode(l.Code) == store.NormalCode(past.Code) }
	if !slices.EqualFunc(got.Licenses, codes, same) {
		return ErrOther
	}
	return nil
}
