package store

import (
	"context"
	"errors"

	"github.com/keypost/keypost/store/queries"
)

// touchSale writes to an order's sale before anything of it is read: what
// changes an order and what changes its money cannot pass each other.
func (t *tx) touchSale(ctx context.Context, orderID string) error {
	n, err := t.TouchSaleOfOrder(ctx, queries.TouchSaleOfOrderParams{UpdatedAt: t.now, ID: orderID})
	return one(n, err, ErrNotFound)
}

// errNothing undoes an action that would change nothing.
var errNothing = errors.New("nothing to do")

// RefundOrder notes that all of an order's money went back, revokes its
// licenses, or takes its seats off those that it shares, and frees those that it
// upgraded. A second call changes nothing.
func (db *DB) RefundOrder(ctx context.Context, id, actor string) (Order, error) {
	err := db.act(ctx, actor, "order.refund", id, func(ctx context.Context, t *tx) error {
		if err := t.touchSale(ctx, id); err != nil {
			return err
		}
		row, err := t.OrderByID(ctx, id)
		if err != nil {
			return err
		}
		err = t.InsertMoneyEvent(ctx, queries.InsertMoneyEventParams{
			ID: NewID(), SaleID: row.Order.SaleID, Line: row.Order.Line, Kind: "refund", Reference: "manual", CreatedAt: t.now,
		})
		if db.dialect.duplicate(err) {
			return errNothing
		}
		if err != nil {
			return err
		}
		if err := t.RefundShares(ctx, id); err != nil {
			return err
		}
		licenses, err := licensesOf(ctx, t.Queries, id)
		if err != nil {
			return err
		}
		for _, l := range licenses {
			if err := t.refundLicense(ctx, l.ID); err != nil {
				return err
			}
		}
		if err := t.DeleteUpgrades(ctx, id); err != nil {
			return err
		}
		return t.event(ctx, EventOrderRefunded, id, "")
	})
	if err != nil && !errors.Is(err, errNothing) {
		return Order{}, err
	}
	return db.Order(ctx, id)
}
