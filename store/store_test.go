package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store/storetest"
)

// A backend makes an empty database; the suite runs on each.
type backend struct {
	name string
	new  func(t testing.TB) (source string)
}

var backends = []backend{
	{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "a b?%20.db") }},
	{"mariadb", storetest.MariaDB},
}

var onGalera = flag.Bool("galera", false, "run the suite on two nodes of a cluster, too")

// galera is a cluster's first node; [each] opens the other store on the second.
var galera = backend{"galera", func(t testing.TB) string {
	c, url := storetest.Galera(t)
	return c.URL(url, 0)
}}

func TestMain(m *testing.M) {
	flag.Parse()
	if *onGalera {
		backends = append(backends, galera)
	}
	code := storetest.Main(m)
	if left := unplanned(); code == 0 && len(left) > 0 {
		fmt.Printf("searches that TestPlans does not explain; add a call to its list:\n%s\n", strings.Join(left, "\n"))
		code = 1
	}
	os.Exit(code)
}

func mustOpen(t *testing.T, source string, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.asked = record
	return db
}

// each runs a test on every backend.
func each(t *testing.T, test func(t *testing.T, db, other *DB)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source := b.new(t)
			first := mustOpen(t, source, Options{Create: true, Sure: true})
			if b.name == galera.name {
				c, _ := storetest.Galera(t)
				source = c.URL(source, 1)
			}
			test(t, first, mustOpen(t, source, Options{Sure: true}))
		})
	}
}

// newOrder is an order of transaction txn with its codes.
func newOrder(txn, key string, codes ...string) NewOrder {
	n := NewOrder{
		Order: Order{
			ID: NewID(), Channel: "kagi", Store: "kagi", Transaction: txn, Fold: txn, StoreProduct: "Product_Name", Product: "demo",
			LicenseType: "single", Name: "Fred", Email: "fred@example.com", Price: "149.000", Currency: "USD",
			Seeds: []string{"a=b"}, Quantity: len(codes), Limit: 3,
		},
		Keys:    []Key{sha256.Sum256([]byte(key))},
		Message: Message{ID: NewID(), Channel: "kagi", Verdict: VerdictAccepted, Raw: []byte("raw")},
	}
	for _, c := range codes {
		n.Outcome.Codes = append(n.Outcome.Codes, NewLicense{ID: NewID(), Code: c})
	}
	n.Message.OrderID = n.Order.ID
	return n
}

func mustAdd(t *testing.T, db *DB, n NewOrder) Order {
	t.Helper()
	o, added, err := db.AddOrder(t.Context(), n)
	if err != nil || !added {
		t.Fatalf("AddOrder = added %v, %v", added, err)
	}
	return o
}

func codesOf(o Order) (list []string) {
	for _, l := range o.Licenses {
		list = append(list, l.Code)
	}
	return list
}

func TestAddOrder(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		n := newOrder("T1", "k1", "AAA-1", "AAA-2")
		expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		n.Order.ExpiresAt = &expires
		o := mustAdd(t, db, n)
		want := n.Order
		want.Status, want.Line = Issued, 1
		want.CreatedAt, want.Licenses = o.CreatedAt, o.Licenses
		if diff := cmp.Diff(want, o); diff != "" {
			t.Error(diff)
		}
		if l := o.Licenses[1]; l.Code != "AAA-2" || l.Ordinal != 2 || l.Status != Active || l.Limit != 3 || !l.ExpiresAt.Equal(expires) {
			t.Errorf("second license = %+v", l)
		}

		// The same key again, from another process: nothing is added.
		again, added, err := other.AddOrder(t.Context(), newOrder("T1", "k1", "BBB"))
		if err != nil || added {
			t.Fatalf("a duplicate: added %v, %v", added, err)
		}
		if diff := cmp.Diff(o, again); diff != "" {
			t.Error(diff)
		}
		// The same call again, as after an error that was none: it is ours.
		if _, added, err := db.AddOrder(t.Context(), n); err != nil || !added {
			t.Errorf("our own order again: added %v, %v", added, err)
		}
		if _, err := db.FindLicense(t.Context(), "demo", "BBB"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a duplicate's code was kept: %v", err)
		}
		// Another order of the sale is its next line.
		if o := mustAdd(t, db, newOrder("T1", "k2", "CCC")); o.Line != 2 {
			t.Errorf("second order's line = %d", o.Line)
		}
	})
}

