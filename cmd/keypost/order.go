package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

func (orderCommands) Help() string { return "Example: keypost order list --status held" }

type orderCommands struct {
	List    orderList    `cmd:"" help:"List orders, newest first."`
	Show    orderShow    `cmd:"" help:"Show one order."`
	Approve orderApprove `cmd:"" help:"Issue a held order after all."`
	Reject  orderReject  `cmd:"" help:"Close a held order without codes."`
	Resend  orderResend  `cmd:"" help:"Mail an order's codes again."`
	Refund  orderRefund  `cmd:"" help:"Note that the money went back, and revoke the codes."`
}

// orderName names an order.
type orderName struct {
	Store       string `arg:"" help:"The store, as in the config: kagi."`
	Transaction string `arg:"" help:"The store's transaction id."`
	Line        *int   `arg:"" optional:"" help:"Which line of the sale, from 1."`
}

// find is the one order of that name. With several lines and none named it
// lists them.
func (n orderName) find(a *app, db *store.DB) (store.Order, error) {
	if n.Line != nil && *n.Line < 1 {
		return store.Order{}, usageError{fmt.Errorf("a line is a number from 1, not %d", *n.Line)}
	}
	if n.Store == "" {
		return store.Order{}, usageError{errors.New("the store is empty")}
	}
	filter := store.OrderFilter{Store: n.Store, Fold: ingest.Fold(n.Transaction)}
	if filter.Fold == "" {
		return store.Order{}, usageError{errors.New("the transaction id is empty")}
	}
	name := fmt.Sprintf("order %s %s", n.Store, n.Transaction)
	if n.Line != nil {
		filter.Line = *n.Line
		name += " " + strconv.Itoa(*n.Line)
	}
	var list []store.Order
	var err error
	if idShape.MatchString(n.Store) { // else there is none, though a collation may be lenient
		list, err = db.Orders(a, filter)
	}
	switch {
	case err != nil:
		return store.Order{}, err
	case len(list) == 0:
		return store.Order{}, fmt.Errorf("%s: %w (see: keypost order list)", name, store.ErrNotFound)
	case len(list) == 1:
		return list[0], nil
	}
	if err := orderTable(a.err, list); err != nil {
		return store.Order{}, err
	}
	return store.Order{}, usageError{fmt.Errorf("%s has %d lines: give its number too, as in: %s %s 1", name, len(list), n.Store, n.Transaction)}
}

type orderList struct {
	jsonFlag
	Store   string `help:"Only of this store."`
	Status  string `help:"Only with this status: reserved, issued, held, rejected." enum:",reserved,issued,held,rejected" default:""`
	Product string `help:"Only of this product."`
	listLimit
}

func (orderList) Help() string { return "Example: keypost order list --status held" }

func (c orderList) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Orders(a, store.OrderFilter{Store: c.Store, Status: c.Status, Product: c.Product, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(conf, db, len(list), filter{product: c.Product, store: c.Store}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		out := []orderJSON{}
		for _, o := range list {
			out = append(out, newOrderJSON(o))
		}
		return printJSON(a.out, out)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "No orders.")
		return nil
	}
	return orderTable(a.out, list)
}

// listLimit is the --limit of lists: a person gets a screenful or two, a
// program everything.
type listLimit struct {
	Limit *int `help:"At most so many; 0: all (default: 100, with --json all)."`
}

func (l listLimit) limit(asJSON bool) int {
	switch {
	case l.Limit != nil:
		return max(0, *l.Limit)
	case asJSON:
		return 0
	}
	return 100
}

// more is one above the limit, so that cutTo knows whether there is more.
func (l listLimit) more(asJSON bool) int {
	if n := l.limit(asJSON); n > 0 {
		return n + 1
	}
	return 0
}

func cutTo[T any](a *app, list []T, limit int) []T {
	if limit <= 0 || len(list) <= limit {
		return list
	}
	fmt.Fprintf(a.err, "Only the newest %d are listed; --limit 0 lists all.\n", limit)
	return list[:limit]
}

type orderShow struct {
	jsonFlag
	orderName
}

func (orderShow) Help() string { return "Example: keypost order show kagi CH0123456789" }

