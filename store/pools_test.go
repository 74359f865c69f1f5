package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fromPool is an order of n codes out of a pool.
func fromPool(txn, key, pool string, n int) NewOrder {
	o := newOrder(txn, key)
	o.Order.Quantity = n
	for range n {
		o.Outcome.Codes = append(o.Outcome.Codes, NewLicense{ID: NewID(), Pool: pool})
	}
	return o
}

func mustLoad(t *testing.T, db *DB, pool string, codes ...string) int {
	t.Helper()
	added, err := db.LoadPool(t.Context(), pool, codes, "test")
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestPool(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		if _, _, err := db.AddOrder(ctx, fromPool("T0", "k0", "p", 1)); !errors.Is(err, ErrPoolEmpty) {
			t.Errorf("an empty pool: %v", err)
		}
		if n := mustLoad(t, db, "p", "C-1", "C-2", "c 1", "C-3", "C-4"); n != 4 {
			t.Errorf("%d codes were added", n)
		}
		if n := mustLoad(t, other, "p", "C-4", "C-5"); n != 1 { // again, and more
			t.Errorf("%d codes were added", n)
		}
		// One that exists is passed over; others go out in order.
		mustAdd(t, db, newOrder("TAKEN", "taken", "c1"))
		o := mustAdd(t, db, fromPool("T1", "k1", "p", 2))
		if diff := cmp.Diff([]string{"C-2", "C-3"}, codesOf(o)); diff != "" {
			t.Error(diff)
		}
		// An order that cannot have all has none.
		if _, _, err := db.AddOrder(ctx, fromPool("T2", "k2", "p", 3)); !errors.Is(err, ErrPoolEmpty) {
			t.Errorf("more than are left: %v", err)
		}
		// A repeat takes nothing; a replacement takes the next.
		failOnce(db)
		again, _, err := db.AddOrder(ctx, fromPool("T1", "k1", "p", 2))
		if err != nil || !slices.Equal(codesOf(again), codesOf(o)) {
			t.Errorf("a repeat: %v, %v", codesOf(again), err)
		}
		l, err := db.ReplaceLicense(ctx, o.Licenses[0].ID, NewLicense{ID: NewID(), Pool: "p"}, "test")
		if err != nil || l.Code != "C-4" {
			t.Errorf("replaced by %q, %v", l.Code, err)
		}
		levels, err := db.Pools(ctx)
		if diff := cmp.Diff([]PoolLevel{{"p", 5, 2}}, levels); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		// Pools rest after a restore.
		if err := db.mark(ctx, PausePools, "restored"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.AddOrder(ctx, fromPool("T3", "k3", "p", 1)); !errors.Is(err, ErrPoolEmpty) {
			t.Errorf("a resting pool: %v", err)
		}
		if err := db.EndPauses(ctx, "test"); err != nil {
			t.Fatal(err)
		}
		if o := mustAdd(t, db, fromPool("T3", "k3", "p", 1)); o.Licenses[0].Code != "C-5" {
			t.Errorf("after it: %v", codesOf(o))
		}
		sound(t, db)
	})
}

// Sixteen orders at once, over two daemons, take sixteen codes.
func TestPoolRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		var codes []string
		for i := range 40 {
			codes = append(codes, fmt.Sprintf("CODE-%02d", i))
		}
		mustLoad(t, db, "p", codes...)
		var mu sync.Mutex
		taken := map[string]int{}
		parallel(16, func(i int) {
			o, _, err := []*DB{db, other}[i%2].AddOrder(context.Background(), fromPool(fmt.Sprint("T", i), fmt.Sprint("k", i), "p", 2))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, c := range codesOf(o) {
				taken[c]++
			}
		})
		if len(taken) != 32 {
			t.Errorf("16 orders of two have %d codes: %v", len(taken), taken)
		}
		if levels, err := db.Pools(t.Context()); err != nil || levels[0].Free != 8 {
			t.Errorf("levels = %+v, %v", levels, err)
		}
		sound(t, db)
	})
}

func TestLoadPoolRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		var codes []string
		for i := range 1200 {
			codes = append(codes, fmt.Sprint("C", i))
		}
		parallel(4, func(i int) {
			if _, err := []*DB{db, other}[i%2].LoadPool(context.Background(), "p", codes, "test"); err != nil {
				t.Error(err)
			}
		})
		if levels, err := db.Pools(t.Context()); err != nil || levels[0].Codes != 1200 {
			t.Errorf("levels = %+v, %v", levels, err)
		}
	})
}
