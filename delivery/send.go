package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/keypost/keypost/store"
)

const (
	tryTimeout    = 15 * time.Second // Standard Webhooks, "Request timeouts"
	atOnce        = 4                // calls to one webhook
	batch         = 100              // notices taken at once for one webhook
	rest          = 30 * time.Second // a webhook's, when what became of a notice could not be noted
	unknownTries  = 4                // for a webhook that is not in the config
	maxRetryAfter = 24 * time.Hour
	maxDrained    = 4 << 10 // of an answer's body, so that its connection can be used again
	maxWhy        = 200     // characters of an error that are kept
)

// schedule: the pauses after each failed try; after the last one the notice
// is dead.
//
// Standard Webhooks, "Deliverability and reliability": the example schedule.
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// An Endpoint is one webhook.
type Endpoint struct {
	Name, URL string
	Secrets   []Secret
	// Client makes the calls. It decides what may be dialled, and must follow
	// no redirects.
	Client *http.Client
}

// A Store is what the sender needs of the license store.
type Store interface {
	DueEndpoints(ctx context.Context) ([]string, error)
	DueWebhooks(ctx context.Context, endpoint string, limit int) ([]store.Notice, error)
	Order(ctx context.Context, id string) (store.Order, error)
	License(ctx context.Context, id string) (store.License, error)
	NoticeWasSent(ctx context.Context, n store.Notice) error
	NoticeFailed(ctx context.Context, n store.Notice, next time.Time, why string) error
}

// A Sender sends the outbox's webhooks. Each webhook has its own few calls at
// once, so that a slow one delays no other.
type Sender struct {
	store     Store
	now       func() time.Time
	timeout   time.Duration
	endpoints atomic.Pointer[map[string]Endpoint]

	rounds sync.WaitGroup
	mu     sync.Mutex
	busy   map[string]bool      // a round is under way
	rested map[string]time.Time // when the next round may begin
}

// New makes a sender that knows no webhooks yet.
func New(s Store) *Sender {
	sender := &Sender{store: s, now: time.Now, timeout: tryTimeout, busy: map[string]bool{}, rested: map[string]time.Time{}}
	sender.Configure(nil)
	return sender
}

// Configure replaces the webhooks at once; calls under way go on.
func (s *Sender) Configure(list []Endpoint) {
	endpoints := map[string]Endpoint{}
	for _, e := range list {
		endpoints[e.Name] = e
	}
	s.endpoints.Store(&endpoints)
}

// Send begins to send what is due, for each webhook that is not being sent to
// already, and does not wait for it. When ctx ends, what is in hand is
// finished and nothing more is begun.
func (s *Sender) Send(ctx context.Context) error {
	names, err := s.store.DueEndpoints(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if s.begin(name) {
			s.rounds.Go(func() { s.end(name, s.round(ctx, name)) })
		}
	}
	return nil
}

// Wait returns when everything is finished that Send began.
func (s *Sender) Wait() { s.rounds.Wait() }

func (s *Sender) begin(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[name] || s.now().Before(s.rested[name]) {
		return false
	}
	s.busy[name] = true
	return true
}

// end: where the store takes no word of what was sent, the same notices would
// be due again at once, and a receiver would get them each second.
func (s *Sender) end(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, name)
	delete(s.rested, name)
	if err != nil {
		s.rested[name] = s.now().Add(rest)
		slog.Error("send webhooks", "webhook", name, "err", err)
	}
}

