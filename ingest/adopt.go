package ingest

import (
	"context"
	"errors"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Adopted is the store of codes that nobody sold here, and that prove by
// themselves that they were made for their product.
const Adopted = "adopted"

// Adopt makes a license of a code that is not known, once, where the product's
// generator says that it is one of its own. store.ErrNotFound: it is not.
func (d *Desk) Adopt(ctx context.Context, productID, code string) (store.License, error) {
	c := d.catalog.Load()
	p, ok := c.byID(productID)
	if !ok {
		return store.License{}, store.ErrNotFound
	}
	g, ok := p.Codes.generator().(keygen.Verifier)
	if !ok {
		return store.License{}, store.ErrNotFound
	}
	says, ok := g.Verify(p.ID, code)
	if !ok {
		return store.License{}, store.ErrNotFound
	}
	if says.LicenseType == "" {
		says.LicenseType = "single"
	}
	o := Order{
		Channel: Adopted, Store: Adopted, Transaction: store.NormalCode(code), StoreProduct: p.ID, LicenseType: says.LicenseType, Name: says.Name,
		Quantity: 1, ExpiresAt: says.ExpiresAt, Message: store.Message{Channel: Adopted},
	}
	n := d.draft(c, o, p)
	if says.Limit > 0 { // else the product's
		n.Order.Limit = says.Limit
	}
	n.Message.Verdict = store.VerdictAccepted
	n.Outcome.Imported = true
	n.Outcome.Codes = []store.NewLicense{{ID: store.NewID(), Code: code}}
	// Two machines may be the first at the same time: the key decides, and the
	// code is unique.
	if _, _, err := d.db.AddOrder(ctx, *n); err != nil && !errors.Is(err, store.ErrCodeTaken) {
		return store.License{}, err
	}
	return d.db.FindLicense(store.Sure(ctx), p.ID, code)
}