func TestAddOrderUndoesAllWhenACodeIsTaken(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		mustAdd(t, db, newOrder("T1", "k1", "ABC-DEF"))
		// Case, spaces and dashes do not count.
		_, _, err := db.AddOrder(t.Context(), newOrder("T2", "k2", "fine", " abcd-ef"))
		if !errors.Is(err, ErrCodeTaken) {
			t.Fatalf("a taken code: %v", err)
		}
		if _, err := db.FindLicense(t.Context(), "demo", "fine"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a license of the undone order: %v", err)
		}
		if o := mustAdd(t, db, newOrder("T2", "k2", "other")); o.Line != 1 {
			t.Errorf("the undone order left its line: %d", o.Line)
		}
		// Another product may have the same code.
		n := newOrder("T3", "k3", "ABC-DEF")
		n.Order.Product = "other"
		mustAdd(t, db, n)
	})
}

func TestAddOrderRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		var mu sync.Mutex
		added, codes := 0, map[string]int{}
		parallel(16, func(i int) {
			use := []*DB{db, other}[i%2]
			o, mine, err := use.AddOrder(context.Background(), newOrder("T", "k", fmt.Sprintf("CODE-%d", i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			if mine {
				added++
			}
			codes[o.Licenses[0].Code]++
		})
		if added != 1 || len(codes) != 1 {
			t.Errorf("%d of 16 equal orders were added, with codes %v", added, codes)
		}
	})
}

func parallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

func TestReserveAndFinish(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		now := time.Now()
		n := newOrder("T", "k")
		n.Order.Quantity = 1
		n.Outcome.Reserve = &Reservation{NewID(), now.Add(time.Hour)}
		o := mustAdd(t, db, n)
		if o.Status != Reserved || o.Tries != 1 {
			t.Fatalf("reserved order = %+v", o)
		}
		mine := Reservation{NewID(), now.Add(time.Hour)}
		if _, err := other.ReserveOrder(ctx, o.ID, "demo", 3, mine, ""); !errors.Is(err, ErrState) {
			t.Errorf("a reservation in force was taken over: %v", err)
		}
		if ids, err := db.StaleOrders(ctx, "demo", 10); err != nil || len(ids) != 0 {
			t.Errorf("stale orders = %v, %v", ids, err)
		}

		// It is given back, and another process takes over.
		if err := db.ReleaseOrder(ctx, o.ID, Reservation{n.Outcome.Reserve.Token, now.Add(-time.Second)}); err != nil {
			t.Fatal(err)
		}
		if ids, err := db.StaleOrders(ctx, "demo", 10); err != nil || !slices.Equal(ids, []string{o.ID}) {
			t.Errorf("stale orders = %v, %v", ids, err)
		}
		taken, err := other.ReserveOrder(ctx, o.ID, "demo", 3, mine, "")
		if err != nil || taken.Tries != 2 {
			t.Fatalf("take over = %+v, %v", taken, err)
		}
		out := Outcome{Codes: []NewLicense{{ID: NewID(), Code: "LATE"}}}
		if _, err := db.FinishOrder(ctx, o.ID, n.Outcome.Reserve.Token, out); !errors.Is(err, ErrStale) {
			t.Errorf("the first process finished after it was taken over: %v", err)
		}
		good := Outcome{Codes: []NewLicense{{ID: NewID(), Code: "GOOD"}}}
		for range 2 { // again, as after an error that was none
			done, err := other.FinishOrder(ctx, o.ID, mine.Token, good)
			if err != nil || done.Status != Issued || !slices.Equal(codesOf(done), []string{"GOOD"}) {
				t.Fatalf("finish = %+v, %v", done, err)
			}
		}
		if _, err := db.FindLicense(ctx, "demo", "LATE"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the late code: %v", err)
		}
	})
}

func TestHeldApprovedRejected(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		n := newOrder("T", "k")
		n.Order.Quantity, n.Order.Product = 1, ""
		n.Outcome = Outcome{Held: "unknown_product", Prose: "wait", Notices: []Notice{{ID: NewID(), Kind: NoticeHeld, Audience: ToVendor}}}
		o := mustAdd(t, db, n)
		if o.Status != Held || o.Reason != "unknown_product" || o.Prose != "wait" || len(o.Licenses) != 0 {
			t.Fatalf("held order = %+v", o)
		}
		if err := db.RejectOrder(ctx, o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if err := db.RejectOrder(ctx, o.ID, "test"); !errors.Is(err, ErrState) {
			t.Errorf("rejected twice: %v", err)
		}
		r := Reservation{NewID(), time.Now().Add(time.Hour)}
		if o, err := db.ReserveOrder(ctx, o.ID, "demo", 5, r, "test"); err != nil || o.Tries != 1 || o.Product != "demo" {
			t.Fatalf("approve = %+v, %v", o, err)
		}
		done, err := db.FinishOrder(ctx, o.ID, r.Token, Outcome{Codes: []NewLicense{{ID: NewID(), Code: "X"}}, Prose: "wait"})
		if err != nil || done.Status != Issued || done.Reason != "" || done.Licenses[0].Limit != 5 {
			t.Fatalf("finish = %+v, %v", done, err)
		}
		if _, err := db.ReserveOrder(ctx, o.ID, "demo", 5, r, "test"); !errors.Is(err, ErrState) {
			t.Errorf("an issued order was reserved: %v", err)
		}
		byHand := newOrder("M", "m", "MANUAL")
		byHand.Actor = "test"
		mustAdd(t, db, byHand)
		if diff := cmp.Diff([]string{"order.reject", "order.approve", "license.issue"}, audited(t, db)); diff != "" {
			t.Error(diff)
		}
	})
}

