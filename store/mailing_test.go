package store

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
)

// mails are the outbox's ids by kind, as they are by now.
func mails(t *testing.T, db *DB) map[string][]Notice {
	t.Helper()
	list, err := db.Outbox(t.Context(), NoticeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]Notice{}
	for _, n := range list {
		out[n.Kind] = append(out[n.Kind], n)
	}
	return out
}

// Whoever refuses how much, in however many processes: of a channel, a reason
// and an hour there are two notices.
func TestAddRefused(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		clock := time.Now().UTC().Truncate(time.Hour).Add(10 * time.Minute)
		db.now = func() time.Time { return clock }
		other.now = db.now
		refuse := func(db *DB, channel, reason string, tell bool) {
			m := Message{ID: ulid.MustNew(ulid.Timestamp(clock), rand.Reader).String(), Channel: channel, Verdict: VerdictRefused, Reason: reason}
			if err := db.AddRefused(context.WithoutCancel(t.Context()), m, tell); err != nil {
				t.Error(err)
			}
		}
		refuse(db, "kagi", "Nobody is told.", false)
		if got := mails(t, db); len(got) != 0 {
			t.Errorf("nobody is to be told: %+v", got)
		}
		var all sync.WaitGroup
		for _, db := range []*DB{db, other} {
			for range 10 {
				all.Go(func() { refuse(db, "kagi", "No.", true) })
			}
		}
		all.Wait()
		failOnce(db)
		refuse(db, "kagi", "No.", true)
		refuse(db, "other", "No.", true)
		refuse(db, "kagi", "No!", true)
		got := mails(t, db)
		if len(got[NoticeRefused]) != 3 || len(got[NoticeRefusedMore]) != 1 {
			t.Fatalf("%+v", got)
		}
		more := got[NoticeRefusedMore][0]
		if more.Subject != "kagi No." || more.Audience != ToVendor || !more.NextAt.Equal(clock.Truncate(time.Hour).Add(time.Hour)) || !MadeAt(more.ID).Equal(clock.Truncate(time.Hour)) {
			t.Errorf("%+v", more)
		}
		now := clock
		counts, err := db.CountRefused(t.Context(), now.Add(-time.Minute), now.Add(time.Minute))
		want := []Count{{"kagi", "No!", 1}, {"kagi", "No.", 21}, {"kagi", "Nobody is told.", 1}, {"other", "No.", 1}}
		if diff := cmp.Diff(want, counts); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		list, err := db.Refused(t.Context(), "kagi", "No.", now.Add(-time.Minute), now.Add(time.Minute), 5)
		if len(list) != 5 || err != nil || list[0].ID > list[4].ID {
			t.Errorf("%+v, %v", list, err)
		}
		clock = clock.Add(time.Hour)
		refuse(other, "kagi", "No.", true)
		if got := mails(t, db); len(got[NoticeRefused]) != 4 || len(got[NoticeRefusedMore]) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// What a digest counts is what was refused since the last one that was sent, and
// that nobody has decided on.
func TestDigestTold(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		start := time.Now().UTC().Truncate(24 * time.Hour)
		clock := start
		db.now = func() time.Time { return clock }
		told := func(want time.Time) {
			t.Helper()
			if got, err := db.DigestTold(ctx); err != nil || !got.Equal(want) {
				t.Errorf("told until %v, %v; want %v", got, err, want)
			}
		}
		told(time.Time{})
		var digests []Notice
		for i := range 3 {
			if added, err := db.AddDigest(ctx, clock.AddDate(0, 0, i), "head"); err != nil || !added {
				t.Fatal(added, err)
			}
			last, err := db.LastDigest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, last)
		}
		told(time.Time{})
		clock = start.Add(31 * time.Hour)
		if err := db.NoticesWereSent(ctx, []Notice{digests[1].Told(clock.Add(-time.Second))}); err != nil {
			t.Fatal(err)
		}
		if err := db.NoticesWereSent(ctx, []Notice{digests[0].Told(time.Time{})}); err != nil {
			t.Fatal(err)
		}
		told(clock.Add(-time.Second))
		if err := db.NoticesFailed(ctx, []Notice{digests[2].Told(clock)}, time.Time{}, "550"); err != nil {
			t.Fatal(err)
		}
		told(clock.Add(-time.Second))
		if err := db.DeleteSentNotices(ctx, clock.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		told(clock.Add(-time.Second))
		clock = clock.Add(DigestsKept + time.Hour)
		if err := db.DeleteSentNotices(ctx, clock); err != nil {
			t.Fatal(err)
		}
		told(time.Time{})
	})
}

