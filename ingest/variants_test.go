package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Orders that are not just one code of one product: upgrades, bundles, copies
// one by one, replies without codes. Each runs with codes that are computed and
// with codes that leave the process.

func bothWays(t *testing.T, test func(t *testing.T, codes Codes)) {
	t.Run("compute", func(t *testing.T) { test(t, Codes{Compute: keygen.Random{}}) })
	t.Run("outside", func(t *testing.T) { test(t, Codes{Outside: keygen.Random{}}) })
}

// withUpgrade sells demo to those who have old or older.
func withUpgrade(codes Codes) Catalog {
	c := with(codes)
	c.Products[0].Upgrade = &Upgrade{From: []string{"older", "old"}, Keyword: "Previous-license"}
	for _, id := range []string{"old", "older"} {
		c.Products = append(c.Products, Product{ID: id, Codes: Codes{Compute: keygen.Random{}}})
	}
	return c
}

// sell sells a product and returns its order.
func sell(t *testing.T, d *Desk, product string, change ...func(*Order)) store.Order {
	t.Helper()
	o := mustAccept(t, d, claim(append(change, func(o *Order) { o.Transaction, o.StoreProduct = store.NewID(), product })...))
	if o.Status != store.Issued {
		t.Fatalf("selling %s: %+v", product, o)
	}
	return o
}

// upgrading is an order that names old codes.
func upgrading(transaction string, old ...string) Order {
	return claim(func(o *Order) {
		o.Transaction, o.Quantity, o.Seeds = transaction, max(1, len(old)), []string{"color=red"}
		for _, code := range old {
			o.Seeds = append(o.Seeds, "Keyword: previous-LICENSE - "+strings.ToLower(code))
		}
	})
}

func TestUpgrade(t *testing.T) {
	bothWays(t, func(t *testing.T, codes Codes) {
		d := newDesk(t, withUpgrade(codes))
		old := sell(t, d, "old")
		code := old.Licenses[0].Code
		first := mustAccept(t, d, upgrading("U1", code))
		if first.Status != store.Issued || first.Product != "demo" {
			t.Fatalf("upgrade = %+v", first)
		}
		if again := mustAccept(t, d, upgrading("U1", code)); !cmp.Equal(first, again) {
			t.Error(cmp.Diff(first, again))
		}
		// The old code works on, and is used up.
		second := mustAccept(t, d, upgrading("U2", code))
		if second.Status != store.Held || second.Reason != HeldUpgradeUsed {
			t.Fatalf("second upgrade = %+v", second)
		}
		if by, err := d.db.UpgradedBy(t.Context(), old.Licenses[0].ID); err != nil || by.ID != first.ID {
			t.Errorf("upgraded by %+v, %v", by, err)
		}
		// A refund frees it; then the held one's approval is no matter of grace,
		// and a third is too late.
		if _, err := d.db.RefundOrder(t.Context(), first.ID, "test"); err != nil {
			t.Fatal(err)
		}
		third := mustAccept(t, d, upgrading("U3", code))
		if third.Status != store.Issued {
			t.Fatalf("after a refund: %+v", third)
		}
		// A person may issue a second one all the same.
		if o, err := d.Approve(t.Context(), second.ID, "", "test"); err != nil || o.Status != store.Issued {
			t.Errorf("approved = %+v, %v", o, err)
		}
		if by, err := d.db.UpgradedBy(t.Context(), old.Licenses[0].ID); err != nil || by.ID != third.ID {
			t.Errorf("an approval took the upgrade over: %+v, %v", by, err)
		}
	})
}

