package intake

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// person decides on the bench's mails.
func (b *bench) person() Person {
	return Person{DB: b.db, Desk: b.Desk.(*ingest.Desk), Actor: "test"}
}

// noted is the row of a mail.
func (b *bench) noted(raw string) store.Mail {
	b.t.Helper()
	content := sha256.Sum256([]byte(raw))
	known, err := b.db.MailsByContent(b.t.Context(), b.Channel, [][32]byte{content})
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := b.db.Mail(b.t.Context(), known[content].ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// approve approves a mail.
func (b *bench) approve(raw string, c Correction) (Approval, error) {
	b.t.Helper()
	m := b.noted(raw)
	return b.person().Approve(b.t.Context(), m, b.Recognise(m.Raw), c)
}

// refusal is why an approval was refused, with what it needs.
func refusal(err error) []string {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return nil
	}
	return append([]string{r.Code}, r.Needs...)
}

// What a person has decided on stays decided, when the mail comes again.
func TestDecided(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * "))
		b.handle(raw)
		if m, err := b.person().Dismiss(t.Context(), b.noted(raw).ID); err != nil || m.Reason != ReasonDismissed {
			t.Fatal(m, err)
		}
		if got := b.handle(raw); got != mailbox.Leave || b.last() != "unknown dismissed" {
			t.Errorf("dismissed: it goes to %d, %s", got, b.last())
		}
		_, err := b.person().Dismiss(t.Context(), b.noted(raw).ID)
		if got := refusal(err); !slices.Equal(got, []string{RefusedDecided}) {
			t.Errorf("dismissed twice: %v, %v", got, err)
		}
		b.handle(thanks)
		done, err := b.approve(thanks, Correction{Name: "Ada King"})
		if err != nil || len(done.Orders) != 1 || done.Orders[0].Status != store.Issued || done.Orders[0].Name != "Ada King" {
			t.Fatalf("approved: %+v, %v", done, err)
		}
		if got := b.handle(thanks); got != mailbox.Processed || b.last() != "taken approved" || len(b.orders()) != 1 {
			t.Errorf("approved: it goes to %d, %s, orders %v", got, b.last(), b.orders())
		}
		_, err = b.approve(thanks, Correction{})
		if got := refusal(err); !slices.Equal(got, []string{RefusedDecided}) {
			t.Errorf("approved twice: %v, %v", got, err)
		}
	})
}

// A refused approval says what is missing, and changes nothing.
func TestApprovalRefused(t *testing.T) {
	twice := "US$ 35.00 - 1 * Product_Name\r\nUS$ 5.00 - 1 * Other_Product\r\n"
	onBoth(t, func(t *testing.T, b *bench) {
		for name, test := range map[string]struct {
			raw  string
			c    Correction
			want []string
		}{
			"no product":        {replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", ""), Correction{}, []string{RefusedIncomplete, "product"}},
			"no buyer":          {replaced(replaced(thanks, "Registered-To: Ada Lovelace\r\n", ""), "Email: ada@example.org\r\n", ""), Correction{}, []string{RefusedIncomplete, "name", "email"}},
			"no quantity":       {replaced(thanks, "1 * Product_Name", "0 * Product_Name"), Correction{}, []string{RefusedIncomplete, "quantity"}},
			"too many":          {thanks, Correction{Quantity: tfyp.MaxCopies + 1}, []string{RefusedIncomplete, "quantity"}},
			"two products":      {replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", twice), Correction{Product: "demo"}, []string{RefusedCorrection}},
			"two, and copies":   {replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", twice), Correction{Quantity: 2}, []string{RefusedCorrection}},
			"an amount":         {thanks, Correction{All: true}, []string{RefusedCorrection}},
			"a refund's buyer":  {back, Correction{Name: "Ada"}, []string{RefusedCorrection}},
			"an unknown refund": {back, Correction{}, []string{RefusedSale}},
		} {
			b.handle(test.raw) // nobody signed it
			_, err := b.approve(test.raw, test.c)
			if diff := cmp.Diff(test.want, refusal(err)); diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
			}
			if m := b.noted(test.raw); m.Verdict != store.MailRefused {
				t.Errorf("%s: the mail is %s now", name, m.Verdict)
			}
		}
		if n := len(b.orders()); n > 0 {
			t.Errorf("%d orders", n)
		}
	})
}

// What nobody reads any more cannot be approved.
func TestApproveUnread(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(thanks)
		b.Profiles = nil
		_, err := b.approve(thanks, Correction{})
		if got := refusal(err); !slices.Equal(got, []string{RefusedUnread}) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// An approved refund says which orders it took back, and whether it is new.
func TestApproveRefund(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(hand(thanks))
		b.handle(back)
		done, err := b.approve(back, Correction{All: true})
		if err != nil || len(done.Refunds) != 1 || !done.Refunds[0].Added || len(done.Refunds[0].Orders) != 1 || !done.Orders[0].Refunded {
			t.Errorf("%+v, %v", done, err)
		}
	})
}
