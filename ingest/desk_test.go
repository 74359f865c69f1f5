package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A fake generator injects faults.
type fake func(keygen.Request) ([]string, error)

func (f fake) Generate(_ context.Context, r keygen.Request) ([]string, error) { return f(r) }

func newSource(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "k.db") }

func openStore(t *testing.T, source string, o store.Options) *store.DB {
	t.Helper()
	o.Create = true
	db, err := store.Open(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func config() Config {
	return Config{
		Products: []Product{{ID: "demo", Aliases: []string{"Product_Name"}, Limit: 3, Codes: Codes{Compute: keygen.Random{}}}},
		Channels: map[string]Channel{"kagi": {Name: "kagi", MaxQuantity: 250, HeldMessage: "Wait."}},
	}
}

// with is the config with other codes for the product.
func with(codes Codes) Config {
	c := config()
	c.Products[0].Codes = codes
	return c
}

func newDesk(t *testing.T, c Config) *Desk {
	t.Helper()
	return New(openStore(t, newSource(t), store.Options{}), c)
}

// claim is the example order with changes.
func claim(change ...func(*Order)) Order {
	o := Order{
		Channel: "kagi", Store: "kagi", Transaction: "CH0123456789", StoreProduct: "Product_Name", LicenseType: "single",
		Name: "Fred Fragola", Email: "fred@example.com", Price: "149.000", Currency: "USD", Seeds: []string{"a=b"}, Quantity: 1,
		Message: store.Message{Channel: "kagi", Raw: []byte("raw")},
	}
	for _, f := range change {
		f(&o)
	}
	return o
}

func mustAccept(t *testing.T, d *Desk, o Order) store.Order {
	t.Helper()
	got, err := d.Accept(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func codes(o store.Order) (list []string) {
	for _, l := range o.Licenses {
		list = append(list, l.Code)
	}
	return list
}

func TestAcceptIssuesOnce(t *testing.T) {
	d := newDesk(t, config())
	first := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 3 }))
	if first.Status != store.Issued || len(first.Licenses) != 3 || first.Product != "demo" || first.Limit != 3 {
		t.Fatalf("first = %+v", first)
	}
	// The store's digest folds case, and so do we; what identifies no order may differ.
	again := mustAccept(t, d, claim(func(o *Order) {
		o.Quantity, o.Transaction, o.StoreProduct, o.LicenseType = 3, "ch0123456789", "PRODUCT_name ", "SINGLE"
		o.Name, o.Email, o.OEMSeed = "Other", "other@example.com", "x"
	}))
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	// What was fixed stays, whatever the config is by now.
	c := config()
	c.Products[0].Aliases, c.Products[0].Limit = nil, 99
	c.Channels["kagi"] = Channel{MaxQuantity: 1}
	d.Configure(c)
	if diff := cmp.Diff(first, mustAccept(t, d, claim(func(o *Order) { o.Quantity = 3 }))); diff != "" {
		t.Error(diff)
	}
}

func TestWhatMakesAnotherOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Order)
		line   int
	}{
		{"transaction", func(o *Order) { o.Transaction += "0" }, 1},
		{"product", func(o *Order) { o.StoreProduct = "demo" }, 2},
		{"line", func(o *Order) { o.StoreLine = "2" }, 2},
		{"store", func(o *Order) { o.Store = "other" }, 1},
		{"another name", func(o *Order) { o.Transaction, o.Also = "T2", []string{"name 2"} }, 1},
		{"test", func(o *Order) { o.Test = true }, 2},
		{"fields do not run together", func(o *Order) { o.Transaction, o.StoreLine = "CH012345678", "9" }, 1},
	} {
		d := newDesk(t, config())
		first := mustAccept(t, d, claim())
		second := mustAccept(t, d, claim(c.change))
		if second.ID == first.ID || second.Status != store.Issued || second.Line != c.line || slices.Equal(codes(first), codes(second)) {
			t.Errorf("%s: %+v", c.name, second)
		}
	}
}

