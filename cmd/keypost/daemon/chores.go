package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// A chore is what a daemon does by itself, now and then.
type chore struct {
	name  string
	every time.Duration
	alone bool // by one of all daemons on the database: whoever holds the claim
	do    func(context.Context) error
	soon  <-chan struct{} // it is due at once; nil: never before its time
}

const (
	claimTerm = 5 * claimBeat   // how long a dead daemon's chores lie about
	claimBeat = admin.ClaimBeat // how often a claim is raised
)

func (d *Daemon) choreList() []chore {
	return []chore{
		{name: "finish what dead processes left", every: 10 * time.Second, do: d.sweep},
		{name: "seal the audit log", every: time.Second, alone: true, do: d.seal},
		{name: "empty old messages", every: time.Hour, alone: true, do: d.emptyMessages},
		{name: "watch the pools", every: time.Minute, alone: true, do: d.watchPools},
		{name: "send webhooks", every: time.Second, alone: true, do: d.hooks.Send},
		{name: "send mail", every: time.Second, alone: true, do: d.mailer.Send, soon: d.mailed},
		{name: "tell of mailboxes that are not watched", every: time.Minute, do: d.tellOutages},
		{name: "write the daily digest", every: time.Minute, alone: true, do: d.writeDigest},
	}
}

// chores does them all until ctx ends.
func (d *Daemon) chores(ctx context.Context) {
	claim := d.db.NewClaim("chores", claimTerm)
	var mine atomic.Bool
	hold := func() {
		held, err := claim.Hold(ctx)
		logFault("claim the chores", err)
		mine.Store(held)
	}
	hold()
	var all sync.WaitGroup
	for _, c := range d.choreList() {
		all.Go(func() {
			var last time.Time
			eachOr(ctx, min(c.every, claimBeat), c.soon, func(soon bool) {
				if c.alone && !mine.Load() || !soon && time.Since(last) < c.every-claimBeat/10 {
					return
				}
				// What is sent and cannot be noted would be sent again and again.
				if d.db.Writes() != nil {
					return
				}
				last = time.Now()
				logFault(c.name, c.do(ctx))
			})
		})
	}
	each(ctx, claimBeat, hold)
	all.Wait()
	d.sweeps.Wait()
	d.hooks.Wait() // before another daemon may send the same
	release(ctx, claim)
}

// sweep does not wait: a generator may take its time.
func (d *Daemon) sweep(ctx context.Context) error {
	d.sweeps.Go(func() {
		logFault("finish what dead processes left", d.desk.Sweep(ctx))
	})
	return nil
}

// live shows that the daemon lives, until stop is called: whoever moves the
// database then knows that nothing more comes in. What it writes for that is also
// how the daemon notices that the database takes no writes, or takes them again.
func (d *Daemon) live(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	claim, err := d.db.NewDaemonClaim(ctx, claimTerm)
	if err == nil {
		_, err = claim.Hold(ctx)
	}
	if err != nil && !errors.Is(err, store.ErrNoWrites) { // validations need none
		cancel()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		each(ctx, claimBeat, func() {
			if d.db.Writes() != nil {
				if d.db.TryWrite(ctx) != nil {
					return
				}
				logFault("load the pools", d.current.Load().admin.LoadPools(ctx)) // the start may have failed to
			}
			_, err := claim.Hold(ctx)
			logFault("show that the daemon lives", err)
		})
		release(ctx, claim)
	}()
	return func() { cancel(); <-ended }, nil
}

// release gives a claim up; one that cannot be is taken for dead in a while.
func release(ctx context.Context, claim *store.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimBeat)
	defer cancel()
	if err := claim.Release(ctx); err != nil && !errors.Is(err, store.ErrNoWrites) {
		slog.Warn("a claim is not given up: another daemon waits for its term", "err", err)
	}
}

// each calls do at once and then at each tick, until ctx ends.
func each(ctx context.Context, every time.Duration, do func()) {
	eachOr(ctx, every, nil, func(bool) { do() })
}

// eachOr calls do between the ticks, too, when it is wanted soon.
func eachOr(ctx context.Context, every time.Duration, wanted <-chan struct{}, do func(soon bool)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	soon := false
	for ctx.Err() == nil {
		do(soon)
		select {
		case <-ctx.Done():
		case <-tick.C:
			soon = false
		case <-wanted:
			soon = true
		}
	}
}

func (d *Daemon) writeDigest(ctx context.Context) error {
	return d.current.Load().admin.WriteDigest(ctx)
}

// watchPools warns of pools that run low, once each time they do.
func (d *Daemon) watchPools(ctx context.Context) error {
	pools, err := d.current.Load().admin.Pools(ctx)
	if err != nil {
		return err
	}
	for _, p := range pools {
		if p.Low && !d.low[p.Pool] {
			slog.Warn("a pool runs low: load more with keypost pool load", "pool", p.Pool, "left", p.Free)
		}
		d.low[p.Pool] = p.Low
	}
	return nil
}

// seal signs what was noted in the audit log; its head goes to the log, where
// nobody who can write to the database alone can change it.
func (d *Daemon) seal(ctx context.Context) error {
	head, err := d.db.SealAudit(ctx, d.auditKey)
	if head != "" {
		slog.Info("audit log sealed", "head", head)
	}
	return err
}

// emptyMessages ends the keeping of what came in as it came, and of notices
// that arrived. A later call goes on where this one ended.
func (d *Daemon) emptyMessages(ctx context.Context) (err error) {
	before := time.Now().Add(-d.Config().Database.KeepRaw.Duration)
	if d.emptied, err = d.db.EmptyMessages(ctx, d.emptied, before); err != nil {
		return err
	}
	if d.blanked, err = d.db.ForgetMails(ctx, d.blanked, before); err != nil {
		return err
	}
	if err := d.db.DeleteMailNumbers(ctx, time.Now().Add(-ingest.GapsSince)); err != nil {
		return err
	}
	return d.db.DeleteSentNotices(ctx, before)
}
