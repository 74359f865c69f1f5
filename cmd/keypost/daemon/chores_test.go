package daemon

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What is wanted soon does not wait for the next tick.
func TestEachOr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin, wanted := time.Now(), make(chan struct{}, 1)
		type call struct {
			soon bool
			at   time.Duration
		}
		var calls []call
		time.AfterFunc(1500*time.Millisecond, func() { signal(wanted) })
		time.AfterFunc(2500*time.Millisecond, cancel)
		eachOr(ctx, time.Second, wanted, func(soon bool) { calls = append(calls, call{soon, time.Since(begin)}) })
		want := []call{{false, 0}, {false, time.Second}, {true, 1500 * time.Millisecond}, {false, 2 * time.Second}}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %v, want %v", calls, want)
		}
	})
}
