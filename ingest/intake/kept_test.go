package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/store"
)

func TestIntakeTooBig(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		head, _, _ := strings.Cut(thanks, "\r\n\r\n")
		m := arrived(head)
		m.TooBig, m.Size = true, 50<<20
		if got, err := b.try(m); err != nil || got != mailbox.Failed || b.last() != "refused too_big" {
			t.Errorf("it goes to %d, %s, %v", got, b.last(), err)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 1 || list[0].MessageID != "<4711@store.example>" || list[0].Detail != "52428800 bytes" {
			t.Errorf("noted: %+v, %v", list, err)
		}
		now := time.Now()
		told, err := b.db.CountRefusedSince(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
		if diff := cmp.Diff([]store.Count{{Of: "mail", Reason: ReasonTooBig, N: 1}}, told); diff != "" || err != nil {
			t.Errorf("for the digest, %v (-want +got):\n%s", err, diff)
		}
	})
}

// A stranger cannot fill the disk with mails that are refused.
func TestIntakeKeepsSome(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Keep = rate.NewLimiter(0, 2)
		for i := range 4 {
			b.handle(thanks + fmt.Sprint(i))
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 4 {
			t.Fatalf("%d mails noted, %v", len(list), err)
		}
		kept := 0
		for _, m := range list {
			got, err := b.db.Mail(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Raw) > 0 {
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("%d are kept; want 2", kept)
		}
	})
}

// A genuine mail can be sent here again without end, with another header each
// time: no more of them is kept than of others.
func TestIntakeKeepsSomeCopies(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Keep = rate.NewLimiter(0, 2)
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * ")) // held
		b.handle(raw)
		for i := range 4 {
			if got := b.handle(fmt.Sprintf("X-Copy: %d\r\n%s", i, raw)); got != mailbox.Failed || b.last() != "refused body_taken" {
				t.Errorf("copy %d goes to %d, %s", i, got, b.last())
			}
		}
		kept := 0
		list, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailRefused})
		if err != nil || len(list) != 4 {
			t.Fatalf("%d mails, %v", len(list), err)
		}
		for _, m := range list {
			got, err := b.db.Mail(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			kept += min(1, len(got.Raw))
		}
		if kept != 2 {
			t.Errorf("%d are kept; want 2", kept)
		}
	})
}

// A mail's words reach no table as they are.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb": "a??b", "\x1b[1m": "?[1m", "\xff\u202e": "??", " ä ": "ä", "1234567": "123456", "12345ä": "12345", "12345 7": "12345",
	} {
		if got := printable(in, 6); got != want {
			t.Errorf("printable(%q) = %q; want %q", in, got, want)
		}
	}
}
