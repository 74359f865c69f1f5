package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/keypost/keypost/store/queries"
)

// ReserveOrder keeps an order for the caller while a generator runs for it:
// one that is held or rejected (an approval, with its actor), or one whose
// reservation has run out. Its product and limit are fixed by it. ErrState:
// the order is issued, or reserved by somebody else.
func (db *DB) ReserveOrder(ctx context.Context, id, product string, limit int, r Reservation, actor string) (Order, error) {
	reserve := func(ctx context.Context, t *tx) error {
		n, err := t.ReserveOrder(ctx, queries.ReserveOrderParams{
			Product: product, SeatMax: limit, ReserveToken: r.Token, ReservedUntil: micros(r.Until), UpdatedAt: t.now,
			ID: id, ReservedUntil_2: t.now,
		})
		if err != nil || n > 0 {
			return err
		}
		row, err := t.OrderByID(ctx, id)
		if err == nil && row.Order.ReserveToken != r.Token {
			err = ErrState // else an earlier try of ours was applied though it failed
		}
		return err
	}
	err := error(nil)
	if actor == "" {
		err = db.write(ctx, reserve)
	} else {
		err = db.act(ctx, actor, "order.approve", id, reserve)
	}
	if err != nil {
		return Order{}, err
	}
	return db.Order(ctx, id)
}

// FinishOrder settles a reserved order. ErrStale: the reservation is not the
// caller's any more; ErrCodeTaken: draw other codes and call again; ErrUpgradeUsed
// and ErrRevoked: see [DB.AddOrder].
func (db *DB) FinishOrder(ctx context.Context, id, token string, out Outcome) (o Order, err error) {
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		status, reason := out.status()
		n, err := t.SettleOrder(ctx, queries.SettleOrderParams{
			Status: status, Reason: reason, Prose: out.Prose, UpdatedAt: t.now, ID: id, ReserveToken: token,
		})
		if err != nil {
			return err
		}
		if n == 0 {
			// Perhaps an earlier try of ours was applied though it failed.
			if o, err = loadOrder(ctx, t.Queries, id); err != nil {
				return err
			}
			issued, err := t.hasCodes(ctx, o, out.Codes)
			if held := out.Held != "" && o.Status == Held && o.Reason == out.Held; issued || held || err != nil {
				return err
			}
			return ErrStale
		}
		if err := t.touchSale(ctx, id); err != nil {
			return err
		}
		if o, err = loadOrder(ctx, t.Queries, id); err != nil {
			return err
		}
		if o, err = t.settle(ctx, o, out); err != nil || o.Line == 1 && out.Held != "" {
			return err
		}
		row, err := t.OrderByID(ctx, id)
		if err != nil {
			return err
		}
		return t.reckon(ctx, row.Order.SaleID, id)
	})
	return o, err
}

// hasCodes tells whether these codes, and no others alike, are an order's.
func (t *tx) hasCodes(ctx context.Context, o Order, codes []NewLicense) (bool, error) {
	if len(codes) == 0 || len(o.Licenses) == 0 {
		return false, nil
	}
	if o.Licenses[0].ID == codes[0].ID {
		return true, nil
	}
	_, err := t.ShareByID(ctx, codes[0].ID)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// ReleaseOrder changes until when a reservation holds: it is kept for longer, or
// given back after a failure, and the order can be reserved again from then on.
func (db *DB) ReleaseOrder(ctx context.Context, id string, r Reservation) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.ReleaseOrder(ctx, queries.ReleaseOrderParams{
			ReservedUntil: micros(r.Until), UpdatedAt: t.now, ID: id, ReserveToken: r.Token,
		})
		return one(n, err, ErrStale)
	})
}

// StaleProducts are those that have [DB.StaleOrders].
func (db *DB) StaleProducts(ctx context.Context) ([]string, error) {
	list, err := db.read.StaleProducts(ctx, micros(db.now()))
	return list, db.explain(err)
}

// StaleOrders are a product's reserved orders that nobody works on any more,
// oldest first, at most limit.
func (db *DB) StaleOrders(ctx context.Context, product string, limit int) ([]string, error) {
	ids, err := db.read.StaleOrders(ctx, queries.StaleOrdersParams{ReservedUntil: micros(db.now()), Product: product, Limit: int32(limit)})
	return ids, db.explain(err)
}

// RejectOrder closes a held order without codes. ErrState: it is not held.
func (db *DB) RejectOrder(ctx context.Context, id, actor string) error {
	return db.act(ctx, actor, "order.reject", id, func(ctx context.Context, t *tx) error {
		n, err := t.RejectOrder(ctx, queries.RejectOrderParams{UpdatedAt: t.now, ID: id})
		if err := one(n, err, ErrState); err != nil {
			return err
		}
		if err := t.DeleteUpgrades(ctx, id); err != nil { // what it upgraded is free again
			return err
		}
		return t.event(ctx, EventOrderRejected, id, "")
	})
}