func TestUpgradeUnknown(t *testing.T) {
	bothWays(t, func(t *testing.T, codes Codes) {
		d := newDesk(t, withUpgrade(codes))
		a, b := sell(t, d, "old").Licenses[0].Code, sell(t, d, "older").Licenses[0].Code
		gone := sell(t, d, "old").Licenses[0]
		if _, err := d.db.RevokeLicense(t.Context(), gone.ID, "test"); err != nil {
			t.Fatal(err)
		}
		test := sell(t, d, "old", func(o *Order) { o.Test = true }).Licenses[0].Code
		for name, c := range map[string]struct {
			order  Order
			reason string
		}{
			"no code":         {upgrading("1"), HeldUpgradeUnknown},
			"not a code":      {upgrading("2", "NONSENSE"), HeldUpgradeUnknown},
			"an empty code":   {upgrading("3", " - "), HeldUpgradeUnknown},
			"revoked":         {upgrading("4", gone.Code), HeldUpgradeUnknown},
			"of a test order": {upgrading("5", test), HeldUpgradeUnknown},
			"too few": {func() Order {
				o := upgrading("6", a)
				o.Quantity = 2
				return o
			}(), HeldUpgradeUnknown},
			"one of two unknown": {upgrading("7", a, "NONSENSE"), HeldUpgradeUnknown},
			"one code twice":     {upgrading("8", a, a), HeldUpgradeUsed},
		} {
			o := mustAccept(t, d, c.order)
			if o.Status != store.Held || o.Reason != c.reason {
				t.Errorf("%s: %s %s", name, o.Status, o.Reason)
			}
		}
		// None of those used anything up.
		if o := mustAccept(t, d, upgrading("9", a, b)); o.Status != store.Issued || len(o.Licenses) != 2 {
			t.Errorf("two copies = %+v", o)
		}
		// A test order needs no old code and uses none up.
		c := sell(t, d, "old").Licenses[0].Code
		for i := range 2 {
			order := upgrading(fmt.Sprint("T", i), c)
			order.Test = true
			if o := mustAccept(t, d, order); o.Status != store.Issued {
				t.Errorf("a test upgrade = %+v", o)
			}
		}
		if o := mustAccept(t, d, upgrading("10", c)); o.Status != store.Issued {
			t.Errorf("after test orders = %+v", o)
		}
	})
}

// Sixteen orders name one old code at once: one gets it.
func TestUpgradeRace(t *testing.T) {
	bothWays(t, func(t *testing.T, codes Codes) {
		d := newDesk(t, withUpgrade(codes))
		code := sell(t, d, "old").Licenses[0].Code
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				o, err := d.Accept(context.Background(), upgrading(fmt.Sprint("R", i), code))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[o.Status+o.Reason]++
			})
		}
		wg.Wait()
		if want := map[string]int{store.Issued: 1, store.Held + HeldUpgradeUsed: 15}; !cmp.Equal(want, got) {
			t.Error(cmp.Diff(want, got))
		}
	})
}

// An order that is held for another reason uses its old code up when it is
// approved, and a rejected one gives it back.
func TestUpgradeOfAHeldOrder(t *testing.T) {
	c := withUpgrade(Codes{Compute: keygen.Random{}})
	c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 1}
	d := newDesk(t, c)
	a, b := sell(t, d, "old").Licenses[0].Code, sell(t, d, "old").Licenses[0].Code
	held := mustAccept(t, d, upgrading("H1", a, b))
	if held.Reason != HeldQuantity {
		t.Fatalf("held = %+v", held)
	}
	taken := mustAccept(t, d, upgrading("H2", a)) // nothing is used up by an order that is held
	if taken.Status != store.Issued {
		t.Fatalf("meanwhile = %+v", taken)
	}
	if o, err := d.Approve(t.Context(), held.ID, "", "test"); err != nil || o.Status != store.Held || o.Reason != HeldUpgradeUsed {
		t.Errorf("approved too late = %+v, %v", o, err)
	}
	if _, err := d.db.RefundOrder(t.Context(), taken.ID, "test"); err != nil {
		t.Fatal(err)
	}
	again := mustAccept(t, d, upgrading("H3", b))
	if again.Status != store.Issued {
		t.Errorf("the other code was used up: %+v", again)
	}
}

// What a code was, its replacement is.
func TestUpgradeOfAReplacedCode(t *testing.T) {
	d := newDesk(t, withUpgrade(Codes{Compute: keygen.Random{}}))
	old := sell(t, d, "old").Licenses[0]
	mustAccept(t, d, upgrading("U1", old.Code))
	replaced, err := d.Replace(t.Context(), old, "test")
	if err != nil {
		t.Fatal(err)
	}
	if o := mustAccept(t, d, upgrading("U2", replaced.Code)); o.Reason != HeldUpgradeUsed {
		t.Errorf("upgraded twice by way of a replacement: %+v", o)
	}
}

