package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// An Order is one line of a sale.
type Order struct {
	Store       string    `json:"store"`
	Transaction string    `json:"transaction"`
	Line        int       `json:"line"`
	Product     *string   `json:"product"` // null: it is unknown
	Quantity    int       `json:"quantity"`
	Status      string    `json:"status"` // reserved, issued, held, rejected
	Reason      *string   `json:"reason"`
	Test        bool      `json:"test"`
	Licenses    []string  `json:"licenses"` // its codes
	Channel     string    `json:"channel"`
	LicenseType string    `json:"license_type"`
	Name        string    `json:"name"`
	Email       string    `json:"email"`
	Price       string    `json:"price"`
	Currency    string    `json:"currency"`
	Refunded    bool      `json:"refunded"`
	CreatedAt   time.Time `json:"created_at"`
	// Differs is what a held delivery says other than the order before it.
	Differs []Difference `json:"differs"`

	StoreProduct string        `json:"-"` // the store's name for the product
	Language     string        `json:"-"`
	Seeds        []string      `json:"-"`
	Codes        []LicenseLine `json:"-"` // the same as Licenses, with what there is to know of each
	Explained    string        `json:"-"` // why it is held, and what to do
}

// A Difference is one field of a delivery that is not as it was before.
type Difference = store.Difference

// A LicenseLine is a license of an order, in short.
type LicenseLine struct {
	Code, Status string
	Limit, Used  int
}

// Statuses of an [Order].
const (
	Reserved = store.Reserved
	Issued   = store.Issued
	Held     = store.Held
	Rejected = store.Rejected
)

func newOrder(o store.Order) Order {
	out := Order{
		Store: o.Store, Transaction: o.Transaction, Line: o.Line, Product: orNull(o.Product), Quantity: o.Quantity, Status: o.Status,
		Reason: orNull(o.Reason), Test: o.Test, Licenses: []string{}, Channel: o.Channel, LicenseType: o.LicenseType, Name: o.Name, Email: o.Email,
		Price: o.Price, Currency: o.Currency, Refunded: o.Refunded, CreatedAt: o.CreatedAt, Differs: all(o.Differs),
		StoreProduct: o.StoreProduct, Language: o.Language, Seeds: o.Seeds,
	}
	for _, l := range o.Licenses {
		out.Licenses = append(out.Licenses, l.Code)
		out.Codes = append(out.Codes, LicenseLine{l.Code, l.Status, l.Limit, l.Used})
	}
	if o.Status == store.Held && !o.Refunded {
		out.Explained = explainOrder(o.Reason)
	}
	return out
}

func newOrders(list []store.Order) []Order {
	out := []Order{}
	for _, o := range list {
		out = append(out, newOrder(o))
	}
	return out
}

// An OrderRef names an order.
type OrderRef struct {
	Store       string `json:"store"`
	Transaction string `json:"transaction"`
	Line        int    `json:"line"`
}

func (r OrderRef) String() string { return fmt.Sprintf("%s %s %d", r.Store, r.Transaction, r.Line) }

// An OrderName is how a person names an order.
type OrderName struct {
	Store, Transaction string
	Line               *int // from 1; nil: the only one
}

// SeveralOrders is the cause of an [Ambiguous] error: all that have the name.
type SeveralOrders struct{ List []Order }

func (s *SeveralOrders) Error() string { return count(len(s.List), "order") }

// findOrder is the one order of that name.
func (a *Admin) findOrder(ctx context.Context, n OrderName) (o store.Order, err error) {
	if n.Line != nil && *n.Line < 1 {
		return o, invalid("a line is a number from 1, not %d", *n.Line)
	}
	if n.Store == "" {
		return o, invalid("the store is empty")
	}
	filter := store.OrderFilter{Store: n.Store, Fold: ingest.Fold(n.Transaction)}
	if filter.Fold == "" {
		return o, invalid("the transaction id is empty")
	}
	name := fmt.Sprintf("order %s %s", n.Store, n.Transaction)
	if n.Line != nil {
		filter.Line = *n.Line
		name += " " + strconv.Itoa(*n.Line)
	}
	var list []store.Order
	if channel.IsID(n.Store) { // else there is none, though a collation may be lenient
		list, err = a.db.Orders(ctx, filter)
	}
	switch {
	case err != nil:
		return o, err
	case len(list) == 0:
		return o, &Error{NotFound, name + ": not found", "see {order list}", store.ErrNotFound}
	case len(list) == 1:
		return list[0], nil
	}
	return o, &Error{
		Ambiguous, fmt.Sprintf("%s has %d lines", name, len(list)),
		fmt.Sprintf("add the line's number, as in %s %s 1", n.Store, n.Transaction), &SeveralOrders{newOrders(list)},
	}
}

// An OrderFilter narrows a list of orders; zero values do not.
type OrderFilter struct {
	Store, Status, Product string
	Email, Name            string    // of the buyer, whole; case does not count
	From, To               time.Time // when it came in: from one until before the other
	Limit                  int       // at most so many; 0: all
}

// Orders lists orders, newest first.
func (a *Admin) Orders(ctx context.Context, f OrderFilter) ([]Order, error) {
	list, err := a.db.Orders(ctx, store.OrderFilter{
		Store: f.Store, Status: f.Status, Product: f.Product, Email: f.Email, Name: f.Name, From: f.From, To: f.To, Limit: f.Limit,
	})
	return newOrders(list), err
}

