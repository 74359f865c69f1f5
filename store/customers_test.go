package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func messagesOf(t *testing.T, db *DB) (full, empty int) {
	t.Helper()
	rows, err := db.writer.QueryContext(t.Context(), "SELECT LENGTH(raw) FROM message")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			full++
		} else {
			empty++
		}
	}
	return full, empty
}

func TestForgetCustomer(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		n := newOrder("T1", "k1", "A")
		n.Order.Email, n.Order.OEMSeed = "Ada@Example.com", "oem"
		n.Order.Differs = []Difference{{"seeds", "a=Ada", "a=b"}}
		n.Outcome.Notices = []Notice{{ID: NewID(), Kind: NoticeCodes, Audience: ToBuyer}, {ID: NewID(), Kind: NoticeHeld, Audience: ToVendor}}
		o := mustAdd(t, db, n)
		other := mustAdd(t, db, newOrder("T2", "k2", "B"))
		for _, l := range []License{o.Licenses[0], other.Licenses[0]} {
			if _, err := db.writer.ExecContext(ctx, "UPDATE license SET note = 'for Ada' WHERE id = ?", l.ID); err != nil {
				t.Fatal(err)
			}
		}
		a := machine(o.Licenses[0], "m")
		a.Machine.Name = "Ada's laptop"
		if _, _, err := db.Activate(ctx, a, o.Licenses[0]); err != nil {
			t.Fatal(err)
		}
		for _, raw := range []string{"ACG%3APurchaserEmail=ada%40EXAMPLE.com&x", "mail from ADA@example.com", "nobody@example.com"} {
			if err := db.AddMessage(ctx, Message{ID: NewID(), Channel: "kagi", Verdict: VerdictRefused, Raw: []byte(raw)}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := db.OrdersOf(ctx, " ada@example.COM")
		if err != nil || len(list) != 1 || list[0].ID != o.ID {
			t.Fatalf("orders = %+v, %v", list, err)
		}
		for range 2 { // again is no fault
			if err := db.ForgetCustomer(ctx, o.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
		ada := func(m Message) bool { return strings.Contains(strings.ToLower(string(m.Raw)), "ada") }
		if n, err := db.ForgetRefused(ctx, ada, "test"); err != nil || n != 2 {
			t.Errorf("ForgetRefused = %d, %v", n, err)
		}
		if full, empty := messagesOf(t, db); full != 2 || empty != 3 {
			t.Errorf("%d messages are kept, %d are empty", full, empty)
		}
		got, err := db.Order(ctx, o.ID)
		if err != nil || got.Name != "" || got.Email != "" || got.Seeds != nil || got.OEMSeed != "" || got.Differs != nil || got.Licenses[0].Note != "" || !got.Forgotten || got.Transaction != "T1" {
			t.Errorf("order = %+v, %v", got, err)
		}
		machines, err := db.Activations(ctx, o.Licenses[0].ID)
		if err != nil || len(machines) != 1 || machines[0].Machine.Name != "" {
			t.Errorf("machines = %+v, %v", machines, err)
		}
		notices, err := db.Notices(ctx, o.ID)
		if err != nil || len(notices) != 1 || notices[0].Audience != ToVendor {
			t.Errorf("notices = %+v, %v", notices, err)
		}
		if got, err := db.Order(ctx, other.ID); err != nil || got.Name != "Fred" || got.Forgotten || got.Licenses[0].Note == "" {
			t.Errorf("another's order = %+v, %v", got, err)
		}
		if err := db.ForgetCustomer(ctx, NewID(), "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("nobody's order: %v", err)
		}
		if err := db.EditCustomer(ctx, other.ID, "Fred F.", "f@example.com", "test"); err != nil {
			t.Fatal(err)
		}
		if list, err := db.OrdersOf(ctx, "FRED f."); err != nil || len(list) != 1 || list[0].Email != "f@example.com" {
			t.Errorf("edited = %+v, %v", list, err)
		}
		if err := db.EditCustomer(ctx, other.ID, " ÉMILE Ö. ", "ÖDA@Ex.com ", "test"); err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"émile ö.", "Émile Ö.", "öda@ex.com", "ÖDA@EX.COM"} {
			if list, err := db.OrdersOf(ctx, who); err != nil || len(list) != 1 {
				t.Errorf("%s: %v, %v", who, list, err)
			}
		}
		sound(t, db)
	})
}

func TestEmptyMessages(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		mustAdd(t, db, newOrder("T1", "k1", "A"))
		after, err := db.EmptyMessages(ctx, "", time.Now().Add(-time.Hour))
		if full, _ := messagesOf(t, db); err != nil || full != 1 {
			t.Errorf("a young message was emptied: %v", err)
		}
		if after, err = db.EmptyMessages(ctx, after, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if full, empty := messagesOf(t, db); full != 0 || empty != 1 {
			t.Errorf("%d are kept, %d are empty", full, empty)
		}
		if again, err := db.EmptyMessages(ctx, after, time.Now()); err != nil || again != after {
			t.Errorf("it goes on after %s, not %s, %v", again, after, err)
		}
		db.Subscribe([]Subscriber{{Name: "crm"}})
		mustAdd(t, db, newOrder("T2", "k2", "B"))
		due, err := db.DueWebhooks(ctx, "crm", 10)
		if err != nil || len(due) != 1 {
			t.Fatal(due, err)
		}
		if err := db.NoticeWasSent(ctx, due[0]); err != nil {
			t.Fatal(err)
		}
		if err := db.DeleteSentNotices(ctx, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if list, _ := db.Outbox(ctx, NoticeFilter{}); len(list) != 1 {
			t.Errorf("a young notice is gone: %v", list)
		}
		if err := db.DeleteSentNotices(ctx, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if list, _ := db.Outbox(ctx, NoticeFilter{}); len(list) != 0 {
			t.Errorf("a sent notice is kept: %v", list)
		}
	})
}
