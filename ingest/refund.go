package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/keypost/keypost/store"
)

// A Refund is money that went back, as a channel claims it.
type Refund struct {
	Store       string
	Transaction string     // "": by its Sequences
	Sequences   []Sequence // any of them names the sale
	Product     string     // as the store writes it; "": the whole sale
	Amount      string     // decimal text; "": all of it
	Currency    string
	Reference   string // the store's id of the refund; "": it has none, and Amount is ""
}

// ErrNoSale is what [Desk.Refund] answers for a refund whose sale, or whose line
// of it, cannot be found for certain.
var ErrNoSale = errors.New("nobody told of this sale, or of this product in it")

// Refund notes a refund, once; what was paid for by it is taken back. That of a
// whole sale may come before the sale.
func (d *Desk) Refund(ctx context.Context, r Refund) error {
	row, err := d.refundOf(ctx, r)
	if err == nil {
		_, err = d.db.AddRefund(ctx, row)
	}
	return err
}

// KnowsSale tells whether [Desk.Refund] would note a refund.
func (d *Desk) KnowsSale(ctx context.Context, r Refund) (bool, error) {
	_, err := d.refundOf(ctx, r)
	if errors.Is(err, ErrNoSale) {
		return false, nil
	}
	return err == nil, err
}

func (d *Desk) refundOf(ctx context.Context, r Refund) (row store.Refund, err error) {
	row = store.Refund{Store: r.Store, Reference: text(r.Reference, maxText-1), Amount: r.Amount, Currency: r.Currency}
	row.Transaction = text(r.Transaction, maxText-1)
	if r.Transaction == "" {
		if row.Transaction, err = d.numbered(ctx, r); err != nil {
			return row, err
		}
	}
	row.Fold = text(Fold(row.Transaction), maxText-1)
	if r.Product != "" {
		row.Line, err = d.lineOf(ctx, row, r.Product)
	}
	return row, err
}

// numbered finds the sale that has one of a refund's numbers.
func (d *Desk) numbered(ctx context.Context, r Refund) (transaction string, err error) {
	for _, s := range r.Sequences {
		o, err := d.db.OrderByKey(ctx, sharedKey(r.Store, s, 0))
		if err == nil {
			return o.Transaction, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	return "", ErrNoSale
}

// lineOf finds the one line of a sale that sold a product.
func (d *Desk) lineOf(ctx context.Context, row store.Refund, product string) (line int, err error) {
	orders, err := d.db.Orders(ctx, store.OrderFilter{Store: row.Store, Fold: row.Fold})
	if err != nil {
		return 0, err
	}
	var sold, others []int // others gave nothing, and may be no lines of the store's
	for _, o := range orders {
		switch {
		case FoldProduct(o.StoreProduct) != FoldProduct(product):
		case o.Status == store.Held || o.Status == store.Rejected:
			others = append(others, o.Line)
		default:
			sold = append(sold, o.Line)
		}
	}
	if len(sold) == 0 {
		sold = others
	}
	switch len(sold) {
	case 0:
		return 0, ErrNoSale
	case 1:
		return sold[0], nil
	}
	return 0, fmt.Errorf("%w: two of its lines have it", ErrNoSale)
}
