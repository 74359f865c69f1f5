package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

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
	Unread      bool   `json:",omitempty"` // how much goes back, or of what, could not be read for certain: Amount says nothing
	Old         bool   `json:"-"`          // read out of old mails: see [store.Refund]
	Reference   string // the store's id of the refund; "": it has none, and Amount is ""
}

// ErrNoSale is what [Desk.Refund] answers for a refund whose sale, or whose line
// of it, cannot be found for certain; its text goes on with why.
var ErrNoSale = errors.New("it is not clear which order was refunded")

var (
	errSaleUnknown = fmt.Errorf("%w: the sale is unknown", ErrNoSale)
	errNotSold     = fmt.Errorf("%w: the sale has no such product", ErrNoSale)
	errTwoLines    = fmt.Errorf("%w: two lines of the sale have this product", ErrNoSale)
)

// ErrUnread is what [Desk.Refund] answers for a refund of which nobody could
// read how much it is: it is not all of it.
var ErrUnread = errors.New("the refunded amount could not be read")

// Why a refund is to be held: stable words, which scripts may rely on.
const (
	RefundUnknownSale = "unknown_sale"  // of a sale, or of a product in it, that nobody told of
	RefundAmount      = "refund_amount" // its amount cannot be held against what was paid
)

// ExplainRefund says why a refund is held and what to do.
func ExplainRefund(reason string) Advice {
	switch reason {
	case RefundUnknownSale:
		return Advise("The refund is for an unknown sale, or for a product that is not part of the sale. Approve the mail once the sale is here, or refund the order by hand.", "order.refund")
	case RefundAmount:
		return Advice{
			"The refund is not in the order's currency, or the order's price is unknown, so it cannot be compared with the price. " +
				"Compare it with the store's records. Then approve the mail with the amount in the order's currency, or as a full refund. If it is a partial refund and the order's price is unknown, dismiss the mail.",
			[]Operation{{Name: "mail.approve", Needs: []string{"amount"}}, {Name: "mail.approve", Needs: []string{"all"}}, {Name: "mail.dismiss"}},
		}
	}
	return Advice{}
}

// sales are where a refund's sale is looked for: the store, or what a
// [Rehearsal] would have made of it.
type sales interface {
	OrderByKey(context.Context, store.Key) (store.Order, error)
	Orders(context.Context, store.OrderFilter) ([]store.Order, error)
}

// Refund notes a refund, once; what was paid for by it is taken back. That of a
// whole sale may come before the sale: see [Desk.JudgeRefund]. ErrNoSale,
// ErrUnread.
func (d *Desk) Refund(ctx context.Context, r Refund) error {
	_, err := d.NoteRefund(ctx, r)
	return err
}

// NoteRefund is Refund, and tells whether the refund is new: added is false where
// it was noted before.
func (d *Desk) NoteRefund(ctx context.Context, r Refund) (added bool, err error) {
	if r.Unread {
		return false, ErrUnread
	}
	row, err := refundOf(ctx, d.db, r)
	if err != nil {
		return false, err
	}
	return d.db.AddRefund(ctx, row)
}

// JudgeRefund says why a person must look at a refund before it is noted, if at
// all: RefundUnknownSale, or RefundAmount where the amount could never add up to
// what was paid. [Desk.Refund] would note the latter, and nothing would come of
// it.
func (d *Desk) JudgeRefund(ctx context.Context, r Refund) (reason string, err error) {
	return judgeRefund(ctx, d.db, r)
}

func judgeRefund(ctx context.Context, from sales, r Refund) (reason string, err error) {
	orders, err := ordersOf(ctx, from, r)
	switch {
	case errors.Is(err, ErrNoSale):
		return RefundUnknownSale, nil
	case err != nil:
		return "", err
	case !r.counts(orders):
		return RefundAmount, nil
	}
	return "", nil
}

// counts tells whether an amount can be held against what orders cost. One
// without a currency cannot, whatever the orders' is: a "$" is many things.
func (r Refund) counts(orders []store.Order) bool {
	if r.Unread || r.Amount == "" {
		return !r.Unread
	}
	amount, ok := new(big.Rat).SetString(r.Amount)
	if !ok || amount.Sign() <= 0 || len(r.Amount) > maxAmount || r.Currency == "" {
		return false
	}
	return !slices.ContainsFunc(orders, func(o store.Order) bool {
		_, priced := new(big.Rat).SetString(o.Price)
		return !priced || o.Currency != r.Currency
	})
}

// OrdersOf are the orders that a refund is of: its line, or those of its sale
// that gave something, and where none did all of them; in the order of their
// lines. ErrNoSale: there are none.
func (d *Desk) OrdersOf(ctx context.Context, r Refund) ([]store.Order, error) {
	return ordersOf(ctx, d.db, r)
}

func ordersOf(ctx context.Context, from sales, r Refund) ([]store.Order, error) {
	row, err := refundOf(ctx, from, r)
	if err != nil {
		return nil, err
	}
	if row.Fold == "" { // it is no filter, but all there is
		return nil, errSaleUnknown
	}
	all, err := from.Orders(ctx, store.OrderFilter{Store: row.Store, Fold: row.Fold, Line: row.Line})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errSaleUnknown
	}
	slices.SortFunc(all, func(a, b store.Order) int { return a.Line - b.Line })
	gave := slices.DeleteFunc(slices.Clone(all), gaveNothing)
	if len(gave) == 0 {
		return all, nil
	}
	return gave, nil
}

// gaveNothing: such an order may be no line of the store's, but a delivery that
// differs from its order.
func gaveNothing(o store.Order) bool { return o.Status == store.Held || o.Status == store.Rejected }

func refundOf(ctx context.Context, from sales, r Refund) (row store.Refund, err error) {
	row = store.Refund{Store: r.Store, Reference: text(r.Reference, maxText-1), Amount: r.Amount, Currency: r.Currency, Old: r.Old}
	row.Transaction = text(r.Transaction, maxText-1)
	if r.Transaction == "" {
		if row.Transaction, err = saleNumbered(ctx, from, r); err != nil {
			return row, err
		}
	}
	row.Fold = text(Fold(row.Transaction), maxText-1)
	if r.Product != "" {
		row.Line, err = lineOf(ctx, from, row, r.Product)
	}
	return row, err
}

// saleNumbered finds the sale that has one of a refund's numbers.
func saleNumbered(ctx context.Context, from sales, r Refund) (transaction string, err error) {
	for _, s := range r.Sequences {
		o, err := from.OrderByKey(ctx, sharedKey(r.Store, s, 0))
		if err == nil {
			return o.Transaction, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	return "", errSaleUnknown
}

// lineOf finds the one line of a sale that sold a product.
func lineOf(ctx context.Context, from sales, row store.Refund, product string) (line int, err error) {
	orders, err := from.Orders(ctx, store.OrderFilter{Store: row.Store, Fold: row.Fold})
	if err != nil {
		return 0, err
	}
	var sold, others []int // others gave nothing, and may be no lines of the store's
	for _, o := range orders {
		switch {
		case FoldProduct(o.StoreProduct) != FoldProduct(product):
		case gaveNothing(o):
			others = append(others, o.Line)
		default:
			sold = append(sold, o.Line)
		}
	}
	if len(sold) == 0 {
		sold = others
	}
	switch {
	case len(orders) == 0:
		return 0, errSaleUnknown
	case len(sold) == 0:
		return 0, errNotSold
	case len(sold) > 1:
		return 0, errTwoLines
	}
	return sold[0], nil
}