// What a person approves uses up what is free, and a generator that fails does
// not undo the decision.
func TestApprovedUpgradeUsesUp(t *testing.T) {
	broken := false
	generator := fake(func(r keygen.Request) ([]string, error) {
		if broken {
			return nil, errors.New("out of order")
		}
		return keygen.Random{}.Generate(context.Background(), r)
	})
	bothWays(t, func(t *testing.T, codes Codes) {
		if codes.Outside != nil {
			codes.Outside = generator
		} else {
			codes.Compute = generator
		}
		d := newDesk(t, withUpgrade(codes))
		old := sell(t, d, "old").Licenses[0]
		if _, err := d.db.SuspendLicense(t.Context(), old.ID, "test"); err != nil {
			t.Fatal(err)
		}
		held := mustAccept(t, d, upgrading("U1", old.Code))
		if held.Reason != HeldUpgradeUnknown {
			t.Fatalf("held = %+v", held)
		}
		if _, err := d.db.RestoreLicense(t.Context(), old.ID, "test"); err != nil {
			t.Fatal(err)
		}
		broken = true
		if o, err := d.Approve(t.Context(), held.ID, "", "test"); !errors.Is(err, ErrGenerator) || o.Status != store.Held {
			t.Fatalf("approved with a broken generator = %+v, %v", o, err)
		}
		broken = false
		if o, err := d.Approve(t.Context(), held.ID, "", "test"); err != nil || o.Status != store.Issued {
			t.Fatalf("approved again = %+v, %v", o, err)
		}
		if o := mustAccept(t, d, upgrading("U2", old.Code)); o.Reason != HeldUpgradeUsed {
			t.Errorf("after an approval: %+v", o)
		}
	})
}

func TestUpgradeOfAnEndedLicense(t *testing.T) {
	d := newDesk(t, withUpgrade(Codes{Compute: keygen.Random{}}))
	ended := time.Now().Add(-time.Hour)
	old := sell(t, d, "old", func(o *Order) { o.ExpiresAt = &ended }).Licenses[0]
	if o := mustAccept(t, d, upgrading("U1", old.Code)); o.Reason != HeldUpgradeUnknown {
		t.Errorf("%+v", o)
	}
}

func withBundle(codes Codes) Catalog {
	c := with(codes)
	c.Products[0].Limits = map[string]int{"site": 0}
	c.Products = append(c.Products,
		Product{ID: "plugin", Limit: 7, Codes: Codes{Compute: fake(func(r keygen.Request) (codes []string, err error) {
			for range r.Quantity {
				codes = append(codes, r.Product+"-"+store.NewID())
			}
			return codes, nil
		})}},
		Product{ID: "bundle", Aliases: []string{"Both"}, Gives: []string{"demo", "plugin"}})
	return c
}

