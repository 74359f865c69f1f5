package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestStatusIsTheWorstReason(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		o := mustAdd(t, db, newOrder("T", "k", "CODE"))
		id := o.Licenses[0].ID
		want := func(step, status string, l License, err error) {
			t.Helper()
			if err != nil || l.Status != status {
				t.Fatalf("%s: status %q, %v; want %q", step, l.Status, err, status)
			}
		}
		l, err := db.SuspendLicense(ctx, id, "test")
		want("suspend", Suspended, l, err)
		l, err = db.RevokeLicense(ctx, id, "test")
		want("revoke", Revoked, l, err)
		l, err = db.SuspendLicense(ctx, id, "test")
		want("suspend a revoked one", Revoked, l, err)
		for range 2 {
			refunded, err := db.RefundOrder(ctx, o.ID, "test")
			if err != nil || !refunded.Refunded || refunded.Status != Issued {
				t.Fatalf("refund = %+v, %v", refunded, err)
			}
		}
		l, err = db.RestoreLicense(ctx, id, "test")
		want("restore leaves the refund", Revoked, l, err)
		reasons, err := db.Reasons(ctx, id)
		if err != nil || !slices.Equal(reasons, []string{"refund"}) {
			t.Errorf("reasons = %v, %v", reasons, err)
		}
		if _, err := db.RevokeLicense(ctx, NewID(), "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("revoke nothing: %v", err)
		}
	})
}

func TestCodesAfterARefundAreBornRevoked(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		n := newOrder("T", "k")
		n.Order.Quantity = 1
		n.Outcome = Outcome{Reserve: &Reservation{NewID(), time.Now().Add(time.Hour)}}
		o := mustAdd(t, db, n)
		if _, err := db.RefundOrder(t.Context(), o.ID, "test"); err != nil {
			t.Fatal(err)
		}
		done, err := db.FinishOrder(t.Context(), o.ID, n.Outcome.Reserve.Token, Outcome{Codes: []NewLicense{{ID: NewID(), Code: "C"}}})
		if err != nil || done.Licenses[0].Status != Revoked {
			t.Errorf("finish after the refund = %+v, %v", done, err)
		}
	})
}

// A refund and new codes of its order cannot pass each other.
func TestRefundRaces(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		revoked := func(o Order) {
			t.Helper()
			o, err := db.Order(t.Context(), o.ID)
			if err != nil || !o.Refunded || len(o.Licenses) != 1 || o.Licenses[0].Status != Revoked {
				t.Errorf("refunded, and its code is good: %+v, %v", o, err)
			}
		}
		for i := range 30 {
			n := newOrder(fmt.Sprint("F", i), fmt.Sprint("f", i))
			n.Order.Quantity = 1
			n.Outcome = Outcome{Reserve: &Reservation{NewID(), time.Now().Add(time.Hour)}}
			o := mustAdd(t, db, n)
			parallel(2, func(who int) {
				var err error
				if who == 0 {
					_, err = other.RefundOrder(context.Background(), o.ID, "test")
				} else {
					_, err = db.FinishOrder(context.Background(), o.ID, n.Outcome.Reserve.Token, Outcome{Codes: []NewLicense{{ID: NewID(), Code: NewID()}}})
				}
				if err != nil {
					t.Error(err)
				}
			})
			revoked(o)

			o = mustAdd(t, db, newOrder(fmt.Sprint("R", i), fmt.Sprint("r", i), NewID()))
			parallel(2, func(who int) {
				var err error
				if who == 0 {
					_, err = other.RefundOrder(context.Background(), o.ID, "test")
				} else {
					_, err = db.ReplaceLicense(context.Background(), o.Licenses[0].ID, NewLicense{ID: NewID(), Code: NewID()}, "test")
				}
				if err != nil && !errors.Is(err, ErrRevoked) {
					t.Error(err)
				}
			})
			revoked(o)
		}
	})
}
