package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

func TestPass(t *testing.T) {
	a, c := account(t)
	raws := []string{mail("processed"), mail("held"), mail("failed"), mail("left"), mail("8-bit \xff\x00?")}
	deliver(t, a, raws...)
	filings := []mailbox.Filing{mailbox.Processed, mailbox.Held, mailbox.Failed, mailbox.Leave, mailbox.Leave}
	d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) { return filings[m.UID-1], nil }}
	places := &kept{}
	w := watcher(t, c, d, places)
	pass(t, w)

	var want []mailbox.Message
	for i, raw := range raws[:4] {
		want = append(want, mailbox.Message{Folder: "INBOX", UIDValidity: places.place.UIDValidity, UID: uint32(i + 1), Arrived: arrival, Size: int64(len(raw)), Raw: []byte(raw)})
	}
	if diff := cmp.Diff(want, d.messages()[:4]); diff != "" {
		t.Error(diff)
	}
	for folder, want := range map[string][]mailboxtest.Stored{
		"Keypost.Processed": {{Raw: raws[0]}},
		"Keypost.Held":      {{Raw: raws[1]}},
		"INBOX":             {{Raw: raws[2], Flags: "a"}, {Raw: raws[3]}, {Raw: raws[4]}},
	} {
		if diff := cmp.Diff(want, stored(t, a, folder)); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
	}
	if places.place.Next != 6 || places.place.UIDValidity == 0 {
		t.Errorf("place: %+v", places.place)
	}

	deliver(t, a, mail("new"))
	filings = append(filings, mailbox.Processed)
	pass(t, w)
	pass(t, watcher(t, c, d, places)) // after a restart: nothing is new
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("handed over: %v", got)
	}
}

// What the vendor's own programs leave in the way: other levels of names, a
// prefix before all folders, no MOVE, no UIDPLUS.
func TestFilingOnOtherServers(t *testing.T) {
	const most = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE NAMESPACE "
	for _, row := range []struct {
		name, config string
		folder       string // where the processed are
		inbox        []mailboxtest.Stored
	}{
		{"no MOVE", "imap_capability = " + most + "IDLE UIDPLUS", "Keypost.Processed", []mailboxtest.Stored{{Raw: mail("left")}, {Raw: mail("deleted by another"), Flags: "T"}}},
		{"no UIDPLUS", "imap_capability = " + most + "IDLE", "Keypost.Processed", []mailboxtest.Stored{
			{Raw: mail("processed"), Flags: "Sa"}, {Raw: mail("left")}, {Raw: mail("deleted by another"), Flags: "T"},
		}},
		{"slashes", "namespace inbox {\n  inbox = yes\n  separator = /\n}", "Keypost.Processed", []mailboxtest.Stored{{Raw: mail("left")}, {Raw: mail("deleted by another"), Flags: "T"}}},
		{"a prefix", "namespace inbox {\n  inbox = yes\n  separator = .\n  prefix = INBOX.\n}", "Keypost.Processed", []mailboxtest.Stored{{Raw: mail("left")}, {Raw: mail("deleted by another"), Flags: "T"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, c := accountOn(t, mailboxtest.New(t, row.config))
			deliver(t, a, mail("processed"), mail("left"), mail("deleted by another"))
			other := client(t, c)
			other.mark(3, `\Deleted`)
			d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
				if strings.Contains(string(m.Raw), "processed") {
					return mailbox.Processed, nil
				}
				return mailbox.Leave, nil
			}}
			pass(t, watcher(t, c, d, &kept{}))
			if diff := cmp.Diff(row.inbox, stored(t, a, "INBOX")); diff != "" {
				t.Error(diff)
			}
			moved := stored(t, a, row.folder)
			if want := 3 - len(row.inbox); len(moved) != want {
				t.Errorf("%s has %v", row.folder, moved)
			}
		})
	}
}

// Folders may have names of any script, and levels.
func TestFolderNames(t *testing.T) {
	a, c := account(t)
	c.Processed = "Verkäufe/Erledigt & abgelegt"
	deliver(t, a, mail("one"))
	pass(t, watcher(t, c, &desk{}, &kept{}))
	if got := stored(t, a, "Verk&AOQ-ufe.Erledigt &- abgelegt"); len(got) != 1 { // RFC 3501, 5.1.3
		t.Errorf("filed: %v", got)
	}
}

// What cannot be judged now comes again; what is newer does not wait for it.
func TestLater(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("later"), mail("now"))
	late := true
	d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
		if m.UID == 1 && late {
			return 0, fmt.Errorf("the key's DNS: %w", errLater)
		}
		return mailbox.Processed, nil
	}}
	places := &kept{}
	w := watcher(t, c, d, places)
	pass(t, w)
	deliver(t, a, mail("newer"))
	pass(t, w)
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3}) {
		t.Errorf("handed over: %v", got) // 1 is not due yet
	}
	if places.place.Next != 1 {
		t.Errorf("the place is past what was not handled: %+v", places.place)
	}
	if got := stored(t, a, "Keypost.Processed"); len(got) != 2 {
		t.Errorf("filed: %v", got)
	}
	late = false
	pass(t, watcher(t, c, d, places)) // after a restart
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3, 1}) {
		t.Errorf("handed over: %v", got)
	}
	if places.place.Next != 2 {
		t.Errorf("place: %+v", places.place)
	}
	if got := stored(t, a, "INBOX"); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

