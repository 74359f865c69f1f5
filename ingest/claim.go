package ingest

import (
	"context"
	"errors"

	"github.com/keypost/keypost/store"
)

// addNamed adds an order under all of its names, or finds the one that has one
// of them.
func (d *Desk) addNamed(ctx context.Context, c *Catalog, o Order, p Product, reason string) (n *store.NewOrder, got store.Order, added bool, err error) {
	names := names(o, false)
	for {
		n = d.draft(c, o, p)
		n.Keys = names.all()
		got, added, err = d.add(ctx, c, n, p, reason)
		if err != nil || added || len(names.loose) == 0 {
			return n, got, added, err
		}
		theirs, err := d.owned(ctx, names, got)
		if err != nil || theirs.sure || !c.another(got, o) {
			return n, got, false, err
		}
		names.loose = theirs.rest
	}
}

// owned says which of the names are an order's.
type owned struct {
	sure bool        // one of the sure ones is
	rest []store.Key // the loose ones that are not
}

func (d *Desk) owned(ctx context.Context, n nameSet, got store.Order) (out owned, err error) {
	for _, k := range n.sure {
		has, err := d.owns(ctx, got, k)
		if err != nil {
			return out, err
		}
		out.sure = out.sure || has
	}
	for _, k := range n.loose {
		has, err := d.owns(ctx, got, k)
		if err != nil {
			return out, err
		}
		if !has {
			out.rest = append(out.rest, k)
		}
	}
	return out, nil
}

func (d *Desk) owns(ctx context.Context, got store.Order, k store.Key) (bool, error) {
	o, err := d.db.OrderByKey(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return o.ID == got.ID, err
}

// claimRest gives all of a delivery's names to the order that it repeats: whatever
// comes next under one of them is that order too. An order has no more than
// maxNames of them, since nobody signs the numbers (ACG:SQNM).
func (d *Desk) claimRest(ctx context.Context, o Order, got store.Order) error {
	if !meets(o) || o.ByMail && nameless(o) {
		return d.claimAlso(ctx, o, got)
	}
	if o.ByMail {
		o.Test = got.Test
	}
	free, err := d.db.FreeKeys(ctx, names(o, true).all())
	if err != nil || len(free) == 0 {
		return err
	}
	has, err := d.db.CountKeys(ctx, got.ID)
	if err != nil || has+len(free) > maxNames {
		return errors.Join(err, d.claimAlso(ctx, o, got))
	}
	return d.db.AddKeys(ctx, got.ID, free)
}

// claimAlso gives an order that came by a mail or an import, and so without them,
// the other names that a post of it has: that post, with its fields cut in other
// places, must not pass for another order.
func (d *Desk) claimAlso(ctx context.Context, o Order, got store.Order) error {
	if len(o.Also) == 0 {
		return nil
	}
	free, err := d.db.FreeKeys(ctx, keys(o))
	if err != nil || len(free) == 0 {
		return err
	}
	return d.db.AddKeys(ctx, got.ID, free)
}
