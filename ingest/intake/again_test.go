package intake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// What was refused, or not known, is judged anew when it comes again: the trust,
// or a profile, may have been mended.
func TestIntakeJudgesAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw, profiles, policy := hand(thanks), b.Profiles, b.Policy
		b.Profiles = nil
		if got := b.handle(raw); got != mailbox.Leave || b.last() != "unknown" {
			t.Errorf("without a profile it goes to %d, %s", got, b.last())
		}
		b.Profiles, b.Policy.Trust = profiles, []authentic.Trust{{DKIM: "other.example"}}
		if got := b.handle(raw); got != mailbox.Failed || b.last() != "refused other_domain" {
			t.Errorf("without trust it goes to %d, %s", got, b.last())
		}
		b.Policy = policy
		for range 2 {
			if got := b.handle(raw); got != mailbox.Processed || b.last() != "taken" {
				t.Errorf("mended, it goes to %d, %s", got, b.last())
			}
		}
		if list, err := b.db.Mails(t.Context(), store.MailFilter{}); err != nil || len(list) != 1 || len(b.orders()) != 1 {
			t.Errorf("%d mails, %d orders, %v", len(list), len(b.orders()), err)
		}
		// What was taken of it is fixed: no profile, and no other name of the store,
		// makes another order of it.
		other, err := tfyp.ParseProfile("other", []byte("kind = \"order\"\nstore = \"else\"\nsubject = [\"Thanks\"]\nitems = [\"{currency} {price} - {quantity} * {product}\"]\n"+
			"[fields]\nname = [\"Registered-To:\"]\ntransaction = [\"Payment \"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, profiles := range [][]*tfyp.Profile{nil, {other}} {
			b.Profiles, b.Store = profiles, "elsewhere"
			if got := b.handle(raw); got != mailbox.Processed || len(b.orders()) != 1 {
				t.Errorf("with other profiles it goes to %d, and there are %d orders", got, len(b.orders()))
			}
		}
	})
}

// When another daemon, with another config, has taken a mail in between, what it
// took counts.
func TestIntakeMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		other := *b.Intake
		other.Store = "elsewhere"
		b.Licenses = &blind{b.db, func() {
			if _, err := other.Handle(t.Context(), []mailbox.Message{arrived(raw)}); err != nil {
				t.Error(err)
			}
		}}
		if got := b.handle(raw); got != mailbox.Processed {
			t.Errorf("it goes to %d", got)
		}
		if list := b.orders(); len(list) != 1 || list[0].Store != "elsewhere" {
			t.Errorf("orders %+v", list)
		}
	})
}

// blind has something happen after it was asked what is known.
type blind struct {
	*store.DB
	then func()
}

func (b *blind) MailsByContent(ctx context.Context, channel string, contents [][32]byte) (map[[32]byte]store.Mail, error) {
	known, err := b.DB.MailsByContent(ctx, channel, contents)
	b.then()
	return known, err
}

// DNS trouble is no reason to refuse, until it has lasted for three days.
func TestIntakeLater(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		now := arrival
		b.Now = func() time.Time { return now }
		b.Resolver = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
		}
		raw := hand(thanks)
		for range 2 {
			if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.last() != "waiting dns" {
				t.Errorf("err = %v, %s", err, b.last())
			}
			now = now.Add(dnsPatience/2 - time.Minute)
		}
		now = arrival.Add(dnsPatience + time.Hour)
		if got := b.handle(raw); got != mailbox.Failed || b.last() != "refused dns" {
			t.Errorf("after three days it goes to %d, %s", got, b.last())
		}
	})
}

// A crash between two steps costs nothing: the mail comes again.
func TestIntakeCrashes(t *testing.T) {
	crash := errors.New("crash")
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "SQNM", "US$ 5.00 - 1 * Other_Product\r\nSQNM"))
		whole := b.Desk
		for accepts := range 2 {
			b.Desk = &crashing{Desk: whole, after: accepts, err: crash}
			if _, err := b.try(arrived(raw)); !errors.Is(err, crash) {
				t.Fatalf("err = %v", err)
			}
		}
		b.Desk = whole
		if got := b.handle(raw); got != mailbox.Held { // nobody knows Other_Product
			t.Errorf("it goes to %d", got)
		}
		var got []string
		for _, o := range b.orders() {
			got = append(got, fmt.Sprint(o.StoreProduct, " ", o.Status))
		}
		if diff := cmp.Diff([]string{"Other_Product held", "Product_Name issued"}, got); diff != "" {
			t.Errorf("orders (-want +got):\n%s", diff)
		}
	})
}

// crashing fails once after so many orders.
type crashing struct {
	Desk
	after int
	err   error
}

func (c *crashing) Accept(ctx context.Context, o ingest.Order) (store.Order, error) {
	if c.after--; c.after < 0 {
		return store.Order{}, c.err
	}
	return c.Desk.Accept(ctx, o)
}

// Two daemons that both believe that the mailbox is theirs make one order.
func TestIntakeTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if got, err := b.try(arrived(raw)); err != nil || got != mailbox.Processed {
					t.Errorf("it goes to %d, %v", got, err)
				}
			})
		}
		all.Wait()
		if n := len(b.orders()); n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

// A held mail stays held when its key cannot be had as it comes again.
func TestIntakeHeldStaysHeld(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * "))
		b.handle(raw)
		b.Resolver = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
		}
		before := b.newest()
		if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.newest().Verdict != store.MailHeld || b.newest().ID != before.ID {
			t.Errorf("%v, %s", err, b.last())
		}
	})
}
