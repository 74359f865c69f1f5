package delivery

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/keypost/keypost/store"
)

// sent are the mails that a server took since the last call.
func (f *mailhost) sent(t *testing.T) (list []opened) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, raw := range f.mails {
		list = append(list, open(t, raw))
	}
	f.mails = nil
	return list
}

// The vendor hears of the first held order of a reason at once, of the others
// of that hour in one mail.
func TestHeldGathered(t *testing.T) {
	f := &mailhost{}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		_, first := p.hold("T1;rm -rf /", "price")
		p.mail()
		list := f.sent(t)
		if len(list) != 1 || list[0].subject != "Held: kagi T1;rm -rf / 1 (price)" || list[0].header.Get("To") != "<me@example.com>" ||
			list[0].header.Get("Message-Id") != "<"+first.ID+"@example.com>" {
			t.Fatalf("%+v\n%s", list, p.log)
		}
		for _, want := range []string{
			"\n  do order.approve of [\"kagi\" \"T1;rm -rf /\" \"1\"] with []\n", "\n  do order.reject of [\"kagi\" \"T1;rm -rf /\" \"1\"] with []\n", "Explained: price.", "    price: 149.000 USD\n",
			"    name: Ada Lovelace\n", "    ACG:TransactionID = T1;rm -rf /\n", "    ACG:Password = ***\n", "    note = a b\n",
		} {
			if !strings.Contains(list[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, list[0].text)
			}
		}
		if strings.Contains(list[0].text, "hush") {
			t.Errorf("it tells the secret:\n%s", list[0].text)
		}
		var ids []string
		for i := range 60 {
			_, n := p.hold(fmt.Sprint("M", i), "price")
			ids = append(ids, n.ID)
		}
		decided, _ := p.hold("D1", "price")
		p.hold("Q1", "quantity")
		p.mail()
		if list := f.sent(t); len(list) != 1 || !strings.Contains(list[0].subject, "(quantity)") {
			t.Fatalf("another reason goes at once, these wait: %+v", list)
		}
		if n := p.notice(ids[0]); n.Tries != 0 || !n.NextAt.Equal(p.now().Truncate(time.Hour).Add(time.Hour)) {
			t.Errorf("%+v", n)
		}
		if err := p.db.RejectOrder(t.Context(), decided.ID, "test"); err != nil {
			t.Fatal(err)
		}
		p.wait(time.Hour - time.Second)
		if p.mail(); len(f.sent(t)) > 0 {
			t.Error("sent before the hour is over")
		}
		p.wait(time.Second)
		p.mail()
		list = f.sent(t)
		if len(list) != 1 || list[0].subject != "Held: 60 orders of kagi (price)" || strings.Count(list[0].text, "order.approve") != maxHeldShown ||
			strings.Count(list[0].text, "The original post:") != maxHeldWhole ||
			!strings.Contains(list[0].text, "\nand 10 more; to list them: keypost order list --status held") || strings.Contains(list[0].text, " D1 ") {
			t.Fatalf("%d mails, %s\n%s", len(list), list[0].subject, list[0].text)
		}
		if n, err := p.db.CountNotices(t.Context(), store.NoticeSent); n != len(ids)+3 || err != nil { // and the first, the one of another reason, the decided one
			t.Errorf("%d are sent, %v", n, err)
		}
		// What was decided before it could be told is not told.
		o, n := p.hold("D2", "currency")
		if err := p.db.RejectOrder(t.Context(), o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		p.mail()
		if got := p.notice(n.ID); len(f.sent(t)) > 0 || got.Status != store.NoticeSent {
			t.Errorf("%+v", got)
		}
	})
}

// A product that is not known is named by whoever approves.
func TestHeldUnknownProduct(t *testing.T) {
	f := &mailhost{}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	p.config.Tests["kagi"] = &mail.Address{Address: "lab@example.com"}
	p.add("T1", func(n *store.NewOrder) {
		n.Order.Product, n.Order.Test = "", true
		n.Order.Differs = []store.Difference{{Field: "price", Before: "149.000 USD", Now: "1.000 USD"}, {Field: "name", Now: "Eve"}}
		n.Outcome = store.Outcome{Held: "unknown_product", Notices: []store.Notice{{ID: store.NewID(), Kind: store.NoticeHeld, Audience: store.ToTest}}}
	})
	p.mail()
	if list := f.sent(t); len(list) != 1 || list[0].header.Get("To") != "<lab@example.com>" || !strings.Contains(list[0].text, "order.approve of [\"kagi\" \"T1\" \"1\"] with [product]\n") ||
		!strings.Contains(list[0].text, "test: yes") || !strings.Contains(list[0].text, "    price before: 149.000 USD\n    name before: nothing\n") {
		t.Errorf("%+v", list)
	}
}

