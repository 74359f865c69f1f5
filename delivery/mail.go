package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/mail"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/store"
)

const (
	heldBatch = 1000             // notices of held orders that are looked at together
	firstRest = 5 * time.Second  // when the mail server is in trouble; doubled each time …
	maxRest   = 15 * time.Minute // … up to this
)

// mailSchedule: the pauses after each try of a mail that was put off; after
// the last one it is dead.
//
// RFC 5321, 4.5.4.1: at least half an hour between two tries, and 4-5 days
// until it is given up. The first pause is shorter: it is a greylist's.
var mailSchedule = []time.Duration{
	5 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 24 * time.Hour, 24 * time.Hour,
}

// MailConfig is what the mailer needs to know.
type MailConfig struct {
	Server       MailServer
	From, Vendor *mail.Address
	ReplyTo      *mail.Address            // nil: as From
	Tests        map[string]*mail.Address // by channel: where mail about test orders goes; others: Vendor
	Templates    *Templates
	Products     map[string]string          // their names for people, by id
	Offline      string                     // URL of the page for machines that are not online; "": there is none
	Explain      func(reason string) string // why an order is held, and what to do
	ReadMail     func(store.Mail) SaleMail
	// Command words an operation, such as order.approve, as what the vendor types; of
	// is what it is done to, needs what else the vendor must say. nil: its name.
	Command     func(operation string, of []string, needs ...string) string
	ExplainMail func(reason string, refund bool) string // why a mail of a sale or a refund is held, and what to do
	Attach      Attach                                  // nil: nothing is attached
	Digest      func(context.Context) (Digest, error)
}

// command words an operation.
func (c *MailConfig) command(operation string, of []string, needs ...string) string {
	if c.Command == nil {
		return strings.Join(append(append([]string{operation}, of...), needs...), " ")
	}
	return c.Command(operation, of, needs...)
}

// A MailStore is what the mailer needs of the license store.
type MailStore interface {
	DueMails(ctx context.Context, limit int) ([]store.Notice, error)
	DueHeld(ctx context.Context, limit int) ([]store.Notice, error)
	LastDigest(ctx context.Context) (store.Notice, error)
	Order(ctx context.Context, id string) (store.Order, error)
	Messages(ctx context.Context, orderID string) ([]store.Message, error)
	Refused(ctx context.Context, channel, reason string, from, until time.Time, limit int) ([]store.Message, error)
	CountRefused(ctx context.Context, from, until time.Time) ([]store.Count, error)
	HeldMails(ctx context.Context, channel, reason string, from, until time.Time, limit int) ([]store.Mail, error)
	Mail(ctx context.Context, id string) (store.Mail, error)
	NoticesWereSent(ctx context.Context, list []store.Notice) error
	NoticesFailed(ctx context.Context, list []store.Notice, next time.Time, why string) error
	PostponeNotices(ctx context.Context, list []store.Notice, next time.Time) error
}

// A Mailer sends the outbox's mails, one after another.
type Mailer struct {
	store  MailStore
	now    func() time.Time
	config atomic.Pointer[MailConfig]

	mu       sync.Mutex // a round is under way
	used     *MailConfig
	until    time.Time               // when the next one may begin
	troubles int                     // of the server, since it last took a mail
	told     map[heldGroup]time.Time // the hour; another daemon that takes over tells one more at once
}

// NewMailer makes a mailer that knows no server yet.
func NewMailer(s MailStore) *Mailer {
	return &Mailer{store: s, now: time.Now, told: map[heldGroup]time.Time{}}
}

// Configure replaces the config at once; nil: there is no mail server, and
// notices wait. A mail in hand goes on as it began.
func (m *Mailer) Configure(c *MailConfig) { m.config.Store(c) }

// A parcel is what one mail reports: a notice, or several about held orders.
type parcel struct {
	notices []store.Notice
	held    heldGroup // zero: not about held orders
}

