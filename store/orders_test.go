package store

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What AddOrder returns is what is read back, whatever the order is like.
func TestAddedIsStored(t *testing.T) {
	end := time.Date(2030, 1, 2, 3, 4, 5, 678901234, time.FixedZone("CET", 3600))
	each(t, func(t *testing.T, db, other *DB) {
		for name, change := range map[string]func(*NewOrder){
			"issued":           func(*NewOrder) {},
			"ends":             func(n *NewOrder) { n.Order.ExpiresAt = &end },
			"no seeds known":   func(n *NewOrder) { n.Order.Seeds = nil },
			"no seeds":         func(n *NewOrder) { n.Order.Seeds = []string{} },
			"seeds of no text": func(n *NewOrder) { n.Order.Seeds = []string{"a\xff", "b"} },
			"letters":          func(n *NewOrder) { n.Order.Name, n.Order.EightBit = "Žofie ", true },
			"forgotten":        func(n *NewOrder) { n.Order.Forgotten = true },
			"held":             func(n *NewOrder) { n.Outcome = Outcome{Held: "price", Prose: "Please wait."} },
			"differs": func(n *NewOrder) {
				n.Order.Differs = []Difference{{"price", "149.000", "1.000"}, {"seeds", "a=b", "Žofie \xff"}}
				n.Outcome = Outcome{Held: "conflict"}
			},
			"reserved": func(n *NewOrder) { n.Outcome = Outcome{Reserve: &Reservation{Token: NewID(), Until: end}} },
			"several codes": func(n *NewOrder) {
				n.Outcome.Codes = append(n.Outcome.Codes, NewLicense{ID: NewID(), Code: "D-" + n.Order.Fold})
			},
			"another product": func(n *NewOrder) { n.Outcome.Codes[0].Part = &Part{Product: "extra", Limit: 9} },
			"a past":          func(n *NewOrder) { n.Outcome.Codes[0].Past = &Past{CreatedAt: end, Used: 2, Status: Suspended} },
			"a share": func(n *NewOrder) {
				n.Outcome.Codes[0].Code, n.Outcome.Codes[0].Share = "SHARED", true
				first := newOrder("first", "first", "SHARED")
				first.Outcome.Codes[0].Share = true
				mustAdd(t, db, first)
			},
			"refunded before": func(n *NewOrder) {
				mustAdd(t, db, newOrder(n.Order.Fold, n.Order.Fold, n.Order.Fold+"-1"))
				if _, err := db.AddRefund(t.Context(), Refund{Store: "kagi", Transaction: n.Order.Fold, Fold: n.Order.Fold, Reference: "r1"}); err != nil {
					t.Fatal(err)
				}
			},
			"a second line": func(n *NewOrder) { mustAdd(t, db, newOrder(n.Order.Fold, n.Order.Fold, n.Order.Fold+"-1")) },
		} {
			n := newOrder("T-"+name, "key of "+name, "C-"+name)
			change(&n)
			got := mustAdd(t, db, n)
			want, err := other.Order(t.Context(), n.Order.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-read +added):\n%s", name, diff)
			}
		}
	})
}

// An order has each of its keys, of however many; one that is taken undoes all.
func TestManyKeys(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		for count := range 2*rowsAtOnce + 2 {
			txn := fmt.Sprintf("T%d", count)
			n := newOrder(txn, txn, txn)
			for i := range count {
				n.Keys = append(n.Keys, sha256.Sum256(fmt.Appendf(nil, "%s %d", txn, i)))
			}
			mustAdd(t, db, n)
			for i, k := range n.Keys {
				if o, err := other.OrderByKey(t.Context(), k); err != nil || o.ID != n.Order.ID {
					t.Errorf("key %d of %d: order %q, %v", i, len(n.Keys), o.ID, err)
				}
			}
			again := newOrder(txn+"again", txn+"again", txn+"again")
			free := again.Keys[0]
			again.Keys = append(again.Keys, n.Keys[len(n.Keys)-1])
			if o, added, err := other.AddOrder(t.Context(), again); err != nil || added || o.ID != n.Order.ID {
				t.Errorf("an order with a key of another: %q, added %v, %v", o.ID, added, err)
			}
			if _, err := db.OrderByKey(t.Context(), free); err == nil {
				t.Error("a key of an order that was not added is taken")
			}
		}
	})
}
