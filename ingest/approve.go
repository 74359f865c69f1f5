package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// What [Desk.Approve] may answer.
var (
	ErrNoProduct = errors.New("no product in the config has this name")
	ErrIssued    = errors.New("the order was already issued")
	ErrRefunded  = errors.New("the order was refunded")
	ErrReserved  = errors.New("the order is being processed")
	ErrGenerator = errors.New("the generator made no code")
)

// Approve issues a held or rejected order after all, for the product that its
// alias names by now or, where productID is not "", for that one. An order that
// is issued stays as it is; ErrRefunded for one that was refunded, issued or not.
// With ErrGenerator the order is held again.
func (d *Desk) Approve(ctx context.Context, orderID, productID, actor string) (store.Order, error) {
	o, err := d.db.Order(ctx, orderID)
	switch {
	case err != nil:
		return o, err
	case o.Refunded:
		return o, ErrRefunded
	case o.Status == store.Issued && productID != "" && productID != o.Product:
		return o, fmt.Errorf("%w, for %s", ErrIssued, o.Product)
	case o.Status == store.Issued:
		return o, nil
	}
	if o.Status == store.Reserved {
		if o, _, err = d.await(ctx, orderID); err == nil && o.Status == store.Reserved {
			err = ErrReserved
		}
		return o, err
	}
	c := d.catalog.Load()
	product, limit := o.Product, o.Limit // fixed at first acceptance
	switch {
	case productID != "":
		p, ok := c.byID(productID)
		if !ok {
			return o, fmt.Errorf("%q: %w", productID, ErrNoProduct)
		}
		product, limit = p.ID, p.LimitOf(o.LicenseType)
	case product == "":
		p, ok := c.Product(o.StoreProduct)
		if !ok {
			return o, fmt.Errorf("%q: %w", o.StoreProduct, ErrNoProduct)
		}
		product, limit = p.ID, p.LimitOf(o.LicenseType)
	default:
		if _, ok := c.byID(product); !ok {
			return o, fmt.Errorf("%q: %w", product, ErrNoProduct)
		}
	}
	o, err = d.reserveAndFinish(ctx, c, orderID, product, limit, actor)
	if errors.Is(err, store.ErrState) || errors.Is(err, store.ErrStale) {
		// Somebody else was faster; what they did counts.
		return d.db.Order(ctx, orderID)
	}
	return o, err
}

// Replace puts a new code in the place of a leaked one; see
// [store.DB.ReplaceLicense].
func (d *Desk) Replace(ctx context.Context, l store.License, actor string) (store.License, error) {
	c := d.catalog.Load()
	p, ok := c.byID(l.Product)
	if !ok {
		return l, fmt.Errorf("%q: %w", l.Product, ErrNoProduct)
	}
	o, err := d.db.Order(ctx, l.OrderID)
	if err != nil {
		return l, err
	}
	o.Product, o.Quantity = l.Product, 1 // of a bundle: the part
	// Another name for generators to know the request by: they must not give the
	// old code again, nor that of another copy.
	o.ID = fmt.Sprintf("%s-%d-%d", o.ID, l.Ordinal, l.Generation+1)
	for range redraws {
		made, err := p.ownCodes(ctx, o)
		if err != nil {
			return l, fmt.Errorf("%w: %w", ErrGenerator, err)
		}
		made[0].Plain = c.plain(o)
		n, err := d.db.ReplaceLicense(ctx, l.ID, made[0], actor)
		if !errors.Is(err, store.ErrCodeTaken) {
			return n, err
		}
		if _, fixed := p.codes(l.Test).generator().(keygen.Fixed); fixed {
			return l, fmt.Errorf("%w: the same order would give the same code again", ErrGenerator)
		}
	}
	return l, fmt.Errorf("%w: every code that it made already exists", ErrGenerator)
}
