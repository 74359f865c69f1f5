package intake

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// relaxed signs as most stores do.
func relaxed(mail string) string {
	return signed(mail, "store.example", "s1", func(o *dkim.SignOptions) {
		o.HeaderCanonicalization, o.BodyCanonicalization = dkim.CanonicalizationRelaxed, dkim.CanonicalizationRelaxed
	})
}

// Copies that the signature does not tell from the mail, and others, come before the
// genuine one and after it: its sale is taken once, as the mail says.
func TestIntakeChangedCopies(t *testing.T) {
	with := func(old, new string) func(string) string {
		return func(raw string) string { return replaced(raw, old, new) }
	}
	on := func(field string) func(string) string { return func(raw string) string { return field + "\r\n" + raw } }
	changes := []func(string) string{
		with("US$ 35.00", "US$\t35.00"), with("Registered-To: Ada", "Registered-To:\tAda "), with("SQNM-\"me_Demo\" ", "SQNM-\"me_Demo\"\t "), with("Payment fee", "Payment  fee"),
		with("\r\n\r\n", "\n\n"), on("Content-Disposition: attachment"), on("Content-Transfer-Encoding: base64"), on("Subject: Fwd: Thanks for your purchase"),
		with("Message-ID:", "From: Eve <eve@example.org>\r\nMessage-ID:"), with("From: Example Store", "FROM :\r\n\tExample  Store"), with("35.00", "0.35"),
		func(raw string) string { return raw + "\r\n \r\n\r\n" },
	}
	onBoth(t, func(t *testing.T, b *bench) {
		for number := range 2*len(changes) + 1 {
			genuine := relaxed(replaced(thanks, "0042", fmt.Sprintf("%04d", number)))
			var list []string
			if change := number / 2; change < len(changes) {
				list = []string{changes[change](genuine), on("X-Copy: 1")(changes[change](genuine))}
			} else {
				for _, change := range changes {
					list = append(list, change(genuine))
				}
			}
			if number%2 == 0 { // they come first
				list = append(list, genuine, on("X-Copy: 2")(genuine), list[0])
			} else {
				list = append([]string{genuine}, append(list, on("X-Copy: 2")(genuine))...)
			}
			for _, raw := range list {
				if b.handle(raw); strings.HasPrefix(b.last(), store.MailHeld) {
					t.Errorf("a copy reads worse (%s): %q", b.last(), raw)
				}
			}
			orders := b.orders() // newest first
			if len(orders) != number+1 || orders[0].Status != store.Issued || len(orders[0].Licenses) != 1 || orders[0].Price != "35.00" || orders[0].Name != "Ada Lovelace" || orders[0].Test {
				t.Fatalf("%d orders after %d; the copies were %q; the last one: %+v", len(orders), number, list, orders[0])
			}
		}
		for verdict, want := range map[string]int{store.MailHeld: 0, store.MailTaken: 2*len(changes) + 1} {
			if list, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: verdict}); err != nil || len(list) != want {
				t.Errorf("%d mails are %s, %v; want %d", len(list), verdict, err, want)
			}
		}
	})
}

