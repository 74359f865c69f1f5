package store

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// A Refund is money that went back to a buyer, by what its store says of it.
type Refund struct {
	Store, Transaction, Fold string    // of the sale, which may be unknown yet
	Line                     int       // 0: of the sale as a whole
	Reference                string    // the store's id of the refund: it counts once; "": there is one alone
	Amount, Currency         string    // decimal text; "": all of it
	Old                      bool      // it was read out of old mails: for orders of [ImportChannel] it is no event
	NotedAt                  time.Time // filled by [DB.Refunds]
}

const refundKind = "refund"

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
		return t.refund(ctx, row.Order.SaleID, Refund{Line: row.Order.Line, Reference: "manual"})
	})
	if err != nil && !errors.Is(err, errNothing) {
		return Order{}, err
	}
	return db.Order(ctx, id)
}

// AddRefund notes a refund that a store tells of, once, and before its order if
// need be: partial ones add up. Orders whose money all went back are refunded as
// by [DB.RefundOrder]; added is false where it was noted before.
func (db *DB) AddRefund(ctx context.Context, r Refund) (added bool, err error) {
	saleID := NewID()
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.TouchSale(ctx, queries.TouchSaleParams{UpdatedAt: t.now, Store: r.Store, TransactionFold: r.Fold})
		if err != nil {
			return err
		}
		id := saleID
		if n == 0 {
			err = t.InsertEmptySale(ctx, queries.InsertEmptySaleParams{
				ID: id, Store: r.Store, TransactionID: r.Transaction, TransactionFold: r.Fold, CreatedAt: t.now, UpdatedAt: t.now,
			})
			if t.db.dialect.duplicate(err) {
				return errAgain // an order has made it meanwhile
			}
		} else {
			var sale queries.Sale
			sale, err = t.SaleByFold(ctx, queries.SaleByFoldParams{Store: r.Store, TransactionFold: r.Fold})
			id = sale.ID
		}
		if err != nil {
			return err
		}
		return t.refund(ctx, id, r)
	})
	if errors.Is(err, errNothing) {
		return false, nil
	}
	return err == nil, err
}

// Refunds are those of an order and those of its sale as a whole, oldest first.
func (db *DB) Refunds(ctx context.Context, orderID string) (list []Refund, err error) {
	row, err := db.read.OrderByID(ctx, orderID)
	if err != nil {
		return nil, db.explain(err)
	}
	events, err := db.read.MoneyEventsOfSale(ctx, row.Order.SaleID)
	for _, e := range events {
		if e.Kind == refundKind && (e.Line == 0 || e.Line == row.Order.Line) {
			list = append(list, Refund{row.Store, row.TransactionID, row.TransactionFold, e.Line, e.Reference, e.Amount, e.Currency, false, fromMicros(e.CreatedAt)})
		}
	}
	return list, db.explain(err)
}

