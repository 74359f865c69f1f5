package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/keypost/keypost/store"
)

const (
	outsideTerm  = 15 * time.Second       // a reservation whose process died is taken over after this
	computeTerm  = 5 * time.Second        // the same, where nothing leaves the process (an approval)
	keepEvery    = outsideTerm / 3        // how often a process shows that it is still at it
	reserveTries = 5                      // then the order is held
	waitReserved = 5 * time.Second        // how long a second delivery waits for the first
	waitStep     = 100 * time.Millisecond // between two looks at it
	sweepLimit   = 100                    // orders of a product
	sweepAtOnce  = 4                      // of them
)

// finish generates the codes of an order that the caller has reserved.
func (d *Desk) finish(ctx context.Context, c *Catalog, o store.Order, token string) (store.Order, error) {
	p, ok := c.byID(o.Product)
	if !ok {
		return d.db.FinishOrder(ctx, o.ID, token, held(o, HeldUnknownProduct))
	}
	if o.Tries > reserveTries {
		return d.db.FinishOrder(ctx, o.ID, token, held(o, HeldGenerator))
	}
	ids, reason, err := d.upgrades(ctx, p, o.Seeds, o.Quantity, o.Test)
	out := store.Outcome{Prose: o.Prose, Upgrades: ids, Approved: decided(o)}
	switch {
	case err != nil:
		return o, err
	case reason != "" && !out.Approved:
		return d.db.FinishOrder(ctx, o.ID, token, held(o, reason))
	}
	for range redraws {
		codes, err := d.codesWhileReserved(ctx, c, p, o, token)
		if reason := heldFor(err); reason != "" {
			return d.heldAgain(ctx, o, token, reason, err)
		}
		if err != nil {
			return d.failed(ctx, o, token, err)
		}
		out.Codes = codes
		out.Notices = c.Notices(o)
		done, err := d.db.FinishOrder(ctx, o.ID, token, out)
		if reason := heldFor(err); reason != "" {
			return d.heldAgain(ctx, o, token, reason, err)
		}
		if !errors.Is(err, store.ErrCodeTaken) {
			return done, err
		}
		if fixed, computed := c.fixed(p, o.Test); computed {
			return d.heldAgain(ctx, o, token, HeldSameName, err)
		} else if fixed {
			break
		}
	}
	return d.failed(ctx, o, token, store.ErrCodeTaken)
}

// codesWhileReserved generates codes and keeps the reservation meanwhile, however
// long a generator takes: others take over from the dead, not from the slow.
func (d *Desk) codesWhileReserved(ctx context.Context, c *Catalog, p Product, o store.Order, token string) ([]store.NewLicense, error) {
	if !c.outside(p, o.Test) {
		return c.orderCodes(ctx, p, o)
	}
	ended := make(chan struct{})
	var keeping sync.WaitGroup
	keeping.Go(func() {
		tick := time.NewTicker(keepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			// One that cannot be kept is somebody else's, and they know by the token.
			_ = d.db.ReleaseOrder(ctx, o.ID, store.Reservation{Token: token, Until: d.now().Add(outsideTerm)})
		}
	})
	codes, err := c.orderCodes(ctx, p, o)
	close(ended)
	keeping.Wait() // or a late word would undo what comes next
	return codes, err
}

// heldAgain holds an order that can have no codes until a person fixes something;
// whoever has just approved it reads why.
func (d *Desk) heldAgain(ctx context.Context, o store.Order, token, reason string, why error) (store.Order, error) {
	slog.Warn("no code made", "order", o.ID, "product", o.Product, "reason", reason, "err", why)
	return d.db.FinishOrder(context.WithoutCancel(ctx), o.ID, token, held(o, reason))
}

// decided reports whether an order was held for its upgrade, so that whoever
// approves it has decided on that.
func decided(o store.Order) bool {
	return o.Reason == HeldUpgradeUnknown || o.Reason == HeldUpgradeUsed
}

func held(o store.Order, reason string) store.Outcome {
	return store.Outcome{Held: reason, Prose: o.Prose, Notices: []store.Notice{heldNotice(o)}}
}

