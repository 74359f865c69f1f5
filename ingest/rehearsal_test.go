package ingest

import (
	"context"
	"testing"

	"github.com/keypost/keypost/store"
)

// A rehearsal comes to what the run comes to, one after the other, and leaves
// nothing behind.
func TestRehearsal(t *testing.T) {
	d := newDesk(t, config())
	mustAccept(t, d, claim(func(o *Order) { o.Transaction = "HERE" }))
	order := func(transaction, product string) Order {
		return claim(func(o *Order) { o.Channel, o.Transaction, o.StoreProduct = Import, transaction, product })
	}
	number := order("N", "demo")
	number.ByMail, number.Sequences = true, []Sequence{{Name: "me_Demo", Number: 7}}
	line1, line2 := back("A", "", ""), back("A", "", "")
	line1.Product, line2.Product = "demo", "Product_Name"
	type desk interface {
		Import(context.Context, Order, string, []Past) (bool, error)
		NoteRefund(context.Context, Refund) (bool, error)
		JudgeRefund(context.Context, Refund) (string, error)
	}
	run := func(d desk) (list []string) {
		for _, step := range []struct {
			order  *Order
			code   string
			refund Refund
		}{
			{order: new(order("A", "demo")), code: "CODE-1"},
			{order: new(order("A", "demo")), code: "code1"},          // the same
			{order: new(order("A", "demo")), code: "CODE-2"},         // otherwise
			{order: new(order("B", "demo")), code: "CODE-1"},         // the code of another
			{order: new(order("A", "Product_Name")), code: "CODE-3"}, // a second line
			{order: &number, code: "CODE-4"},
			{refund: line2},
			{refund: line2},
			{refund: line1},
			{refund: back("A", "5.00", "USD")},
			{refund: back("A", "5.00", "EUR")},
			{refund: back("B", "", "")},
			{refund: Refund{Store: "kagi", Sequences: number.Sequences}},
			{refund: back("N", "", "")},
			{refund: Refund{Store: "kagi", Transaction: "N"}},
			{refund: back("HERE", "", "")},
			{refund: back("HERE", "", "")},
			{refund: Refund{Store: "kagi", Transaction: "A", Unread: true}},
		} {
			var added bool
			var reason string
			var err error
			if step.order != nil {
				added, err = d.Import(t.Context(), *step.order, "demo", []Past{{Code: step.code, Past: store.Past{Status: store.Active}}})
			} else if reason, err = d.JudgeRefund(t.Context(), step.refund); reason == "" && err == nil {
				added, err = d.NoteRefund(t.Context(), step.refund)
			}
			list = append(list, outcome(added, reason, err))
		}
		return list
	}
	want := []string{
		"added", "known", ErrOther.Error(), ErrOther.Error(), "added", "added",
		"added", "known", "added", "added", RefundAmount, RefundUnknownSale, "added", "added", "known", "added", "known", RefundAmount,
	}
	for i, d := range []desk{d.Rehearse(), d.Rehearse(), d, d.Rehearse()} {
		got := run(d)
		if i == 3 { // after the run all of it is here
			for j, w := range want {
				if w == "added" {
					want[j] = "known"
				}
			}
		}
		for j := range want {
			if got[j] != want[j] {
				t.Errorf("run %d, step %d: %s; want %s", i+1, j+1, got[j], want[j])
			}
		}
	}
}

// What was noted of a line is not the same of its sale.
func TestRehearsalOfSale(t *testing.T) {
	d := newDesk(t, config())
	mustAccept(t, d, claim(func(o *Order) { o.Transaction = "A" }))
	r := back("A", "", "")
	r.Product = "Product_Name"
	if err := d.Refund(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Product = ""
	if added, err := d.Rehearse().NoteRefund(t.Context(), r); err != nil || !added {
		t.Errorf("added %v, %v", added, err)
	}
}

func outcome(added bool, reason string, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case reason != "":
		return reason
	case added:
		return "added"
	}
	return "known"
}