// audited are the actions in the audit log.
func audited(t *testing.T, db *DB) (actions []string) {
	t.Helper()
	rows, err := db.writer.QueryContext(t.Context(), "SELECT action FROM audit WHERE actor = 'test' ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, a)
	}
	return actions
}

// A try that was applied and came back as an error all the same is not done
// again: each method is run with every commit failing once after it is done.
func TestAppliedThoughItFailed(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		fail := false
		db.afterCommit = func() error {
			if fail = !fail; fail {
				return errAgain
			}
			return nil
		}
		held := newOrder("T", "k")
		held.Order.Quantity = 1
		held.Outcome = Outcome{Held: "quantity"}
		o := mustAdd(t, db, held)
		if err := db.RejectOrder(ctx, o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		r := Reservation{NewID(), time.Now().Add(time.Hour)}
		if o, err := db.ReserveOrder(ctx, o.ID, "demo", 1, r, "test"); err != nil || o.Tries != 1 {
			t.Fatalf("reserve = %+v, %v", o, err)
		}
		o, err := db.FinishOrder(ctx, o.ID, r.Token, Outcome{Codes: []NewLicense{{ID: NewID(), Code: "A"}}})
		if err != nil || len(o.Licenses) != 1 {
			t.Fatalf("finish = %+v, %v", o, err)
		}
		l := o.Licenses[0]
		if _, l, err := db.Activate(ctx, machine(l, "m"), l); err != nil || l.Used != 1 {
			t.Fatalf("activate = %+v, %v", l, err)
		}
		if l, err := db.Deactivate(ctx, l.ID, []byte("m")); err != nil || l.Used != 0 {
			t.Fatalf("deactivate = %+v, %v", l, err)
		}
		if _, err := db.SuspendLicense(ctx, l.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if l, err := db.RestoreLicense(ctx, l.ID, "test"); err != nil || l.Status != Active {
			t.Fatalf("restore = %+v, %v", l, err)
		}
		if l, err := db.ReplaceLicense(ctx, l.ID, NewLicense{ID: NewID(), Code: "B"}, "test"); err != nil || l.Code != "B" {
			t.Fatalf("replace = %+v, %v", l, err)
		}
		if err := db.AddMessage(ctx, Message{ID: NewID()}); err != nil {
			t.Fatal(err)
		}
		if err := db.AddNotice(ctx, o.ID, Notice{ID: NewID(), Kind: NoticeCodes, Audience: ToBuyer}, "test"); err != nil {
			t.Fatal(err)
		}
		if o, err := db.RefundOrder(ctx, o.ID, "test"); err != nil || !o.Refunded {
			t.Fatalf("refund = %+v, %v", o, err)
		}
		key := func(id string) SigningKey { return SigningKey{ID: id, Public: []byte(id), Sealed: []byte("s")} }
		if err := db.FirstSigningKeys(ctx, key("a"), key("b")); err != nil {
			t.Fatal(err)
		}
		if err := db.RotateSigningKeys(ctx, "a", "b", key("c"), "test"); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"order.reject", "order.approve", "license.suspend", "license.restore", "license.replace", "order.resend", "order.refund", "keys.rotate",
		}
		if diff := cmp.Diff(want, audited(t, other)); diff != "" {
			t.Error(diff)
		}
		keys, err := other.SigningKeys(ctx)
		if err != nil || len(keys) != 3 {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

// Many new sales at once: none stands in another's way for good.
func TestManySalesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		parallel(64, func(i int) {
			use := []*DB{db, other}[i%2]
			if _, added, err := use.AddOrder(context.Background(), newOrder(fmt.Sprint("S", i), fmt.Sprint("s", i), NewID())); err != nil || !added {
				t.Errorf("sale %d: added %v, %v", i, added, err)
			}
		})
	})
}

