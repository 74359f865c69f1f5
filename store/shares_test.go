package store

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shared is an order of transaction txn for a code that others may have.
func shared(txn string, seats int, change ...func(*NewOrder)) NewOrder {
	n := newOrder(txn, txn, "SAME-NAME")
	n.Order.Limit, n.Outcome.Codes[0].Share = seats, true
	for _, c := range change {
		c(&n)
	}
	return n
}

func seatsOf(t *testing.T, db *DB, code string) (l License) {
	t.Helper()
	l, err := db.FindLicense(t.Context(), "demo", code)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustRefund(t *testing.T, db *DB, o Order) {
	t.Helper()
	for range 2 { // the second changes nothing
		if _, err := db.RefundOrder(t.Context(), o.ID, "test"); err != nil {
			t.Fatal(err)
		}
	}
}

// mustVerify checks that db verify finds nothing.
func mustVerify(t *testing.T, db *DB) {
	t.Helper()
	list, err := db.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Broken > 0 {
			t.Errorf("%s: broken %d times, %v", v.What, v.Broken, v.Some)
		}
	}
}

func TestShareAddsSeats(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		first, second := mustAdd(t, db, shared("T1", 3)), mustAdd(t, other, shared("T2", 2))
		if second.Status != Issued || !cmp.Equal(codesOf(first), codesOf(second)) {
			t.Fatalf("the second order is %s with %v; want the first one's code", second.Status, codesOf(second))
		}
		if l := seatsOf(t, db, "same name"); l.Limit != 5 || l.OrderID != first.ID {
			t.Errorf("shared, the license has %d seats; want 5", l.Limit)
		}
		mustAdd(t, db, shared("T3", 0))
		if l := seatsOf(t, db, "same name"); l.Limit != 0 {
			t.Errorf("with an order without limit, the license has %d seats; want no limit", l.Limit)
		}
		mustVerify(t, db)
	})
}

func TestShareRefunded(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		first, second := mustAdd(t, db, shared("T1", 1)), mustAdd(t, db, shared("T2", 2))
		for _, name := range []string{"m1", "m2", "m3"} {
			if _, _, err := db.Activate(t.Context(), machine(first.Licenses[0], name), first.Licenses[0]); err != nil {
				t.Fatal(err)
			}
		}
		mustRefund(t, db, first)
		if l := seatsOf(t, db, "same name"); l.Status != Active || l.Limit != 2 || l.Used != 3 {
			t.Errorf("one order refunded, the license is %s with %d of %d seats; want active, 3 of 2", l.Status, l.Used, l.Limit)
		}
		if _, _, err := db.Activate(t.Context(), machine(first.Licenses[0], "m4"), first.Licenses[0]); !errors.Is(err, ErrLimit) {
			t.Errorf("one machine more: %v; want ErrLimit", err)
		}
		mustVerify(t, db)
		mustRefund(t, db, second)
		if l := seatsOf(t, db, "same name"); l.Status != Revoked {
			t.Errorf("all orders refunded, the license is %s; want revoked", l.Status)
		}
		// The same name is bought once more.
		mustAdd(t, db, shared("T3", 7))
		if l := seatsOf(t, db, "same name"); l.Status != Active || l.Limit != 7 {
			t.Errorf("bought again, the license is %s with %d seats; want active with 7", l.Status, l.Limit)
		}
		mustVerify(t, db)
		shares, err := db.Shares(t.Context(), first.Licenses[0].ID)
		if err != nil || len(shares) != 3 || !shares[0].Refunded || shares[0].OrderID != first.ID || shares[2].Refunded {
			t.Errorf("shares = %+v, %v", shares, err)
		}
	})
}

func TestShareRefundedBefore(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		first := mustAdd(t, db, shared("T1", 3))
		mustRefund(t, db, first)
		if l := seatsOf(t, db, "same name"); l.Status != Revoked {
			t.Fatalf("refunded, the license is %s", l.Status)
		}
		mustAdd(t, db, shared("T2", 2))
		if l := seatsOf(t, db, "same name"); l.Status != Active || l.Limit != 2 {
			t.Errorf("bought again, the license is %s with %d seats; want active with 2", l.Status, l.Limit)
		}
		mustVerify(t, db)
	})
}