func TestDifferencesAreHeld(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		change       func(*Order)
	}{
		{"quantity", HeldConflict, func(o *Order) { o.Quantity = 2 }},
		{"license type", HeldConflict, func(o *Order) { o.LicenseType = "site" }},
		{"price", HeldConflict, func(o *Order) { o.Price = "1.000" }},
		{"seeds", HeldLateLine, func(o *Order) { o.Seeds = []string{"a=c"} }},
		{"no seeds", HeldLateLine, func(o *Order) { o.Seeds = []string{} }},
		{"price and seeds", HeldConflict, func(o *Order) { o.Price, o.Seeds = "1.000", nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, config())
			first := mustAccept(t, d, claim())
			held := mustAccept(t, d, claim(c.change))
			if held.Status != store.Held || held.Reason != c.reason || held.Line != 2 || held.Prose != "Wait." || len(held.Licenses) != 0 {
				t.Fatalf("held = %+v", held)
			}
			// Its repeats are its duplicates; the first order's go on.
			if again := mustAccept(t, d, claim(c.change)); !cmp.Equal(held, again) {
				t.Error(cmp.Diff(held, again))
			}
			if again := mustAccept(t, d, claim()); !cmp.Equal(first, again) {
				t.Error(cmp.Diff(first, again))
			}
			// Approved, it is a line of its own; its duplicates get its codes.
			issued, err := d.Approve(t.Context(), held.ID, "", "test")
			if err != nil || issued.Status != store.Issued || len(issued.Licenses) != held.Quantity {
				t.Fatalf("approved = %+v, %v", issued, err)
			}
			if again := mustAccept(t, d, claim(c.change)); !cmp.Equal(issued, again) {
				t.Error(cmp.Diff(issued, again))
			}
		})
	}
	// What a channel does not know is not compared.
	d := newDesk(t, config())
	first := mustAccept(t, d, claim())
	again := mustAccept(t, d, claim(func(o *Order) { o.Price, o.LicenseType, o.Seeds = "", "", nil }))
	if first.ID != again.ID {
		t.Errorf("a channel that knows less: %+v", again)
	}
}

// Whoever has captured a post cannot fill the disk with variants of it.
func TestVariantsAreBounded(t *testing.T) {
	d := newDesk(t, config())
	first := mustAccept(t, d, claim())
	var last store.Order
	variant := func(i int) store.Order {
		return mustAccept(t, d, claim(func(o *Order) { o.Seeds = []string{fmt.Sprint(i)} }))
	}
	for i := range maxHeldLines + 10 {
		if last = variant(i); last.Status != store.Held {
			t.Fatalf("variant %d = %+v", i, last)
		}
	}
	if again := variant(7); again.Line != 1+8 {
		t.Errorf("a repeat of the eighth variant = %+v", again)
	}
	if last.Line != 1+maxHeldLines {
		t.Errorf("the last variant is line %d", last.Line)
	}
	if again := mustAccept(t, d, claim()); again.ID != first.ID {
		t.Errorf("the order itself = %+v", again)
	}
}

// An order has several names; each is its alone.
func TestOtherNames(t *testing.T) {
	d := newDesk(t, config())
	named := func(change ...func(*Order)) Order {
		o := claim(change...)
		o.Also = append(o.Also, "the name")
		return o
	}
	first := mustAccept(t, d, named())
	if again := mustAccept(t, d, named()); !cmp.Equal(first, again) {
		t.Error(cmp.Diff(first, again))
	}
	for _, change := range []func(*Order){
		func(o *Order) { o.Transaction += "X" },
		func(o *Order) { o.StoreProduct = "demo" },
	} {
		held := mustAccept(t, d, named(change))
		if held.Reason != HeldConflict {
			t.Errorf("another order by the same name = %+v", held)
		}
		if again := mustAccept(t, d, named(change)); !cmp.Equal(held, again) {
			t.Error(cmp.Diff(held, again))
		}
	}
	// A channel that knows the other name alone finds the order.
	if again := mustAccept(t, d, named(func(o *Order) { o.Transaction, o.StoreProduct = "", "" })); again.ID != first.ID {
		t.Errorf("by the other name alone = %+v", again)
	}
	// A test order's names are its own.
	if test := mustAccept(t, d, named(func(o *Order) { o.Test = true })); test.Status != store.Issued {
		t.Errorf("the test order = %+v", test)
	}
}