// A History is how an order came, and whom it is told to.
type History struct {
	Repeats  int // deliveries of it after the first
	Refunds  []Refund
	Mail     []Note
	Webhooks []Note
}

// A Refund is money that went back.
type Refund struct {
	Amount, Currency string // "": all of it
	WholeSale        bool   // not of this line alone
	NotedAt          time.Time
}

// A Note is what became of a notice.
type Note struct{ Kind, To, Status string }

// Order is one order.
func (a *Admin) Order(ctx context.Context, name OrderName) (Order, error) {
	o, err := a.findOrder(ctx, name)
	return newOrder(o), err
}

// OrderHistory is an order, with how it came.
func (a *Admin) OrderHistory(ctx context.Context, name OrderName) (Order, History, error) {
	var h History
	o, err := a.findOrder(ctx, name)
	if err != nil {
		return Order{}, h, err
	}
	messages, err := a.db.Messages(ctx, o.ID)
	if err != nil {
		return Order{}, h, err
	}
	for _, m := range messages {
		if m.Verdict == store.VerdictDuplicate {
			h.Repeats++
		}
	}
	notices, err := a.db.Notices(ctx, o.ID)
	if err != nil {
		return Order{}, h, err
	}
	for _, n := range notices {
		if n.Endpoint != "" {
			h.Webhooks = append(h.Webhooks, Note{n.Kind, n.Endpoint, n.Status})
			continue
		}
		h.Mail = append(h.Mail, Note{n.Kind, n.Audience, n.Status})
	}
	refunds, err := a.db.Refunds(ctx, o.ID)
	for _, r := range refunds {
		h.Refunds = append(h.Refunds, Refund{r.Amount, r.Currency, r.Line == 0, r.NotedAt})
	}
	return newOrder(o), h, err
}

// An Approval is what came of approving an order.
type Approval struct {
	Order  Order
	Before bool     // it was issued before: nothing was changed
	Mailed []string // audiences that the codes are mailed to
	Failed error    // why its codes could not be generated; it stays held
}

// ApproveOrder issues a held order after all; product, if not "", is what it is
// for where the store's name for it is unknown.
func (a *Admin) ApproveOrder(ctx context.Context, actor string, name OrderName, product string) (Approval, error) {
	o, err := a.findOrder(ctx, name)
	if err != nil {
		return Approval{}, err
	}
	approved, err := a.desk.Approve(ctx, o.ID, product, actor)
	out := Approval{Order: newOrder(approved), Before: o.Status == store.Issued}
	switch {
	case errors.Is(err, ingest.ErrNoProduct):
		return out, &Error{State, err.Error(), "add it to a product's aliases, or name the product with --product", err}
	case errors.Is(err, ingest.ErrRefunded):
		return out, &Error{State, err.Error(), "nothing was changed. To issue codes anyway, {license issue}", err}
	case errors.Is(err, ingest.ErrReserved):
		return out, &Error{State, err.Error(), "try again in a moment", err}
	case errors.Is(err, ingest.ErrGenerator):
		out.Failed = err
	case err != nil:
		return out, err
	}
	if approved.Status == store.Issued && !out.Before {
		o.Product = approved.Product // with the reason that it was held for, which decides
		for _, n := range a.Catalog.Notices(o) {
			out.Mailed = append(out.Mailed, n.Audience)
		}
	}
	return out, nil
}

// RejectOrder closes a held order without codes.
func (a *Admin) RejectOrder(ctx context.Context, actor string, name OrderName) (Order, error) {
	o, err := a.findOrder(ctx, name)
	if err != nil || o.Status == store.Rejected {
		return newOrder(o), err
	}
	err = a.db.RejectOrder(ctx, o.ID, actor)
	if errors.Is(err, store.ErrState) {
		if now, err := a.db.Order(ctx, o.ID); err == nil {
			o = now
		}
		return Order{}, fail(State, "to refund it, {order refund}; to revoke one code, {license revoke}", "the order is %s: only held orders can be rejected", o.Status)
	}
	if err != nil {
		return Order{}, err
	}
	o, err = a.db.Order(ctx, o.ID)
	return newOrder(o), err
}

// ResendCodes mails an order's codes again; to is whom.
func (a *Admin) ResendCodes(ctx context.Context, actor string, name OrderName) (o Order, to string, err error) {
	found, err := a.findOrder(ctx, name)
	if err != nil {
		return o, "", err
	}
	switch {
	case found.Status != store.Issued:
		return o, "", fail(State, "", "the order is %s and has no codes to send", found.Status)
	case found.Refunded:
		return o, "", fail(State, "", "the order was refunded: its codes are revoked")
	case found.Email == "" && !found.Test:
		return o, "", fail(State, "", "the order has no e-mail address")
	}
	n := ingest.CodesNotice(found)
	return newOrder(found), n.Audience, a.db.AddNotice(ctx, found.ID, n, actor)
}

// RefundOrder notes that the money went back, and revokes the codes. A second
// refund of the line changes nothing.
func (a *Admin) RefundOrder(ctx context.Context, actor string, name OrderName) (Order, error) {
	o, err := a.findOrder(ctx, name)
	if err != nil {
		return Order{}, err
	}
	o, err = a.db.RefundOrder(ctx, o.ID, actor)
	return newOrder(o), err
}
