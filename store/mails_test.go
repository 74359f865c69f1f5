package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func newMail(content string, change ...func(*Mail)) Mail {
	m := Mail{
		ID: NewID(), Channel: "mail", Folder: "INBOX", UIDValidity: 1 << 31, UID: 1<<32 - 1, MessageID: "<1@store.example>",
		Content: sha256.Sum256([]byte(content)), Domain: "store.example", BodyHash: []byte("body of " + content), Profile: "tfyp",
		Verdict: MailTaken, Store: "kagi", Fold: "t1", ArrivedAt: time.UnixMicro(1_700_000_000_000_001).UTC(),
	}
	for _, c := range change {
		c(&m)
	}
	return m
}

func TestMail(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		want := newMail("a")
		if _, added, err := db.AddMail(t.Context(), want); err != nil || !added {
			t.Fatalf("AddMail = added %v, %v", added, err)
		}
		for _, again := range []Mail{want, newMail("a", func(m *Mail) { m.UIDValidity, m.UID, m.Verdict = 7, 7, MailHeld })} {
			got, added, err := other.AddMail(t.Context(), again)
			if err != nil || added != (again.ID == want.ID) {
				t.Errorf("the same content again: added %v, %v", added, err)
			}
			got.CreatedAt = time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what was noted (-want +got):\n%s", diff)
			}
		}
		if _, added, err := db.AddMail(t.Context(), newMail("a", func(m *Mail) { m.Channel, m.BodyHash = "second", []byte("x") })); err != nil || !added {
			t.Errorf("another mailbox: added %v, %v", added, err)
		}
		if _, err := db.MailByContent(t.Context(), "mail", sha256.Sum256([]byte("b"))); !errors.Is(err, ErrNotFound) {
			t.Errorf("a content that was not met: %v", err)
		}
	})
}

// Several mails are added together, or none of them.
func TestMailsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		var list []Mail
		for i := range 2*rowsAtOnce + 1 {
			list = append(list, newMail(fmt.Sprint(i), func(m *Mail) { m.Numbers = []MailNumber{{Store: "kagi", Name: "b", Number: i, Date: m.ArrivedAt}} }))
		}
		list[3].Verdict, list[3].Reason, list[3].Raw = MailHeld, "ambiguous", []byte("From: …")
		list[4].Verdict, list[4].BodyHash = MailUnknown, nil
		for name, last := range map[string]Mail{
			"a known content": newMail("0", func(m *Mail) { m.BodyHash = []byte("another") }),
			"a body taken":    newMail("another", func(m *Mail) { m.BodyHash = list[0].BodyHash }),
		} {
			if added, err := db.AddMails(t.Context(), append(list[:len(list):len(list)], last)); err != nil || added {
				t.Errorf("%s: added %v, %v", name, added, err)
			}
			if list, err := db.Mails(t.Context(), MailFilter{}); err != nil || len(list) > 0 {
				t.Fatalf("%s: %d mails were added, %v", name, len(list), err)
			}
		}
		if added, err := db.AddMails(t.Context(), list); err != nil || !added {
			t.Fatalf("added %v, %v", added, err)
		}
		var contents [][32]byte
		for _, m := range list {
			contents = append(contents, m.Content)
		}
		known, err := other.MailsByContent(t.Context(), "mail", append(contents, sha256.Sum256([]byte("never met"))))
		if err != nil || len(known) != len(list) {
			t.Fatalf("%d are known, %v", len(known), err)
		}
		for _, want := range list {
			got := known[want.Content]
			want.Numbers, want.Raw, got.CreatedAt = nil, nil, time.Time{}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-added +known):\n%s", diff)
			}
		}
		if got, err := db.Mail(t.Context(), list[3].ID); err != nil || string(got.Raw) != "From: …" {
			t.Errorf("kept of what is held: %q, %v", got.Raw, err)
		}
		if numbers, err := db.MailNumbers(t.Context(), time.Time{}); err != nil || len(numbers) != len(list) {
			t.Errorf("%d numbers, %v", len(numbers), err)
		}
		if added, err := other.AddMails(t.Context(), list[:1]); err != nil || added {
			t.Errorf("again: added %v, %v", added, err)
		}
	})
}

func TestMailBodyIsTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		body := func(m *Mail) { m.BodyHash = []byte("one body") }
		results := make(chan error, 8)
		var all sync.WaitGroup
		for i := range cap(results) {
			all.Go(func() {
				on := db
				if i%2 == 0 {
					on = other
				}
				_, _, err := on.AddMail(t.Context(), newMail(string(rune('a'+i)), body))
				results <- err
			})
		}
		all.Wait()
		close(results)
		taken := 0
		for err := range results {
			switch {
			case err == nil:
				taken++
			case !errors.Is(err, ErrBodyTaken):
				t.Error(err)
			}
		}
		if taken != 1 {
			t.Errorf("taken %d times; want once", taken)
		}
		if _, added, err := db.AddMail(t.Context(), newMail("refused", body, func(m *Mail) { m.Verdict = MailRefused })); err != nil || !added {
			t.Errorf("a refused copy: added %v, %v", added, err)
		}
		if _, _, err := db.AddMail(t.Context(), newMail("held", body, func(m *Mail) { m.Verdict = MailHeld })); !errors.Is(err, ErrBodyTaken) {
			t.Errorf("a copy to be held: %v; want ErrBodyTaken", err)
		}
		if _, _, err := db.AddMail(t.Context(), newMail("x", body, func(m *Mail) { m.Domain = "other.example" })); !errors.Is(err, ErrBodyTaken) {
			t.Errorf("signed by another domain: %v; want ErrBodyTaken", err)
		}
	})
}

// A held mail keeps its body for itself, until a person or another profile has
// decided.
func TestMailBodyIsHeldOnce(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		body := func(m *Mail) { m.BodyHash, m.Verdict, m.Reason = []byte("one body"), MailHeld, "incomplete" }
		held, again := newMail("held", body), newMail("again", body)
		if _, added, err := db.AddMail(t.Context(), held); err != nil || !added {
			t.Fatalf("added %v, %v", added, err)
		}
		if _, _, err := other.AddMail(t.Context(), again); !errors.Is(err, ErrBodyTaken) {
			t.Errorf("a copy: %v; want ErrBodyTaken", err)
		}
		again.Verdict, again.Reason = MailRefused, "body_taken"
		if _, added, err := other.AddMail(t.Context(), again); err != nil || !added {
			t.Errorf("the refused copy: added %v, %v", added, err)
		}
		again.Verdict, again.Reason = MailHeld, "ambiguous"
		if _, err := db.RejudgeMail(t.Context(), again); !errors.Is(err, ErrBodyTaken) {
			t.Errorf("the copy, judged again: %v; want ErrBodyTaken", err)
		}
		held.Verdict, held.Reason = MailTaken, ""
		if got, err := other.RejudgeMail(t.Context(), held); err != nil || got.Verdict != MailTaken {
			t.Errorf("judged again: %s, %v", got.Verdict, err)
		}
		for _, name := range []string{"big 1", "big 2"} { // nothing of them was signed
			big := newMail(name, func(m *Mail) { m.BodyHash, m.Verdict = nil, MailHeld })
			if _, added, err := db.AddMail(t.Context(), big); err != nil || !added {
				t.Errorf("%s: added %v, %v", name, added, err)
			}
		}
	})
}