func (c orderShow) Run(a *app) error {
	return withOrder(a, c.orderName, func(_ *config, db *store.DB, o store.Order) error {
		if err := showOrder(a, o, c.JSON); err != nil || c.JSON {
			return err
		}
		return showHistory(a, db, o)
	})
}

// showHistory tells how an order came and whom it is told to.
func showHistory(a *app, db *store.DB, o store.Order) error {
	messages, err := db.Messages(a, o.ID)
	if err != nil {
		return err
	}
	repeats := 0
	for _, m := range messages {
		if m.Verdict == store.VerdictDuplicate {
			repeats++
		}
	}
	notices, err := db.Notices(a, o.ID)
	if err != nil {
		return err
	}
	var mail, hooks []string
	for _, n := range notices {
		if n.Endpoint != "" {
			hooks = append(hooks, fmt.Sprintf("%s to %s (%s)", n.Kind, n.Endpoint, n.Status))
			continue
		}
		mail = append(mail, fmt.Sprintf("%s to %s (%s)", n.Kind, n.Audience, n.Status))
	}
	refunds, err := db.Refunds(a, o.ID)
	if err != nil {
		return err
	}
	var back []string
	for _, r := range refunds {
		back = append(back, moneyBack(r))
	}
	return fields(a.out, "money back", strings.Join(back, ", "), "came again", count(repeats, "time"), "mail", strings.Join(mail, ", "), "webhooks", strings.Join(hooks, ", "))
}

// moneyBack is a refund in words.
func moneyBack(r store.Refund) string {
	what := "all of it"
	if r.Amount != "" {
		what = strings.TrimSpace(r.Amount + " " + r.Currency)
	}
	if r.Line == 0 {
		what += " of the sale"
	}
	return fmt.Sprintf("%s (%s)", what, when(r.NotedAt))
}

// withOrder opens the store and finds the order first.
func withOrder(a *app, n orderName, do func(*config, *store.DB, store.Order) error) error {
	c, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	o, err := n.find(a, db)
	if err != nil {
		return err
	}
	return do(c, db, o)
}

func showOrder(a *app, o store.Order, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, newOrderJSON(o))
	}
	status := o.Status
	if o.Reason != "" {
		status += ": " + o.Reason
	}
	price := strings.TrimSpace(o.Price + " " + o.Currency)
	product := o.Product
	if product == "" {
		product = "unknown: " + o.StoreProduct
	}
	if err := fields(a.out,
		"order", fmt.Sprintf("%s %s %d", o.Store, o.Transaction, o.Line), "status", status,
		"what to do", advice(o), "refunded", yes(o.Refunded), "test", yes(o.Test),
		"product", product, "quantity", strconv.Itoa(o.Quantity), "license type", o.LicenseType, "price", price,
		"name", o.Name, "e-mail", o.Email, "language", o.Language, "seeds", strings.Join(o.Seeds, "; "), "channel", o.Channel, "received", when(o.CreatedAt),
	); err != nil {
		return err
	}
	for i, l := range o.Licenses {
		if i == maxShown {
			fmt.Fprintf(a.out, "and %d more codes: --json lists all\n", len(o.Licenses)-i)
			break
		}
		fmt.Fprintf(a.out, "code  %s  (%s, %s machines)\n", safe(l.Code), l.Status, seats(l))
	}
	return nil
}

const maxShown = 10 // codes of one order

// advice is for an order that waits for a person.
func advice(o store.Order) string {
	if o.Status != store.Held || o.Refunded {
		return ""
	}
	return explainOrder(o.Reason)
}

type orderApprove struct {
	changing
	jsonFlag
	orderName
	Product string `help:"Issue this product, where the store's name for it is unknown."`
}

func (orderApprove) Help() string { return "Example: keypost order approve kagi CH0123456789 2" }

