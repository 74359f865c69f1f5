package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest/mailbox"
)

func leave(mailbox.Message) (mailbox.Filing, error) { return mailbox.Leave, nil }

// Whatever a server says of numbers, each message that it has is handed over
// once.
func TestNumbers(t *testing.T) {
	sparse := []uint32{1, 5, 4_000_000, 4_000_001, 3_000_000_000}
	dense := append(upTo(3), 900_000)
	for uid := uint32(1_000_000); uid < 1_003_500; uid++ { // a wide range turns out to be full
		dense = append(dense, uid)
	}
	shuffled := upTo(2500)
	slices.Reverse(shuffled)
	for _, row := range []struct {
		name string
		f    *fake
		want []uint32
	}{
		{"none", &fake{}, nil},
		{"some", &fake{uids: upTo(5), uidNext: 6}, upTo(5)},
		{"no UIDNEXT", &fake{uids: upTo(2500)}, upTo(2500)},
		{"sparse", &fake{uids: sparse, uidNext: 3_000_000_001}, sparse},
		{"sparse and dense", &fake{uids: dense, uidNext: 4_000_000_000}, dense},
		{"UIDNEXT too low", &fake{uids: upTo(2500), uidNext: 3}, upTo(2500)},
		{"UIDNEXT too high", &fake{uids: upTo(2500), uidNext: math.MaxUint32}, upTo(2500)},
		{"out of order", &fake{uids: shuffled, uidNext: 2501}, upTo(2500)},
		{"twice", &fake{uids: []uint32{1, 2, 2, 3, 1}, uidNext: 4}, upTo(3)},
		{"the last there is", &fake{uids: []uint32{math.MaxUint32 - 1, math.MaxUint32}}, []uint32{math.MaxUint32 - 1, math.MaxUint32}},
		{"no sizes", &fake{uids: upTo(3), size: func(uint32) string { return "0" }}, upTo(3)},
		{"no dates", &fake{uids: upTo(3), date: "-"}, upTo(3)},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, places := &desk{judge: leave}, &kept{}
			w := watcher(t, row.f.start(t), d, places)
			pass(t, w)
			got := d.uids()
			slices.Sort(got)
			if !slices.Equal(got, row.want) {
				t.Fatalf("handed over %d, want %d", len(got), len(row.want))
			}
			for _, m := range d.messages() {
				if string(m.Raw) != mail(fmt.Sprint(m.UID)) {
					t.Fatalf("%d: %q", m.UID, m.Raw)
				}
				if m.Arrived.IsZero() != (row.f.date == "-") {
					t.Fatalf("%d: arrived %s", m.UID, m.Arrived)
				}
			}
			// What comes next is new, whatever UIDNEXT was.
			if last := len(row.f.uids); row.name != "the last there is" && last > 0 {
				row.f.have(append(slices.Clone(row.f.uids), slices.Max(row.f.uids)+1))
				pass(t, w)
				if n := len(d.uids()); n != len(row.want)+1 {
					t.Errorf("handed over %d after a new one", n)
				}
			}
		})
	}
}

// A server's words about flags, in the midst of an answer, take no message away.
func TestFlagsInTheMidst(t *testing.T) {
	f := &fake{uids: upTo(3)}
	var told atomic.Int32
	f.hook = func(c *fakeConn, _, command string) bool {
		if strings.Contains(command, "BODY.PEEK[]") && told.Add(1) == 1 {
			c.say(`* 2 FETCH (UID 2 FLAGS (\Seen))`)
		}
		return false
	}
	d := &desk{judge: leave}
	pass(t, watcher(t, f.start(t), d, &kept{}))
	if got := d.uids(); !slices.Equal(got, []uint32{1, 3, 2}) {
		t.Errorf("handed over: %v", got)
	}
}

// A message that is listed and not given waits, and the others do not.
func TestWithheld(t *testing.T) {
	f := &fake{uids: upTo(3)}
	f.hook = func(c *fakeConn, tag, command string) bool {
		if !strings.Contains(command, "BODY.PEEK[]") {
			return false
		}
		for i, uid := range f.there() {
			if uid != 2 && inSet(strings.Fields(command)[2], uid, 3) {
				c.tell(i+1, uid, command)
			}
		}
		c.say("%s OK done", tag)
		return true
	}
	d, places := &desk{judge: leave}, &kept{}
	w := watcher(t, f.start(t), d, places)
	pass(t, w)
	f.have(upTo(4))
	pass(t, w)
	if got := d.uids(); !slices.Equal(got, []uint32{1, 3, 4}) || places.place.Next != 2 {
		t.Errorf("handed over: %v, place %+v", got, places.place)
	}
}