// A mail that is taken does not come too late for a copy of it that is held, whatever
// way it comes; for one that a person has decided on it does.
func TestMailTakesItsBodyFromAHeldCopy(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		for i, again := range []bool{false, true} {
			body := func(m *Mail) { m.BodyHash = fmt.Appendf(nil, "body %d", i) }
			held := newMail(fmt.Sprint("held ", i), body, func(m *Mail) { m.Verdict, m.Reason, m.Raw = MailHeld, "incomplete", []byte("From: …") })
			if _, _, err := db.AddMail(t.Context(), held); err != nil {
				t.Fatal(err)
			}
			genuine := newMail(fmt.Sprint("genuine ", i), body)
			if again { // it was refused first
				genuine.Verdict, genuine.Reason = MailRefused, "body_taken"
				if _, _, err := other.AddMail(t.Context(), genuine); err != nil {
					t.Fatal(err)
				}
				genuine.Verdict, genuine.Reason = MailTaken, ""
				if got, err := other.RejudgeMail(t.Context(), genuine); err != nil || got.Verdict != MailTaken {
					t.Errorf("the genuine mail, judged again: %s, %v", got.Verdict, err)
				}
			} else if _, added, err := other.AddMail(t.Context(), genuine); err != nil || !added {
				t.Errorf("the genuine mail: added %v, %v", added, err)
			}
			if got, err := db.Mail(t.Context(), held.ID); err != nil || got.Verdict != MailRefused || got.Reason != "body_taken" {
				t.Errorf("the copy: %s %s, %v", got.Verdict, got.Reason, err)
			}
			if _, _, err := db.AddMail(t.Context(), newMail(fmt.Sprint("copy ", i), body)); !errors.Is(err, ErrBodyTaken) {
				t.Errorf("another copy: %v; want ErrBodyTaken", err)
			}
			held.Verdict = MailTaken
			if _, err := db.RejudgeMail(t.Context(), held); !errors.Is(err, ErrBodyTaken) {
				t.Errorf("the copy, judged again: %v; want ErrBodyTaken", err)
			}
		}
		for i, verdict := range []string{MailTaken, MailUnknown} {
			decided := newMail(fmt.Sprint("decided ", i), func(m *Mail) { m.Verdict, m.Reason = MailHeld, "incomplete" })
			if _, _, err := db.AddMail(t.Context(), decided); err != nil {
				t.Fatal(err)
			}
			decided.Verdict, decided.Reason = verdict, "by a person"
			if err := db.SettleMail(t.Context(), decided, "test"); err != nil {
				t.Fatal(err)
			}
			late := newMail(fmt.Sprint("late ", i), func(m *Mail) { m.BodyHash = decided.BodyHash })
			if _, _, err := db.AddMail(t.Context(), late); !errors.Is(err, ErrBodyTaken) {
				t.Errorf("after a person made it %s: %v; want ErrBodyTaken", verdict, err)
			}
		}
	})
}

// Of many copies at once that are to be taken, while one is held, one is.
func TestMailsTakeOneBodyFromAHeldCopy(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		body := func(m *Mail) { m.BodyHash = []byte("one body") }
		if _, _, err := db.AddMail(t.Context(), newMail("held", body, func(m *Mail) { m.Verdict, m.Reason = MailHeld, "incomplete" })); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				on := []*DB{db, other}[i%2]
				if _, _, err := on.AddMail(t.Context(), newMail(string(rune('a'+i)), body)); err != nil && !errors.Is(err, ErrBodyTaken) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for verdict, want := range map[string]int{MailTaken: 1, MailHeld: 0, MailRefused: 1} {
			if list, err := db.Mails(t.Context(), MailFilter{Verdict: verdict}); err != nil || len(list) != want {
				t.Errorf("%d %s, %v; want %d", len(list), verdict, err, want)
			}
		}
	})
}

func TestMailIsKeptAndSettled(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		m := newMail("a", func(m *Mail) {
			m.Verdict, m.Reason, m.Detail, m.Store, m.Fold, m.Raw = MailHeld, "ambiguous", "line 3", "", "", []byte("From: …")
		})
		if _, _, err := db.AddMail(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got, err := db.Mail(t.Context(), m.ID)
		if err != nil || string(got.Raw) != string(m.Raw) || got.Detail != m.Detail {
			t.Errorf("Mail = %+v, %v", got, err)
		}
		m.Verdict, m.Reason, m.Store, m.Fold = MailTaken, "", "kagi", "t9"
		for i, want := range []error{nil, ErrState} {
			if err := db.SettleMail(t.Context(), m, "test"); !errors.Is(err, want) {
				t.Errorf("SettleMail, time %d: %v; want %v", i+1, err, want)
			}
		}
		list, err := db.Mails(t.Context(), MailFilter{Verdict: MailTaken})
		if err != nil || len(list) != 1 || list[0].Fold != "t9" {
			t.Errorf("Mails = %+v, %v", list, err)
		}
	})
}

