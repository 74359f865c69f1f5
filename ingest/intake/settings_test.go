package intake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/ingest/tfyp"
)

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
		taken := 0
		p := prompt{c.judging, func() { taken++ }}
		for range 2 {
			if verdicts, err := p.Handle(t.Context(), nil); !slices.Equal(verdicts, c.verdicts) || !errors.Is(err, c.err) {
				t.Errorf("%+v: it answers %v, %v", c.judging, verdicts, err)
			}
		}
		if taken != 2*c.want {
			t.Errorf("%+v: told %d times, want %d", c.judging, taken, 2*c.want)
		}
	}
}

// Secrets in files are read at each log-in.
func TestSettingsToken(t *testing.T) {
	folder := t.TempDir()
	place := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "token"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	place("t0ken\n")
	ch := &Settings{Address: "127.0.0.1:993", User: "shop", TokenFile: "token", Merchant: "Merchant 4711", Trust: []Trust{{DKIM: "store.example"}}}
	err := ch.Complete(&channel.Setup{
		Common: &channel.Common{Name: "mail", Store: "shop"},
		Path:   func(p string) string { return filepath.Join(folder, p) },
		Errorf: func(key, format string, args ...any) error { return fmt.Errorf(key+": "+format, args...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	m := ch.mailbox
	if m.Password != nil || m.Token == nil {
		t.Fatal("token_file is a password")
	}
	if token, err := m.Token(); err != nil || token != "t0ken" {
		t.Errorf("token %q, %v", token, err)
	}
	if m.MaxSize != tfyp.MaxMail || m.AtOnce != mailsAtOnce || m.User != "shop" || m.Address != "127.0.0.1:993" {
		t.Errorf("mailbox %+v", m)
	}
	place("n3w\n")
	if token, _ := m.Token(); token != "n3w" {
		t.Errorf("a new token is not read: %q", token)
	}
}

// A name server that does not answer is found out before mails wait for it.
func TestProbeKeys(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	ch := &Settings{common: &channel.Common{Name: "mail"}}
	ch.Trust = []Trust{{DKIM: "store.example"}, {DKIM: "shop.example", AuthservID: "mx"}}
	ch.DNS = shop.DNS // knows of no such name, and says so
	if f := ch.probeKeys(t.Context()); f.Result != "ok" || f.Detail != "it answers for store.example (asked the name server that dns names ("+shop.DNS+"))" {
		t.Errorf("%+v", f)
	}
	ch.DNS = closed.LocalAddr().String()
	if f := ch.probeKeys(t.Context()); f.Result != "failed" || f.Subject != "dns of mail" || !strings.Contains(f.Detail, "Fix the name server that dns names ("+ch.DNS+")") {
		t.Errorf("%+v", f)
	}
	ch.Trust = ch.Trust[1:] // nothing is looked up
	if f := ch.probeKeys(t.Context()); f.Detail != "" {
		t.Errorf("%+v", f)
	}
}

// A port that speaks otherwise than tls says is found out soon, and the line
// says what it may want.
func TestProbeMailboxTLS(t *testing.T) {
	for _, row := range []struct{ tls, greeting, want string }{
		{"starttls", "", `: 127.0.0.1:993 did not answer within 10s: this port may need tls = "tls"`},
		{"none", "", `: this port may need tls = "tls"`},
		{"tls", "", ": 127.0.0.1:993 did not answer within 10s"},
		{"tls", "* OK ready\r\n", `: this port may need tls = "starttls"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			ch := &Settings{common: &channel.Common{Name: "mail"}}
			ch.TLS = row.tls
			ch.Address = "127.0.0.1:993"
			ours, theirs := net.Pipe()
			defer theirs.Close()
			go func() {
				if row.greeting != "" {
					go fmt.Fprint(theirs, row.greeting)
				}
				for _, err := theirs.Read(make([]byte, 1<<10)); err == nil; _, err = theirs.Read(make([]byte, 1<<10)) {
				}
			}()
			ch.mailbox = mailbox.Config{
				Address: ch.Address, User: "ada", TLS: row.tls, Password: func() (string, error) { return "x", nil },
				Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
			}
			begun := time.Now()
			f := ch.probeMailbox(t.Context())
			if took := time.Since(begun); f.Result != "failed" || !strings.HasSuffix(f.Detail, row.want) || took > probeTime {
				t.Errorf("%+v after %s: %+v; want %s", row, took, f, row.want)
			}
		})
	}
}

// When a name server does not answer, check names the one that was asked, and no
// other: the system's own has no part in it where dns names one.
func TestCheckNamesTheServerThatWasAsked(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := silent.LocalAddr().String()
	silent.Close() // nobody listens there
	ch := &Settings{common: &channel.Common{Name: "mail"}, DNS: asked, Trust: []Trust{{DKIM: "store.example"}}}
	f := ch.probeKeys(t.Context())
	if f.Result != "failed" || strings.Count(f.Detail, asked) < 2 {
		t.Errorf("%+v", f)
	}
	for _, address := range regexp.MustCompile(`[0-9]+(\.[0-9]+){3}:[0-9]+`).FindAllString(strings.ReplaceAll(f.Detail, asked, ""), -1) {
		if !strings.Contains(f.Detail, "udp "+address+"->") { // our own end
			t.Errorf("it names %s, too: %s", address, f.Detail)
		}
	}
}
