package mailbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	firstRest   = time.Second      // after a broken connection; twice as long each time
	lastRest    = 2 * time.Minute  //
	firstRefuse = time.Minute      // after a refused log-in: servers lock out who comes too often
	lastRefuse  = 15 * time.Minute //
	steady      = time.Minute      // a connection that held so long was a good one
)

// Run watches until ctx ends, and returns its error. It connects again when
// the connection breaks, with growing pauses. What changes is logged once.
func (w *Watcher) Run(ctx context.Context) error {
	rest, refused := firstRest, firstRefuse
	for {
		start := time.Now()
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(start) > steady {
			rest, refused = firstRest, firstRefuse
		}
		pause := jitter(rest)
		if _, no := errors.AsType[*refusedError](err); no {
			pause, refused = jitter(refused), min(refused*2, lastRefuse)
		} else {
			rest = min(rest*2, lastRest)
		}
		w.state(err)
		w.note(err.Error(), func() {
			w.config.Log.Warn("the mailbox is not watched", "err", err, "next_try_in", pause.Round(time.Second))
		})
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (w *Watcher) state(err error) {
	if w.config.State != nil {
		w.config.State(err)
	}
}

// note logs a state when it is not the one before.
func (w *Watcher) note(state string, log func()) {
	if state != w.noted {
		w.noted = state
		log()
	}
}

// jitter spreads those that were all cut off at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// watch walks, waits for news, and walks again, on one connection.
func (w *Watcher) watch(ctx context.Context) error {
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	how := "poll"
	if s.caps.Has(imap.CapIdle) {
		how = "idle"
	}
	idleness := time.Duration(0)
	for {
		handed, err := w.walk(ctx, s)
		if err != nil {
			return err
		}
		w.state(nil)
		w.note("watched", func() {
			w.config.Log.Info("the mailbox is watched", "folder", w.config.Folder, "by", how, "poll", w.config.Poll)
		})
		// A server that tells of news all the time, and has none, is asked less often.
		if handed > 0 {
			idleness = 0
		}
		if !sleep(ctx, idleness) {
			return ctx.Err()
		}
		idleness = min(max(2*idleness, 10*time.Millisecond), w.config.Poll)
		told, err := w.wait(ctx, s)
		if err != nil {
			return err
		}
		if !told {
			idleness = 0
		}
		if err := s.noop(ctx); err != nil {
			return err
		}
	}
}

// wait returns when the server tells of messages, or when it is time to look:
// what arrives as IDLE begins may never be announced.
func (w *Watcher) wait(ctx context.Context, s *session) (told bool, err error) {
	timer := time.NewTimer(min(w.config.Poll, w.untilDue()))
	defer timer.Stop()
	if !s.caps.Has(imap.CapIdle) {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-s.client.Closed():
		case <-timer.C:
		}
		return false, nil
	}
	l := limit{time: w.config.Poll + 2*silence, quiet: w.config.Poll + silence, bytes: 1 << 20, literal: 64 << 10}
	err = s.do(ctx, "wait for mail", l, func(c *imapclient.Client) error {
		idle, err := c.Idle()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Closed():
		case <-s.news:
			told = true
		case <-timer.C:
		}
		if err := idle.Close(); err != nil {
			return err
		}
		return idle.Wait()
	})
	return told, err
}

// untilDue is how long until a message that was set aside comes again.
func (w *Watcher) untilDue() time.Duration {
	wait := MaxPoll
	for _, a := range w.aside {
		wait = min(wait, max(time.Until(a.due), time.Second))
	}
	return wait
}
