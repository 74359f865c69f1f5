package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/store/storetest"
)

// hasty is a context for what would have to wait.
func hasty(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A node that lags gives no final no: neither of what was sold, activated,
// released or restored on another node, nor of an order that is there.
func TestGaleraNodeThatLags(t *testing.T) {
	c, url := storetest.Galera(t)
	ctx := t.Context()
	first := mustOpen(t, c.URL(url, 0), Options{Create: true})
	full := mustAdd(t, first, newOrder("T1", "k1", "FULL")).Licenses[0]
	for _, name := range []string{"m1", "m2", "m3"} {
		if _, _, err := first.Activate(ctx, machine(full, name), full); err != nil {
			t.Fatal(err)
		}
	}
	revoked := mustAdd(t, first, newOrder("T2", "k2", "REVOKED")).Licenses[0]
	if _, err := first.RevokeLicense(ctx, revoked.ID, "test"); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, c.URL(url, 1), Options{})
	if !second.Lags() {
		t.Fatal("a node of a cluster is not known for one")
	}
	if _, err := second.FindLicense(Sure(ctx), "demo", "REVOKED"); err != nil {
		t.Fatal(err)
	}

	end, err := c.Nodes[1].Lag(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	sold := mustAdd(t, first, newOrder("T3", "k3", "SOLD"))
	fresh := machine(sold.Licenses[0], "m1")
	if _, _, err := first.Activate(ctx, fresh, sold.Licenses[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Deactivate(ctx, full.ID, machine(full, "m1").FPMAC); err != nil {
		t.Fatal(err)
	}
	if _, err := first.RestoreLicense(ctx, revoked.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := second.FindLicense(ctx, "demo", "SOLD"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the node does not lag: %v", err)
	}

	asked := []struct {
		what string
		ask  func(context.Context) error
	}{
		{"the code", func(ctx context.Context) error { _, err := second.FindLicense(Sure(ctx), "demo", "SOLD"); return err }},
		{"the machine", func(ctx context.Context) error {
			_, a, err := second.FindSeat(Sure(ctx), "demo", "SOLD", fresh.FPMAC)
			if err == nil && a.ID != fresh.ID {
				err = ErrNotFound
			}
			return err
		}},
		{"the restored license", func(ctx context.Context) error {
			_, _, err := second.FindSeat(ctx, "demo", "REVOKED", fresh.FPMAC)
			return err
		}},
		{"the restored license's seat", func(ctx context.Context) error {
			_, _, err := second.Activate(ctx, machine(revoked, "m1"), revoked)
			return err
		}},
		{"the released seat", func(ctx context.Context) error {
			_, _, err := second.Activate(ctx, machine(full, "m4"), full)
			return err
		}},
		{"the order", func(ctx context.Context) error { _, err := second.Order(ctx, sold.ID); return err }},
		{"the order by its key", func(ctx context.Context) error {
			_, err := second.OrderByKey(ctx, newOrder("T3", "k3").Keys[0])
			return err
		}},
		{"the sale's lines", func(ctx context.Context) error {
			list, err := second.Orders(ctx, OrderFilter{Store: "kagi", Fold: "T3"})
			if err == nil && len(list) == 0 {
				err = ErrNotFound
			}
			return err
		}},
		{"the sale", func(ctx context.Context) error { _, err := second.TransactionOf(ctx, "kagi", "T3"); return err }},
		{"the duplicate", func(ctx context.Context) error { _, err := second.Confirm(ctx, sold); return err }},
	}
	for _, a := range asked {
		if err := a.ask(hasty(t)); err == nil || absent(err) {
			t.Errorf("%s, while the node lags: %v", a.what, err)
		}
	}
	end()
	for _, a := range asked {
		if err := a.ask(ctx); err != nil {
			t.Errorf("%s, afterwards: %v", a.what, err)
		}
	}
}

// A try that may have been applied on another node is looked for there too; a
// first try waits for no node.
func TestGaleraRetryWaitsForOtherNodes(t *testing.T) {
	c, url := storetest.Galera(t)
	db := mustOpen(t, c.URL(url, 0), Options{Create: true})
	inStep := func(ctx context.Context, t *tx) (v int, err error) {
		return v, t.raw.QueryRowContext(ctx, "SELECT @@SESSION.wsrep_sync_wait").Scan(&v)
	}
	var seen []int
	err := db.write(t.Context(), func(ctx context.Context, t *tx) error {
		v, err := inStep(ctx, t)
		if seen = append(seen, v); err == nil && len(seen) == 1 {
			err = errAgain
		}
		return err
	})
	if err != nil || !slices.Equal(seen, []int{0, 1}) {
		t.Errorf("tries have wsrep_sync_wait = %v, %v; want 0 and 1", seen, err)
	}
}

// A server that is no node of a cluster is asked once.
func TestPlainServersDoNotLag(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		if db.Lags() && !*onGalera {
			t.Error("it is taken for a node that lags")
		}
	})
}

// What two nodes want at the same time one gets: a code out of a pool, and the
// seats of a license.
func TestGaleraRaces(t *testing.T) {
	c, url := storetest.Galera(t)
	dbs := []*DB{mustOpen(t, c.URL(url, 0), Options{Create: true}), mustOpen(t, c.URL(url, 1), Options{})}
	ctx := t.Context()
	const codes, calls = 6, 16
	var pool []string
	for i := range codes {
		pool = append(pool, fmt.Sprintf("POOL-%d", i))
	}
	if _, err := dbs[0].LoadPool(ctx, "pool", pool, "test"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	given, empty := map[string]int{}, 0
	parallel(calls, func(i int) {
		n := newOrder(fmt.Sprint("P", i), fmt.Sprint("p", i))
		n.Order.Quantity = 1
		n.Outcome.Codes = []NewLicense{{ID: NewID(), Pool: "pool"}}
		o, _, err := dbs[i%2].AddOrder(ctx, n)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrPoolEmpty):
			empty++
		case err != nil:
			t.Error(err)
		default:
			given[o.Licenses[0].Code]++
		}
	})
	if len(given) != codes || empty != calls-codes {
		t.Errorf("codes %v were given, and %d orders got none", given, empty)
	}

	l := mustAdd(t, dbs[0], newOrder("S", "s", "SEATS")).Licenses[0]
	seats, full := map[string]bool{}, 0
	parallel(calls, func(i int) {
		// Two calls for each machine, one at each node.
		a, _, err := dbs[i%2].Activate(Sure(ctx), machine(l, fmt.Sprint("m", i/2)), l)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrLimit):
			full++
		case err != nil:
			t.Error(err)
		default:
			seats[a.ID] = true
		}
	})
	after, err := dbs[1].FindLicense(Sure(ctx), "demo", "SEATS")
	if err != nil || after.Used != 3 || len(seats) != 3 || full != calls-6 {
		t.Errorf("%d seats were given and %d calls refused; the license counts %d of 3, %v", len(seats), full, after.Used, err)
	}
}