func TestShareOnlyOfWhatIsAlike(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		first := mustAdd(t, db, shared("T1", 3))
		end := time.Now().Add(time.Hour)
		for name, change := range map[string]func(*NewOrder){
			"another type": func(n *NewOrder) { n.Order.LicenseType = "site" },
			"another end":  func(n *NewOrder) { n.Order.ExpiresAt = &end },
			"a test order": func(n *NewOrder) { n.Order.Test = true },
			"not to share": func(n *NewOrder) { n.Outcome.Codes[0].Share = false },
			"twice the code": func(n *NewOrder) {
				n.Outcome.Codes = append(n.Outcome.Codes, NewLicense{ID: NewID(), Code: "samename", Share: true})
			},
			"after a license": func(n *NewOrder) { mustSuspend(t, db, first) },
		} {
			if _, _, err := db.AddOrder(t.Context(), shared("T "+name, 3, change)); !errors.Is(err, ErrCodeTaken) {
				t.Errorf("%s: %v; want ErrCodeTaken", name, err)
			}
			if _, err := db.RestoreLicense(t.Context(), first.Licenses[0].ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if l := seatsOf(t, db, "same name"); l.Limit != 3 {
			t.Errorf("the license has %d seats; want 3 as before", l.Limit)
		}
		mustVerify(t, db)
	})
}

func mustSuspend(t *testing.T, db *DB, o Order) {
	t.Helper()
	if _, err := db.SuspendLicense(t.Context(), o.Licenses[0].ID, "test"); err != nil {
		t.Fatal(err)
	}
}

func TestShareAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		const orders = 12
		var all sync.WaitGroup
		for i := range orders {
			all.Go(func() {
				on := db
				if i%2 == 0 {
					on = other
				}
				if _, added, err := on.AddOrder(t.Context(), shared("T"+string(rune('A'+i)), 2)); err != nil || !added {
					t.Errorf("AddOrder = added %v, %v", added, err)
				}
			})
		}
		all.Wait()
		if l := seatsOf(t, db, "same name"); l.Limit != 2*orders {
			t.Errorf("the license has %d seats; want %d", l.Limit, 2*orders)
		}
		mustVerify(t, db)
	})
}

func TestShareReplacedAndCopied(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		first, second := mustAdd(t, db, shared("T1", 3)), mustAdd(t, db, shared("T2", 2))
		l, err := db.ReplaceLicense(t.Context(), first.Licenses[0].ID, NewLicense{ID: NewID(), Code: "NEW"}, "test")
		if err != nil || l.Limit != 5 {
			t.Fatalf("ReplaceLicense = %d seats, %v", l.Limit, err)
		}
		if o, err := db.Order(t.Context(), second.ID); err != nil || !cmp.Equal(codesOf(o), []string{"NEW"}) {
			t.Errorf("the other order has %v, %v; want the new code", codesOf(o), err)
		}
		mustRefund(t, db, second)
		if l := seatsOf(t, db, "new"); l.Limit != 3 || l.Status != Active {
			t.Errorf("one order refunded, the new license is %s with %d seats; want active with 3", l.Status, l.Limit)
		}
		mustVerify(t, db)
	})
}

// TestShareFinished: the same try comes again after it was applied.
func TestShareFinished(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		mustAdd(t, db, shared("T1", 3))
		n := newOrder("T2", "T2")
		n.Order.Quantity, n.Order.Limit = 1, 2
		n.Outcome.Reserve = &Reservation{Token: NewID(), Until: time.Now().Add(time.Hour)}
		mustAdd(t, db, n)
		out := shared("", 2).Outcome
		for range 2 {
			o, err := db.FinishOrder(t.Context(), n.Order.ID, n.Outcome.Reserve.Token, out)
			if err != nil || !cmp.Equal(codesOf(o), []string{"SAME-NAME"}) {
				t.Errorf("FinishOrder = %v, %v", codesOf(o), err)
			}
		}
		if l := seatsOf(t, db, "same name"); l.Limit != 5 {
			t.Errorf("the license has %d seats; want 5", l.Limit)
		}
	})
}