func (c orderApprove) Run(a *app) error {
	return withOrder(a, c.orderName, func(conf *config, db *store.DB, o store.Order) error {
		desk := conf.desk()
		approved, err := ingest.New(db, desk).Approve(a, o.ID, c.Product, actor)
		switch {
		case errors.Is(err, ingest.ErrNoProduct):
			return fmt.Errorf("%w: add it to a product's aliases, or name the product with --product", err)
		case errors.Is(err, ingest.ErrRefunded):
			return fmt.Errorf("%w: nothing was done. For codes all the same, keypost license issue", err)
		case errors.Is(err, ingest.ErrReserved):
			return fmt.Errorf("%w: try again in a moment", err)
		case errors.Is(err, ingest.ErrGenerator):
			fmt.Fprintln(a.err, "keypost:", safe(err.Error()))
		case err != nil:
			return err
		}
		if err := showOrder(a, approved, c.JSON); err != nil {
			return err
		}
		switch {
		case approved.Status == store.Held:
			return errHeld
		case o.Status == store.Issued:
			fmt.Fprintln(a.err, "It was issued before; nothing was changed.")
		case approved.Status == store.Issued:
			o.Product = approved.Product // with the reason that it was held for, which decides
			fmt.Fprintln(a.err, codesGo(conf, desk.Notices(o)))
		}
		return nil
	})
}

// codesGo says how the codes of an order that was just issued reach the buyer.
func codesGo(conf *config, notices []store.Notice) string {
	if len(notices) == 0 {
		return "No mail is sent: the store gets the codes when it posts the order again. To mail them: keypost order resend."
	}
	who := audiences[notices[0].Audience]
	if conf.Mail == nil {
		return fmt.Sprintf("The codes wait in the outbox for the %s, but the config has no [mail]: pass them on yourself. They are mailed once [mail] is set.", who)
	}
	return fmt.Sprintf("The codes wait in the outbox for the %s; the daemon sends them.", who)
}

type orderReject struct {
	changing
	jsonFlag
	orderName
}

func (orderReject) Help() string {
	return "The store goes on being answered GOOD, with the sentence in the place of a code. It can be approved later.\n\nExample: keypost order reject kagi CH0123456789 2"
}

func (c orderReject) Run(a *app) error {
	return withOrder(a, c.orderName, func(_ *config, db *store.DB, o store.Order) error {
		if o.Status == store.Rejected {
			return showOrder(a, o, c.JSON)
		}
		err := db.RejectOrder(a, o.ID, actor)
		if errors.Is(err, store.ErrState) {
			if now, err := db.Order(a, o.ID); err == nil {
				o = now
			}
			return fmt.Errorf("the order is %s, only a held one can be rejected (a refund: keypost order refund; a code: keypost license revoke)", o.Status)
		}
		if err != nil {
			return err
		}
		return showAgain(a, db, o, c.JSON)
	})
}

func showAgain(a *app, db *store.DB, o store.Order, asJSON bool) error {
	o, err := db.Order(a, o.ID)
	if err != nil {
		return err
	}
	return showOrder(a, o, asJSON)
}

type orderResend struct {
	changing
	jsonFlag
	orderName
}

func (orderResend) Help() string {
	return "The daemon sends them within a second or two; keypost outbox list shows what became of it.\n\nExample: keypost order resend kagi CH0123456789"
}

func (c orderResend) Run(a *app) error {
	return withOrder(a, c.orderName, func(conf *config, db *store.DB, o store.Order) error {
		switch {
		case o.Status != store.Issued:
			return fmt.Errorf("the order is %s: it has no codes to send", o.Status)
		case o.Refunded:
			return errors.New("the order was refunded: its codes are revoked")
		case o.Email == "" && !o.Test:
			return errors.New("the order has no e-mail address")
		}
		n := ingest.CodesNotice(o)
		if err := db.AddNotice(a, o.ID, n, actor); err != nil {
			return err
		}
		if c.JSON {
			return showOrder(a, o, true)
		}
		fmt.Fprintln(a.out, codesGo(conf, []store.Notice{n}))
		return nil
	})
}

// audiences for people.
var audiences = map[string]string{store.ToBuyer: "buyer", store.ToVendor: "vendor", store.ToTest: "vendor's address for test orders"}

type orderRefund struct {
	changing
	jsonFlag
	orderName
}

func (orderRefund) Help() string {
	return "The codes are revoked; a second refund of the line changes nothing.\n\nExample: keypost order refund kagi CH0123456789"
}

func (c orderRefund) Run(a *app) error {
	return withOrder(a, c.orderName, func(_ *config, db *store.DB, o store.Order) error {
		o, err := db.RefundOrder(a, o.ID, actor)
		if err != nil {
			return err
		}
		return showOrder(a, o, c.JSON)
	})
}
