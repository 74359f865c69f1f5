package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (orderCommands) Help() string { return "Example: keypost order list --status held" }

type orderCommands struct {
	List    orderList    `cmd:"" help:"List orders, newest first."`
	Show    orderShow    `cmd:"" help:"Show one order."`
	Approve orderApprove `cmd:"" help:"Approve a held order: issue its codes."`
	Reject  orderReject  `cmd:"" help:"Reject a held order: issue no codes."`
	Resend  orderResend  `cmd:"" help:"Mail an order's codes again."`
	Refund  orderRefund  `cmd:"" help:"Record a refund, and revoke the codes."`
}

// orderName names an order.
type orderName struct {
	Store       string `arg:"" help:"The store, as in the config: kagi."`
	Transaction string `arg:"" help:"The store's transaction id."`
	Line        *int   `arg:"" optional:"" help:"The line of the sale, from 1."`
}

func (n orderName) name() admin.OrderName {
	return admin.OrderName{Store: n.Store, Transaction: n.Transaction, Line: n.Line}
}

type orderList struct {
	jsonFlag
	Store   string `help:"Only of this store."`
	Status  string `help:"Only with this status: reserved, issued, held, rejected." enum:",reserved,issued,held,rejected" default:""`
	Product string `help:"Only of this product."`
	Email   string `help:"Only of the buyer with this e-mail address."`
	Name    string `help:"Only of the buyer with this full name."`
	From    string `help:"Only orders received on this day (UTC) or later." placeholder:"2027-01-31"`
	To      string `help:"Only orders received on this day (UTC) or earlier." placeholder:"2027-12-31"`
	listLimit
}

func (orderList) Help() string { return "Example: keypost order list --status held" }

func (c orderList) Run(a *app) error {
	filter := admin.OrderFilter{Store: c.Store, Status: c.Status, Product: c.Product, Email: c.Email, Name: c.Name, Limit: c.more(c.JSON)}
	var err error
	if filter.From, filter.To, err = days(c.From, c.To); err != nil {
		return usageError{err}
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	list, err := o.Orders(a, filter)
	if err != nil {
		return err
	}
	if err := a.noteUnknown(o, len(list), admin.Named{Product: c.Product, Store: c.Store}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		return printJSON(a.out, list)
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
	Limit *int `help:"List at most this many; 0: all (default: 100, or all with --json)."`
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
	fmt.Fprintf(a.err, "Only the newest %d are listed. To list all: --limit 0.\n", limit)
	return list[:limit]
}

type orderShow struct {
	jsonFlag
	orderName
}

func (orderShow) Help() string { return "Example: keypost order show kagi CH0123456789" }

func (c orderShow) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	order, history, err := o.OrderHistory(a, c.name())
	if err != nil {
		return err
	}
	if err := showOrder(a, order, c.JSON); err != nil || c.JSON {
		return err
	}
	return showHistory(a, history)
}

// showHistory tells how an order came and whom it is told to.
func showHistory(a *app, h admin.History) error {
	var mail, hooks, back []string
	for _, n := range h.Mail {
		mail = append(mail, fmt.Sprintf("%s to %s (%s)", n.Kind, n.To, n.Status))
	}
	for _, n := range h.Webhooks {
		hooks = append(hooks, fmt.Sprintf("%s to %s (%s)", n.Kind, n.To, n.Status))
	}
	for _, r := range h.Refunds {
		back = append(back, moneyBack(r))
	}
	return fields(a.out, "refunds", strings.Join(back, ", "), "received again", count(h.Repeats, "time"), "mail", strings.Join(mail, ", "), "webhooks", strings.Join(hooks, ", "))
}

// moneyBack is a refund in words.
func moneyBack(r admin.Refund) string {
	what := "full amount"
	if r.Amount != "" {
		what = strings.TrimSpace(r.Amount + " " + r.Currency)
	}
	if r.WholeSale {
		what += " of the sale"
	}
	return fmt.Sprintf("%s (%s)", what, when(r.NotedAt))
}

// do does an operation on an order and shows it.
func (n orderName) do(a *app, asJSON bool, operation func(*admin.Admin) (admin.Order, error)) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	order, err := operation(o)
	if err != nil {
		return err
	}
	return showOrder(a, order, asJSON)
}

