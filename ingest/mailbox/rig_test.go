package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

// kept is a Places in memory.
type kept struct {
	mu    sync.Mutex
	place mailbox.Place
	sets  int
}

func (k *kept) Place(context.Context) (mailbox.Place, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.place, nil
}

func (k *kept) SetPlace(_ context.Context, p mailbox.Place) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.place = p
	k.sets++
	return nil
}

// errLater postpones one message; any other error is the Handler's own.
var errLater = errors.New("later")

// A desk is a Handler that notes what it got. It knows messages by their text,
// as a Handler must.
type desk struct {
	judge func(m mailbox.Message) (mailbox.Filing, error) // nil: Processed

	mu    sync.Mutex
	got   []mailbox.Message
	times map[string]int
	came  chan string // when not nil
}

func (d *desk) Handle(_ context.Context, list []mailbox.Message) (verdicts []mailbox.Verdict, err error) {
	for _, m := range list {
		filing, err := d.one(m)
		if err != nil && !errors.Is(err, errLater) {
			return nil, err
		}
		verdicts = append(verdicts, mailbox.Verdict{Filing: filing, Later: err != nil})
	}
	return verdicts, nil
}

func (d *desk) one(m mailbox.Message) (mailbox.Filing, error) {
	filing, err := mailbox.Processed, error(nil)
	if d.judge != nil {
		filing, err = d.judge(m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, m)
	if d.times == nil {
		d.times = map[string]int{}
	}
	d.times[string(m.Raw)]++
	if d.came != nil {
		d.came <- string(m.Raw)
	}
	return filing, err
}

func (d *desk) messages() []mailbox.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got
}

func (d *desk) uids() []uint32 {
	var list []uint32
	for _, m := range d.messages() {
		list = append(list, m.UID)
	}
	return list
}

func fixed(s string) func() (string, error) { return func() (string, error) { return s, nil } }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// account is a new account on the shared Dovecot, and the config for it.
func account(t testing.TB) (*mailboxtest.Account, mailbox.Config) {
	t.Helper()
	return accountOn(t, mailboxtest.Dovecot(t))
}

func accountOn(t testing.TB, s *mailboxtest.Server) (*mailboxtest.Account, mailbox.Config) {
	t.Helper()
	a, err := s.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	return a, mailbox.Config{
		Address: s.TLSAddr, RootCAs: s.Roots, User: a.User, Password: fixed(a.Password),
		Processed: "Keypost/Processed", Held: "Keypost/Held", Failed: "$KeypostFailed", Log: quiet,
	}
}

func watcher(t testing.TB, c mailbox.Config, h mailbox.Handler, p mailbox.Places) *mailbox.Watcher {
	t.Helper()
	w, err := mailbox.New(c, h, p)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func pass(t testing.TB, w *mailbox.Watcher) {
	t.Helper()
	if err := w.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var arrival = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func mail(subject string) string {
	return fmt.Sprintf("From: Shop <shop@example.com>\r\nTo: ada@example.com\r\nSubject: %s\r\n\r\nAn order.\r\n", subject)
}

func deliver(t testing.TB, a *mailboxtest.Account, raws ...string) {
	t.Helper()
	for _, raw := range raws {
		if err := a.Deliver([]byte(raw), arrival); err != nil {
			t.Fatal(err)
		}
	}
}

func stored(t testing.TB, a *mailboxtest.Account, folder string) []mailboxtest.Stored {
	t.Helper()
	list, err := a.Stored(folder)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
