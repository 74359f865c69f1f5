package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// watchTerm is how long a dead daemon's channel is watched by nobody.
const watchTerm = 10 * time.Second

// watchChannels watches the config's mailboxes, and whatever else orders are
// fetched from, until ctx ends, and begins anew with each new config.
func (d *Daemon) watchChannels(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-d.changed: // by the config that is read now
		default:
		}
		c := d.Config()
		current, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.watchAll(current, c)
		}()
		select {
		case <-ctx.Done():
		case <-d.changed:
		}
		cancel()
		<-ended
	}
}

func (d *Daemon) watchAll(ctx context.Context, c *config.Config) {
	var all sync.WaitGroup
	for _, ch := range c.Channels {
		if w, ok := ch.Settings.(channel.Watcher); ok {
			all.Go(func() { d.watch(ctx, ch.Name, w) })
		}
	}
	all.Wait()
}

// watch watches a channel while this daemon holds the claim on it: of several
// daemons one does, and another takes over from a dead one.
func (d *Daemon) watch(ctx context.Context, name string, w channel.Watcher) {
	claim := d.db.NewClaim("mailbox "+name, watchTerm)
	defer release(ctx, claim)
	stop := func() {}
	watching := false
	each(ctx, watchTerm/5, func() {
		held, err := claim.Hold(ctx)
		logFault("claim a mailbox", err, "channel", name)
		switch {
		case held && !watching:
			stop = d.beginWatch(ctx, name, w)
		case !held && watching:
			stop()
		}
		watching = held
	})
	if watching {
		stop() // before another daemon may begin
	}
}

// beginWatch begins to watch, until stop is called.
func (d *Daemon) beginWatch(ctx context.Context, name string, w channel.Watcher) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer d.outages.note(name, nil, time.Now())
		err := w.Watch(ctx, channel.Host{
			DB: d.db, Desk: d.desk, Taken: func() { signal(d.mailed) }, Bounced: d.bounced,
			State: func(err error) { d.outages.note(name, err, time.Now()) },
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			slog.Error("watch a mailbox", "channel", name, "err", err)
		}
	}()
	return func() { cancel(); <-ended }
}

// bounced takes in a report that a mail of ours did not arrive.
func (d *Daemon) bounced(ctx context.Context, raw []byte) (known bool, err error) {
	id, why, ok := delivery.ReadBounce(raw)
	if !ok {
		return false, nil
	}
	err = d.db.NoticeBounced(ctx, id, why)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
