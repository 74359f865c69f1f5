package admin

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/store"
)

// costs tells what orders cost, for a person who must say how much goes back.
func costs(orders []store.Order) string {
	list := make([]string, len(orders))
	for i, o := range orders {
		list[i] = "its price is unknown"
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
			return "a partial refund cannot be compared with this price. For a full refund, give --all. For a partial refund that leaves the codes working, {mail dismiss}"
		}
	}
	hint := fmt.Sprintf(`give --amount "5.00 %s" (the refunded amount, in that currency), or --all for a full refund`, currency)
	if len(orders) > 1 {
		hint += "; --product limits it to that line"
	}
	return hint
}

// outcomeOf says what a refund came to for its orders.
func outcomeOf(r intake.Refunded) string {
	orders := r.Orders
	what := "all"
	if r.Amount != "" {
		what = r.Amount + " " + r.Currency
	}
	noted := "noted"
	if !r.Added {
		noted = "already recorded"
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
		return "it has no codes and gets none"
	case len(o.Licenses) == 0:
		return "it has no codes (it is " + o.Status + ")"
	case !o.Refunded && works > 0:
		return "its codes keep working"
	case works == 0:
		return "its codes are revoked"
	}
	return "its seats are removed from the codes that it shares"
}
