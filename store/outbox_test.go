package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kinds of the waiting webhook notices for an endpoint, oldest first.
func waiting(t *testing.T, db *DB, endpoint string) (kinds []string) {
	t.Helper()
	list, err := db.Outbox(t.Context(), NoticeFilter{Status: NoticeWaiting, Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Backward(list) {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		mustAdd(t, db, newOrder("T0", "k0", "NOBODY-ASKED"))
		db.Subscribe([]Subscriber{{Name: "all"}, {Name: "some", Events: []Event{EventOrderHeld, EventLicenseReset, EventOrderImported}}})
		l := mustAdd(t, db, newOrder("T1", "k1", "A")).Licenses[0]
		imported := newOrder("T4", "k4", "OLD")
		imported.Outcome.Imported = true
		mustAdd(t, db, imported)
		held := newOrder("T2", "k2")
		held.Outcome = Outcome{Held: "price"}
		h := mustAdd(t, db, held)
		for _, do := range []func() error{
			func() error { return db.RejectOrder(ctx, h.ID, "test") },
			func() error { _, err := db.SuspendLicense(ctx, l.ID, "test"); return err },
			func() error { _, err := db.SuspendLicense(ctx, l.ID, "test"); return err }, // changes nothing, tells nothing
			func() error { _, err := db.RestoreLicense(ctx, l.ID, "test"); return err },
			func() error { _, err := db.RestoreLicense(ctx, l.ID, "test"); return err },
			func() error { _, err := db.ResetLicense(ctx, l.ID, "test"); return err },
			func() error { _, _, err := db.Activate(ctx, machine(l, "m1"), l); return err },
			func() error { _, err := db.ResetLicense(ctx, l.ID, "test"); return err },
			func() error {
				_, err := db.ReplaceLicense(ctx, l.ID, NewLicense{ID: NewID(), Code: "B"}, "test")
				return err
			},
			func() error { _, err := db.RevokeLicense(ctx, l.ID, "test"); return err },
			func() error { _, err := db.RefundOrder(ctx, l.OrderID, "test"); return err },
			func() error { _, err := db.RefundOrder(ctx, l.OrderID, "test"); return err }, // changes nothing, tells nothing
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"order.issued", "order.held", "order.rejected", "license.suspended", "license.restored", "license.reset", "license.replaced",
			"license.revoked", "order.refunded",
		}
		if diff := cmp.Diff(want, waiting(t, db, "all")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"order.imported", "order.held", "license.reset"}, waiting(t, db, "some")); diff != "" {
			t.Error(diff)
		}
		// What is not committed is not told either.
		if _, _, err := db.AddOrder(ctx, newOrder("T3", "k3", "B")); !errors.Is(err, ErrCodeTaken) {
			t.Fatal(err)
		}
		if got := waiting(t, db, "all"); len(got) != len(want) {
			t.Errorf("an undone order was told: %v", got)
		}
	})
}

func TestOutbox(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		clock := time.Now().UTC().Truncate(time.Microsecond)
		db.now = func() time.Time { return clock }
		other.now = db.now
		db.Subscribe([]Subscriber{{Name: "crm"}})
		mustAdd(t, db, newOrder("T1", "k1", "A"))
		due := func() Notice {
			t.Helper()
			list, err := other.DueWebhooks(ctx, "crm", 10)
			if err != nil || len(list) != 1 {
				t.Fatalf("due = %+v, %v", list, err)
			}
			return list[0]
		}
		n := due()
		if list, err := db.DueWebhooks(ctx, "other", 10); err != nil || len(list) != 0 {
			t.Errorf("due for another: %v, %v", list, err)
		}
		if names, err := db.DueEndpoints(ctx); err != nil || !slices.Equal(names, []string{"crm"}) {
			t.Errorf("due endpoints = %v, %v", names, err)
		}
		if n.Kind != "order.issued" || n.Endpoint != "crm" || n.Audience != ToWebhook || n.Tries != 0 {
			t.Errorf("notice = %+v", n)
		}
		// A failure is tried again later; of two that tried, the first one's word counts.
		failOnce(db)
		if err := db.NoticeFailed(ctx, n, clock.Add(time.Hour), "HTTP 500"); err != nil {
			t.Fatal(err)
		}
		if err := other.NoticeWasSent(ctx, n); !errors.Is(err, ErrStale) {
			t.Errorf("settled twice: %v", err)
		}
		if list, err := db.DueWebhooks(ctx, "crm", 10); err != nil || len(list) != 0 {
			t.Errorf("due before its time: %v, %v", list, err)
		}
		if names, err := db.DueEndpoints(ctx); err != nil || len(names) != 0 {
			t.Errorf("endpoints due before their time: %v, %v", names, err)
		}
		clock = clock.Add(time.Hour)
		n = due()
		if n.Tries != 1 || n.Error != "HTTP 500" {
			t.Errorf("notice = %+v", n)
		}
		// Given up, and tried again by hand.
		if err := db.NoticeFailed(ctx, n, time.Time{}, "HTTP 410"); err != nil {
			t.Fatal(err)
		}
		if list, err := db.Outbox(ctx, NoticeFilter{Status: NoticeDead}); err != nil || len(list) != 1 || list[0].Error != "HTTP 410" {
			t.Errorf("dead = %v, %v", list, err)
		}
		if n, err := db.CountNotices(ctx, NoticeDead); err != nil || n != 1 {
			t.Errorf("%d are dead, %v", n, err)
		}
		if err := db.RetryNotice(ctx, n.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if err := db.RetryNotice(ctx, n.ID, "test"); !errors.Is(err, ErrState) {
			t.Errorf("it is not dead: %v", err)
		}
		if err := db.RetryNotice(ctx, NewID(), "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("it is not there: %v", err)
		}
		// A paused outbox sends nothing.
		if err := db.mark(ctx, PauseOutbox, "restored"); err != nil {
			t.Fatal(err)
		}
		if list, err := db.DueWebhooks(ctx, "crm", 10); err != nil || len(list) != 0 {
			t.Errorf("due while paused: %v, %v", list, err)
		}
		if names, err := db.DueEndpoints(ctx); err != nil || len(names) != 0 {
			t.Errorf("endpoints due while paused: %v, %v", names, err)
		}
		if err := db.EndPauses(ctx, "test"); err != nil {
			t.Fatal(err)
		}
		n = due()
		if err := db.NoticeWasSent(ctx, n); err != nil {
			t.Fatal(err)
		}
		if list, err := db.Outbox(ctx, NoticeFilter{Status: NoticeSent}); err != nil || len(list) != 1 {
			t.Errorf("sent = %v, %v", list, err)
		}
	})
}
