package ingest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// own is a generator that knows its own codes.
type own struct{ fake }

func (own) Verify(product, code string) (keygen.Claims, bool) {
	return keygen.Claims{}, strings.HasPrefix(code, product+"-")
}

// A code that proves itself becomes a license at its first use, once.
func TestAdopt(t *testing.T) {
	d := newDesk(t, with(Codes{Compute: own{}}))
	for _, code := range []string{"other-1", ""} {
		if _, err := d.Adopt(t.Context(), "demo", code); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", code, err)
		}
	}
	if _, err := d.Adopt(t.Context(), "nothing", "demo-1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another product: %v", err)
	}
	var mu sync.Mutex
	ids := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			l, err := d.Adopt(context.Background(), "demo", "demo-1")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[l.ID] = true
		})
	}
	all.Wait()
	orders, err := d.db.Orders(t.Context(), store.OrderFilter{Store: Adopted})
	if err != nil || len(ids) != 1 || len(orders) != 1 || orders[0].Licenses[0].Code != "demo-1" || orders[0].Licenses[0].Limit != 3 {
		t.Errorf("licenses %v, orders %+v, %v", ids, orders, err)
	}
	// One that was sold is not adopted.
	d.Configure(config())
	if _, err := d.Adopt(t.Context(), "demo", "demo-2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a generator that cannot tell: %v", err)
	}
}