// A copy that another config held does not keep the genuine mail out, and is nothing
// to decide on any more; one that a person dismissed does.
func TestIntakeHeldCopy(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		profiles := b.Profiles
		poor, err := tfyp.ParseProfile("poor", []byte("store = \"kagi\"\nsubject = [\"Thanks\"]\nitems = [\"Item {product}\"]\nsequence = ['SQNM-\"{blurb}\" {number}']\n[fields]\nname = [\"Registered-To:\"]\nemail = [\"Email:\"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, number := range []string{"0042", "0043"} {
			genuine := hand(replaced(thanks, "0042", number))
			b.Profiles = []*tfyp.Profile{poor}
			if got := b.handle("X-Copy: 1\r\n" + genuine); got != mailbox.Held || b.last() != "held incomplete" {
				t.Fatalf("by a poor profile the copy goes to %d, %s", got, b.last())
			}
			held := b.newest()
			if number == "0043" {
				held.Verdict, held.Reason = store.MailUnknown, ReasonDismissed
				if err := b.db.SettleMail(t.Context(), held, "test"); err != nil {
					t.Fatal(err)
				}
			}
			b.Profiles = profiles
			for range 2 {
				want, taken := mailbox.Processed, "taken"
				if number == "0043" {
					want, taken = mailbox.Failed, "refused body_taken"
				}
				if got := b.handle(genuine); got != want || b.last() != taken {
					t.Errorf("%s: the genuine mail goes to %d, %s; want %d, %s", number, got, b.last(), want, taken)
				}
			}
			if got, err := b.db.Mail(t.Context(), held.ID); err != nil || got.Verdict == store.MailHeld {
				t.Errorf("%s: the copy still waits: %+v, %v", number, got, err)
			}
			if b.handle("X-Copy: 1\r\n" + genuine); len(b.orders()) != 1 {
				t.Errorf("%s: %d orders", number, len(b.orders()))
			}
		}
	})
}

// An attached mail is judged by its own bytes, whoever sent it along.
func TestIntakeAttached(t *testing.T) {
	wrap := func(inner string) string {
		return "From: Ada <ada@example.com>\r\nTo: shop@example.com\r\nSubject: Fwd: Thanks for your purchase\r\n" +
			"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nlook\r\n" +
			"--x\r\nContent-Type: message/rfc822\r\n\r\n" + inner + "\r\n--x--\r\n"
	}
	onBoth(t, func(t *testing.T, b *bench) {
		b.Policy.Trust = append(b.Policy.Trust, authentic.Trust{DKIM: "store.example", AuthservID: "mx.example.com"})
		if got := b.handle(wrap("Authentication-Results: mx.example.com; dkim=pass header.d=store.example\r\n" + thanks)); got != mailbox.Failed || len(b.orders()) > 0 {
			t.Errorf("attached and not signed: it goes to %d, orders %v", got, b.orders())
		}
		// Whose key is not in the DNS is believed on the word of the server that took
		// the mail in, and that is not whoever attached it.
		forged := "Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.s=gone\r\n" + signed(thanks, "store.example", "gone")
		if got := b.handle(wrap(forged)); got != mailbox.Failed || len(b.orders()) > 0 {
			t.Errorf("attached and forged: it goes to %d, orders %v", got, b.orders())
		}
		if got := b.handle(wrap(hand(thanks))); got != mailbox.Processed || len(b.orders()) != 1 {
			t.Errorf("attached and signed: it goes to %d, orders %v", got, b.orders())
		}
		if got := b.handle(hand(thanks)); got != mailbox.Processed && got != mailbox.Failed || len(b.orders()) != 1 {
			t.Errorf("the mail itself: it goes to %d, orders %v", got, b.orders())
		}
	})
}

// What is one message's attachment and another message of the same call is judged
// as what it proves: the copy alone, whose trust is less, proves nothing.
func TestIntakeCopyFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Policy.Trust = []authentic.Trust{{AuthservID: "mx.example.com", DKIM: "store.example"}}
		b.Resolver = func(_ context.Context, name string) ([]string, error) { // the key is gone since
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		original := "Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.s=s1\r\n" + hand(thanks)
		forward := "From: Ada <ada@example.org>\r\nTo: shop@example.com\r\nSubject: Fwd\r\nContent-Type: message/rfc822\r\n\r\n" + original
		verdicts, err := b.Handle(t.Context(), []mailbox.Message{arrived(forward), arrived(original)})
		if err != nil || verdicts[1].Filing != mailbox.Processed || len(b.orders()) != 1 {
			t.Errorf("%+v, %d orders, %v", verdicts, len(b.orders()), err)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailTaken})
		if err != nil || len(list) != 1 {
			t.Errorf("%d taken, %v", len(list), err)
		}
	})
}
