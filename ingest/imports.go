package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/keypost/keypost/store"
)

// Import is the channel of what was imported, and the store of what came without
// a store's name.
const Import = store.ImportChannel

// A Past is one code that was issued elsewhere.
type Past struct {
	Code  string
	Limit int // machines; 0: no limit
	store.Past
}

// ErrOther is what [Desk.Import] answers for a code that exists, or a sale that
// is known, with other codes.
var ErrOther = errors.New("it already exists with different data")

// Import makes an order of codes that were issued elsewhere, as they are, for
// the product o.StoreProduct names or, where that is none of the config's, for
// productID. Where the order names its sale as the store does, the store's
// repeats get these codes. It can be run again: added is false then.
func (d *Desk) Import(ctx context.Context, o Order, productID string, codes []Past) (added bool, err error) {
	c := d.catalog.Load()
	p, ok := c.byID(productID)
	if !ok {
		return false, fmt.Errorf("%q: %w", productID, ErrNoProduct)
	}
	o.Quantity = len(codes)
	n := d.draft(c, o, p)
	keys, found, err := c.freeNames(ctx, d.db, o)
	if err != nil {
		return false, err
	}
	if found != nil {
		return false, sameCodes(*found, codes)
	}
	n.Keys = keys
	n.Message.Verdict = store.VerdictAccepted
	n.Outcome.Imported = true
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

// freeNames are an imported order's keys; found is the order that has them. The
// lines of one mail share its number, which is the first one's then.
func (c *Catalog) freeNames(ctx context.Context, in sales, o Order) (keys []store.Key, found *store.Order, err error) {
	n := names(o, true)
	for i, k := range n.all() {
		got, err := in.OrderByKey(ctx, k)
		switch {
		case errors.Is(err, store.ErrNotFound):
			keys = append(keys, k)
		case err != nil:
			return nil, nil, err
		case i < len(n.sure) || !c.another(got, o):
			return nil, &got, nil
		}
	}
	return keys, nil, nil
}

// sameCodes: what was taken in before is what is to be taken in.
func sameCodes(got store.Order, codes []Past) error {
	same := func(l store.License, past Past) bool { return store.NormalCode(l.Code) == store.NormalCode(past.Code) }
	if !slices.EqualFunc(got.Licenses, codes, same) {
		return ErrOther
	}
	return nil
}