func TestEqualPostsAtOnce(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	desks := []*Desk{New(db, config()), New(db, config())} // as two daemons
	got := make([]store.Order, 32)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = desks[i%2].Accept(context.Background(), claim()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, o := range got {
		if diff := cmp.Diff(got[0], o); diff != "" {
			t.Fatal(diff)
		}
	}
	list, err := db.Licenses(t.Context(), store.LicenseFilter{})
	if err != nil || len(list) != 1 {
		t.Errorf("%d licenses, %v", len(list), err)
	}
}

func TestHeldOrders(t *testing.T) {
	d := newDesk(t, config())
	unknown := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "Other_Name" }))
	if unknown.Reason != HeldUnknownProduct || unknown.Product != "" {
		t.Errorf("unknown product = %+v", unknown)
	}
	many := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 251 }))
	if many.Reason != HeldQuantity || many.Product != "demo" {
		t.Errorf("251 copies = %+v", many)
	}
	if _, err := d.Approve(t.Context(), unknown.ID, "", "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("approve an unknown product: %v", err)
	}
	if _, err := d.Approve(t.Context(), unknown.ID, "nonsense", "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("approve for a product that is not: %v", err)
	}
	if o, err := d.Approve(t.Context(), unknown.ID, "demo", "test"); err != nil || o.Product != "demo" || o.Limit != 3 || len(o.Licenses) != 1 {
		t.Errorf("approve for a product = %+v, %v", o, err)
	}
	issued, err := d.Approve(t.Context(), many.ID, "", "test")
	if err != nil || len(issued.Licenses) != 251 {
		t.Errorf("approve 251 = %d codes, %v", len(issued.Licenses), err)
	}
	again, err := d.Approve(t.Context(), many.ID, "", "test")
	if err != nil || !slices.Equal(codes(again), codes(issued)) {
		t.Errorf("approve again: %v", err)
	}
	if _, err := d.Approve(t.Context(), store.NewID(), "", "test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("approve nothing: %v", err)
	}
	// An alias that was added meanwhile is enough.
	other := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "Third_Name" }))
	c := config()
	c.Products[0].Aliases = append(c.Products[0].Aliases, "third_name")
	d.Configure(c)
	if o, err := d.Approve(t.Context(), other.ID, "", "test"); err != nil || o.Product != "demo" {
		t.Errorf("approve by a new alias = %+v, %v", o, err)
	}
}

func TestApproveRejectedAndRefunded(t *testing.T) {
	d := newDesk(t, config())
	held := func(txn string) store.Order {
		return mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = txn, 251 }))
	}
	rejected := held("T1")
	if err := d.db.RejectOrder(t.Context(), rejected.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = "T1", 251 })); o.Status != store.Rejected || o.Prose != "Wait." {
		t.Errorf("a rejected order's duplicate = %+v", o)
	}
	if o, err := d.Approve(t.Context(), rejected.ID, "", "test"); err != nil || o.Status != store.Issued {
		t.Errorf("approve after all = %+v, %v", o, err)
	}
	refunded := held("T2")
	if _, err := d.db.RefundOrder(t.Context(), refunded.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Approve(t.Context(), refunded.ID, "", "test"); !errors.Is(err, ErrRefunded) {
		t.Errorf("approve a refunded order: %v", err)
	}
}

// A code that is taken is drawn again; a generator that knows no other is to blame.
func TestRedraw(t *testing.T) {
	next := []string{"A", "A", "A", "B"}
	d := newDesk(t, with(Codes{Compute: fake(func(keygen.Request) ([]string, error) {
		code := next[0]
		next = next[1:]
		return []string{code}, nil
	})}))
	mustAccept(t, d, claim())
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" })); !slices.Equal(codes(o), []string{"B"}) {
		t.Errorf("second order = %+v", o)
	}
	d.Configure(with(Codes{Compute: fake(func(keygen.Request) ([]string, error) { return []string{"a"}, nil })}))
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T3" })); o.Reason != HeldGenerator {
		t.Errorf("a generator with one code = %+v", o)
	}
}

