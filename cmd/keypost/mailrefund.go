package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// refunds notes the refunds of a mail that a person approves, with the person's
// corrections. Of what can never be counted nothing is noted: it would look done.
func (c mailApprove) refunds(a *app, db *store.DB, desk *ingest.Desk, m store.Mail, list []ingest.Refund) error {
	if c.Name != "" || c.Email != "" || c.Quantity != 0 {
		return usageError{fmt.Errorf("mail %s is a refund: --name, --email and --quantity are for orders", c.ID)}
	}
	for i := range list {
		if err := c.correct(m, &list[i]); err != nil {
			return err
		}
		if err := c.judge(a, desk, list[i]); err != nil {
			return err
		}
	}
	touched, told := []store.Order{}, []string{}
	for _, r := range list {
		added, err := desk.NoteRefund(a, r)
		if err != nil {
			return fmt.Errorf("mail %s: %w", c.ID, err)
		}
		if !added && c.Amount != "" {
			return fmt.Errorf("mail %s: a refund with the reference %s was noted before (keypost order show): nothing is changed; if this is another one, refund by hand (keypost order refund), and dismiss the mail",
				c.ID, safe(r.Reference))
		}
		orders, err := desk.OrdersOf(a, r)
		if err != nil {
			return fmt.Errorf("mail %s: %w", c.ID, err)
		}
		touched, told = append(touched, orders...), append(told, outcomeOf(r, orders, added))
	}
	if err := settleApproved(a, db, m, touched); err != nil {
		return err
	}
	if !c.JSON {
		for _, line := range told {
			fmt.Fprintln(a.out, safe(line))
		}
		return nil
	}
	out := []orderJSON{}
	for _, o := range touched {
		out = append(out, newOrderJSON(o))
	}
	return printJSON(a.out, out)
}

// correct puts what the person says in the place of what the mail does.
func (c mailApprove) correct(m store.Mail, r *ingest.Refund) error {
	if c.Product != "" {
		r.Product = c.Product
	}
	switch {
	case c.All:
		r.Amount, r.Currency, r.Unread = "", "", false
		r.Reference = "mail " + m.ID // a part may have been noted under the store's own
	case c.Amount != "":
		if _, err := parseFloor(c.Amount); err != nil {
			return usageError{fmt.Errorf("--amount: %w", err)}
		}
		r.Amount, r.Currency, _ = strings.Cut(c.Amount, " ")
		r.Unread = false
	}
	if r.Reference == "" && r.Amount != "" {
		r.Reference = "mail " + m.ID // parts add up, so each must have a name of its own
	}
	return nil
}

// judge refuses a refund that cannot be noted as it is, and says what to give.
func (c mailApprove) judge(a *app, desk *ingest.Desk, r ingest.Refund) error {
	orders, err := desk.OrdersOf(a, r)
	if errors.Is(err, ingest.ErrNoSale) {
		return fmt.Errorf("mail %s: %w: approve it once the sale is here, or name the product as the store does (--product), or refund the order by hand (keypost order refund)", c.ID, err)
	}
	if err != nil {
		return err
	}
	reason, err := desk.JudgeRefund(a, r)
	if err != nil || reason == "" {
		return err
	}
	what := "does not say for certain how much goes back"
	if !r.Unread {
		what = fmt.Sprintf("tells of %s, which cannot be counted", strings.TrimSpace(r.Amount+" "+r.Currency))
		if c.Amount != "" {
			what = fmt.Sprintf("cannot be counted with %s", c.Amount)
		}
	}
	return usageError{fmt.Errorf("mail %s %s (%s): %s", c.ID, what, costs(orders), amountHint(orders))}
}

// costs tells what orders cost, for a person who must say how much goes back.
func costs(orders []store.Order) string {
	list := make([]string, len(orders))
	for i, o := range orders {
		list[i] = "its price is not known"
		if o.Price != "" {
			list[i] = fmt.Sprintf("%d * %s", o.Quantity, strings.TrimSpace(o.Price+" "+o.Currency))
		}
		if len(orders) > 1 {
			list[i] = fmt.Sprintf("line %d: %s", o.Line, list[i])
		}
	}
	return orders[0].Store + " " + orders[0].Transaction + ": " + strings.Join(list, ", ")
}

// amountHint is what to give where an amount cannot be counted.
func amountHint(orders []store.Order) string {
	currency := orders[0].Currency
	for _, o := range orders {
		if o.Price == "" || o.Currency == "" || o.Currency != currency {
			return "no part of it can be counted against that: give --all when all of it goes back; when only a part does, and the codes go on working, keypost mail dismiss"
		}
	}
	hint := fmt.Sprintf(`give --amount "5.00 %s" (what goes back, in that currency), or --all when all of it does`, currency)
	if len(orders) > 1 {
		hint += "; with --product it is of that line alone"
	}
	return hint
}

// outcomeOf says what a refund came to for its orders.
func outcomeOf(r ingest.Refund, orders []store.Order, added bool) string {
	what := "all"
	if r.Amount != "" {
		what = r.Amount + " " + r.Currency
	}
	noted := "noted"
	if !added {
		noted = "noted before"
	}
	name := orders[0].Store + " " + orders[0].Transaction
	if r.Product != "" {
		name += " " + strconv.Itoa(orders[0].Line)
	}
	said := make([]string, len(orders))
	for i, o := range orders {
		said[i] = codesOf(o)
		if len(orders) > 1 {
			said[i] = fmt.Sprintf("line %d: %s", o.Line, said[i])
		}
	}
	return fmt.Sprintf("%s of %s: %s; %s", what, name, noted, strings.Join(said, "; "))
}

// codesOf says what became of an order's codes.
func codesOf(o store.Order) string {
	works := 0
	for _, l := range o.Licenses {
		if l.Status != store.Revoked {
			works++
		}
	}
	switch {
	case len(o.Licenses) == 0 && o.Refunded:
		return "it has no codes, and gets none"
	case len(o.Licenses) == 0:
		return "it has no codes (it is " + o.Status + ")"
	case !o.Refunded && works > 0:
		return "its codes go on working"
	case works == 0:
		return "its codes are revoked"
	}
	return "its seats are taken off the codes that it shares"
}