// A node that has not applied yet what another made says nothing of a database
// that is missing, or of a schema that is too old.
func TestGaleraOpenOnNodeThatLags(t *testing.T) {
	c, url := storetest.Galera(t)
	end, err := c.Nodes[1].Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	mustOpen(t, c.URL(url, 0), Options{Create: true})
	if db, err := Open(hasty(t), c.URL(url, 1), Options{}); err == nil {
		db.Close()
		t.Error("the node does not lag")
	} else if errors.Is(err, ErrNoDatabase) || errors.Is(err, ErrSchema) {
		t.Errorf("while the node lags: %v", err)
	}
	end()
	mustOpen(t, c.URL(url, 1), Options{})
	if from, to, err := Migrate(t.Context(), c.URL(url, 1)); err != nil || from != to {
		t.Errorf("migrate: from %d to %d, %v", from, to, err)
	}
}

// A copy of a node's database has what was committed on another.
func TestGaleraCopyOfNodeThatLags(t *testing.T) {
	c, url := storetest.Galera(t)
	first := mustOpen(t, c.URL(url, 0), Options{Create: true})
	mustOpen(t, c.URL(url, 1), Options{})
	end, err := c.Nodes[1].Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	mustAdd(t, first, newOrder("T1", "k1", "SOLD"))
	folder := t.TempDir()
	if _, err := Copy(hasty(t), c.URL(url, 1), "sqlite:"+folder+"/early.db", CopyOptions{}); err == nil {
		t.Error("it was made of what the node has not applied yet")
	}
	end()
	target := "sqlite:" + folder + "/copy.db"
	if _, err := Copy(t.Context(), c.URL(url, 1), target, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := mustOpen(t, target, Options{}).FindLicense(t.Context(), "demo", "SOLD"); err != nil {
		t.Error(err)
	}
}