func TestGeneratorsThatBreakTheirWord(t *testing.T) {
	for name, f := range map[string]fake{
		"error":     func(keygen.Request) ([]string, error) { return nil, errors.New("no") },
		"too few":   func(keygen.Request) ([]string, error) { return nil, nil },
		"too many":  func(keygen.Request) ([]string, error) { return []string{"A", "B"}, nil },
		"empty":     func(keygen.Request) ([]string, error) { return []string{""}, nil },
		"dashes":    func(keygen.Request) ([]string, error) { return []string{"- -"}, nil },
		"too long":  func(keygen.Request) ([]string, error) { return []string{strings.Repeat("x", 256)}, nil },
		"not UTF-8": func(keygen.Request) ([]string, error) { return []string{"A\xff"}, nil },
	} {
		d := newDesk(t, with(Codes{Compute: f}))
		held := mustAccept(t, d, claim())
		if held.Status != store.Held || held.Reason != HeldGenerator {
			t.Errorf("%s: %+v", name, held)
		}
		// Approving tells of it and loses nothing.
		o, err := d.Approve(t.Context(), held.ID, "", "test")
		if !errors.Is(err, ErrGenerator) || o.Status != store.Held || o.Reason != HeldGenerator {
			t.Errorf("%s, approved: %+v, %v", name, o, err)
		}
		d.Configure(config())
		if o, err := d.Approve(t.Context(), held.ID, "", "test"); err != nil || o.Status != store.Issued {
			t.Errorf("%s, mended and approved: %+v, %v", name, o, err)
		}
	}
}

// Test orders never reach a generator that has real codes.
func TestTestOrders(t *testing.T) {
	real := fake(func(keygen.Request) ([]string, error) {
		t.Error("a test order reached the product's generator")
		return []string{"REAL"}, nil
	})
	for _, c := range []Codes{{Compute: real}, {Outside: real}} {
		d := newDesk(t, with(c))
		o := mustAccept(t, d, claim(func(o *Order) { o.Test = true }))
		if o.Status != store.Issued || !o.Licenses[0].Test || (keygen.Random{}).Malformed(o.Licenses[0].Code) {
			t.Errorf("test order = %+v", o)
		}
	}
}

func TestOutsideGenerator(t *testing.T) {
	var seen []keygen.Request
	d := newDesk(t, with(Codes{Outside: fake(func(r keygen.Request) ([]string, error) {
		seen = append(seen, r)
		return []string{"OUT"}, nil
	})}))
	o := mustAccept(t, d, claim())
	if o.Status != store.Issued || !slices.Equal(codes(o), []string{"OUT"}) {
		t.Fatalf("order = %+v", o)
	}
	want := keygen.Request{
		OrderID: o.ID, Product: "demo", LicenseType: "single", Name: "Fred Fragola", Email: "fred@example.com", Seeds: []string{"a=b"}, Quantity: 1,
	}
	if diff := cmp.Diff([]keygen.Request{want}, seen); diff != "" {
		t.Error(diff)
	}
	mustAccept(t, d, claim())
	if len(seen) != 1 {
		t.Errorf("a duplicate reached the generator: %d calls", len(seen))
	}
}