// Of an outage the vendor is told once, whichever daemon says it how often.
func TestAddOutage(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		since := time.Now().UTC().Truncate(time.Millisecond)
		failOnce(db)
		for i, want := range []bool{true, false, false} {
			added, err := []*DB{db, db, other}[i].AddOutage(t.Context(), "mail", since, strings.Repeat("é", 1000))
			if i > 0 && added != want || err != nil {
				t.Errorf("%d: %v, %v", i, added, err)
			}
		}
		if added, err := db.AddOutage(t.Context(), "mail", since.Add(time.Hour), "x"); err != nil || !added {
			t.Errorf("the next outage: %v, %v", added, err)
		}
		if got := mails(t, db)[NoticeMailbox]; len(got) != 2 || len([]rune(got[0].Subject)) != maxSubject && len([]rune(got[1].Subject)) != maxSubject {
			t.Errorf("%+v", got)
		}
	})
}

func TestCountRefusedSince(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		clock := time.Now().UTC()
		db.now = func() time.Time { return clock }
		count := func(from, until time.Duration) (n int) {
			t.Helper()
			list, err := db.CountRefusedSince(ctx, clock.Add(from), clock.Add(until))
			for _, c := range list {
				n += c.N
			}
			if err != nil || len(list) > 2 {
				t.Errorf("%v, %v", list, err)
			}
			return n
		}
		if err := db.AddRefused(ctx, Message{ID: NewID(), Channel: "kagi", Verdict: VerdictRefused, Reason: "No."}, false); err != nil {
			t.Fatal(err)
		}
		var list []Mail
		for i, verdict := range []string{MailRefused, MailRefused, MailRefused, MailWaiting, MailHeld} {
			m := newMail(string(rune('a'+i)), func(m *Mail) { m.Verdict, m.Reason = verdict, "no_signature" })
			if verdict != MailWaiting {
				m.Raw = []byte("From: x")
			}
			if _, _, err := db.AddMail(ctx, m); err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
		if n := count(0, time.Second); n != 4 {
			t.Errorf("%d; want the post and three mails", n)
		}
		if n := count(time.Second, time.Minute) + count(-time.Minute, 0); n != 0 {
			t.Errorf("%d are of another time", n)
		}
		for i, verdict := range []string{MailTaken, MailUnknown} { // approved and dismissed
			m := list[i]
			m.Verdict = verdict
			if err := db.SettleMail(ctx, m, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(0, time.Second); n != 2 {
			t.Errorf("%d; want the post and a mail", n)
		}
		late := list[3]
		late.Verdict, late.Raw = MailRefused, []byte("From: x")
		clock = clock.Add(72 * time.Hour)
		if _, err := db.RejudgeMail(ctx, late); err != nil {
			t.Fatal(err)
		}
		taken := list[2]
		taken.Verdict, taken.Reason = MailTaken, ""
		if _, err := db.RejudgeMail(ctx, taken); err != nil {
			t.Fatal(err)
		}
		if n := count(0, time.Second); n != 1 {
			t.Errorf("%d; want the mail that waited", n)
		}
		if n := count(-80*time.Hour, -time.Hour); n != 1 {
			t.Errorf("%d; want the post", n)
		}
	})
}

func TestMails(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		clock := time.Now().UTC().Truncate(time.Microsecond)
		db.now = func() time.Time { return clock }
		other.now = db.now
		db.Subscribe([]Subscriber{{Name: "crm"}})
		add := func(transaction string, out Outcome) (Order, Notice) {
			n := newOrder(transaction, "key-"+transaction)
			n.Outcome, n.Order.Language = out, "pt-BR"
			return mustAdd(t, db, n), out.Notices[0]
		}
		o, codes := add("T1", Outcome{Codes: []NewLicense{{ID: NewID(), Code: "A"}}, Notices: []Notice{{ID: NewID(), Kind: NoticeCodes, Audience: ToBuyer}}})
		if got, err := other.Order(ctx, o.ID); err != nil || got.Language != "pt-BR" {
			t.Errorf("%+v, %v", got, err)
		}
		var held []Notice
		for _, transaction := range []string{"T2", "T3", "T4"} {
			_, n := add(transaction, Outcome{Held: "price", Notices: []Notice{{ID: NewID(), Kind: NoticeHeld, Audience: ToVendor}}})
			held = append(held, n)
		}
		due := func() (mails, waiting []string) {
			t.Helper()
			list, err := other.DueMails(ctx, 10)
			heldList, heldErr := other.DueHeld(ctx, 10)
			if err := errors.Join(err, heldErr); err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				mails = append(mails, n.ID)
			}
			for _, n := range heldList {
				waiting = append(waiting, n.ID)
			}
			return mails, waiting
		}
		mailed, waiting := due()
		if diff := cmp.Diff([]string{codes.ID}, mailed) + cmp.Diff([]string{held[0].ID, held[1].ID, held[2].ID}, waiting); diff != "" {
			t.Error(diff)
		}
		if counts, err := db.CountHeld(ctx); err != nil || len(counts) != 1 || counts[0].N != 3 || counts[0].Reason != "price" {
			t.Errorf("%+v, %v", counts, err)
		}
		// One waits, which is no try; of the others somebody else has tried one.
		if err := db.PostponeNotices(ctx, held[2:], clock.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := other.NoticeFailed(ctx, held[1], clock.Add(2*time.Hour), "later"); err != nil {
			t.Fatal(err)
		}
		failOnce(db)
		if err := db.NoticesWereSent(ctx, held[:2]); err != nil {
			t.Fatal(err)
		}
		got := map[string]Notice{}
		for _, n := range mails(t, db)[NoticeHeld] {
			got[n.ID] = n
		}
		if got[held[0].ID].Status != NoticeSent || got[held[1].ID].Error != "later" || got[held[1].ID].Status != NoticeWaiting || got[held[2].ID].Tries != 0 {
			t.Errorf("%+v", got)
		}
		clock = clock.Add(time.Hour)
		if _, waiting := due(); len(waiting) != 1 || waiting[0] != held[2].ID {
			t.Errorf("%v", waiting)
		}
		if err := db.NoticesFailed(ctx, []Notice{held[2]}, time.Time{}, "550 no"); err != nil {
			t.Fatal(err)
		}
		if counts, err := db.CountDead(ctx); err != nil || len(counts) != 1 || counts[0] != (Count{NoticeHeld, "550 no", 1}) {
			t.Errorf("%+v, %v", counts, err)
		}
		if err := db.mark(ctx, PauseOutbox, "restored"); err != nil {
			t.Fatal(err)
		}
		if mails, waiting := due(); len(mails)+len(waiting) > 0 {
			t.Errorf("due while paused: %v %v", mails, waiting)
		}
		// A bounce is that of a mail to a buyer, once it was sent: the ids of mails to
		// the vendor can be guessed, and anybody can write a bounce.
		for _, n := range held {
			if err := db.NoticeBounced(ctx, n.ID, "x"); err == nil {
				if got := mails(t, db)[NoticeHeld]; slices.ContainsFunc(got, func(n Notice) bool { return n.Error == "x" }) {
					t.Errorf("a mail to the vendor bounced: %+v", got)
				}
			}
		}
		if err := db.NoticeBounced(ctx, codes.ID, "x"); err != nil && !errors.Is(err, ErrNotFound) || mails(t, db)[NoticeCodes][0].Status != NoticeWaiting {
			t.Errorf("a mail that was not sent bounced: %v", err)
		}
		if err := db.NoticesWereSent(ctx, []Notice{mails(t, db)[NoticeCodes][0]}); err != nil {
			t.Fatal(err)
		}
		event := mails(t, db)[string(EventOrderIssued)][0]
		if err := db.NoticeBounced(ctx, event.ID, "x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a webhook bounced: %v", err)
		}
		failOnce(db)
		if err := db.NoticeBounced(ctx, codes.ID, "it came back"); err != nil {
			t.Fatal(err)
		}
		if n := mails(t, db)[NoticeCodes][0]; n.Status != NoticeDead || n.Error != "it came back" {
			t.Errorf("%+v", n)
		}
	})
}

func TestAuditHead(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		if head, err := db.AuditHead(t.Context()); head != "" || err != nil {
			t.Errorf("%q, %v", head, err)
		}
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.LoadPool(t.Context(), "demo", []string{"A"}, "test"); err != nil {
			t.Fatal(err)
		}
		sealed, err := db.SealAudit(t.Context(), key)
		if head, headErr := db.AuditHead(t.Context()); head != sealed || head == "" || err != nil || headErr != nil {
			t.Errorf("%q, want %q, %v, %v", head, sealed, err, headErr)
		}
		if _, err := db.LastDigest(t.Context()); !errors.Is(err, ErrNotFound) {
			t.Errorf("a digest: %v", err)
		}
		if !MadeAt("no id").IsZero() || time.Since(MadeAt(NewID())) > time.Minute {
			t.Error("MadeAt")
		}
	})
}
