package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sort"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/store"
)

// Whoever has captured one authentic post can send it for ever, with whatever its
// digest does not cover changed: buyer, seeds, test flag, numbers, and where one
// field ends and the next begins. None of that issues a code. These are the
// bounds on the rows that it leaves.
const (
	maxHeldLines = 50      // held deliveries of one order: a store may send such lines
	maxRecuts    = 5       // of those, posts that were cut anew: no store sends them
	maxRepeats   = 50      // messages kept of one order's repeats
	maxNames     = 64      // keys of one order
	maxRefused   = 4 << 10 // longest post kept that made no order, in bytes
)

// overReason is what the vendor reads when a bound on held deliveries is reached.
const overReason = "Too many deliveries of one order differ from it. No more of them are kept. Compare the order with the store's records."

// acceptDifferent holds a delivery that differs from the order, have, that owns
// one of its keys. It claims the next free one of that order's slots, so that no
// more are held than there are slots, whatever comes at once. When none is free,
// nothing more is stored, and it is answered as those before it.
func (d *Desk) acceptDifferent(ctx context.Context, c *Catalog, o Order, n *store.NewOrder, p Product, reason string, have store.Order) (store.Order, error) {
	own := differenceKey(o, reason)
	got, err := d.db.OrderByKey(ctx, own)
	if err == nil {
		return d.repeat(ctx, n, got)
	} else if !errors.Is(err, store.ErrNotFound) {
		return got, err
	}
	slot, slots := heldSlots(o, have)
	free, err := d.firstFree(ctx, slot, slots)
	if err != nil {
		return store.Order{}, err
	}
	for ; free < slots; free++ { // it may be taken meanwhile
		n.Keys = []store.Key{own, slot(free)}
		got, added, err := d.add(ctx, c, n, p, reason)
		if err != nil || added {
			return got, err
		}
		if mine, err := d.owns(ctx, got, own); err != nil {
			return store.Order{}, err
		} else if mine {
			return d.repeat(ctx, n, got)
		}
	}
	return d.overBound(ctx, n, reason, slot(slots-1))
}

// heldSlots are the keys that deliveries which differ from an order claim. All
// that have one digest's message share them, whatever transaction they name;
// other deliveries share their sale's.
func heldSlots(o Order, have store.Order) (slot func(n int) store.Key, slots int) {
	fields := []string{"held", o.Store, "sale", Fold(o.Transaction)}
	slots = maxHeldLines
	if len(o.Also) > 0 {
		fields = []string{"held", o.Store, "also", o.Also[0]}
		if !o.ByMail && metByName(have, o) {
			fields, slots = append(fields, "cut anew"), maxRecuts
		}
	}
	return func(n int) store.Key { return key(append(fields, strconv.Itoa(n))...) }, slots
}

// firstFree looks for the first slot that nobody has claimed; they are claimed
// from 0 on.
func (d *Desk) firstFree(ctx context.Context, slot func(int) store.Key, slots int) (n int, err error) {
	n = sort.Search(slots, func(i int) bool {
		if err != nil {
			return true
		}
		var free []store.Key
		free, err = d.db.FreeKeys(ctx, []store.Key{slot(i)})
		return len(free) > 0
	})
	return n, err
}

// overBound answers a delivery that is not stored as the held ones before it
// were answered. The first of them is kept as a message, with a notice for the vendor.
func (d *Desk) overBound(ctx context.Context, n *store.NewOrder, reason string, lastSlot store.Key) (store.Order, error) {
	last, err := d.db.OrderByKey(ctx, lastSlot)
	if err == nil {
		last, err = d.db.Confirm(ctx, last)
	}
	if err != nil {
		return store.Order{}, err
	}
	m := n.Message
	m.OrderID, m.Verdict, m.Reason, m.Raw = last.ID, store.VerdictRefused, overReason, m.Raw[:min(len(m.Raw), maxRefused)]
	if err := d.db.AddRefusedOnce(ctx, m, last.CreatedAt, d.catalog.Load().Mail); err != nil {
		return store.Order{}, err
	}
	o := n.Order
	o.ID, o.Line, o.CreatedAt = last.ID, last.Line, last.CreatedAt
	o.Status, o.Reason, o.Prose = store.Held, reason, n.Outcome.Prose
	return o, nil
}

// Refuse keeps a message that no order was made of, with its reason, and has
// the vendor told of it.
func (d *Desk) Refuse(ctx context.Context, m store.Message) error {
	if !d.keeps(m.Channel + " refused") {
		return nil
	}
	m.ID, m.Verdict = store.NewID(), store.VerdictRefused
	m.Reason = text(m.Reason, 255)
	m.Raw = m.Raw[:min(len(m.Raw), maxRefused)]
	return d.db.AddRefused(ctx, m, d.catalog.Load().Mail)
}

// noteDuplicate keeps a repeat beside its order. The answer does not depend on
// it, so its failure is none.
func (d *Desk) noteDuplicate(ctx context.Context, m store.Message, orderID string) {
	if !d.keeps(m.Channel + " repeated") {
		return
	}
	m.ID, m.Verdict, m.Reason, m.OrderID = store.NewID(), store.VerdictDuplicate, "", orderID
	err := error(nil)
	if !d.catalog.Load().Channels[m.Channel].ByMail { // a mail counts once, whoever sends it again
		kept := 0
		if kept, err = d.db.CountMessages(ctx, orderID); err == nil && kept > maxRepeats {
			return
		}
		m.Raw = m.Raw[:min(len(m.Raw), maxRefused)]
	}
	if err == nil {
		err = d.db.AddMessage(ctx, m)
	}
	if err != nil {
		slog.Warn("a repeat was answered and not kept", "order", orderID, "err", err)
	}
}

// keeps bounds the messages of one sort that make no order: 100 at once, and
// 100 an hour.
func (d *Desk) keeps(sort string) bool {
	l, ok := d.kept.Get(sort)
	if !ok {
		l = rate.NewLimiter(rate.Every(36*time.Second), 100)
		d.kept.Add(sort, l)
	}
	return l.AllowN(d.now(), 1)
}