// refuse keeps a refused post of a moment.
func (p *post) refuse(reason, raw string) {
	p.t.Helper()
	id := ulid.MustNew(ulid.Timestamp(p.now()), ulid.DefaultEntropy())
	m := store.Message{ID: id.String(), Channel: "kagi", Verdict: store.VerdictRefused, Reason: reason, Raw: []byte(raw)}
	if err := p.db.AddRefused(p.t.Context(), m, true); err != nil {
		p.t.Fatal(err)
	}
}

// A stranger who posts without end makes two mails an hour.
func TestRefusedGathered(t *testing.T) {
	f := &mailhost{}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		p.wait(10 * time.Minute)
		for i := range 20 {
			p.refuse("ACG:Password does not match.", fmt.Sprintf("n=%d&ACG%%3APassword=hush%d&x=%%1b%%0aApprove+me&api_key=hush", i, i))
			p.wait(time.Second)
		}
		p.refuse("Another reason.", "<html>\nnot a form")
		if n, err := p.db.CountNotices(t.Context(), store.NoticeWaiting); n != 3 || err != nil {
			t.Fatalf("%d notices, %v", n, err)
		}
		p.mail()
		list := f.sent(t)
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		first, other := list[0], list[1]
		if strings.Contains(first.text, "Another reason.") {
			first, other = other, first
		}
		for _, want := range []string{"was refused (2026-03-01 12:00-13:00 UTC)", "ACG:Password does not match.", "\n    n = 0\n", "\n    ACG:Password = ***\n", "\n    x = Approve me\n", "\n    api_key = ***"} {
			if !strings.Contains(first.text, want) {
				t.Errorf("it lacks %q:\n%s", want, first.text)
			}
		}
		if strings.Contains(first.text, "hush") || strings.Contains(first.text, "n = 1\n") || !strings.Contains(other.text, "\n    not a form") || first.subject != "Refused: a post to kagi" {
			t.Errorf("%s\n%s\n%s", first.subject, first.text, other.text)
		}
		p.wait(time.Hour)
		p.mail()
		list = f.sent(t)
		if len(list) != 1 || list[0].subject != "Refused: 19 more posts to kagi" || strings.Count(list[0].text, "Received ") != maxRefusedShown ||
			strings.Contains(list[0].text, "n = 0\n") || !strings.Contains(list[0].text, "n = 5\n") || !strings.Contains(list[0].text, "The other posts are similar") {
			t.Errorf("%+v", list)
		}
		counts, err := p.db.CountRefused(t.Context(), p.now().Add(-24*time.Hour), p.now())
		if err != nil || len(counts) != 2 || counts[0] != (store.Count{Of: "kagi", Reason: "ACG:Password does not match.", N: 20}) {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// One digest a day, whoever writes it; one that is late is replaced by the
// next.
func TestDigest(t *testing.T) {
	f := &mailhost{}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		p.config.Digest = func(context.Context) (Digest, error) {
			return Digest{
				Head: "0123abcd", Held: []store.Count{{Of: "kagi", Reason: "price", N: 3}}, Dead: []store.Count{{Of: "codes", Reason: "550 a\x1bb", N: 1}},
				Refused: []store.Count{{Of: "kagi", Reason: "No.", N: 7}}, Pools: []PoolLevel{{"demo", 4, 100, true}}, Gaps: []string{"sqnm: 12 to 15"}, Outages: []string{"mail, since\n\x1bthen: why"},
			}, nil
		}
		for i, want := range []bool{true, false} {
			if added, err := p.db.AddDigest(t.Context(), p.now().Add(time.Duration(i)*time.Hour), "0123"); added != want || err != nil {
				t.Fatalf("%v, %v", added, err)
			}
		}
		p.wait(24 * time.Hour)
		if _, err := p.db.AddDigest(t.Context(), p.now(), "4567"); err != nil {
			t.Fatal(err)
		}
		if last, err := p.db.LastDigest(t.Context()); err != nil || last.Subject != "4567" || store.MadeAt(last.ID).Format(time.DateOnly) != "2026-03-02" {
			t.Errorf("%+v, %v", last, err)
		}
		p.mail()
		list := f.sent(t)
		if len(list) != 1 || list[0].subject != "Keypost on 2026-03-02: orders need your decision" {
			t.Fatalf("%+v", list)
		}
		for _, want := range []string{"    3 of kagi: price\n", "    1 of kind codes: 550 ab\n", "    7 on kagi: No.\n", "    demo: 4 of 100: low\n", "    sqnm: 12 to 15\n", "    mail, since then: why\n", "--head 0123abcd"} {
			if !strings.Contains(list[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, list[0].text)
			}
		}
	})
	if r := (Digest{Head: "x"}).Mail(time.Now()); !strings.HasPrefix(r.Text, "Nothing needs your decision.\n\nHead of the audit log: x\n") || strings.Contains(r.Subject, "decision") {
		t.Errorf("%+v", r)
	}
	if (Digest{Head: "x", Pools: []PoolLevel{{Free: 30}}}).News() || !(Digest{Pools: []PoolLevel{{Low: true}}}).News() || !(Digest{Gaps: []string{"x"}}).News() || !(Digest{Outages: []string{"x"}}).News() {
		t.Error("what is news")
	}
}