// One message over which the connection breaks holds up no other for long.
func TestPoison(t *testing.T) {
	f := &fake{uids: upTo(300), uidNext: 301}
	f.hook = func(c *fakeConn, _, command string) bool {
		if strings.Contains(command, "BODY.PEEK[]") && inSet(strings.Fields(command)[2], 77, 300) {
			_ = c.Close()
			return true
		}
		return false
	}
	d, places := &desk{judge: leave}, &kept{}
	w := watcher(t, f.start(t), d, places)
	var err error
	for range 10 {
		if err = w.Pass(t.Context()); err == nil {
			break
		}
	}
	got := d.uids()
	slices.Sort(got)
	if want := slices.DeleteFunc(upTo(300), func(uid uint32) bool { return uid == 77 }); err != nil || !slices.Equal(slices.Compact(got), want) || places.place.Next != 77 {
		t.Errorf("%v; handed over %d, place %+v", err, len(got), places.place)
	}
}

// A date that no one can read does not keep its message back.
func TestBadDate(t *testing.T) {
	f := &fake{uids: upTo(2), date: `"yesterday"`}
	d := &desk{judge: leave}
	w := watcher(t, f.start(t), d, &kept{})
	for range 10 {
		if w.Pass(t.Context()) == nil {
			break
		}
	}
	if got := slices.Compact(d.uids()); !slices.Equal(got, upTo(2)) || !d.messages()[0].Arrived.IsZero() {
		t.Errorf("handed over: %v", got)
	}
}

// A size that lies is found out, and the message is as big as it is.
func TestSizeLies(t *testing.T) {
	big := "Subject: big\r\n\r\n" + strings.Repeat("x", 3<<20)
	f := &fake{uids: upTo(3), size: func(uint32) string { return "12" }, body: func(uid uint32) string {
		if uid == 2 {
			return big
		}
		return mail("small")
	}}
	d := &desk{judge: leave}
	pass(t, watcher(t, f.start(t), d, &kept{}))
	for _, m := range d.messages() {
		want := mailbox.Message{Raw: []byte(mail("small")), Size: int64(len(mail("small")))}
		if m.UID == 2 {
			want = mailbox.Message{Raw: []byte("Subject: big\r\n\r\n"), Size: int64(len(big)), TooBig: true}
		}
		if string(m.Raw) != string(want.Raw) || m.Size != want.Size || m.TooBig != want.TooBig {
			t.Errorf("%d: %.40q size %d too big %t", m.UID, m.Raw, m.Size, m.TooBig)
		}
	}
	if len(d.messages()) != 3 {
		t.Errorf("handed over: %v", d.uids())
	}
}

// What a server does to fill the memory, or to hold us for ever, ends with an
// error that can be shown.
func TestHostile(t *testing.T) {
	endless := func(c *fakeConn, s string) {
		for {
			if _, err := c.w.WriteString(s); err != nil {
				return
			}
		}
	}
	for _, row := range []struct {
		name, at, want string
		do             func(c *fakeConn, tag string)
	}{
		{"a line without end", "SELECT", "a line without an end", func(c *fakeConn, _ string) { _, _ = c.w.WriteString("* OK ["); endless(c, "x") }},
		{"a flood of lines", "SELECT", "more than was asked for", func(c *fakeConn, _ string) { endless(c, "* 1 EXISTS\r\n") }},
		{"a huge literal", "BODY.PEEK[]", "a literal of 99999999999 bytes", func(c *fakeConn, _ string) {
			c.say("* 1 FETCH (UID 1 BODY[] {99999999999}")
			endless(c, "x")
		}},
		{"a huge literal with zeros", "BODY.PEEK[]", "a literal of", func(c *fakeConn, _ string) {
			c.say("* 1 FETCH (UID 1 BODY[] {%099d}", 99999999)
			endless(c, "x")
		}},
		{"a huge name", "NAMESPACE", "a literal of 9999999 bytes", func(c *fakeConn, _ string) {
			c.say(`* NAMESPACE (({9999999}`)
			endless(c, "x")
		}},
		{"nonsense", "UID FETCH", `\x`, func(c *fakeConn, _ string) { c.say("* 1 \xff\xfe\x80 ((("); _ = c.w.Flush() }},
		{"an evil text", "SELECT", `\x1b`, func(c *fakeConn, tag string) {
			c.say("%s NO \x1b[31mred\x1b[0m %s", tag, strings.Repeat("long ", 1000))
		}},
		{"BYE", "UID FETCH", "cut", func(c *fakeConn, _ string) { c.say("* BYE \x07so long"); _ = c.w.Flush(); _ = c.Close() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{uids: upTo(2), caps: "NAMESPACE"}
			f.hook = func(c *fakeConn, tag, command string) bool {
				if strings.Contains(command, row.at) {
					row.do(c, tag)
					return true
				}
				return false
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := watcher(t, f.start(t), &desk{judge: leave}, &kept{}).Pass(t.Context())
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), row.want) || len(err.Error()) > 1200 || strings.ContainsAny(err.Error(), "\x1b\x07\n") || !utf8.ValidString(err.Error()) {
				t.Errorf("error: %q", err)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 24<<20 {
				t.Errorf("the heap grew by %d", grown)
			}
		})
	}
}

