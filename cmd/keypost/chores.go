package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A chore is what a daemon does by itself, now and then.
type chore struct {
	name  string
	every time.Duration
	alone bool // by one of all daemons on the database: whoever holds the claim
	do    func(context.Context) error
}

const (
	choresClaim = "chores"
	claimTerm   = 20 * time.Second // how long a dead daemon's chores lie about
)

func (d *daemon) choreList() []chore {
	return []chore{
		{"finish what dead processes left", 10 * time.Second, false, d.desk.Sweep},
		{"seal the audit log", time.Second, true, d.seal},
		{"empty old messages", time.Hour, true, d.emptyMessages},
		{"send webhooks", time.Second, true, d.hooks.Send},
	}
}

// chores does them all until ctx ends.
func (d *daemon) chores(ctx context.Context) {
	claim := d.db.NewClaim(choresClaim, claimTerm)
	var mine atomic.Bool
	var all sync.WaitGroup
	for _, c := range d.choreList() {
		all.Go(func() {
			each(ctx, c.every, func() {
				if c.alone && !mine.Load() {
					return
				}
				if err := c.do(ctx); err != nil && !errors.Is(err, context.Canceled) {
					slog.Error(c.name, "err", err)
				}
			})
		})
	}
	each(ctx, claimTerm/5, func() {
		held, err := claim.Hold(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			slog.Error("claim the chores", "err", err)
		}
		mine.Store(held)
	})
	all.Wait()
	d.hooks.Wait() // before another daemon may send the same
	if err := claim.Release(context.WithoutCancel(ctx)); err != nil {
		slog.Warn("the chores are not given up: another daemon takes them over in a while", "err", err)
	}
}

// each calls do at once and then at each tick, until ctx ends.
func each(ctx context.Context, every time.Duration, do func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// seal signs what was noted in the audit log; its head goes to the log, where
// nobody who can write to the database alone can change it.
func (d *daemon) seal(ctx context.Context) error {
	head, err := d.db.SealAudit(ctx, d.auditKey)
	if head != "" {
		slog.Info("audit log sealed", "head", head)
	}
	return err
}

// emptyMessages ends the keeping of what came in as it came, and of notices
// that arrived. A later call goes on where this one ended.
func (d *daemon) emptyMessages(ctx context.Context) (err error) {
	before := time.Now().Add(-time.Duration(*d.config.Load().Database.KeepRaw))
	if d.emptied, err = d.db.EmptyMessages(ctx, d.emptied, before); err != nil {
		return err
	}
	return d.db.DeleteSentNotices(ctx, before)
}