// round sends one batch, a few notices at once. Its error is the store's.
func (s *Sender) round(ctx context.Context, name string) error {
	list, err := s.store.DueWebhooks(ctx, name, batch)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	due := make(chan store.Notice)
	var workers sync.WaitGroup
	for range min(atOnce, len(list)) {
		workers.Go(func() {
			for n := range due {
				if err := s.deliver(context.WithoutCancel(ctx), n); err != nil {
					fail(err)
				}
			}
		})
	}
	for _, n := range list {
		if ctx.Err() != nil {
			break
		}
		select {
		case due <- n:
		case <-ctx.Done():
		}
	}
	close(due)
	workers.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// A failure is why a try did not arrive.
type failure struct {
	why   string
	final bool          // another try is no use
	do    string        // the operation that helps, before the notice is tried again; "": none
	after time.Duration // how long the receiver wants to be left alone
}

func (f failure) Error() string { return f.why }

// deliver makes one try and notes what became of it. Its error is the store's.
func (s *Sender) deliver(ctx context.Context, n store.Notice) error {
	err := s.try(ctx, n)
	f, failed := errors.AsType[failure](err)
	log := slog.With("webhook", n.Endpoint, "event", n.Kind, "notice", n.ID, "try", n.Tries+1)
	switch {
	case err == nil:
		err = s.store.NoticeWasSent(ctx, n)
		log.Info("webhook sent")
	case failed:
		next := s.next(n, f)
		err = s.store.NoticeFailed(ctx, n, next, f.why)
		log.Warn("webhook not sent", "err", f.why, "dead", next.IsZero())
	}
	if errors.Is(err, store.ErrStale) {
		return nil // another daemon has tried it meanwhile
	}
	return err
}

// next is when a notice is tried again; zero: never.
func (s *Sender) next(n store.Notice, f failure) time.Time {
	if f.final || n.Tries >= len(schedule) {
		return time.Time{}
	}
	pause := max(schedule[n.Tries], f.after) // a receiver may ask for more time, not for less
	return s.now().Add(pause + rand.N(pause/5))
}

// try makes one try. Its error is a failure, or the store's.
func (s *Sender) try(ctx context.Context, n store.Notice) error {
	e, ok := (*s.endpoints.Load())[n.Endpoint]
	if !ok {
		// Not at once: a config that is being changed reaches one daemon, or
		// one command, before another.
		return failure{why: "the config has no webhook with this name", final: n.Tries+1 >= unknownTries}
	}
	body, err := s.render(ctx, n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err = e.post(ctx, n.ID, s.now(), body)
	return err
}

// render reads what a notice is about, and writes it down.
func (s *Sender) render(ctx context.Context, n store.Notice) ([]byte, error) {
	var l *store.License
	o, err := s.store.Order(ctx, n.OrderID)
	if err == nil && n.LicenseID != "" {
		l = new(store.License)
		*l, err = s.store.License(ctx, n.LicenseID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, failure{why: "what it tells of is gone", final: true}
	}
	if err != nil {
		return nil, err
	}
	body, err := Document(n, o, l)
	if err != nil {
		return nil, failure{why: "it cannot be written as JSON", final: true}
	}
	return body, nil
}

// Test sends an event that tells nothing, and waits for the answer: its HTTP
// status, 0 where there was none.
func (e Endpoint) Test(ctx context.Context) (status int, err error) {
	now := time.Now()
	body, err := testDocument(now)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return e.post(ctx, store.NewID(), now, body)
}

// post sends a body; any answer but 2xx is a failure.
//
// Standard Webhooks, "Delivery success and failure".
func (e Endpoint) post(ctx context.Context, id string, now time.Time, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return 0, failure{why: plain(err)}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Keypost")
	// Empty, it is not sent. It lets the client send an event again at once when
	// the receiver has closed a connection that was kept from the last one.
	r.Header["Idempotency-Key"] = []string{}
	Sign(r.Header, id, now, body, e.Secrets...)
	resp, err := e.Client.Do(r)
	if err != nil {
		return 0, failure{why: plain(err)}
	}
	defer resp.Body.Close()
	// What it says beside its status is not kept: it may repeat names and codes.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	why := fmt.Sprintf("HTTP %d", resp.StatusCode)
	switch status = resp.StatusCode; {
	case status >= 200 && status < 300:
		return status, nil
	case status >= 300 && status < 400:
		return status, failure{why: why + ": redirects are not followed; set the final URL in the config"}
	case status == http.StatusGone:
		return status, failure{why: why + ": the receiver does not want more events", final: true}
	}
	return status, failure{why: why, after: retryAfter(resp.Header, now)}
}

// plain is a network error without its URL, whose query may be a secret, and
// without anything that could act on a terminal or be too long to keep.
func plain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, err.Error()))
	return string(text[:min(len(text), maxWhy)])
}
