package delivery

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/keypost/keypost/store"
)

// keep keeps a mail that is held, of a moment.
func (p *post) keep(reason, raw, detail string) store.Mail {
	p.t.Helper()
	m := store.Mail{
		ID: ulid.MustNew(ulid.Timestamp(p.now()), ulid.DefaultEntropy()).String(), Channel: "mail", Content: sha256.Sum256([]byte(raw + detail)),
		Verdict: store.MailHeld, Reason: reason, Detail: detail, MessageID: "<m@store.example>", Domain: "store.example", ArrivedAt: p.now(), Raw: []byte(raw),
	}
	if _, _, err := p.db.AddMail(p.t.Context(), m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// The vendor hears of the first held mail of a reason at once, of all that are
// held still when the hour is over, with all that they say.
func TestHeldMails(t *testing.T) {
	f := &mailhost{}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		first := p.keep("ambiguous", "T1", "\"email\" is in line 3\x1b and in line 4")
		p.mail()
		list := f.sent(t)
		if len(list) != 1 || list[0].subject != "Held: kagi T1, Product_Name (ambiguous)" || list[0].header.Get("To") != "<me@example.com>" {
			t.Fatalf("%+v\n%s", list, p.log)
		}
		for _, want := range []string{
			"A mail about a sale is held on the channel mail (2026-03-01 12:00-13:00 UTC): ambiguous\nExplained: ambiguous, refund false.\n",
			"\nNo order was created for the sale: the buyer is waiting.\n", "\nkagi T1, Product_Name, arrived 2026-03-01 12:00:00 UTC\n",
			fmt.Sprintf("\n  do mail.approve of [%q] with [email]\n  do mail.dismiss of [%[1]q] with []\n  do mail.show of [%[1]q] with []\n", first.ID),
			"    why: \"email\" is in line 3 and in line 4\n", "    Subject: Thanks[2J T1\n    From: Kagi <x@store.example>\n    Date: 2026-03-01 11:59:00 UTC\n",
			"    signed by: store.example\n    name: Ada keypost order approve x\n    keyword password: ***\n    comment: " + strings.Repeat("x", maxValue) + "…\n",
		} {
			if !strings.Contains(list[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, list[0].text)
			}
		}
		if strings.Contains(list[0].text, "hush") || strings.Contains(list[0].text, "efund of") {
			t.Errorf("%s", list[0].text)
		}
		p.keep("unknown_sale", "R1", "")
		p.mail()
		if list = f.sent(t); len(list) != 1 || list[0].subject != "Held refund: kagi R1, Product_Name (unknown_sale)" {
			t.Fatalf("%+v", list)
		}
		for _, want := range []string{
			"A mail about a refund is held on", "\nExplained: unknown_sale, refund true.\n", "\nNo order was refunded: the codes keep working until you decide.\n",
			"\nRefund of kagi R1, Product_Name, arrived ",
		} {
			if !strings.Contains(list[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, list[0].text)
			}
		}
		if strings.Contains(list[0].text, "buyer") || strings.Contains(list[0].text, "refund false") {
			t.Errorf("a refund is told as a sale:\n%s", list[0].text)
		}
		p.keep("ambiguous", "R2", "")
		p.keep("ambiguous", "", "")
		if p.mail(); len(f.sent(t)) > 0 {
			t.Error("sent before the hour is over")
		}
		p.wait(time.Hour)
		p.mail()
		if list = f.sent(t); len(list) != 1 || list[0].subject != "Held: 3 mails of mail (ambiguous)" {
			t.Fatalf("%+v", list)
		}
		for _, want := range []string{
			"Mails about sales and refunds are held on", "Explained: ambiguous, refund false.\nExplained: ambiguous, refund true.\n", "the buyers are waiting.\nNo order was refunded",
			"\nRefund of kagi R2,", "\na mail, arrived ", "(the rest could not be read or was not kept",
		} {
			if !strings.Contains(list[0].text, want) {
				t.Errorf("it lacks %q:\n%s", want, list[0].text)
			}
		}
		var many []store.Mail
		for i := range maxMailsShown + 2 {
			many = append(many, p.keep("code", fmt.Sprint("M", i), ""))
		}
		p.mail()
		if list = f.sent(t); len(list) != 1 || strings.Count(list[0].text, "mail.approve") != maxMailsShown || list[0].subject != "Held: 50 or more mails of mail (code)" ||
			!strings.Contains(list[0].text, "\nTo list all held mails: keypost mail list --verdict held") {
			t.Fatalf("%d, %+v", strings.Count(list[0].text, "mail.approve"), list)
		}
		for _, m := range many { // a person decides
			m.Verdict = store.MailUnknown
			if err := p.db.SettleMail(t.Context(), m, "test"); err != nil {
				t.Fatal(err)
			}
		}
		p.wait(time.Hour)
		if p.mail(); len(f.sent(t)) > 0 {
			t.Error("what was decided is told")
		}
	})
}
