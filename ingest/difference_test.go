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
	inOneMode := func(t *testing.T, d *Desk, o Order) store.Order {
		c := d.catalog.Load()
		p, _ := c.Product(o.StoreProduct)
		n := d.draft(c, o, p)
		n.Keys = []store.Key{key(saleFields(o)...), key("also", o.Store, mode[o.Test], o.Also[0])}
		got, added, err := d.add(t.Context(), c, n, p, "")
		if err != nil || !added {
			t.Fatal(added, err)
		}
		return got
	}
	for _, first := range []bool{false, true} {
		for name, add := range map[string]func(*testing.T, *Desk, Order) store.Order{"now": mustAccept, "named in one mode": inOneMode} {
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
	live, tried := inOneMode(t, d, signed(test(false))), inOneMode(t, d, signed(test(true)))
	for range 2 {
		if again := mustAccept(t, d, signed(test(false))); !cmp.Equal(live, again) {
			t.Error(cmp.Diff(live, again))
		}
		if again := mustAccept(t, d, signed(test(true))); !cmp.Equal(tried, again) {
			t.Error(cmp.Diff(tried, again))
		}
	}
}

// A held conflict says what differs, field by field, and keeps that for the person
// who decides.
func TestDiffers(t *testing.T) {
	differs := func(field, before, now string) []store.Difference {
		return []store.Difference{{Field: field, Before: before, Now: now}}
	}
	for name, test := range map[string]struct {
		change func(*Order)
		want   []store.Difference
	}{
		"quantity":     {func(o *Order) { o.Quantity = 2 }, differs("quantity", "1", "2")},
		"license type": {func(o *Order) { o.LicenseType = "site" }, differs("license_type", "single", "site")},
		"price":        {func(o *Order) { o.Price = "1.000" }, differs("price", "149.000 USD", "1.000 USD")},
		"seeds":        {func(o *Order) { o.Seeds = []string{"a=c", "d"} }, differs("seeds", "a=b", "a=c, d")},
		"test":         {func(o *Order) { o.Test = true }, differs("test", "false", "true")},
		"cut anew":     {recut(1), differs("transaction", "CH0123456789", "CUT1")},
		"product":      {func(o *Order) { o.StoreProduct = "demo" }, differs("product", "Product_Name", "demo")},
		"two of them": {
			func(o *Order) { o.Price, o.Quantity = "1.000", 3 },
			append(differs("quantity", "1", "3"), store.Difference{Field: "price", Before: "149.000 USD", Now: "1.000 USD"}),
		},
	} {
		d := newDesk(t, config())
		if first := mustAccept(t, d, signed()); first.Differs != nil {
			t.Errorf("%s: the first order differs from none: %+v", name, first.Differs)
		}
		held := mustAccept(t, d, signed(test.change))
		stored, err := d.db.Order(t.Context(), held.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, stored.Differs); held.Status != store.Held || diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, held.Status, diff)
		}
		if again := mustAccept(t, d, signed()); again.Differs != nil || again.ID == held.ID {
			t.Errorf("%s: the repeat of the first: %+v", name, again)
		}
	}
	// Of a forgotten buyer nothing is kept.
	d := newDesk(t, config())
	first := mustAccept(t, d, claim())
	if err := d.db.ForgetCustomer(t.Context(), first.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if held := mustAccept(t, d, claim(func(o *Order) { o.Price = "1.000" })); !cmp.Equal(held.Differs, differs("buyer", "forgotten", "")) {
		t.Errorf("the buyer is forgotten: %+v", held)
	}
}

// A mail that meets another buyer's order by its number says so.
func TestMailDiffers(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		mustAccept(t, d, mailed(1))
		held := mustAccept(t, d, mailed(1, func(o *Order) { o.Email = "eve@example.org" }))
		want := []store.Difference{{Field: "email", Before: "fred@example.com", Now: "eve@example.org"}}
		if diff := cmp.Diff(want, held.Differs); held.Reason != HeldConflict || diff != "" {
			t.Errorf("%s (-want +got):\n%s", held.Reason, diff)
		}
	})
}