func TestReplaceLicense(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		o := mustAdd(t, db, newOrder("T", "k", "OLD", "OTHER"))
		old := o.Licenses[0]
		if _, err := db.ReplaceLicense(ctx, old.ID, NewLicense{ID: NewID(), Code: "other"}, "test"); !errors.Is(err, ErrCodeTaken) {
			t.Fatalf("replace by a taken code: %v", err)
		}
		l, err := db.ReplaceLicense(ctx, old.ID, NewLicense{ID: NewID(), Code: "NEW"}, "test")
		if err != nil || l.Code != "NEW" || l.Status != Active || l.Ordinal != 1 || l.Limit != 3 {
			t.Fatalf("replace = %+v, %v", l, err)
		}
		if _, err := db.ReplaceLicense(ctx, old.ID, NewLicense{ID: NewID(), Code: "NEWER"}, "test"); !errors.Is(err, ErrStale) {
			t.Errorf("replaced twice: %v", err)
		}
		o, err = db.Order(ctx, o.ID)
		if err != nil || !slices.Equal(codesOf(o), []string{"NEW", "OTHER"}) {
			t.Errorf("the order's codes = %v, %v", codesOf(o), err)
		}
		if l, err := db.FindLicense(ctx, "demo", "OLD"); err != nil || l.Status != Revoked {
			t.Errorf("the old code = %+v, %v", l, err)
		}
		if l, err := db.RestoreLicense(ctx, old.ID, "test"); err != nil || l.Status != Revoked {
			t.Errorf("a leaked code came back: %+v, %v", l, err)
		}
	})
}

// A new code washes nothing off.
func TestReplaceOnlyWhatIsActive(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		id := mustAdd(t, db, newOrder("T", "k", "OLD")).Licenses[0].ID
		for _, s := range []struct {
			do   func(context.Context, string, string) (License, error)
			want error
		}{{db.SuspendLicense, ErrSuspended}, {db.RevokeLicense, ErrRevoked}} {
			if _, err := s.do(t.Context(), id, "test"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.ReplaceLicense(t.Context(), id, NewLicense{ID: NewID(), Code: "NEW"}, "test"); !errors.Is(err, s.want) {
				t.Errorf("replace: %v, want %v", err, s.want)
			}
		}
	})
}

// Case, accents and spaces at the end count where they must, in every database.
func TestTextsAreExact(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		n := newOrder("T", "k", "CODE")
		n.Order.Name, n.Order.Product = "Bjørn 漢字 😀 ", "demo"
		o := mustAdd(t, db, n)
		if o.Name != n.Order.Name {
			t.Errorf("name = %q", o.Name)
		}
		for _, product := range []string{"Demo", "DEMO", "démo"} {
			if _, err := db.FindLicense(t.Context(), product, "CODE"); !errors.Is(err, ErrNotFound) {
				t.Errorf("product %s is taken for demo: %v", product, err)
			}
		}
		// What does not fit is an error, never cut in silence.
		n = newOrder("T2", "k2", "CODE-2")
		n.Order.Price = strings.Repeat("9", 33)
		if _, _, err := db.AddOrder(t.Context(), n); db.dialect.goose == "mysql" && !errors.Is(err, ErrUnavailable) {
			t.Errorf("a price that does not fit: %v", err)
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		mustAdd(t, db, newOrder("T1", "k1", "A"))
		held := newOrder("T2", "k2")
		held.Outcome = Outcome{Held: "quantity"}
		mustAdd(t, db, held)
		mustAdd(t, db, newOrder("T1", "k3", "B"))
		count := func(f OrderFilter) int {
			list, err := db.Orders(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		for _, c := range []struct {
			f    OrderFilter
			want int
		}{
			{OrderFilter{}, 3},
			{OrderFilter{Limit: 2}, 2},
			{OrderFilter{Status: Held}, 1},
			{OrderFilter{Store: "kagi", Fold: "T1"}, 2},
			{OrderFilter{Store: "kagi", Fold: "T1", Line: 2}, 1},
			{OrderFilter{Store: "other"}, 0},
			{OrderFilter{Product: "demo' OR '1'='1"}, 0},
		} {
			if got := count(c.f); got != c.want {
				t.Errorf("%+v finds %d, want %d", c.f, got, c.want)
			}
		}
		list, err := db.Licenses(ctx, LicenseFilter{Code: "b"})
		if err != nil || len(list) != 1 || list[0].Order != (OrderRef{"kagi", "T1", 2}) {
			t.Errorf("license b = %+v, %v", list, err)
		}
		if list, err = db.Licenses(ctx, LicenseFilter{Status: Active, Product: "demo", Limit: 1}); err != nil || len(list) != 1 || list[0].Code != "B" {
			t.Errorf("newest license = %+v, %v", list, err)
		}
	})
}
