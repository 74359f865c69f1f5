package mailbox_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/keypost/keypost/ingest/mailbox"
)

// counter is a Handler that keeps nothing.
type counter struct {
	n     atomic.Int64
	every func(n int64)
}

func (c *counter) Handle(_ context.Context, list []mailbox.Message) ([]mailbox.Verdict, error) {
	verdicts := make([]mailbox.Verdict, len(list))
	for i := range verdicts {
		verdicts[i].Filing = mailbox.Processed
		if n := c.n.Add(1); c.every != nil {
			c.every(n)
		}
	}
	return verdicts, nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A backlog of any length is walked in memory that does not grow with it.
func TestBacklog(t *testing.T) {
	count := uint32(100_000)
	if testing.Short() {
		count = 10_000
	}
	body := mail(strings.Repeat("an order of 1 KiB ", 50))
	f := &fake{uids: upTo(count), uidNext: count + 1, caps: "MOVE", body: func(uint32) string { return body }}
	f.hook = func(c *fakeConn, _, command string) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.commands = nil
		if len(command) > 8<<10 {
			t.Errorf("a command of %d bytes", len(command))
		}
		return false
	}
	c := f.start(t)
	c.Processed = "Done"
	var first, most int64
	h := &counter{every: func(n int64) {
		if n%(int64(count)/10) != 0 {
			return
		}
		now := heap()
		if first == 0 {
			first = now
		}
		most = max(most, now)
	}}
	places := &kept{}
	start := time.Now()
	pass(t, watcher(t, c, h, places))
	t.Logf("%.0f messages/s, heap %d KiB after a tenth, %d KiB at most", float64(count)/time.Since(start).Seconds(), first>>10, most>>10)
	if h.n.Load() != int64(count) || places.place.Next != count+1 {
		t.Errorf("handed over %d, place %+v", h.n.Load(), places.place)
	}
	if most-first > 3<<20 {
		t.Errorf("the heap grew by %d KiB", (most-first)>>10)
	}
}

// Others take messages away while the mailbox is walked, and new ones come.
func TestExpungesBeside(t *testing.T) {
	a, c := account(t)
	const count = 1500
	for i := range count {
		deliver(t, a, mail(fmt.Sprint(i+1)))
	}
	beside := client(t, c)
	d := &desk{}
	removed := map[uint32]bool{}
	var once sync.Map
	d.judge = func(m mailbox.Message) (mailbox.Filing, error) {
		if _, done := once.LoadOrStore(m.UID/100, true); !done { // each hundred
			var uids []imap.UID
			for uid := m.UID + 150; uid < m.UID+1400 && uid <= count; uid += 97 {
				if !removed[uid] {
					removed[uid] = true
					uids = append(uids, imap.UID(uid))
				}
			}
			if len(uids) > 0 {
				beside.remove(uids...)
			}
			deliver(t, a, mail(fmt.Sprint("new ", m.UID)))
		}
		return mailbox.Processed, nil
	}
	places := &kept{}
	w := watcher(t, c, d, places)
	pass(t, w)
	pass(t, w)
	got := map[uint32]int{}
	for _, m := range d.messages() {
		got[m.UID]++
	}
	for uid := uint32(1); uid <= count; uid++ {
		if got[uid] == 0 && !removed[uid] {
			t.Errorf("%d was passed over", uid)
		}
	}
	fresh := slices.DeleteFunc(d.messages(), func(m mailbox.Message) bool { return m.UID <= count })
	if len(fresh) < 15 {
		t.Errorf("%d of the new ones were handed over", len(fresh))
	}
	if left := stored(t, a, "INBOX"); len(left) != 0 {
		t.Errorf("%d are left behind", len(left))
	}
	if filed := len(stored(t, a, "Keypost.Processed")); filed+len(removed) < count {
		t.Errorf("filed %d, removed %d", filed, len(removed))
	}
}

// How fast a real server's mailbox is read, with a Handler that does nothing
// and no filing: go test -bench Read -run - ./ingest/mailbox
func BenchmarkRead(b *testing.B) {
	a, c := account(b)
	c.Processed, c.Held, c.Failed = "", "", ""
	const count = 10_000
	body := mail(strings.Repeat("an order of 3 KiB ", 160))
	for range count {
		deliver(b, a, body)
	}
	pass(b, watcher(b, c, &counter{}, &kept{})) // the server's own caches
	for b.Loop() {
		h := &counter{}
		pass(b, watcher(b, c, h, &kept{}))
		if h.n.Load() != count {
			b.Fatal(h.n.Load())
		}
	}
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "messages/s")
}
