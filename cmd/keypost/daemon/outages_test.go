package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/store"
)

// A mailbox whose password is wrong: after an hour the vendor gets one mail, and
// the digest tells of it until it is watched.
func TestOutage(t *testing.T) {
	exim, dovecot := deliverytest.SMTP(t), mailboxtest.Dovecot(t)
	account, err := dovecot.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	place := func(name, text string) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	place("imap.secret", "wrong-s3cret\n")
	d := newDaemon(t, place("keypost.toml", fmt.Sprintf(outageConfig,
		exim.STARTTLS, exim.User, exim.Password, exim.CAFile, dovecot.TLSAddr, account.User, dovecot.CertFile())))
	ch, _ := d.Config().Channel("mail")
	watcher := ch.Settings.(channel.Watcher)
	start := time.Now()
	stop := d.beginWatch(t.Context(), ch.Name, watcher)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	await := func(want bool) (out outage) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			out, told := d.outages.of("mail", start.Add(2*outageTold))
			if told == want {
				return out
			}
			select {
			case <-late:
				t.Fatalf("an outage: %v, want %v", told, want)
			case <-tick.C:
			}
		}
	}
	since := await(true).since
	digest := func(after time.Duration) []string {
		return d.current.Load().admin.Outages(start.Add(after))
	}
	notices := func(after time.Duration, want int) {
		t.Helper()
		if err := d.tellOutagesAt(t.Context(), start.Add(after)); err != nil {
			t.Fatal(err)
		}
		list, err := d.db.Outbox(t.Context(), store.NoticeFilter{Kind: store.NoticeMailbox})
		if err != nil || len(list) != want {
			t.Errorf("after %s: %+v, %v; want %d", after, list, err, want)
		}
	}
	notices(outageTold-time.Second, 0)
	if got := digest(outageTold - time.Second); len(got) > 0 {
		t.Errorf("before the hour is over: %+v", got)
	}
	d.outages.note("mail", errors.New("the log-in is refused\x1b[2J"), start.Add(outageTold)) // each try
	notices(outageTold+time.Minute, 1)
	notices(30*time.Hour, 1)
	if got := digest(30 * time.Hour); len(got) != 1 || !strings.HasPrefix(got[0], "mail, since "+since.Format("2006-01-02 15:04 UTC: ")) {
		t.Errorf("%+v", got)
	}
	if err := d.mailer.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw := exim.Await(t, "me@example.com", 1)[0]
	for _, want := range []string{"Subject: The mailbox of mail is not being watched", "keypost check", "    the log-in is refused[2J"} {
		if !strings.Contains(raw, want) {
			t.Errorf("it lacks %q:\n%s", want, raw)
		}
	}
	// The next connection finds the right password.
	stop()
	if _, told := d.outages.of("mail", start.Add(2*outageTold)); told {
		t.Error("an outage of a mailbox that is nobody's to watch")
	}
	d.outages.note("mail", errors.New("x"), start)
	place("imap.secret", account.Password+"\n")
	stop = d.beginWatch(context.WithoutCancel(t.Context()), ch.Name, watcher)
	defer stop()
	await(false)
	notices(40*time.Hour, 1)
	if got := digest(40 * time.Hour); len(got) > 0 {
		t.Errorf("it is watched: %+v", got)
	}
}

const outageConfig = `
[server]
listen = "127.0.0.1:0"
[mail]
smtp = %q
from = "Shop <shop@example.com>"
vendor = "me@example.com"
username = %q
password = %q
ca_file = %q
[[product]]
id = "demo"
[[channel]]
name = "mail"
kind = "imap"
address = %q
user = %q
password_file = "imap.secret"
ca_file = %q
recipients = ["shop@example.com"]
trust = [{ dkim = "store.example" }]
`

// newDaemon is one that does not serve yet, on a new database.
func newDaemon(t *testing.T, file string) *Daemon {
	t.Helper()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateDatabase(t.Context(), c.Admin()); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d, err := Open(t.Context(), c, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