// A digest goes on where the last one ended that was sent, however late it is.
func TestDigestLate(t *testing.T) {
	f := &mailhost{}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		p.config.Digest = func(ctx context.Context) (d Digest, err error) {
			d.Until = p.now()
			if d.Since, err = p.db.DigestTold(ctx); err != nil {
				return d, err
			}
			d.Refused, err = p.db.CountRefusedSince(ctx, d.Since, d.Until)
			return d, err
		}
		digest := func() {
			t.Helper()
			if _, err := p.db.AddDigest(t.Context(), p.now(), "head"); err != nil {
				t.Fatal(err)
			}
			p.mail()
		}
		p.refuse("First.", "x")
		p.wait(time.Hour)
		digest()
		f.sent(t)
		away := *p.config
		away.Server.Port = 1
		p.mailer.Configure(&away)
		for day := range 3 {
			p.refuse(fmt.Sprintf("Day %d.", day), "x")
			p.wait(24 * time.Hour)
			digest()
		}
		p.refuse("Today.", "x")
		p.wait(2 * time.Hour)
		p.mailer.Configure(p.config)
		p.mail()
		var told []opened
		for _, m := range f.sent(t) {
			if strings.HasPrefix(m.subject, "Keypost on ") {
				told = append(told, m)
			}
		}
		if len(told) != 1 || told[0].subject != "Keypost on 2026-03-04" || !strings.Contains(told[0].text, "Refused since 2026-03-01 13:00 UTC, if kept") {
			t.Fatalf("%+v\n%s", told, p.log)
		}
		for _, want := range []string{"1 on kagi: Day 0.\n", "1 on kagi: Day 1.\n", "1 on kagi: Day 2.\n", "1 on kagi: Today.\n"} {
			if !strings.Contains(told[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, told[0].text)
			}
		}
		if strings.Contains(told[0].text, "First.") {
			t.Errorf("it tells again:\n%s", told[0].text)
		}
		p.wait(24 * time.Hour)
		digest()
		if list := f.sent(t); len(list) != 1 || strings.Contains(list[0].text, "Refused") {
			t.Errorf("it tells again: %+v", list)
		}
	})
}

// Codes go to whom they are meant for, as things are when they are sent.
func TestCodesRecipients(t *testing.T) {
	f := &mailhost{}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	p.config.Tests["kagi"] = &mail.Address{Address: "lab@example.com"}
	p.add("T1", func(n *store.NewOrder) { n.Order.Test = true; n.Outcome.Notices[0].Audience = store.ToTest })
	p.add("T2", func(n *store.NewOrder) { n.Order.Test = true }) // a buyer's address in a test order is nobody's business
	p.add("T3", func(n *store.NewOrder) { n.Order.Email = ""; n.Outcome.Notices[0].Audience = store.ToVendor })
	p.add("T4", func(n *store.NewOrder) { n.Order.Test, n.Order.Channel = true, "other" })
	p.add("T5", func(n *store.NewOrder) { n.Order.Language = "de-AT" })
	refunded, dead := p.add("T6", nil)
	if _, err := p.db.RefundOrder(t.Context(), refunded.ID, "test"); err != nil {
		t.Fatal(err)
	}
	edited, _ := p.add("T7", nil)
	if err := p.db.EditCustomer(t.Context(), edited.ID, "Grace Hopper", "grace@example.com", "test"); err != nil {
		t.Fatal(err)
	}
	p.mail()
	got := map[string]string{}
	for _, m := range f.sent(t) {
		_, order, _ := strings.Cut(m.text, "CODE-")
		got[order[:2]] = m.header.Get("To") + " " + m.subject
	}
	for order, want := range map[string]string{
		"T1": "<lab@example.com> [Test order] Your activation code for Demo", "T2": "<lab@example.com> [Test order] Your activation code for Demo",
		"T3": "<me@example.com> [Buyer without address] Your activation code for Demo", "T4": "<me@example.com> [Test order] Your activation code for Demo",
		"T5": "<ada@example.com> Ihr Aktivierungscode für Demo", "T6": "", "T7": "<grace@example.com> Your activation code for Demo",
	} {
		if got[order] != want {
			t.Errorf("%s: %q, want %q", order, got[order], want)
		}
	}
	if n := p.notice(dead.ID); n.Status != store.NoticeDead || !strings.Contains(n.Error, "refunded") {
		t.Errorf("%+v", n)
	}
	p.config.Attach = func(context.Context, store.Order) ([]Attachment, error) { return nil, context.DeadlineExceeded }
	_, n := p.add("T8", nil)
	p.mail()
	if got := p.notice(n.ID); got.Status != store.NoticeWaiting || got.Tries != 1 || !strings.HasPrefix(got.Error, "its attachment") {
		t.Errorf("%+v", got)
	}
}
