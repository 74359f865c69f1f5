package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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

func config() Catalog {
	return Catalog{
		Products: []Product{{ID: "demo", Aliases: []string{"Product_Name"}, Limit: 3, Codes: Codes{Compute: keygen.Random{}}}},
		Channels: map[string]Channel{"kagi": {Name: "kagi", MaxQuantity: 250, HeldMessage: "Wait."}},
	}
}

// with is the config with other codes for the product.
func with(codes Codes) Catalog {
	c := config()
	c.Products[0].Codes = codes
	return c
}

func newDesk(t *testing.T, c Catalog) *Desk {
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

func TestLimitsByLicenseType(t *testing.T) {
	c := config()
	c.Products[0].Limits = map[string]int{"site": 0, "special=education": 9}
	d := newDesk(t, c)
	for licenseType, want := range map[string]int{"single": 3, "site": 0, " SITE ": 0, "Special=Education": 9, "special=": 3} {
		o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.LicenseType = "T-"+licenseType, licenseType }))
		if o.Limit != want || o.Licenses[0].Limit != want {
			t.Errorf("%q: limit %d, license's %d, want %d", licenseType, o.Limit, o.Licenses[0].Limit, want)
		}
	}
	// A held order of an unknown product gets its limit when it is approved.
	held := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct, o.LicenseType = "Unknown", "site" }))
	if o, err := d.Approve(t.Context(), held.ID, "demo", "test"); err != nil || o.Limit != 0 {
		t.Errorf("approved = %+v, %v", o, err)
	}
}

func TestPriceFloor(t *testing.T) {
	c := config()
	c.Products[0].Floor = Floor{big.NewRat(10, 1), "USD"}
	d := newDesk(t, c)
	for i, o := range []struct {
		price, currency, want string
		test                  bool
	}{
		{"10.000", "USD", "", false},
		{"149.000", "USD", "", false},
		{"9.999", "USD", HeldPrice, false},
		{"0.000", "USD", HeldPrice, false},
		{"0.000", "USD", "", true}, // a test order's codes are worth nothing
		{"100.000", "JPY", HeldCurrency, false},
		{"", "", "", false}, // the channel does not know
	} {
		got := mustAccept(t, d, claim(func(c *Order) {
			c.Transaction, c.Price, c.Currency, c.Test = fmt.Sprint("T", i), o.price, o.currency, o.test
		}))
		if got.Reason != o.want {
			t.Errorf("%+v: %q", o, got.Reason)
		}
		if got.Reason == HeldPrice {
			if approved, err := d.Approve(t.Context(), got.ID, "", "test"); err != nil || len(approved.Licenses) != 1 {
				t.Errorf("approved = %+v, %v", approved, err)
			}
		}
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
	// Two conflicts that differ in the seeds alone are two lines.
	d := newDesk(t, config())
	mustAccept(t, d, claim())
	for line, seeds := range []string{"b", "c", "b"} {
		got := mustAccept(t, d, claim(func(o *Order) { o.Quantity, o.Seeds = 2, []string{seeds} }))
		if want := 2 + line%2; got.Line != want || got.Reason != HeldConflict {
			t.Errorf("conflict with seeds %s = %+v, want line %d", seeds, got, want)
		}
	}
	// What a channel does not know is not compared.
	d = newDesk(t, config())
	first := mustAccept(t, d, claim())
	again := mustAccept(t, d, claim(func(o *Order) { o.Price, o.LicenseType, o.Seeds = "", "", nil }))
	if first.ID != again.ID {
		t.Errorf("a channel that knows less: %+v", again)
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
	// The names are those of the test order too: no digest covers the test flag.
	if test := mustAccept(t, d, named(func(o *Order) { o.Test = true })); test.Reason != HeldConflict {
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
	if diff := cmp.Diff([]string{"held test", "codes test"}, notices(test)); diff != "" {
		t.Error(diff)
	}
	c := *d.catalog.Load()
	c.Channels = map[string]Channel{"kagi": {Name: "kagi", MailCodes: true}}
	d.Configure(c)
	both := claim(func(o *Order) { o.Transaction = "M" })
	o := mustAccept(t, d, both)
	mustAccept(t, d, both)
	if diff := cmp.Diff([]string{"codes buyer"}, notices(o)); diff != "" {
		t.Error(diff)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Email = "N", "" })); notices(o) != nil {
		t.Errorf("a reply carried the codes, there is no address, and mail: %v", notices(o))
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

// Each reason is explained in words that fit a command line and a web page alike.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, reason := range []string{
		HeldUnknownProduct, HeldQuantity, HeldPrice, HeldCurrency, HeldConflict, HeldLateLine, HeldGenerator, HeldPoolEmpty, HeldIncomplete, HeldSameName,
		HeldUpgradeUnknown, HeldUpgradeUsed,
	} {
		if got := Explain(reason).Text; got == "" || strings.Contains(got, "keypost") || strings.Contains(got, "--") {
			t.Errorf("%s is explained: %q", reason, got)
		}
	}
}

// Seeds without end are no order that cannot be kept: a person looks at it.
func TestTooManySeeds(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		o := claim(func(o *Order) {
			for range 100 {
				o.Seeds = append(o.Seeds, "Keyword: a - "+strings.Repeat("<", 900)) // six bytes each as JSON
			}
		})
		var first store.Order
		for i := range 2 {
			got := mustAccept(t, d, o)
			if got.Status != store.Held || got.Reason != HeldIncomplete || len(got.Seeds) != 9 || i > 0 && got.ID != first.ID {
				t.Errorf("time %d: %s %s with %d seeds", i+1, got.Status, got.Reason, len(got.Seeds))
			}
			first = got
		}
	})
}