func TestBundle(t *testing.T) {
	bothWays(t, func(t *testing.T, codes Codes) {
		d := newDesk(t, withBundle(codes))
		order := claim(func(o *Order) { o.StoreProduct, o.Quantity = "both", 2 })
		o := mustAccept(t, d, order)
		if o.Status != store.Issued || o.Product != "bundle" || o.Quantity != 2 || len(o.Licenses) != 4 {
			t.Fatalf("bundle = %+v", o)
		}
		var parts []string
		for i, l := range o.Licenses {
			parts = append(parts, fmt.Sprint(l.Ordinal, l.Product, l.Limit))
			if l.Ordinal != i+1 || l.Product == "plugin" != strings.HasPrefix(l.Code, "plugin-") {
				t.Errorf("license %d = %+v", i, l)
			}
			if found, err := d.db.FindLicense(t.Context(), l.Product, l.Code); err != nil || found.ID != l.ID {
				t.Errorf("%s is not found under %s: %v", l.Code, l.Product, err)
			}
		}
		if want := []string{"1demo3", "2plugin7", "3demo3", "4plugin7"}; !slices.Equal(parts, want) {
			t.Errorf("parts %v, want %v", parts, want)
		}
		if again := mustAccept(t, d, order); !cmp.Equal(o, again) {
			t.Error(cmp.Diff(o, again))
		}
		// A leaked code is replaced by one of its own product.
		l, err := d.Replace(t.Context(), o.Licenses[1], "test")
		if err != nil || l.Product != "plugin" || !strings.HasPrefix(l.Code, "plugin-") || l.Limit != 7 {
			t.Errorf("replaced = %+v, %v", l, err)
		}
		// Held, and approved.
		c := withBundle(codes)
		c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 1}
		d.Configure(c)
		held := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.StoreProduct, o.Quantity, o.LicenseType = "T2", "Both", 2, "site" }))
		o, err = d.Approve(t.Context(), held.ID, "", "test")
		if err != nil || len(o.Licenses) != 4 || o.Licenses[0].Limit != 0 || o.Licenses[1].Limit != 7 {
			t.Errorf("approved = %+v, %v", o, err)
		}
		// A test order's codes are random ones, of each part.
		o = mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.StoreProduct, o.Test = "T3", "Both", true }))
		if len(o.Licenses) != 2 || o.Licenses[1].Product != "plugin" || strings.HasPrefix(o.Licenses[1].Code, "plugin-") || !o.Licenses[1].Test {
			t.Errorf("test = %+v", o)
		}
	})
}

// Equal posts within the window are copies; after it, and past the most, they
// are repeats.
func TestCopyByCopy(t *testing.T) {
	clock := time.Now()
	now := func() time.Time { return clock }
	newUnitDesk := func(t *testing.T, codes Codes) *Desk {
		c := with(codes)
		c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 250, Unit: Unit{Max: 3, Window: time.Minute}}
		d := New(openStore(t, newSource(t), store.Options{Now: now}), c)
		d.now = now
		return d
	}
	bothWays(t, func(t *testing.T, codes Codes) {
		d := newUnitDesk(t, codes)
		post := func() store.Order { return mustAccept(t, d, claim(func(o *Order) { o.Also = []string{"password"} })) }
		var orders []store.Order
		for i := range 3 {
			o := post()
			if o.Status != store.Issued || o.Line != i+1 || len(o.Licenses) != 1 {
				t.Fatalf("copy %d = %+v", i+1, o)
			}
			clock = clock.Add(20*time.Second - time.Millisecond)
			orders = append(orders, o)
		}
		for range 2 { // past the most, and then after the window
			if o := post(); !cmp.Equal(o, orders[0]) {
				t.Error(cmp.Diff(orders[0], o))
			}
			clock = clock.Add(time.Hour)
		}
		// What differs from the first is held as ever.
		if o := mustAccept(t, d, claim(func(o *Order) { o.Price = "1.000" })); o.Reason != HeldConflict {
			t.Errorf("another price = %+v", o)
		}
		// After the window the first post stays the only one.
		one := func() store.Order { return mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" })) }
		first := one()
		clock = clock.Add(time.Minute)
		if o := one(); !cmp.Equal(o, first) {
			t.Error(cmp.Diff(first, o))
		}
		// An order by the line is no copy.
		line := func() store.Order {
			return mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = "T3", 2 }))
		}
		if a, b := line(), line(); a.ID != b.ID {
			t.Errorf("two copies in one post came twice: %+v", b)
		}
	})
	// A post that was answered BAD comes again: it is no second copy.
	broken := true
	d := newUnitDesk(t, Codes{Outside: fake(func(r keygen.Request) ([]string, error) {
		if broken {
			return nil, fmt.Errorf("out of order")
		}
		return []string{"CODE"}, nil
	})})
	d.wait, d.step = 0, time.Millisecond
	if o := mustAccept(t, d, claim()); o.Status != store.Reserved {
		t.Fatalf("first = %+v", o)
	}
	broken = false
	clock = clock.Add(30 * time.Second)
	if o := mustAccept(t, d, claim()); o.Status != store.Issued || o.Line != 1 {
		t.Errorf("its next try = %+v", o)
	}
}