// With the database away nothing goes on, and nothing is passed over.
func TestHandlerFails(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("one"), mail("two"), mail("three"))
	away := errors.New("the database is away")
	d := &desk{judge: func(mailbox.Message) (mailbox.Filing, error) { return 0, away }}
	places := &kept{}
	w := watcher(t, c, d, places)
	if err := w.Pass(t.Context()); !errors.Is(err, away) || places.place != (mailbox.Place{}) {
		t.Fatalf("error %v, place %+v", err, places.place)
	}
	d.judge, d.got = nil, nil
	pass(t, w)
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3}) || places.place.Next != 4 {
		t.Errorf("handed over: %v, place %+v", got, places.place)
	}
	if got := stored(t, a, "Keypost.Processed"); len(got) != 3 {
		t.Errorf("filed: %v", got)
	}
}

// A message that cannot be handled keeps no other one waiting, and is not passed
// over.
func TestHandlerFailsOverOne(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("one"), mail("bad"), mail("three"))
	d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
		if m.UID == 2 {
			return 0, errors.New("its row cannot be written")
		}
		return mailbox.Processed, nil
	}}
	var log strings.Builder
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	places := &kept{}
	pass(t, watcher(t, c, d, places))
	if got := stored(t, a, "Keypost.Processed"); len(got) != 2 || places.place.Next != 2 {
		t.Errorf("filed: %v, place %+v", got, places.place)
	}
	if !strings.Contains(log.String(), "message 2 of INBOX: its row cannot be written") {
		t.Errorf("log: %s", log.String())
	}
}

func TestHandlerPanics(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("bad"), mail("good"))
	d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
		if m.UID == 1 {
			panic("an index out of range")
		}
		return mailbox.Processed, nil
	}}
	var log strings.Builder
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	places := &kept{}
	pass(t, watcher(t, c, d, places))
	if got := d.uids(); !slices.Equal(got, []uint32{2}) || places.place.Next != 1 {
		t.Errorf("handed over: %v; place %+v", got, places.place)
	}
	if n := strings.Count(log.String(), "an index out of range"); n != 2 { // together, and alone
		t.Errorf("log: %s", log.String())
	}
}

func TestTooBig(t *testing.T) {
	a, c := account(t)
	big := "Subject: big\r\n\r\n" + strings.Repeat("0123456789abcdef", 50<<20/16)
	deliver(t, a, mail("small"), big, mail("small too"))
	d := &desk{}
	pass(t, watcher(t, c, d, &kept{}))
	var got mailbox.Message
	for _, m := range d.messages() {
		if m.UID == 2 {
			got = m
		} else if m.TooBig {
			t.Errorf("%q is too big", m.Raw)
		}
	}
	if !got.TooBig || got.Size != int64(len(big)) || string(got.Raw) != "Subject: big\r\n\r\n" || !got.Arrived.Equal(arrival) {
		t.Errorf("%+v", got)
	}
}

func TestNumberedAnew(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("one"), mail("two"))
	places := &kept{}
	d := &desk{judge: func(mailbox.Message) (mailbox.Filing, error) { return mailbox.Leave, nil }}
	w := watcher(t, c, d, places)
	pass(t, w)
	old := places.place
	if err := a.Renumber(); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, mail("three"))
	pass(t, w)
	if places.place.UIDValidity == old.UIDValidity {
		t.Fatal("the folder was not numbered anew")
	}
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 1, 2, 3}) {
		t.Errorf("handed over: %v", got)
	}
}

// A new mail in an idle mailbox is handed over at once, also over STARTTLS.
func TestIdle(t *testing.T) {
	a, c := account(t)
	c.TLS, c.Address = mailbox.StartTLS, mailboxtest.Dovecot(t).Addr
	c.Poll = mailbox.MaxPoll // so that IDLE alone can tell
	d := &desk{came: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- watcher(t, c, d, &kept{}).Run(ctx) }()
	deliver(t, a, mail("first")) // before, or as it begins to watch
	<-d.came
	for i := range 3 {
		start := time.Now()
		deliver(t, a, mail(fmt.Sprint(i)))
		<-d.came
		t.Logf("handed over after %s", time.Since(start))
	}
	start := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("ended after %s", took)
	}
}

func TestPoll(t *testing.T) {
	a, c := accountOn(t, mailboxtest.New(t, "imap_capability = IMAP4rev1 SASL-IR LITERAL+"))
	c.Poll = time.Second
	d := &desk{came: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- watcher(t, c, d, &kept{}).Run(ctx) }()
	for i := range 3 {
		deliver(t, a, mail(fmt.Sprint(i)))
		<-d.came
	}
	cancel()
	<-ended
}

func TestCheck(t *testing.T) {
	a, c := account(t)
	deliver(t, a, mail("one"))
	got, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := mailbox.Findings{Capabilities: []string{"IDLE", "IMAP4rev1", "MOVE", "NAMESPACE", "UIDPLUS"}, UIDNext: 2, Idle: true, Moves: true, Keywords: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for _, row := range []struct {
		name   string
		change func(*mailbox.Config)
		want   string
	}{
		{"password", func(c *mailbox.Config) { c.Password = fixed("hunter2") }, "check the password"},
		{"folder", func(c *mailbox.Config) { c.Folder = "Orders" }, "open the folder Orders: the server says NO"},
		{"certificate", func(c *mailbox.Config) { c.RootCAs = nil }, "certificate signed by unknown authority"},
		{"host", func(c *mailbox.Config) { c.Address = strings.Replace(c.Address, "127.0.0.1", "127.0.0.2", 1) }, "connect to 127.0.0.2:"},
		{"file", func(c *mailbox.Config) {
			c.Password = func() (string, error) { return "", errors.New("no such file") }
		}, "read the password: no such file"},
	} {
		bad := c
		row.change(&bad)
		_, err := bad.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
