package intake

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/store"
)

func TestIntake(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		for range 3 { // a message comes again
			if got := b.handle(raw); got != mailbox.Processed {
				t.Errorf("it goes to %d; want processed", got)
			}
		}
		orders := b.orders()
		if len(orders) != 1 || orders[0].Status != store.Issued || len(orders[0].Licenses) != 1 || orders[0].Name != "Ada Lovelace" {
			t.Fatalf("orders %+v", orders)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d mails, %v", len(list), err)
		}
		got := list[0]
		if got.Verdict != store.MailTaken || got.Fold != orders[0].Fold || got.Domain != "store.example" || got.Profile != "tfyp" ||
			got.MessageID != "<4711@store.example>" || got.UID != 7 || !got.ArrivedAt.Equal(arrival) {
			t.Errorf("noted: %+v", got)
		}
		numbers, err := b.db.MailNumbers(t.Context(), time.Time{})
		if err != nil || len(numbers) != 1 || numbers[0].Number != 42 || numbers[0].Name != "me_demo" {
			t.Errorf("numbers %+v, %v", numbers, err)
		}
		// The same mail by another way has another content and the same body.
		if got := b.handle("Received: by elsewhere\r\n" + raw); got != mailbox.Failed || b.last() != "refused body_taken" {
			t.Errorf("delivered again it goes to %d, %s", got, b.last())
		}
		if len(b.orders()) != 1 {
			t.Error("it made another order")
		}
	})
}

// What makes no order, and why.
func TestIntakeTakesNothing(t *testing.T) {
	twice := replaced(thanks, "Email: ada@example.org\r\n", "Email: ada@example.org\r\nEmail: eve@example.org\r\n")
	fwd := "From: Eve <eve@example.org>\r\nTo: shop@example.com\r\nSubject: Fwd: Thanks for your purchase\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n" +
		"Content-Type: text/plain\r\n\r\n"
	tests := map[string]struct {
		raw    string
		filing mailbox.Filing
		want   string
	}{
		"a private mail":            {"From: Eve <eve@example.org>\r\nSubject: Hello\r\n\r\nHello\r\n", mailbox.Leave, "unknown"},
		"no mail":                   {"\x00\x01", mailbox.Leave, "unknown unreadable"},
		"not signed":                {thanks, mailbox.Failed, "refused no_signature"},
		"changed":                   {replaced(hand(thanks), "Ada Lovelace", "Eve"), mailbox.Failed, "refused body_changed"},
		"signed by a stranger":      {signed(thanks, "evil.example", "s1"), mailbox.Failed, "refused other_domain"},
		"a label twice":             {hand(twice), mailbox.Held, "held ambiguous"},
		"without the product":       {hand(replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", "")), mailbox.Held, "held incomplete"},
		"without a name of a sale":  {hand(replaced(thanks, "SQNM-\"me_Demo\" 0042\r\n", "")), mailbox.Held, "held incomplete"},
		"to another vendor":         {hand(replaced(thanks, "shop@example.com", "other@example.com")), mailbox.Failed, "refused not_ours"},
		"forwarded in a text":       {fwd + "> " + strings.ReplaceAll(thanks, "\r\n", "\r\n> ") + "\r\n", mailbox.Failed, "refused no_signature"},
		"its key is not in the DNS": {signed(thanks, "store.example", "s9"), mailbox.Failed, "refused no_key"},
	}
	onBoth(t, func(t *testing.T, b *bench) {
		for name, test := range tests {
			for range 2 {
				if got := b.handle(test.raw); got != test.filing || b.last() != test.want {
					t.Errorf("%s: it goes to %d, %q; want %d, %q", name, got, b.last(), test.filing, test.want)
				}
			}
		}
		if orders := b.orders(); len(orders) > 0 {
			t.Errorf("orders: %+v", orders)
		}
		kept, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailRefused})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range kept {
			if got, err := b.db.Mail(t.Context(), m.ID); err != nil || len(got.Raw) == 0 {
				t.Errorf("what was refused for %s is not kept: %v", m.Reason, err)
			}
		}
	})
}

// A mail of a sale that has its code already issues no second one.
func TestIntakeWithCode(t *testing.T) {
	withCode := func(code string) string {
		return hand(replaced(thanks, "Email:", "Registration-Code: "+code+"\r\nEmail:"))
	}
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(hand(thanks))
		code := b.orders()[0].Licenses[0].Code
		known := withCode(code)
		for range 2 {
			if got := b.handle(replaced(known, "\r\n\r\n", "\r\nX-Copy: 1\r\n\r\n")); got != mailbox.Processed || b.last() != "taken code" {
				t.Errorf("a code of ours: it goes to %d, %s", got, b.last())
			}
		}
		if got := b.handle(withCode("FROM-ELSEWHERE")); got != mailbox.Held || b.last() != "held code" {
			t.Errorf("another code: it goes to %d, %s", got, b.last())
		}
		two := replaced(thanks, "1 * Product_Name", "2 * Product_Name")
		two = replaced(two, "Email:", "Registration-Code: "+code+"\r\nRegistration-Code: NOT-OURS\r\nEmail:")
		if got := b.handle(hand(two)); got != mailbox.Held || b.last() != "held code" {
			t.Errorf("one of two is ours: it goes to %d, %s", got, b.last())
		}
		if n := len(b.orders()); n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

// Each message of several is judged by itself, whatever the others are.
func TestIntakeSeveral(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		known := hand(replaced(thanks, "0042", "0001"))
		b.handle(known)
		b.Resolver = func(ctx context.Context, name string) ([]string, error) {
			if name == "s1._domainkey.slow.example" {
				return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
			}
			return keys(ctx, name)
		}
		b.Policy.Trust = append(b.Policy.Trust, authentic.Trust{DKIM: "slow.example"})
		first := hand(thanks)
		slow := replaced(thanks, "0042", "0043")
		var list []mailbox.Message
		for _, raw := range []string{
			"Subject: lunch\r\n\r\nAt noon?\r\n", first, known, thanks, first, "X-Again: yes\r\n" + first,
			signed(replaced(slow, "orders@store.example", "orders@slow.example"), "slow.example", "s1"),
			hand(replaced(thanks, "1 * Product_Name", "1 * ")), hand(replaced(thanks, "0042", "0044")),
		} {
			list = append(list, arrived(raw))
		}
		want := []mailbox.Filing{mailbox.Leave, mailbox.Processed, mailbox.Processed, mailbox.Failed, mailbox.Processed, mailbox.Failed, mailbox.Leave, mailbox.Held, mailbox.Processed}
		for i := range 2 { // they come again
			verdicts, err := b.Handle(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			var got []mailbox.Filing
			for at, v := range verdicts {
				got = append(got, v.Filing)
				if v.Later != (at == 6) {
					t.Errorf("time %d, message %d: later %v", i+1, at, v.Later)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("time %d (-want +got):\n%s", i+1, diff)
			}
		}
		if n := len(b.orders()); n != 3 {
			t.Errorf("%d orders; want those of 0001, 0042 and 0044", n)
		}
	})
}