// Copies that come while the first one's generator works get codes of their own;
// a refunded or rejected order gets no more, and an upgrade has no copies.
func TestCopiesMeanwhile(t *testing.T) {
	c := withUpgrade(Codes{Compute: keygen.Random{}})
	begun, finish := make(chan bool), make(chan bool)
	first := true
	var mu sync.Mutex
	c.Products = append(c.Products, Product{ID: "slow", Codes: Codes{Outside: fake(func(keygen.Request) ([]string, error) {
		mu.Lock()
		mine := first
		first = false
		mu.Unlock()
		if mine {
			close(begun)
			<-finish
		}
		return []string{store.NewID()}, nil
	})}})
	c.Products = append(c.Products, Product{ID: "plain", Codes: Codes{Compute: keygen.Random{}}})
	c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 250, Unit: Unit{Max: 3, Window: time.Hour}}
	d := newDesk(t, c)
	slow := claim(func(o *Order) { o.StoreProduct = "slow" })
	got := make(chan store.Order, 2)
	go func() { o, _ := d.Accept(context.Background(), slow); got <- o }()
	<-begun
	go func() { o, _ := d.Accept(context.Background(), slow); got <- o }()
	close(finish)
	if a, b := <-got, <-got; len(a.Licenses) != 1 || len(b.Licenses) != 1 || a.ID == b.ID {
		t.Errorf("two copies at once: %+v, %+v", a, b)
	}

	plain := func(o *Order) { o.Transaction, o.StoreProduct = "REFUNDED", "plain" }
	o := mustAccept(t, d, claim(plain))
	if _, err := d.db.RefundOrder(t.Context(), o.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if again := mustAccept(t, d, claim(plain)); again.ID != o.ID {
		t.Errorf("a refunded order has another copy: %+v", again)
	}

	old := sell(t, d, "old").Licenses[0]
	up := mustAccept(t, d, upgrading("UP", old.Code))
	if again := mustAccept(t, d, upgrading("UP", old.Code)); again.ID != up.ID || up.Status != store.Issued {
		t.Errorf("a repeat of an upgrade: %+v", again)
	}
}

// Copies that come at the same time are as many orders, each with a code of its own.
func TestCopyByCopyRace(t *testing.T) {
	c := config()
	c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 250, Unit: Unit{Max: 5, Window: time.Hour}}
	d := newDesk(t, c)
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			o, err := d.Accept(context.Background(), claim())
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(o.Licenses) != 1 {
				t.Errorf("%+v, %v", o, err)
				return
			}
			seen[o.Licenses[0].Code]++
		})
	}
	wg.Wait()
	if len(seen) != 5 {
		t.Errorf("%d codes of 5: %v", len(seen), seen)
	}
}

// Where replies carry no codes the buyer is mailed them; the order remembers
// that, whatever the config says later.
func TestStatusOnly(t *testing.T) {
	bothWays(t, func(t *testing.T, codes Codes) {
		c := with(codes)
		c.Channels["kagi"] = Channel{Name: "kagi", MaxQuantity: 2, StatusOnly: true}
		d := newDesk(t, c)
		audience := func(o store.Order) (list []string) {
			t.Helper()
			notices, err := d.db.Notices(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range notices {
				list = append(list, n.Kind+" "+n.Audience)
			}
			return list
		}
		o := mustAccept(t, d, claim())
		if !o.StatusOnly || !slices.Equal(audience(o), []string{"codes buyer"}) {
			t.Errorf("%+v is told to %v", o, audience(o))
		}
		d.Configure(with(codes))
		if again := mustAccept(t, d, claim()); !cmp.Equal(o, again) || len(audience(o)) != 1 {
			t.Errorf("a repeat = %+v, told to %v", again, audience(o))
		}
		d.Configure(c)
		if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Email = "T2", "" })); !slices.Equal(audience(o), []string{"codes vendor"}) {
			t.Errorf("without an address: %v", audience(o))
		}
		if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Test = "T3", true })); !slices.Equal(audience(o), []string{"codes test"}) {
			t.Errorf("a test: %v", audience(o))
		}
		held := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = "T4", 3 }))
		if !held.StatusOnly || !slices.Equal(audience(held), []string{"held vendor"}) {
			t.Errorf("held = %+v, told to %v", held, audience(held))
		}
	})
}