// A generator that fails leaves the order reserved, its deliveries are told to
// come again, and after five tries a person must look.
func TestOutsideGeneratorFails(t *testing.T) {
	var ids []string
	down := with(Codes{Outside: fake(func(r keygen.Request) ([]string, error) {
		ids = append(ids, r.OrderID)
		return nil, errors.New("down")
	})})
	now := time.Now()
	d := laterDesk(t, newSource(t), down, &now)
	o := mustAccept(t, d, claim())
	if o.Status != store.Reserved {
		t.Fatalf("after the first failure = %+v", o)
	}
	for range 10 {
		now = now.Add(time.Hour)
		if err := d.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o = mustAccept(t, d, claim())
	if o.Status != store.Held || o.Reason != HeldGenerator || len(ids) != 5 || len(slices.Compact(ids)) != 1 {
		t.Errorf("after %d tries for %v: %+v", len(ids), slices.Compact(ids), o)
	}
	d.Configure(config())
	if o, err := d.Approve(t.Context(), o.ID, "", "test"); err != nil || o.Status != store.Issued {
		t.Errorf("approved = %+v, %v", o, err)
	}
}

// laterDesk is a desk of another process, with a clock of the test's.
func laterDesk(t *testing.T, source string, c Config, now *time.Time) *Desk {
	t.Helper()
	clock := func() time.Time { return *now }
	d := New(openStore(t, source, store.Options{Now: clock}), c)
	d.now, d.wait = clock, 0
	return d
}

// A process that dies between reserving and finishing leaves an order that the
// next delivery, or the sweeper, finishes, once.
func TestCrashAfterReserving(t *testing.T) {
	for _, finisher := range []string{"delivery", "sweeper", "approval"} {
		t.Run(finisher, func(t *testing.T) {
			source := newSource(t)
			d := New(openStore(t, source, store.Options{}), with(Codes{Outside: fake(func(keygen.Request) ([]string, error) { panic("the process dies") })}))
			func() {
				defer func() { _ = recover() }()
				_, _ = d.Accept(context.Background(), claim())
			}()
			now := time.Now()
			mended := with(Codes{Outside: fake(func(r keygen.Request) ([]string, error) { return []string{"C-" + r.OrderID}, nil })})
			later := laterDesk(t, source, mended, &now)
			// The reservation is in force: come again.
			o := mustAccept(t, later, claim())
			if o.Status != store.Reserved {
				t.Fatalf("while it is reserved = %+v", o)
			}
			if _, err := later.Approve(t.Context(), o.ID, "", "test"); !errors.Is(err, ErrReserved) {
				t.Errorf("approve while it is reserved: %v", err)
			}
			now = now.Add(outsideTerm + time.Second)
			switch finisher {
			case "sweeper":
				if err := later.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			case "approval":
				if _, err := later.Approve(t.Context(), o.ID, "", "test"); err != nil {
					t.Fatal(err)
				}
			}
			if o = mustAccept(t, later, claim()); !slices.Equal(codes(o), []string{"C-" + o.ID}) {
				t.Errorf("finished = %+v", o)
			}
			list, err := later.db.Licenses(t.Context(), store.LicenseFilter{})
			if err != nil || len(list) != 1 {
				t.Errorf("%d licenses, %v", len(list), err)
			}
		})
	}
}

// A second delivery waits for the first one's codes: they come when it has
// looked at the order and at the clock already.
func TestSecondDeliveryWaits(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	d := newDesk(t, with(Codes{Outside: fake(func(keygen.Request) ([]string, error) {
		close(begun)
		<-finish
		return []string{"SLOW"}, nil
	})}))
	d.wait, d.step = time.Hour, time.Millisecond
	var first store.Order
	var wg sync.WaitGroup
	wg.Go(func() { first, _ = d.Accept(context.Background(), claim()) })
	<-begun
	o, err := d.db.OrderByKey(t.Context(), keys(claim())[0])
	if err != nil || o.Status != store.Reserved {
		t.Fatalf("while the generator runs: %+v, %v", o, err)
	}
	release := sync.OnceFunc(func() { close(finish) })
	looks := 0
	d.now = func() time.Time {
		if looks++; looks == 4 { // the end of the wait, the reservation, the end again: it goes round
			release()
		}
		return time.Now()
	}
	second, err := d.await(t.Context(), o.ID)
	release()
	wg.Wait()
	if err != nil || !slices.Equal(codes(first), []string{"SLOW"}) || !slices.Equal(codes(second), []string{"SLOW"}) {
		t.Errorf("first = %+v, second = %+v, %v", first, second, err)
	}
}

func TestReplace(t *testing.T) {
	d := newDesk(t, config())
	o := mustAccept(t, d, claim())
	l, err := d.Replace(t.Context(), o.Licenses[0], "test")
	if err != nil || l.Code == o.Licenses[0].Code {
		t.Fatalf("replace = %+v, %v", l, err)
	}
	if again := mustAccept(t, d, claim()); !slices.Equal(codes(again), []string{l.Code}) {
		t.Errorf("the duplicate gets %v, want %s", codes(again), l.Code)
	}
	if _, err := d.Replace(t.Context(), o.Licenses[0], "test"); !errors.Is(err, store.ErrStale) {
		t.Errorf("replace twice: %v", err)
	}
	d.Configure(Config{})
	if _, err := d.Replace(t.Context(), l, "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("replace without the product: %v", err)
	}
}

// Whatever a stranger writes: it is stored, and found again.
func TestHostileTexts(t *testing.T) {
	d := newDesk(t, config())
	for i, v := range []string{"a\xff\x00b", strings.Repeat("é", 5000), "'; DROP TABLE orders; --", "\x1b[31m", " "} {
		o := claim(func(o *Order) {
			o.Transaction, o.Name, o.Email, o.OEMSeed, o.LicenseType = fmt.Sprint("T", i), v, v, v, "single"+v
		})
		first := mustAccept(t, d, o)
		if first.Status != store.Issued || len(first.Name) > maxText {
			t.Errorf("%.20q: %+v", v, first)
		}
		if again := mustAccept(t, d, o); !cmp.Equal(first, again) {
			t.Errorf("%.20q: %s", v, cmp.Diff(first, again))
		}
		mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.StoreProduct = fmt.Sprint("P", i), v }))
	}
	// Two products that only look alike once they are stored are two orders.
	a := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "caf\xe9" }))
	b := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "caf\xe8" }))
	if a.ID == b.ID {
		t.Error("two products became one order")
	}
}

