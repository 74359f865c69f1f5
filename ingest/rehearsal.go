package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/keypost/keypost/store"
)

// A Rehearsal tells what imports and refunds would come to, one after the other,
// and does nothing: what it would have made is there for those that follow, as
// it is when they are done.
type Rehearsal struct {
	d       *Desk
	byKey   map[store.Key]store.Order
	bySale  map[saleName][]store.Order
	codes   map[string]bool // by product and normal form
	refunds map[refundName]bool
}

type saleName struct{ store, fold string }

type refundName struct {
	saleName
	line      int
	reference string
}

// Rehearse begins a rehearsal.
func (d *Desk) Rehearse() *Rehearsal {
	return &Rehearsal{d, map[store.Key]store.Order{}, map[saleName][]store.Order{}, map[string]bool{}, map[refundName]bool{}}
}

// Import tells what [Desk.Import] would do.
func (r *Rehearsal) Import(ctx context.Context, o Order, productID string, codes []Past) (added bool, err error) {
	c := r.d.catalog.Load()
	p, ok := c.byID(productID)
	if !ok {
		return false, fmt.Errorf("%q: %w", productID, ErrNoProduct)
	}
	keys, found, err := c.freeNames(ctx, r, o)
	if err != nil {
		return false, err
	}
	if found != nil {
		return false, sameCodes(*found, codes)
	}
	for _, past := range codes {
		taken, err := r.taken(ctx, productID, past.Code)
		if err == nil && taken {
			err = ErrOther
		}
		if err != nil {
			return false, err
		}
	}
	return true, r.add(ctx, r.d.draft(c, o, p).Order, keys, codes)
}

func (r *Rehearsal) taken(ctx context.Context, product, code string) (bool, error) {
	if r.codes[codeName(product, code)] {
		return true, nil
	}
	_, err := r.d.db.FindLicense(store.Sure(ctx), product, code)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func codeName(product, code string) string { return product + "\x00" + store.NormalCode(code) }

// add keeps an order as it would be stored.
func (r *Rehearsal) add(ctx context.Context, o store.Order, keys []store.Key, codes []Past) error {
	lines, err := r.Orders(ctx, store.OrderFilter{Store: o.Store, Fold: o.Fold})
	if err != nil {
		return err
	}
	o.Line, o.Status = len(lines)+1, store.Issued
	for _, past := range codes {
		o.Licenses = append(o.Licenses, store.License{Code: past.Code})
		r.codes[codeName(o.Product, past.Code)] = true
	}
	for _, k := range keys {
		r.byKey[k] = o
	}
	sale := saleName{o.Store, o.Fold}
	r.bySale[sale] = append(r.bySale[sale], o)
	return nil
}

// JudgeRefund is [Desk.JudgeRefund].
func (r *Rehearsal) JudgeRefund(ctx context.Context, f Refund) (reason string, err error) {
	return judgeRefund(ctx, r, f)
}

// NoteRefund tells what [Desk.NoteRefund] would do.
func (r *Rehearsal) NoteRefund(ctx context.Context, f Refund) (added bool, err error) {
	if f.Unread {
		return false, ErrUnread
	}
	row, err := refundOf(ctx, r, f)
	if err != nil {
		return false, err
	}
	name := refundName{saleName{row.Store, row.Fold}, row.Line, row.Reference}
	noted, err := r.d.db.HasRefund(ctx, row)
	if err != nil || noted || r.refunds[name] {
		return false, err
	}
	r.refunds[name] = true
	return true, nil
}

// OrderByKey is an order of the store's, or one that would have been made.
func (r *Rehearsal) OrderByKey(ctx context.Context, k store.Key) (store.Order, error) {
	if o, ok := r.byKey[k]; ok {
		return o, nil
	}
	return r.d.db.OrderByKey(ctx, k)
}

// Orders are those of one sale, or of one line of it, that are in the store or
// would have been made.
func (r *Rehearsal) Orders(ctx context.Context, f store.OrderFilter) ([]store.Order, error) {
	list, err := r.d.db.Orders(ctx, f)
	for _, o := range r.bySale[saleName{f.Store, f.Fold}] {
		if f.Line == 0 || f.Line == o.Line {
			list = append(list, o)
		}
	}
	return list, err
}