// always makes the same code of a name.
type always struct{ fake }

func (always) Fixed() {}

// Two buyers of one name have one code: the second is held, and a corrected name
// helps. Where the code comes from outside, the generator is to blame.
func TestSameName(t *testing.T) {
	byName := always{func(r keygen.Request) ([]string, error) {
		if r.Name == "" {
			return nil, fmt.Errorf("%w: the name", keygen.ErrRequest)
		}
		return []string{"CODE-" + r.Name}, nil
	}}
	d := newDesk(t, with(Codes{Compute: byName}))
	first := mustAccept(t, d, claim())
	second := mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" }))
	if first.Status != store.Issued || second.Reason != HeldSameName {
		t.Fatalf("%+v, %+v", first, second)
	}
	if o, err := d.Approve(t.Context(), second.ID, "", "test"); err != nil || o.Reason != HeldSameName {
		t.Errorf("approved as it is: %+v, %v", o, err)
	}
	if err := d.db.EditCustomer(t.Context(), second.ID, "Fred Fragola II", "", "test"); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Approve(t.Context(), second.ID, "", "test"); err != nil || !slices.Equal(codes(o), []string{"CODE-Fred Fragola II"}) {
		t.Errorf("corrected: %+v, %v", o, err)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Name = "T3", "" })); o.Reason != HeldIncomplete {
		t.Errorf("without a name: %+v", o)
	}

	if _, err := d.Replace(t.Context(), first.Licenses[0], "test"); !errors.Is(err, ErrGenerator) || !strings.Contains(err.Error(), "the same code") {
		t.Errorf("replaced by itself: %v", err)
	}

	d = newDesk(t, with(Codes{Compute: byName, Share: true}))
	first, second = mustAccept(t, d, claim()), mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" }))
	if second.Status != store.Issued || !slices.Equal(codes(first), codes(second)) || second.Licenses[0].Limit != 2*first.Licenses[0].Limit {
		t.Errorf("shared: %+v, %+v", first, second)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.LicenseType = "T3", "site" })); o.Reason != HeldSameName {
		t.Errorf("of another type: %+v", o)
	}

	d = newDesk(t, with(Codes{Outside: byName}))
	mustAccept(t, d, claim())
	calls := mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" }))
	if calls.Status != store.Reserved {
		t.Errorf("a code that exists, from outside: %+v", calls)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Name = "T3", "" })); o.Reason != HeldIncomplete {
		t.Errorf("without a name, outside: %+v", o)
	}
}

// A code that a reply cannot carry is not given, however it is made: the buyer
// would get question marks.
func TestCodesThatRepliesCannotCarry(t *testing.T) {
	foreign := fake(func(keygen.Request) ([]string, error) { return []string{"CLÉ-" + store.NewID()}, nil })
	for name, codes := range map[string]Codes{"compute": {Compute: foreign}, "outside": {Outside: foreign}, "pool": {Pool: "demo"}} {
		t.Run(name, func(t *testing.T) {
			c := with(codes)
			plain := c.Channels["kagi"]
			plain.Plain = true
			c.Channels["kagi"] = plain
			d := newDesk(t, c)
			if _, err := d.db.LoadPool(t.Context(), "demo", []string{"CLÉ-1", "CLE-2"}, "test"); err != nil {
				t.Fatal(err)
			}
			held := mustAccept(t, d, claim())
			if held.Status != store.Held || held.Reason != HeldGenerator || len(held.Licenses) > 0 {
				t.Errorf("%+v; want it held", held)
			}
			if levels, err := d.db.Pools(t.Context()); err != nil || levels[0].Free != 2 {
				t.Errorf("pools %+v, %v; want both codes free", levels, err)
			}
			for what, change := range map[string]func(*Order){
				"8-bit":         func(o *Order) { o.EightBit = true },
				"without reply": func(o *Order) { o.Channel = "manual" },
			} {
				if o := mustAccept(t, d, claim(change, func(o *Order) { o.Transaction = what })); o.Status != store.Issued {
					t.Errorf("%s: %+v; want it issued", what, o)
				}
			}
		})
	}
}