// A server that takes the UIDs for others while we are at it: all is handed
// over again, nothing is passed over.
func TestNumberedAnewUnderway(t *testing.T) {
	var validity atomic.Uint32
	validity.Store(7)
	f := &fake{uids: upTo(3), validity: validity.Load}
	f.hook = func(c *fakeConn, _, command string) bool {
		if strings.Contains(command, "BODY.PEEK[]") && validity.Load() == 7 {
			c.say("* OK [UIDVALIDITY 8] numbered anew")
		}
		return false
	}
	d, places := &desk{judge: leave}, &kept{}
	w := watcher(t, f.start(t), d, places)
	pass(t, w)
	validity.Store(8)
	f.have(upTo(2))
	pass(t, w)
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3, 1, 2}) || places.place != (mailbox.Place{UIDValidity: 8, Next: 3}) {
		t.Errorf("handed over: %v, place %+v", got, places.place)
	}
}

// Where UIDs are not kept, every connection begins anew.
func TestNoValidity(t *testing.T) {
	f := &fake{uids: upTo(3), validity: func() uint32 { return 0 }}
	d, places := &desk{judge: leave}, &kept{}
	w := watcher(t, f.start(t), d, places)
	pass(t, w)
	pass(t, w)
	if got := d.uids(); !slices.Equal(got, []uint32{1, 2, 3, 1, 2, 3}) {
		t.Errorf("handed over: %v", got)
	}
}

// When filing is refused the verdict stands, and the message is filed when it
// comes again.
func TestFilingRefused(t *testing.T) {
	f := &fake{caps: "MOVE", uids: upTo(2)}
	var refuse atomic.Bool
	refuse.Store(true)
	f.hook = func(c *fakeConn, tag, command string) bool {
		if refuse.Load() && (strings.HasPrefix(command, "UID MOVE") || strings.HasPrefix(command, "CREATE")) {
			c.say("%s NO [OVERQUOTA] full", tag)
			return true
		}
		return false
	}
	c := f.start(t)
	c.Processed = "Done"
	d, places := &desk{}, &kept{}
	pass(t, watcher(t, c, d, places))
	if places.place.Next != 1 {
		t.Errorf("place: %+v", places.place)
	}
	refuse.Store(false)
	pass(t, watcher(t, c, d, places))
	if f.got("UID MOVE 1:2 ") != 2 || places.place.Next != 3 {
		t.Errorf("commands: %q, place %+v", f.sent(), places.place)
	}
}

// go-imap's own fallback for MOVE is a plain EXPUNGE. Where it believes that
// the server has none, because the server has taken it back, nothing is sent.
func TestNoPlainExpunge(t *testing.T) {
	f := &fake{caps: "MOVE", uids: upTo(2)}
	f.hook = func(c *fakeConn, _, command string) bool {
		if strings.Contains(command, "BODY.PEEK[]") {
			c.say("* CAPABILITY IMAP4rev1")
		}
		return false
	}
	c := f.start(t)
	c.Processed = "Done"
	err := watcher(t, c, &desk{}, &kept{}).Pass(t.Context())
	for _, command := range f.sent() {
		if strings.HasPrefix(command, "EXPUNGE") {
			t.Errorf("sent: %q (%v)", f.sent(), err)
		}
	}
}

// A server that says nothing more is given up, and ctx ends everything within
// a second, wherever it waits.
func TestCancel(t *testing.T) {
	for _, at := range []string{"CAPABILITY", "AUTHENTICATE", "SELECT", "RFC822.SIZE)", "BODY.PEEK[]", "UID MOVE", "IDLE", "NOOP"} {
		t.Run(at, func(t *testing.T) {
			there := make(chan struct{}, 100)
			f := &fake{caps: "IDLE MOVE", uids: upTo(2)}
			if at == "NOOP" {
				f.caps = ""
			}
			f.hook = func(_ *fakeConn, _, command string) bool {
				if strings.Contains(command, at) {
					there <- struct{}{}
					return true
				}
				return false
			}
			c := f.start(t)
			c.Processed, c.Poll = "Done", time.Second
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- watcher(t, c, &desk{}, &kept{}).Run(ctx) }()
			<-there
			start := time.Now()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(start) > time.Second {
				t.Errorf("%v after %s", err, time.Since(start))
			}
		})
	}
}
