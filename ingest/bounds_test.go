package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

// reseeded is a change to seeds that nobody signed.
func reseeded(i int) func(*Order) {
	return func(o *Order) { o.Seeds = []string{fmt.Sprint(i)} }
}

// Whoever has captured a post cannot fill the disk with variants of it, and what
// is held no more is answered as what was.
func TestVariantsAreBounded(t *testing.T) {
	c := config()
	c.Mail = true
	d := newDesk(t, c)
	first := mustAccept(t, d, signed())
	variant := func(i int) store.Order { return mustAccept(t, d, signed(reseeded(i))) }
	var eighth, last store.Order
	for i := range maxHeldLines {
		if last = variant(i); last.Status != store.Held || last.Line != 2+i {
			t.Fatalf("variant %d = %+v", i, last)
		}
		if i == 7 {
			eighth = last
		}
	}
	// What a person decides makes no room for more, and gives nobody codes.
	if err := d.db.RejectOrder(t.Context(), eighth.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Approve(t.Context(), last.ID, "", "test"); err != nil || o.Status != store.Issued {
		t.Fatalf("approved = %+v, %v", o, err)
	}
	for i := range 10 {
		over := variant(maxHeldLines + i)
		if over.Status != store.Held || over.Reason != HeldLateLine || over.Prose != "Wait." || over.Name != "Fred Fragola" || over.Licenses != nil {
			t.Errorf("over the bound = %+v", over)
		}
	}
	if got := len(heldOrders(t, d)); got != maxHeldLines-2 {
		t.Errorf("%d are held", got)
	}
	if again := variant(7); again.ID != eighth.ID || again.Status != store.Rejected {
		t.Errorf("a repeat of the eighth variant = %+v", again)
	}
	if again := mustAccept(t, d, signed()); !cmp.Equal(first, again) {
		t.Error(cmp.Diff(first, again))
	}
	// One message tells of all that were not kept, and one mail.
	var told []string
	messages, err := d.db.Messages(t.Context(), last.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		told = append(told, m.Verdict+" "+m.Reason)
	}
	slices.Sort(told) // two of one millisecond have no order
	if diff := cmp.Diff([]string{"held late_line", "refused " + overReason}, told); diff != "" {
		t.Error(diff)
	}
	if list, err := d.db.Outbox(t.Context(), store.NoticeFilter{Kind: store.NoticeRefused}); err != nil || len(list) != 1 || list[0].Subject != "kagi "+overReason {
		t.Errorf("notices = %+v, %v", list, err)
	}
}

// One digest is one order's: what is cut out of its message, under whatever
// transaction and at once, shares one bound.
func TestRecutsAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		mustAccept(t, d, signed())
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				o, err := d.Accept(context.Background(), signed(recut(i/2), reseeded(i), func(o *Order) { o.Test = i%3 == 0 }))
				if err != nil || o.Status != store.Held || o.Reason != HeldConflict || o.Prose == "" {
					t.Errorf("post %d: %s %s, %v", i, o.Status, o.Reason, err)
				}
			})
		}
		all.Wait()
		if got := len(heldOrders(t, d)); got != maxRecuts {
			t.Errorf("%d are held, want %d", got, maxRecuts)
		}
		// They take no room from lines that the store may have sent.
		if o := mustAccept(t, d, signed(reseeded(1))); o.Reason != HeldLateLine || len(heldOrders(t, d)) != maxRecuts+1 {
			t.Errorf("a late line = %+v", o)
		}
	})
}

// A repeat with a number of its own each time (ACG:SQNM, which nobody signs)
// gives its order no names without end.
func TestNamesAreBounded(t *testing.T) {
	d := newDesk(t, config())
	numbered := func(n int) Order {
		return signed(func(o *Order) {
			o.Sequences = []Sequence{{Name: "Blurb", Number: n, Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}}
		})
	}
	first := mustAccept(t, d, numbered(0))
	for n := range 100 {
		if again := mustAccept(t, d, numbered(n)); !cmp.Equal(first, again) {
			t.Fatal(cmp.Diff(first, again))
		}
	}
	if n, err := d.db.CountKeys(t.Context(), first.ID); err != nil || n > maxNames || n < 20 {
		t.Errorf("%d keys, %v", n, err)
	}
}

// Repeats leave a bounded number of messages, of a bounded length.
func TestRepeatsAreBounded(t *testing.T) {
	d := newDesk(t, config())
	first := mustAccept(t, d, signed())
	for range maxRepeats + 10 {
		mustAccept(t, d, signed(func(o *Order) { o.Message.Raw = []byte(strings.Repeat("x", 64<<10)) }))
	}
	list, err := d.db.Messages(t.Context(), first.ID)
	if err != nil || len(list) != 1+maxRepeats || len(list[1].Raw) != maxRefused {
		t.Errorf("%d messages, the second of %d bytes, %v", len(list), len(list[1].Raw), err)
	}
}

// An order that came by an import has the names of its posts from the first one on.
func TestRecutOfAnImportedOrder(t *testing.T) {
	d := newDesk(t, config())
	o := claim(func(o *Order) { o.Price, o.Seeds = "", nil })
	if added, err := d.Import(t.Context(), o, "demo", []Past{{Code: "OLD-CODE", Limit: 3}}); err != nil || !added {
		t.Fatal(added, err)
	}
	if o := mustAccept(t, d, signed()); o.Status != store.Issued || codes(o)[0] != "OLD-CODE" {
		t.Fatalf("its post = %+v", o)
	}
	if o := mustAccept(t, d, signed(recut(1))); o.Reason != HeldConflict {
		t.Errorf("its post, cut anew = %+v", o)
	}
}
