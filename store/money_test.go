package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// priced is an order of a line of a sale, of quantity copies.
func priced(txn, key, price string, quantity int) NewOrder {
	codes := make([]string, quantity)
	for i := range codes {
		codes[i] = key + string(rune('A'+i))
	}
	n := newOrder(txn, key, codes...)
	n.Order.Price = price
	return n
}

// A delivery that is held beside its order, because it differs, is no line that
// the store sold: it changes nothing about what was refunded.
func TestRefundBesideHeldLine(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		for name, heldFirst := range map[string]bool{"held after": false, "held before": true} {
			sold, held := priced(name, name+"1", "10.000", 1), priced(name, name+"2", "99.000", 0)
			held.Outcome = Outcome{Held: "conflict"}
			o := mustAdd(t, db, sold)
			if heldFirst {
				mustAdd(t, db, held)
			}
			r := Refund{Store: "kagi", Transaction: name, Fold: name, Reference: "r1", Amount: "10.00", Currency: "USD"}
			if _, err := db.AddRefund(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if !heldFirst {
				mustAdd(t, db, held)
			}
			if got, err := db.Order(t.Context(), o.ID); err != nil || !got.Refunded || got.Licenses[0].Status != Revoked {
				t.Errorf("%s: %+v, %v; want it refunded", name, got, err)
			}
		}
		mustVerify(t, db)
	})
}

func TestRefunds(t *testing.T) {
	all, line1 := Refund{Reference: "r1"}, Refund{Line: 1, Reference: "r1"}
	part := func(line int, reference, amount string) Refund {
		return Refund{Line: line, Reference: reference, Amount: amount, Currency: "USD"}
	}
	euros := part(1, "r1", "99.00")
	euros.Currency = "EUR"
	tests := map[string]struct {
		refunds     []Refund
		line1, sale bool // what is refunded: line 1 of two; both
	}{
		"nothing":                         {nil, false, false},
		"the sale":                        {[]Refund{all}, true, true},
		"a line":                          {[]Refund{line1}, true, false},
		"a line by amount":                {[]Refund{part(1, "r1", "20.00")}, true, false}, // 2 copies of 10.000
		"less than a line":                {[]Refund{part(1, "r1", "19.99")}, false, false},
		"a line bit by bit":               {[]Refund{part(1, "r1", "15"), part(1, "r2", "5.0")}, true, false},
		"the same bit twice":              {[]Refund{part(1, "r1", "15"), part(1, "r1", "15")}, false, false},
		"the sale by amount":              {[]Refund{part(0, "r1", "25.00")}, true, true},
		"less than the sale":              {[]Refund{part(0, "r1", "24.99")}, false, false},
		"another currency":                {[]Refund{euros}, false, false},
		"an amount that cannot be":        {[]Refund{part(1, "r1", "x")}, false, false},
		"bits of a line and of the sale":  {[]Refund{part(1, "r1", "12"), part(0, "r2", "13")}, false, false},
		"nothing back of what cost a bit": {[]Refund{part(1, "r1", "0.00")}, false, false},
	}
	each(t, func(t *testing.T, db, other *DB) {
		n := 0
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				for _, before := range []bool{false, true} { // the refunds come before their orders
					n++
					txn := "T" + string(rune('A'+n/26)) + string(rune('A'+n%26))
					refund := func() {
						for _, r := range test.refunds {
							r.Store, r.Transaction, r.Fold = "kagi", txn, txn
							for i := range 2 {
								if added, err := other.AddRefund(t.Context(), r); err != nil || added && i > 0 {
									t.Fatalf("AddRefund = added %v, %v", added, err)
								}
							}
						}
					}
					if before {
						refund()
					}
					a := mustAdd(t, db, priced(txn, txn+"1", "10.000", 2))
					b := mustAdd(t, db, priced(txn, txn+"2", "5.000", 1))
					if !before {
						refund()
					}
					for i, want := range map[int]bool{0: test.line1, 1: test.sale} {
						o, err := db.Order(t.Context(), []string{a.ID, b.ID}[i])
						if err != nil || o.Refunded != want {
							t.Errorf("before %v: line %d is refunded: %v, %v; want %v", before, i+1, o.Refunded, err, want)
						}
						for _, l := range o.Licenses {
							if (l.Status == Revoked) != want {
								t.Errorf("before %v: a license of line %d is %s; refunded: %v", before, i+1, l.Status, want)
							}
						}
					}
				}
			})
		}
		mustVerify(t, db)
	})
}

// The refunds of an order are its own and its sale's, whatever they come to.
func TestRefundsOfOrder(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		first := mustAdd(t, db, priced("T", "k1", "10.00", 1))
		second := mustAdd(t, db, priced("T", "k2", "10.00", 1))
		for _, r := range []Refund{
			{Line: 1, Reference: "r1", Amount: "2.50", Currency: "USD"}, {Line: 2, Reference: "r2"}, {Reference: "r3", Amount: "1", Currency: "EUR"},
		} {
			r.Store, r.Transaction, r.Fold = "kagi", "T", "T"
			if _, err := db.AddRefund(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string][]string{first.ID: {"1 r1 2.50 USD", "0 r3 1 EUR"}, second.ID: {"2 r2  ", "0 r3 1 EUR"}} {
			list, err := other.Refunds(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range list {
				if r.Store != "kagi" || r.Transaction != "T" || time.Since(r.NotedAt) > time.Minute {
					t.Errorf("%+v", r)
				}
				got = append(got, fmt.Sprint(r.Line, " ", r.Reference, " ", r.Amount, " ", r.Currency))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if _, err := db.Refunds(t.Context(), NewID()); !errors.Is(err, ErrNotFound) {
			t.Errorf("of no order: %v", err)
		}
	})
}
