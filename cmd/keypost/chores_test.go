package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keypost/keypost/ingest/mailbox"
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
		time.AfterFunc(1500*time.Millisecond, func() { tell(wanted) })
		time.AfterFunc(2500*time.Millisecond, cancel)
		eachOr(ctx, time.Second, wanted, func(soon bool) { calls = append(calls, call{soon, time.Since(begin)}) })
		want := []call{{false, 0}, {false, time.Second}, {true, 1500 * time.Millisecond}, {false, 2 * time.Second}}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %v, want %v", calls, want)
		}
	})
}

// judging is a handler with one answer.
type judging struct {
	verdicts []mailbox.Verdict
	err      error
}

func (j judging) Handle(context.Context, []mailbox.Message) ([]mailbox.Verdict, error) {
	return j.verdicts, j.err
}

// A mail that was taken in has the outbox looked at; others do not.
func TestPrompt(t *testing.T) {
	for _, c := range []struct {
		judging
		want int
	}{
		{judging{[]mailbox.Verdict{{Filing: mailbox.Held}, {Filing: mailbox.Processed}}, nil}, 1},
		{judging{[]mailbox.Verdict{{Filing: mailbox.Held}, {Filing: mailbox.Leave}}, nil}, 0},
		{judging{nil, errors.New("not durable")}, 0},
	} {
		taken := make(chan struct{}, 1)
		p := prompt{c.judging, taken}
		for range 2 {
			if verdicts, err := p.Handle(t.Context(), nil); !slices.Equal(verdicts, c.verdicts) || !errors.Is(err, c.err) {
				t.Errorf("%+v: it answers %v, %v", c.judging, verdicts, err)
			}
		}
		if len(taken) != c.want {
			t.Errorf("%+v: told %d times, want %d", c.judging, len(taken), c.want)
		}
	}
}
