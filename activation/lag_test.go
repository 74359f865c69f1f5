package activation

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/keypost/keypost/store"
)

// A lagging store finds a code when it is asked for the second time.
type lagging struct {
	*store.DB
	looks atomic.Int64
}

func (s *lagging) Lags() bool { return true }

func (s *lagging) FindLicense(ctx context.Context, product, code string) (store.License, error) {
	if s.looks.Add(1)%2 == 1 {
		return store.License{}, store.ErrNotFound
	}
	return s.DB.FindLicense(ctx, product, code)
}

func (s *lagging) FindSeat(ctx context.Context, product, code string, fpmac []byte) (store.License, store.Activation, error) {
	if s.looks.Add(1)%2 == 1 {
		return store.License{}, store.Activation{}, store.ErrNotFound
	}
	return s.DB.FindSeat(ctx, product, code, fpmac)
}

// A code that a node of a cluster has not heard of is looked for again before it
// is said to be unknown.
func TestCodeOnANodeThatLags(t *testing.T) {
	r := newRig(t)
	r.store = &lagging{DB: r.db}
	l := r.issue()
	for _, h := range []http.Handler{r.Activate(), r.Validate(), r.Deactivate()} {
		r.want(h, form(l.Code, fingerprint), 200, "")
	}
	r.want(r.Activate(), form("GUESS", fingerprint), 404, "code_unknown")
	last := "B"
	if l.Code[28] == 'B' {
		last = "C"
	}
	r.want(r.Activate(), form(l.Code[:28]+last, fingerprint), 400, "code_malformed")
}

// Strangers have the database look twice no more often than their budget lets
// them have it look at all, however many come at once.
func TestStrangersOnANodeThatLags(t *testing.T) {
	r := newRig(t)
	s := &lagging{DB: r.db}
	r.store, r.misses = s, newMisses(2)
	arrived := make(chan bool)
	release := make(chan bool)
	const calls = 10
	look := func(context.Context, Product, request) (store.License, error) {
		if s.looks.Add(1) <= calls { // the first look of each
			arrived <- true
			<-release
		}
		return store.License{}, store.ErrNotFound
	}
	h := call(func(q *http.Request) (any, error) {
		_, _, _, err := r.find(q, look)
		return nil, err
	})
	status := make(chan int, calls)
	for i := range calls {
		go func() {
			got, _, _ := post(h, form(fmt.Sprint("GUESS-", i), fingerprint), here)
			status <- got
		}()
	}
	for range calls {
		<-arrived
	}
	close(release)
	got := map[int]int{}
	for range calls {
		got[<-status]++
	}
	if got[404] != 2 || got[429] != calls-2 || s.looks.Load() != calls+2 {
		t.Errorf("answers %v, looks %d; want 2 of 404, the others 429, and %d looks", got, s.looks.Load(), calls+2)
	}
}