func TestNoticesAndMessages(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	d := New(db, config())
	notices := func(o store.Order) (list []string) {
		rows, err := db.Notices(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range rows {
			list = append(list, n.Kind+" "+n.Audience)
		}
		return list
	}
	if got := notices(mustAccept(t, d, claim())); got != nil {
		t.Errorf("a reply carried the codes, and mail too: %v", got)
	}
	held := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 2 }))
	if _, err := d.Approve(t.Context(), held.ID, "", "test"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"held vendor", "codes buyer"}, notices(held)); diff != "" {
		t.Error(diff)
	}
	test := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity, o.Test = "T", 251, true }))
	if _, err := d.Approve(t.Context(), test.ID, "", "test"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"held vendor", "codes test"}, notices(test)); diff != "" {
		t.Error(diff)
	}

	// Duplicates are kept, but nobody can fill the disk with them.
	first := mustAccept(t, d, claim())
	for range 150 {
		mustAccept(t, d, claim())
		if err := d.Refuse(t.Context(), store.Message{Channel: "kagi", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Refuse(t.Context(), store.Message{Channel: "other", Reason: "x", OrderID: "REFUSED", Raw: make([]byte, 64<<10)}); err != nil {
		t.Fatal(err)
	}
	if refused, err := db.Messages(t.Context(), "REFUSED"); err != nil || len(refused) != 1 || len(refused[0].Raw) != maxRefused {
		t.Errorf("refused message = %d, %v", len(refused), err)
	}
	kept, err := db.Messages(t.Context(), first.ID)
	if err != nil || len(kept) < 2 || len(kept) > 101 || kept[0].Verdict != store.VerdictAccepted || kept[1].Verdict != store.VerdictDuplicate {
		t.Errorf("%d messages, %v", len(kept), err)
	}
}

func TestUnavailable(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	d := New(db, config())
	db.Close()
	if _, err := d.Accept(t.Context(), claim()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("accept without a database: %v", err)
	}
	if err := d.Sweep(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("sweep without a database: %v", err)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	for _, reason := range []string{HeldUnknownProduct, HeldQuantity, HeldConflict, HeldLateLine, HeldGenerator} {
		if Explain(reason) == "" {
			t.Errorf("%s is not explained", reason)
		}
	}
}
