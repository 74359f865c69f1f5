package ingest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

// signed is the example order with the name that a digest gives it.
func signed(change ...func(*Order)) Order {
	return claim(append([]func(*Order){func(o *Order) { o.Also = []string{"message"} }}, change...)...)
}

// recut makes a post of another sale of the same digest.
func recut(i int) func(*Order) { return func(o *Order) { o.Transaction = fmt.Sprint("CUT", i) } }

func heldOrders(t *testing.T, d *Desk) []store.Order {
	t.Helper()
	list, err := d.db.Orders(t.Context(), store.OrderFilter{Status: store.Held})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The test flag is not signed: of a post that comes with it and without it, the
// second is held, whichever that is. The same holds for orders that were stored
// when names were claimed for one mode alone, and their repeats get the same
// codes as ever.
func TestChangedTestFlag(t *testing.T) {
	test := func(on bool) func(*Order) { return func(o *Order) { o.Test = on } }
	mode := map[bool]string{false: "live", true: "test"}
	store1 := func(t *testing.T, d *Desk, o Order) store.Order { return mustAccept(t, d, o) }
	before := func(t *testing.T, d *Desk, o Order) store.Order {
		c := d.catalog.Load()
		p, _ := c.Product(o.StoreProduct)
		n := d.draft(c, o, p)
		n.Keys = []store.Key{key(identity(o)...), key("also", o.Store, mode[o.Test], o.Also[0])}
		got, added, err := d.add(t.Context(), c, n, p, "")
		if err != nil || !added {
			t.Fatal(added, err)
		}
		return got
	}
	for _, first := range []bool{false, true} {
		for name, add := range map[string]func(*testing.T, *Desk, Order) store.Order{"now": store1, "before": before} {
			t.Run(mode[first]+" "+name, func(t *testing.T) {
				d := newDesk(t, config())
				o := add(t, d, signed(test(first)))
				for range 2 { // before and after the repeat claims the name of the other mode
					if got := mustAccept(t, d, signed(test(!first))); got.Reason != HeldConflict || got.Test == first {
						t.Errorf("the flag changed: %+v", got)
					}
					if got := mustAccept(t, d, signed(test(!first), recut(1))); got.Reason != HeldConflict {
						t.Errorf("the flag changed, and cut anew: %+v", got)
					}
					if again := mustAccept(t, d, signed(test(first))); !cmp.Equal(o, again) {
						t.Error(cmp.Diff(o, again))
					}
				}
				if got := len(heldOrders(t, d)); got != 2 {
					t.Errorf("%d are held", got)
				}
			})
		}
	}
	// Both are there from before: each one's repeats are its own.
	d := newDesk(t, config())
	live, tried := before(t, d, signed(test(false))), before(t, d, signed(test(true)))
	for range 2 {
		if again := mustAccept(t, d, signed(test(false))); !cmp.Equal(live, again) {
			t.Error(cmp.Diff(live, again))
		}
		if again := mustAccept(t, d, signed(test(true))); !cmp.Equal(tried, again) {
			t.Error(cmp.Diff(tried, again))
		}
	}
}
