package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/keypost/keypost/cmd/keypost/config"
)

// outageTold is after how long the vendor is told that a mailbox is not watched:
// servers are away for a while now and then.
const outageTold = time.Hour

// outages are the mailboxes of this daemon that are not watched just now.
type outages struct {
	mu   sync.Mutex
	list map[string]outage // by channel
}

type outage struct {
	since time.Time
	why   string // by the last try
}

// note notes how a mailbox is: watched, or nobody's to watch any more (nil), or
// why it is not.
func (o *outages) note(channel string, err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.list, channel)
		return
	}
	if o.list == nil {
		o.list = map[string]outage{}
	}
	out, ok := o.list[channel]
	if !ok {
		out.since = now.UTC()
	}
	out.why = err.Error()
	o.list[channel] = out
}

// of is a channel's outage, if it is to be told of by now.
func (o *outages) of(channel string, now time.Time) (out outage, told bool) {
	if o == nil {
		return out, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	out, told = o.list[channel]
	return out, told && now.Sub(out.since) >= outageTold
}

// sentences are what the digest tells of the config's mailboxes.
func (o *outages) sentences(c *config.Config, now time.Time) (list []string) {
	for _, ch := range c.Channels {
		if out, told := o.of(ch.Name, now); told {
			list = append(list, fmt.Sprintf("%s, since %s: %s", ch.Name, out.since.Format("2006-01-02 15:04 UTC"), out.why))
		}
	}
	return list
}

func (d *Daemon) tellOutages(ctx context.Context) error {
	return d.tellOutagesAt(ctx, time.Now())
}

// tellOutagesAt has the vendor told of mailboxes that are not watched, of each
// outage once.
func (d *Daemon) tellOutagesAt(ctx context.Context, now time.Time) error {
	c := d.Config()
	if c.Mail == nil { // a notice that waits for long is no news when it goes out
		return nil
	}
	var errs []error
	for _, ch := range c.Channels {
		if out, told := d.outages.of(ch.Name, now); told {
			_, err := d.db.AddOutage(ctx, ch.Name, out.since, out.why)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
