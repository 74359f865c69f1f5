package ingest

import (
	"context"
	"database/sql"
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
		OrderID: o.ID, Transaction: "CH0123456789", At: o.CreatedAt, Product: "demo", LicenseType: "single", Name: "Fred Fragola", Email: "fred@example.com", Seeds: []string{"a=b"}, Quantity: 1, Limit: 3,
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
func laterDesk(t *testing.T, source string, c Catalog, now *time.Time) *Desk {
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
	second, _, err := d.await(t.Context(), o.ID)
	release()
	wg.Wait()
	if err != nil || !slices.Equal(codes(first), []string{"SLOW"}) || !slices.Equal(codes(second), []string{"SLOW"}) {
		t.Errorf("first = %+v, second = %+v, %v", first, second, err)
	}
}

// One order that cannot even be read does not keep the others waiting.
func TestSweepGoesOn(t *testing.T) {
	now := time.Now()
	source := newSource(t)
	d := laterDesk(t, source, with(Codes{Outside: fake(func(keygen.Request) ([]string, error) { return nil, errors.New("down") })}), &now)
	broken := mustAccept(t, d, claim())
	now = now.Add(time.Second) // the broken one is the older, and the first to be swept
	behind := mustAccept(t, d, claim(func(o *Order) { o.Transaction = "T2" }))
	raw, err := sql.Open("sqlite", strings.TrimPrefix(source, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec("UPDATE orders SET seeds = '{' WHERE id = ?", broken.ID); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	d.Configure(with(Codes{Outside: fake(func(keygen.Request) ([]string, error) { return []string{"FOUND"}, nil })}))
	if err := d.Sweep(t.Context()); err == nil || !strings.Contains(err.Error(), broken.ID) {
		t.Errorf("the broken order is not told of: %v", err)
	}
	if o, err := d.db.Order(t.Context(), behind.ID); err != nil || !slices.Equal(codes(o), []string{"FOUND"}) {
		t.Errorf("the order behind it = %+v, %v", o, err)
	}
}

// A generator that hangs keeps no other product's orders waiting.
func TestSweepBesideOneThatHangs(t *testing.T) {
	now := time.Now()
	hang, done := make(chan bool), make(chan bool)
	down := fake(func(keygen.Request) ([]string, error) { return nil, errors.New("down") })
	c := with(Codes{Outside: down})
	c.Products = append(c.Products, Product{ID: "second", Codes: Codes{Outside: down}})
	d := laterDesk(t, newSource(t), c, &now)
	mustAccept(t, d, claim())
	second := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "second" }))
	c = with(Codes{Outside: fake(func(keygen.Request) ([]string, error) { <-hang; return []string{"LATE"}, nil })})
	c.Products = append(c.Products, Product{ID: "second", Codes: Codes{Outside: fake(func(keygen.Request) ([]string, error) {
		defer close(done)
		return []string{"AT-ONCE"}, nil
	})}})
	d.Configure(c)
	now = now.Add(time.Hour)
	swept := make(chan error)
	go func() { swept <- d.Sweep(t.Context()) }()
	<-done                                       // else the test hangs here
	if err := d.Sweep(t.Context()); err != nil { // the first is busy with one, and the other is done or in hand
		t.Error(err)
	}
	close(hang)
	if err := <-swept; err != nil {
		t.Error(err)
	}
	if o, err := d.db.Order(t.Context(), second.ID); err != nil || !slices.Equal(codes(o), []string{"AT-ONCE"}) {
		t.Errorf("%+v, %v", o, err)
	}
}

// A generator that gives the same codes for the same request, as the docs tell
// vendors to, has others for what replaces them.
func TestReplaceAsksAnew(t *testing.T) {
	idempotent := fake(func(q keygen.Request) (list []string, err error) {
		for n := range q.Quantity {
			list = append(list, fmt.Sprintf("%s-%d", q.OrderID, n))
		}
		return list, nil
	})
	d := newDesk(t, with(Codes{Outside: idempotent}))
	o := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 3 }))
	seen := map[string]bool{}
	for _, l := range o.Licenses {
		seen[l.Code] = true
		for range 3 {
			var err error
			if l, err = d.Replace(t.Context(), l, "test"); err != nil || seen[l.Code] {
				t.Fatalf("%s, %v", l.Code, err)
			}
			seen[l.Code] = true
			found, err := d.db.Licenses(t.Context(), store.LicenseFilter{Code: l.Code}) // as commands find it
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			l = found[0]
		}
	}
}