// A refused mail that a person takes claims its body; a dismissed one does not.
func TestSettledMailClaimsItsBody(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		for verdict, want := range map[string]error{MailTaken: ErrBodyTaken, MailUnknown: nil} {
			body := func(m *Mail) { m.BodyHash = []byte("body of what is " + verdict) }
			m := newMail(verdict, body, func(m *Mail) { m.Verdict = MailRefused })
			if _, _, err := db.AddMail(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			m.Verdict, m.Reason = verdict, "by a person"
			if err := db.SettleMail(t.Context(), m, "test"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := other.AddMail(t.Context(), newMail("again "+verdict, body)); !errors.Is(err, want) {
				t.Errorf("%s, and its body again: %v; want %v", verdict, err, want)
			}
		}
	})
}

// After its time a mail says nothing of itself; one that nothing was decided on
// goes.
func TestForgetMails(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		for _, verdict := range []string{MailTaken, MailHeld, MailRefused, MailUnknown, MailWaiting} {
			m := newMail(verdict, func(m *Mail) { m.Verdict, m.Told, m.Detail = verdict, "who bought what", "line 3" })
			if _, _, err := db.AddMail(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			before time.Time
			want   string
		}{
			{time.Now().Add(-time.Hour), "waiting unknown refused held taken"}, {time.Now().Add(time.Hour), "refused held taken"},
		} {
			if _, err := db.ForgetMails(t.Context(), "", c.before); err != nil {
				t.Fatal(err)
			}
			list, err := db.Mails(t.Context(), MailFilter{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range list {
				got = append(got, m.Verdict)
				if blank := m.Told+m.Detail+m.MessageID == ""; blank != c.before.After(time.Now()) {
					t.Errorf("%s, before %s: %+v", m.Verdict, c.before, m)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

func TestPlace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		if p, err := db.Place(t.Context(), "mail"); err != nil || p != (Place{}) {
			t.Errorf("before: %+v, %v", p, err)
		}
		for _, want := range []Place{{"INBOX", 1<<32 - 1, 5}, {"INBOX", 9, 1}} {
			if err := db.SetPlace(t.Context(), "mail", want); err != nil {
				t.Fatal(err)
			}
			if got, err := other.Place(t.Context(), "mail"); err != nil || got != want {
				t.Errorf("Place = %+v, %v; want %+v", got, err, want)
			}
		}
	})
}

func TestMailNumbers(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		at := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
		n := func(name string, number, day int) MailNumber {
			return MailNumber{Store: "kagi", Name: name, Number: number, Date: at(day)}
		}
		for i, numbers := range [][]MailNumber{{n("b", 2, 3), n("a", 9, 3)}, {n("b", 1, 2)}, {n("b", 7, 1)}} {
			if _, _, err := db.AddMail(t.Context(), newMail(string(rune('a'+i)), func(m *Mail) { m.Numbers = numbers })); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.MailNumbers(t.Context(), at(2))
		for i, n := range got {
			if since := time.Since(n.NotedAt); since < -time.Second || since > time.Minute {
				t.Errorf("noted at %s", n.NotedAt)
			}
			got[i].NotedAt = time.Time{}
		}
		if diff := cmp.Diff([]MailNumber{n("a", 9, 3), n("b", 1, 2), n("b", 2, 3)}, got); diff != "" || err != nil {
			t.Errorf("(-want +got), %v:\n%s", err, diff)
		}
	})
}

// ofT1 makes a mail one of the sale of newOrder("T1", …).
func ofT1(m *Mail) {
	o := newOrder("T1", "", "").Order
	m.Store, m.Fold = o.Store, o.Fold
}

// The mail that a forgotten buyer's order comes again by was noted before the
// order is known: it is blanked with it, each time.
func TestForgottenAgain(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		o := mustAdd(t, db, newOrder("T1", "k1", "A"))
		if err := db.ForgetCustomer(ctx, o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		for i, key := range []string{"k1 differs", "k1 differs"} {
			ada := func(m *Mail) { m.Told, m.Detail = "Ada", "Ada" }
			again := newMail(fmt.Sprint(i), ada, ofT1)
			other := newMail(fmt.Sprint("other", i), ada, func(m *Mail) { m.Fold = "t2" })
			for _, m := range []Mail{again, other} {
				if _, _, err := db.AddMail(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
			n := newOrder("T1", key, "")
			n.Order.Name, n.Order.Email, n.Order.Forgotten = "", "", true
			n.Outcome.Codes, n.Outcome.Held = nil, "conflict"
			if _, added, err := db.AddOrder(ctx, n); err != nil || added != (i == 0) {
				t.Fatalf("added %v, %v", added, err)
			}
			if m, err := db.Mail(ctx, again.ID); err != nil || m.Told+m.Detail+m.MessageID != "" {
				t.Errorf("time %d: %+v, %v", i, m, err)
			}
			if m, err := db.Mail(ctx, other.ID); err != nil || m.Told != "Ada" {
				t.Errorf("another sale's: %+v, %v", m, err)
			}
		}
		sound(t, db)
	})
}

// Forgetting a buyer empties and dismisses the mails that wait; what another's
// mails say stays.
func TestForgetHeldMails(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		o := mustAdd(t, db, newOrder("T1", "k1", "A"))
		held := func(m *Mail) { m.Verdict, m.Reason, m.Raw = MailHeld, "ambiguous", []byte("From: Ada") }
		ofSale, named := newMail("a", held, ofT1), newMail("b", held, func(m *Mail) { m.Fold = "" })
		refused := newMail("c", held, func(m *Mail) { m.Verdict, m.Reason, m.Fold = MailRefused, "unsigned", "" })
		another := newMail("d", held, func(m *Mail) { m.Fold, m.Raw = "t2", []byte("From: Eve") })
		told := newMail("e", func(m *Mail) { m.Fold, m.Told = "t3", "Ada" })
		for _, m := range []Mail{ofSale, named, refused, another, told} {
			if _, _, err := db.AddMail(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.ForgetCustomer(ctx, o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		says := func(raw []byte) bool { return strings.Contains(string(raw), "Ada") }
		ada := func(m Message) bool { return says(m.Raw) }
		if list, err := db.MessagesNaming(ctx, ada); err != nil || len(list) != 2 || list[0].ID != named.ID || list[1].Verdict != MailRefused {
			t.Errorf("MessagesNaming = %+v, %v", list, err)
		}
		if n, err := db.ForgetRefused(ctx, ada, "test"); err != nil || n != 2 {
			t.Errorf("ForgetRefused = %d, %v", n, err)
		}
		if n, err := db.ForgetTold(ctx, says, "test"); err != nil || n != 1 {
			t.Errorf("ForgetTold = %d, %v", n, err)
		}
		for _, row := range []struct {
			mail            Mail
			verdict, reason string
			raw             int
		}{
			{ofSale, MailUnknown, "dismissed", 0},
			{named, MailUnknown, "dismissed", 0},
			{refused, MailRefused, "unsigned", 0},
			{another, MailHeld, "ambiguous", 9},
			{told, MailTaken, "", 0},
		} {
			m, err := db.Mail(ctx, row.mail.ID)
			if err != nil || m.Verdict != row.verdict || m.Reason != row.reason || len(m.Raw) != row.raw || m.Told != "" || (m.MessageID != "") != (row.raw > 0) {
				t.Errorf("%+v, %v; want %+v", m, err, row)
			}
		}
		sound(t, db)
	})
}