// HasRefund tells whether [DB.AddRefund] noted a refund before.
func (db *DB) HasRefund(ctx context.Context, r Refund) (bool, error) {
	sale, err := db.saleByFold(ctx, r.Store, r.Fold)
	if err != nil {
		if err = db.explain(err); errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	events, err := db.read.MoneyEventsOfSale(ctx, sale.ID)
	return slices.ContainsFunc(events, func(e queries.MoneyEvent) bool {
		return e.Kind == refundKind && e.Line == r.Line && e.Reference == r.Reference
	}), db.explain(err)
}

// refund notes a refund and takes back what it paid for. errNothing: it was noted
// before.
func (t *tx) refund(ctx context.Context, saleID string, r Refund) error {
	before, err := t.refunded(ctx, saleID)
	if err != nil {
		return err
	}
	err = t.InsertMoneyEvent(ctx, queries.InsertMoneyEventParams{
		ID: NewID(), SaleID: saleID, Line: r.Line, Kind: refundKind, Reference: r.Reference, Amount: r.Amount, Currency: r.Currency, CreatedAt: t.now,
	})
	if t.db.dialect.duplicate(err) {
		return errNothing
	}
	if err != nil {
		return err
	}
	now, err := t.refunded(ctx, saleID)
	if err != nil {
		return err
	}
	for id := range now {
		if before[id] {
			continue
		}
		if err := t.takeBack(ctx, id); err != nil {
			return err
		}
		if err := t.refundEvent(ctx, id, r.Old); err != nil {
			return err
		}
	}
	return nil
}

// refunded are the orders of a sale whose money all went back.
func (t *tx) refunded(ctx context.Context, saleID string) (map[string]bool, error) {
	rows, err := t.OrdersOfSale(ctx, saleID)
	if err != nil {
		return nil, err
	}
	events, err := t.MoneyEventsOfSale(ctx, saleID)
	out := map[string]bool{}
	for id, all := range repaid(rows, events) {
		if all {
			out[id] = true
		}
	}
	return out, err
}

// reckon gives back what earlier orders of a sale had been refunded for: with
// one more of them, an amount does not reach what all of them cost.
func (t *tx) reckon(ctx context.Context, saleID, newest string) error {
	events, err := t.MoneyEventsOfSale(ctx, saleID)
	if err != nil || len(events) == 0 {
		return err
	}
	rows, err := t.OrdersOfSale(ctx, saleID)
	if err != nil {
		return err
	}
	earlier := slices.DeleteFunc(slices.Clone(rows), func(o queries.OrdersOfSaleRow) bool { return o.ID == newest })
	before, now := repaid(earlier, events), repaid(rows, events)
	for _, o := range earlier {
		if before[o.ID] && !now[o.ID] {
			if err := t.giveBack(ctx, o.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// repaid tells of each order of a sale whether its money all went back: by a
// refund of all of it, or by amounts that add up to what it cost, or to what all
// orders of the sale cost. Where a price is not known, or in another currency,
// amounts tell nothing: whoever reads them out of a mail asks a person first.
func repaid(orders []queries.OrdersOfSaleRow, events []queries.MoneyEvent) map[string]bool {
	out := map[string]bool{}
	sale, known, currency := new(big.Rat), true, ""
	for _, o := range orders {
		cost, ok := costOf(o)
		out[o.ID] = covers(events, o.Line, o.Currency, cost, ok) || covers(events, 0, "", nil, false)
		if !sells(o) {
			continue
		}
		if currency == "" {
			currency = o.Currency
		}
		if known = known && ok && o.Currency == currency; known {
			sale.Add(sale, cost)
		}
	}
	if covers(events, 0, currency, sale, known) {
		for _, o := range orders {
			out[o.ID] = out[o.ID] || sells(o)
		}
	}
	return out
}

// sells: what is held or rejected gave nothing; it may be a line that the store
// never sold, a delivery that differs from its order.
func sells(o queries.OrdersOfSaleRow) bool { return o.Status != Held && o.Status != Rejected }

func costOf(o queries.OrdersOfSaleRow) (*big.Rat, bool) {
	price, ok := new(big.Rat).SetString(o.Price)
	if !ok {
		return nil, false
	}
	return price.Mul(price, big.NewRat(int64(o.Quantity), 1)), true
}

// covers tells whether the refunds of a line, or of the sale as a whole, reach a
// cost.
func covers(events []queries.MoneyEvent, line int, currency string, cost *big.Rat, known bool) bool {
	sum := new(big.Rat)
	for _, e := range events {
		if e.Kind != refundKind || e.Line != line {
			continue
		}
		if e.Amount == "" {
			return true
		}
		if amount, ok := new(big.Rat).SetString(e.Amount); ok && e.Currency == currency {
			sum.Add(sum, amount)
		}
	}
	return known && sum.Sign() > 0 && sum.Cmp(cost) >= 0
}

// giveBack undoes takeBack, but for the licenses that the order upgraded: those
// may have been upgraded by another one since.
func (t *tx) giveBack(ctx context.Context, orderID string) error {
	if err := t.RefundShares(ctx, queries.RefundSharesParams{Refunded: false, OrderID: orderID}); err != nil {
		return err
	}
	licenses, err := licensesOf(ctx, t.Queries, orderID)
	if err != nil {
		return err
	}
	for _, l := range licenses {
		if err := t.setRefunded(ctx, l.ID, false); err != nil {
			return err
		}
		if err := t.licenseEvent(ctx, EventLicenseRestored, l.ID); err != nil {
			return err
		}
	}
	return nil
}

// takeBack undoes what an order gave.
func (t *tx) takeBack(ctx context.Context, orderID string) error {
	if err := t.RefundShares(ctx, queries.RefundSharesParams{Refunded: true, OrderID: orderID}); err != nil {
		return err
	}
	licenses, err := licensesOf(ctx, t.Queries, orderID)
	if err != nil {
		return err
	}
	for _, l := range licenses {
		if err := t.setRefunded(ctx, l.ID, true); err != nil {
			return err
		}
	}
	return t.DeleteUpgrades(ctx, orderID)
}

// refundEvent tells the webhooks of a refund, unless it is as old as its order.
func (t *tx) refundEvent(ctx context.Context, orderID string, old bool) error {
	if old {
		row, err := t.OrderByID(ctx, orderID)
		if err != nil || row.Order.Channel == ImportChannel {
			return err
		}
	}
	return t.event(ctx, EventOrderRefunded, orderID, "")
}
