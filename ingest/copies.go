package ingest

import (
	"context"

	"github.com/keypost/keypost/store"
)

// Some stores post an order once for each copy, and nothing tells those posts
// from repeats but that they come soon after each other (KRPS 2.0, "Unit or
// line quantity").

// copyByCopy tells whether an order comes so. An upgrade does not: its repeats
// name the same old code.
func copyByCopy(c *Catalog, o Order, p Product) bool {
	return c.Channels[o.Channel].Unit.Max > 1 && o.Quantity == 1 && p.Upgrade == nil
}

// acceptCopy takes in what repeats the first copy of an order: within the window
// it is the next copy, of as many as there may be, and else a repeat of the
// first.
func (d *Desk) acceptCopy(ctx context.Context, c *Catalog, o Order, p Product, reason string, first store.Order) (store.Order, error) {
	u := c.Channels[o.Channel].Unit
	got := first
	for {
		n := d.draft(c, o, p)
		if got.Status == store.Reserved {
			// Whoever takes it over stands for the post that was never answered.
			d.noteDuplicate(ctx, n.Message, got.ID)
			waited, mine, err := d.await(ctx, got.ID)
			if err != nil || mine || waited.Status == store.Reserved {
				return waited, err
			}
			got = waited
		}
		o.Copy++
		over := !d.now().Before(first.CreatedAt.Add(u.Window)) || o.Copy >= u.Max
		if over || got.Refunded || got.Status == store.Rejected {
			return d.repeat(ctx, n, first)
		}
		var added bool
		var err error
		if n, got, added, err = d.addNamed(ctx, c, o, p, reason); err != nil {
			return store.Order{}, err
		}
		if added {
			return d.finishNew(ctx, c, n, got)
		}
	}
}
