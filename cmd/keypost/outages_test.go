package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/store"
)

// A mailbox whose password is wrong: after an hour the vendor gets one mail, and
// the digest tells of it until it is watched.
func TestOutage(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	m := newMailed(t, s, "")
	s.add(mailConfigOf(exim, ""))
	right := m.account.Password
	s.place("imap.secret", "wrong-s3cret\n")
	c, err := loadConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ring, err := c.keyring(t.Context(), db, true)
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(c, db, ring, "127.0.0.1:1")
	ch, _ := c.channel("mail")
	start := time.Now()
	stop := d.beginWatch(t.Context(), ch)
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
	digest := func(after time.Duration) delivery.Digest {
		t.Helper()
		got, err := c.digest(t.Context(), db, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	notices := func(after time.Duration, want int) {
		t.Helper()
		if err := d.tellOutagesAt(t.Context(), start.Add(after)); err != nil {
			t.Fatal(err)
		}
		list, err := db.Outbox(t.Context(), store.NoticeFilter{Kind: store.NoticeMailbox})
		if err != nil || len(list) != want {
			t.Errorf("after %s: %+v, %v; want %d", after, list, err, want)
		}
	}
	notices(outageTold-time.Second, 0)
	if got := digest(outageTold - time.Second); got.News() {
		t.Errorf("before the hour is over: %+v", got)
	}
	d.outages.note("mail", errors.New("the log-in is refused\x1b[2J"), start.Add(outageTold)) // each try
	notices(outageTold+time.Minute, 1)
	notices(30*time.Hour, 1)
	if got := digest(30 * time.Hour); !got.News() || len(got.Outages) != 1 || !strings.HasPrefix(got.Outages[0], "mail, since "+since.Format("2006-01-02 15:04 UTC: ")) {
		t.Errorf("%+v", got)
	}
	if err := d.mailer.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw := exim.Await(t, "me@example.com", 1)[0]
	for _, want := range []string{"Subject: The mailbox of mail is not watched", "keypost check", "    the log-in is refused[2J"} {
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
	s.place("imap.secret", right+"\n")
	stop = d.beginWatch(context.WithoutCancel(t.Context()), ch)
	defer stop()
	await(false)
	notices(40*time.Hour, 1)
	if got := digest(40 * time.Hour); len(got.Outages) > 0 {
		t.Errorf("it is watched: %+v", got)
	}
}