// failed ends a try without codes. What a person approved is held again, for
// the person is there to read why; any other order is tried again after a
// pause that doubles.
func (d *Desk) failed(ctx context.Context, o store.Order, token string, why error) (store.Order, error) {
	slog.Warn("no code made", "order", o.ID, "product", o.Product, "try", o.Tries, "err", why)
	ctx = context.WithoutCancel(ctx) // the caller may be gone; the reservation must not stay
	if o.Reason != "" {
		reason := HeldGenerator
		if decided(o) {
			reason = o.Reason // the decision stays for the next approval
		}
		done, err := d.db.FinishOrder(ctx, o.ID, token, held(o, reason))
		if err == nil {
			err = fmt.Errorf("%w: %w", ErrGenerator, why)
		}
		return done, err
	}
	if o.Tries >= reserveTries {
		return d.db.FinishOrder(ctx, o.ID, token, held(o, HeldGenerator))
	}
	pause := 10 * time.Second << max(0, o.Tries-1)
	err := d.db.ReleaseOrder(ctx, o.ID, store.Reservation{Token: token, Until: d.now().Add(pause)})
	return o, err
}

// await waits a short while for an order that another delivery has reserved, or
// takes over when the reservation has run out (mine).
func (d *Desk) await(ctx context.Context, id string) (o store.Order, mine bool, err error) {
	for end := d.now().Add(d.wait); ; {
		o, err := d.db.Order(ctx, id)
		if err != nil || o.Status != store.Reserved {
			return o, false, err
		}
		if !o.ReservedUntil.After(d.now()) {
			o, err := d.resume(ctx, o)
			if errors.Is(err, ErrGenerator) {
				return o, true, nil // it is held now
			}
			if !errors.Is(err, store.ErrState) && !errors.Is(err, store.ErrStale) {
				return o, true, err
			}
		}
		if !d.now().Before(end) {
			return o, false, nil
		}
		select {
		case <-ctx.Done():
			return o, false, ctx.Err()
		case <-time.After(d.step):
		}
	}
}

// resume takes over an order whose reservation has run out.
func (d *Desk) resume(ctx context.Context, o store.Order) (store.Order, error) {
	return d.reserveAndFinish(ctx, d.catalog.Load(), o.ID, o.Product, o.Limit, "")
}

func (d *Desk) reserveAndFinish(ctx context.Context, c *Catalog, id, product string, limit int, actor string) (store.Order, error) {
	term := computeTerm
	if p, ok := c.byID(product); ok && c.outside(p, false) {
		term = outsideTerm
	}
	r := store.Reservation{Token: store.NewID(), Until: d.now().Add(term)}
	o, err := d.db.ReserveOrder(ctx, id, product, limit, r, actor)
	if err != nil {
		return o, err
	}
	return d.finish(ctx, c, o, r.Token)
}

// Sweep finishes what dead processes reserved, and tries again what generators
// failed to make. Products are swept beside each other, and one that is being
// swept already is left alone: a generator that hangs keeps no other product's
// orders waiting, nor does an order that fails.
func (d *Desk) Sweep(ctx context.Context) error {
	products, err := d.db.StaleProducts(ctx)
	if err != nil {
		return err
	}
	failed := make([]error, len(products))
	var all sync.WaitGroup
	for i, product := range products {
		if _, busy := d.swept.LoadOrStore(product, true); busy {
			continue
		}
		all.Go(func() {
			defer d.swept.Delete(product)
			failed[i] = d.sweep(ctx, product)
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// sweep finishes a product's orders, a few at once.
func (d *Desk) sweep(ctx context.Context, product string) error {
	ids, err := d.db.StaleOrders(ctx, product, sweepLimit)
	if err != nil {
		return err
	}
	failed := make([]error, len(ids))
	slots := make(chan bool, sweepAtOnce)
	var all sync.WaitGroup
	for i, id := range ids {
		slots <- true
		all.Go(func() {
			defer func() { <-slots }()
			o, err := d.db.Order(ctx, id)
			if err == nil {
				_, err = d.resume(ctx, o)
			}
			if err != nil && !errors.Is(err, store.ErrState) && !errors.Is(err, store.ErrStale) && !errors.Is(err, ErrGenerator) {
				failed[i] = fmt.Errorf("order %s: %w", id, err)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}