func showOrder(a *app, o admin.Order, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, o)
	}
	status := o.Status
	if o.Reason != nil {
		status += ": " + *o.Reason
	}
	price := strings.TrimSpace(o.Price + " " + o.Currency)
	product := deref(o.Product)
	if product == "" {
		product = "unknown: " + o.StoreProduct
	}
	if err := fields(a.out,
		"order", fmt.Sprintf("%s %s %d", o.Store, o.Transaction, o.Line), "status", status,
		"what to do", a.worded(o.Explained), "refunded", yes(o.Refunded), "test", yes(o.Test),
		"product", product, "quantity", strconv.Itoa(o.Quantity), "license type", o.LicenseType, "price", price,
		"differs", differs(o), "name", o.Name, "e-mail", o.Email, "language", o.Language, "seeds", strings.Join(o.Seeds, "; "), "channel", o.Channel, "received", when(o.CreatedAt),
	); err != nil {
		return err
	}
	for i, l := range o.Codes {
		if i == maxShown {
			fmt.Fprintf(a.out, "and %d more codes; --json lists all\n", len(o.Codes)-i)
			break
		}
		fmt.Fprintf(a.out, "code  %s  (%s, %s machines)\n", safe(l.Code), l.Status, seats(l.Used, l.Limit))
	}
	return nil
}

// differs says what is not as in the order that came before.
func differs(o admin.Order) string {
	var list []string
	for _, d := range o.Differs {
		list = append(list, fmt.Sprintf("%s: now %s, before %s", d.Field, cmp.Or(d.Now, "nothing"), cmp.Or(d.Before, "nothing")))
	}
	return strings.Join(list, "; ")
}

const maxShown = 10 // codes of one order

type orderApprove struct {
	changing
	jsonFlag
	orderName
	Product string `help:"The product to issue, if the store's name for it is unknown."`
}

func (orderApprove) Help() string { return "Example: keypost order approve kagi CH0123456789 2" }

func (c orderApprove) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	done, err := o.ApproveOrder(a, actor, c.name(), c.Product)
	if err != nil {
		return err
	}
	if done.Failed != nil {
		fmt.Fprintln(a.err, "keypost:", safe(a.worded(done.Failed.Error())))
	}
	if err := showOrder(a, done.Order, c.JSON); err != nil {
		return err
	}
	switch {
	case done.Order.Status == admin.Held:
		return errHeld
	case done.Before:
		fmt.Fprintln(a.err, "The order was already issued. Nothing was changed.")
	case done.Order.Status == admin.Issued && len(done.Mailed) == 0:
		fmt.Fprintln(a.err, "No mail is sent: the store gets the codes when it sends the order again. To mail them: keypost order resend.")
	case done.Order.Status == admin.Issued:
		fmt.Fprintln(a.err, codesGo(o, done.Mailed[0]))
	}
	return nil
}

// codesGo says how codes that wait in the outbox reach whom they are for.
func codesGo(o *admin.Admin, audience string) string {
	who := audiences[audience]
	if !o.Catalog.Mail {
		return fmt.Sprintf("The mail with the codes for the %s is in the outbox, but the config has no [mail]. Pass the codes on yourself, or set up [mail]: the mail is then sent.", who)
	}
	return fmt.Sprintf("The mail with the codes for the %s is in the outbox; the daemon sends it.", who)
}

type orderReject struct {
	changing
	jsonFlag
	orderName
}

func (orderReject) Help() string {
	return "The store still gets the answer GOOD, with a sentence instead of a code. You can approve the order later.\n\nExample: keypost order reject kagi CH0123456789 2"
}

func (c orderReject) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.Order, error) { return o.RejectOrder(a, actor, c.name()) })
}

type orderResend struct {
	changing
	jsonFlag
	orderName
}

func (orderResend) Help() string {
	return "The daemon sends the mail within seconds; keypost outbox list shows its status.\n\nExample: keypost order resend kagi CH0123456789"
}

func (c orderResend) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	order, to, err := o.ResendCodes(a, actor, c.name())
	if err != nil {
		return err
	}
	if c.JSON {
		return showOrder(a, order, true)
	}
	fmt.Fprintln(a.out, codesGo(o, to))
	return nil
}

// audiences for people.
var audiences = map[string]string{admin.ToBuyer: "buyer", admin.ToVendor: "vendor", admin.ToTest: "vendor's address for test orders"}

type orderRefund struct {
	changing
	jsonFlag
	orderName
}

func (orderRefund) Help() string {
	return "Revokes the codes. Refunding a line twice changes nothing.\n\nExample: keypost order refund kagi CH0123456789"
}

func (c orderRefund) Run(a *app) error {
	return c.do(a, c.JSON, func(o *admin.Admin) (admin.Order, error) { return o.RefundOrder(a, actor, c.name()) })
}