// Send sends what is due. When ctx ends, what is in hand is finished and
// nothing more is begun. The mail server's troubles are logged and waited for;
// the error is the store's.
func (m *Mailer) Send(ctx context.Context) error {
	c := m.config.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c != m.used { // what rested the old server is none of the new one's
		m.used, m.until, m.troubles = c, time.Time{}, 0
	}
	if c == nil || m.now().Before(m.until) {
		return nil
	}
	parcels, err := m.parcels(ctx)
	if err == nil && len(parcels) > 0 {
		err = m.round(ctx, c, parcels)
	}
	if t, ok := errors.AsType[trouble](err); ok {
		m.until = m.now().Add(m.pause())
		slog.Error("mail is delayed: the mail server is in trouble", "server", c.Server.String(), "err", t.why, "next", m.until.UTC().Format(time.RFC3339))
		return nil
	}
	if err != nil { // where nothing can be noted the same mails would go out each second
		m.until = m.now().Add(rest)
	}
	return err
}

// pause grows while the server is in trouble.
func (m *Mailer) pause() time.Duration {
	pause := min(firstRest<<min(m.troubles, 16), maxRest)
	m.troubles++
	return pause + rand.N(pause/5)
}

// parcels are the mails to send now.
func (m *Mailer) parcels(ctx context.Context) (list []parcel, err error) {
	due, err := m.store.DueMails(ctx, batch)
	if err != nil {
		return nil, err
	}
	for _, n := range due {
		list = append(list, parcel{notices: []store.Notice{n}})
	}
	held, err := m.heldParcels(ctx)
	return append(list, held...), err
}

// round sends parcels.
func (m *Mailer) round(ctx context.Context, c *MailConfig, parcels []parcel) error {
	line := line{server: c.Server}
	defer line.close()
	working := context.WithoutCancel(ctx)
	for _, p := range parcels {
		if ctx.Err() != nil {
			return nil
		}
		l, err := m.write(working, c, p)
		if f, ok := errors.AsType[failure](err); ok {
			if err := m.failed(working, p, f, ""); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if l == nil { // somebody has decided on what it was about
			if err := m.store.NoticesWereSent(working, p.notices); err != nil {
				return err
			}
			continue
		}
		broken, err := line.send(ctx, *l)
		if _, ok := errors.AsType[trouble](err); ok && ctx.Err() != nil {
			return nil // the daemon ends, and cut it off
		}
		if err := m.noteResult(working, p, *l, err); err != nil {
			return err
		}
		// A connection that breaks may be a mail's fault, so that costs it a try;
		// it may be the server's too, so the others are spared.
		if f, ok := errors.AsType[failure](err); ok && broken {
			return trouble{f.why}
		}
	}
	return nil
}

// noteResult stores what became of a letter. Its error is the server's trouble, or
// the store's.
func (m *Mailer) noteResult(ctx context.Context, p parcel, l letter, err error) error {
	if f, ok := errors.AsType[failure](err); ok {
		return m.failed(ctx, p, f, l.to.Address)
	}
	if err != nil {
		return err
	}
	m.troubles = 0
	if p.held != (heldGroup{}) {
		m.told[p.held] = m.now().Truncate(time.Hour)
	}
	n := p.notices[0]
	slog.Info("mail sent", "kind", n.Kind, "notice", n.ID, "to", mask(l.to.Address), "notices", len(p.notices), "try", n.Tries+1)
	return m.store.NoticesWereSent(ctx, p.notices)
}

// failed notes why a mail was not sent.
func (m *Mailer) failed(ctx context.Context, p parcel, f failure, to string) error {
	n := p.notices[0]
	if f.do != "" {
		f.why += " (" + m.used.command(f.do, nil) + "), then try again (" + m.used.command("outbox.retry", []string{n.ID}) + ")"
	}
	var next time.Time
	if !f.final && n.Tries < len(mailSchedule) {
		pause := mailSchedule[n.Tries]
		next = m.now().Add(pause + rand.N(pause/5))
	}
	slog.Warn("mail not sent", "kind", n.Kind, "notice", n.ID, "to", mask(to), "try", n.Tries+1, "err", f.why, "dead", next.IsZero())
	return m.store.NoticesFailed(ctx, p.notices, next, f.why)
}
