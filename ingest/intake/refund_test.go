package intake

import (
	"errors"
	"testing"
	"time"

	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

func TestIntakeRefund(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(hand(thanks))
		raw := hand(back)
		for range 2 {
			if got := b.handle(raw); got != mailbox.Processed {
				t.Errorf("a refund goes to %d: %s", got, b.last())
			}
		}
		if o := b.orders()[0]; !o.Refunded || o.Licenses[0].Status != store.Revoked {
			t.Errorf("refunded: %+v", o)
		}
	})
}

// A refund's sale may be told by the next mail; after an hour a person must look.
func TestIntakeRefundBeforeItsSale(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		now, raw := arrival, hand(back)
		b.Now = func() time.Time { return now }
		if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.last() != "waiting unknown_sale" {
			t.Errorf("at once: %v, %s", err, b.last())
		}
		now = now.Add(salePatience + time.Minute)
		if got := b.handle(raw); got != mailbox.Held || b.last() != "held unknown_sale" {
			t.Errorf("an hour later it goes to %d, %s", got, b.last())
		}
		b.handle(hand(thanks))
		if got := b.handle(raw); got != mailbox.Processed || !b.orders()[0].Refunded {
			t.Errorf("with its sale it goes to %d, %s", got, b.last())
		}
	})
}

// A refund that can never be counted is held; one of a sale that nobody told of
// waits, by whatever name.
func TestIntakeRefundAmount(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		p, err := tfyp.ParseProfile("parts", []byte(refundProfile+
			"[fields]\ntransaction = [\"Order:\"]\namount = [\"Back:\"]\nreference = [\"Refund:\"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		b.Profiles[0] = p
		b.handle(hand(thanks))
		for lines, want := range map[string]string{
			"Back: 5.00 EUR\r\nRefund: R-1\r\n":                  "held refund_amount",
			"Back: 5.00 USD\r\nRefund: R-2\r\n":                  "taken",
			"Back: 5.00\r\nRefund: R-3\r\n":                      "held incomplete",
			"Order: B-7777\r\nBack: 5.00 USD\r\nRefund: R-4\r\n": "waiting unknown_sale",
		} {
			if _, err := b.try(arrived(hand(back + lines))); err != nil && !errors.Is(err, errWaits) {
				t.Fatal(err)
			}
			if got := b.last(); got != want {
				t.Errorf("%q: %s; want %s", lines, got, want)
			}
		}
	})
}

// A mailbox that is read after a pause, or for the first time, has the refund's
// mail beside that of its sale.
func TestIntakeOldRefund(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Now = func() time.Time { return arrival.Add(48 * time.Hour) }
		list := []mailbox.Message{arrived(hand(back)), arrived(hand(thanks))}
		for i, later := range []bool{true, false} {
			verdicts, err := b.Handle(t.Context(), list)
			if err != nil || verdicts[1].Filing != mailbox.Processed || verdicts[0].Later != later {
				t.Fatalf("time %d: %+v, %v", i+1, verdicts, err)
			}
		}
		if !b.orders()[0].Refunded {
			t.Error("the refund did not come in")
		}
	})
}
