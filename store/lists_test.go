package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listed makes n orders of several kinds, oldest first.
func listed(t *testing.T, db *DB, n int) (list []Order) {
	t.Helper()
	for i := range n {
		o := newOrder(fmt.Sprint("L", i), fmt.Sprint("l", i), fmt.Sprintf("ab-%02d-%d", i%10, i), fmt.Sprintf("second-%d", i))
		o.Order.Name, o.Order.Email = fmt.Sprint(" Émile ", i%3), fmt.Sprintf(" ÖDA%d@Ex.com", i%2)
		if i%4 == 1 {
			o.Order.Store, o.Order.Product = "stripe", "pro"
		}
		if i%5 == 2 {
			o.Outcome = Outcome{Held: "price", Notices: []Notice{{ID: NewID(), Kind: NoticeHeld, Audience: ToVendor}}}
		}
		list = append(list, mustAdd(t, db, o))
	}
	return list
}

func idsOf(list []Order) (ids []string) {
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	return ids
}

// A page is what a list of all has there, whatever the filters.
func TestOrdersByPage(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		all := listed(t, db, 40)
		for i := range all {
			if i%10 == 0 {
				if _, err := db.RefundOrder(ctx, all[i].ID, "test"); err != nil {
					t.Fatal(err)
				}
			}
		}
		slices.Reverse(all)
		var middle time.Time
		for i, o := range all { // as each is read by itself
			got, err := other.Order(ctx, o.ID)
			if err != nil {
				t.Fatal(err)
			}
			if all[i] = got; i == 20 {
				middle = MadeAt(got.ID)
			}
		}
		for name, c := range map[string]struct {
			f    OrderFilter
			want func(Order) bool
		}{
			"all":           {OrderFilter{}, func(Order) bool { return true }},
			"store":         {OrderFilter{Store: "stripe"}, func(o Order) bool { return o.Store == "stripe" }},
			"status":        {OrderFilter{Status: Held}, func(o Order) bool { return o.Status == Held }},
			"product":       {OrderFilter{Product: "pro"}, func(o Order) bool { return o.Product == "pro" }},
			"three of them": {OrderFilter{Store: "kagi", Product: "demo", Status: Issued}, func(o Order) bool { return o.Store == "kagi" && o.Status == Issued }},
			"e-mail":        {OrderFilter{Email: "öda1@EX.com "}, func(o Order) bool { return Fold(o.Email) == "öda1@ex.com" }},
			"name":          {OrderFilter{Name: "émile 2"}, func(o Order) bool { return Fold(o.Name) == "émile 2" }},
			"name and more": {OrderFilter{Name: "Émile 2", Status: Held, Email: "öda0@ex.com"}, func(o Order) bool {
				return Fold(o.Name) == "émile 2" && o.Status == Held && Fold(o.Email) == "öda0@ex.com"
			}},
			"since":        {OrderFilter{From: middle}, func(o Order) bool { return !MadeAt(o.ID).Before(middle) }},
			"until":        {OrderFilter{To: middle, Status: Issued}, func(o Order) bool { return MadeAt(o.ID).Before(middle) && o.Status == Issued }},
			"nobody":       {OrderFilter{Email: "nobody@example.com"}, func(Order) bool { return false }},
			"a blank name": {OrderFilter{Name: " "}, func(Order) bool { return false }},
		} {
			var want []Order
			for _, o := range all {
				if c.want(o) {
					want = append(want, o)
				}
			}
			got, err := db.Orders(ctx, c.f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
			var paged []string
			for f := c.f; ; {
				f.Limit = 3
				page, err := other.Orders(ctx, f)
				if err != nil || len(page) > 3 {
					t.Fatalf("%s: a page of %d, %v", name, len(page), err)
				}
				paged = append(paged, idsOf(page)...)
				if len(page) < 3 {
					break
				}
				f.After = page[2].ID
			}
			if diff := cmp.Diff(idsOf(want), paged); diff != "" {
				t.Errorf("%s, by page:\n%s", name, diff)
			}
		}
	})
}

// What a list costs does not grow with what it shows.
func TestListsCostTheSame(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		all := listed(t, db, 30)
		for _, o := range all {
			m := Mail{ID: NewID(), Channel: "mails", Verdict: MailTaken, Store: o.Store, Fold: o.Fold, BodyHash: []byte(o.ID)}
			copy(m.Content[:], o.ID)
			if _, _, err := db.AddMail(ctx, m); err != nil {
				t.Fatal(err)
			}
			if _, err := db.RefundOrder(ctx, o.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
		for name, list := range map[string]func(limit int) (int, error){
			"orders": func(n int) (int, error) {
				l, err := db.Orders(ctx, OrderFilter{Store: "kagi", Limit: n})
				return len(l), err
			},
			"customer": func(n int) (int, error) {
				l, err := db.Orders(ctx, OrderFilter{Email: "öda0@ex.com", Limit: n})
				return len(l), err
			},
			"licenses": func(n int) (int, error) {
				l, err := db.Licenses(ctx, LicenseFilter{Product: "demo", Limit: n})
				return len(l), err
			},
			"begin": func(n int) (int, error) {
				l, err := db.Licenses(ctx, LicenseFilter{Beginning: "ab", Limit: n})
				return len(l), err
			},
			"mails": func(n int) (int, error) {
				l, err := db.Mails(ctx, MailFilter{Channel: "mails", Limit: n})
				return len(l), err
			},
			"outbox": func(n int) (int, error) {
				l, err := db.Outbox(ctx, NoticeFilter{Kind: NoticeHeld, Limit: n})
				return len(l), err
			},
			"messages": func(n int) (int, error) { l, err := db.MessagesOf(ctx, all[:n]); return len(l), err },
		} {
			cost := map[int]int{}
			for _, limit := range []int{1, 5} {
				db.asked = func(string, []any) { cost[limit]++ }
				if n, err := list(limit); err != nil || n != limit {
					t.Fatalf("%s: %d of %d, %v", name, n, limit, err)
				}
			}
			db.asked = record
			if cost[1] != cost[5] || cost[1] == 0 {
				t.Errorf("%s cost %d queries for one and %d for five", name, cost[1], cost[5])
			}
		}
		mails, err := db.Mails(ctx, MailFilter{Limit: 1})
		if err != nil || mails[0].Transaction != "L29" {
			t.Errorf("the newest mail = %+v, %v", mails, err)
		}
		notices, err := db.Outbox(ctx, NoticeFilter{Kind: NoticeHeld, Limit: 1})
		if err != nil || notices[0].Order == nil || *notices[0].Order != (OrderRef{"kagi", "L27", 1}) {
			t.Errorf("the newest notice = %+v, %v", notices, err)
		}
	})
}

// Licenses are found by the beginning of a code, in the order of codes.
func TestLicensesByBeginning(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		ctx := t.Context()
		all := listed(t, db, 20)
		taken := newOrder("X", "x", "AB00-0") // the same code of another product
		taken.Order.Product = "pro"
		mustAdd(t, db, taken)
		if _, err := db.RevokeLicense(ctx, all[10].Licenses[0].ID, "test"); err != nil {
			t.Fatal(err)
		}
		find := func(f LicenseFilter) (codes []string) {
			for {
				f.Limit = 1
				page, err := db.Licenses(ctx, f)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					return codes
				}
				codes = append(codes, page[0].Product+" "+NormalCode(page[0].Code))
				f.After = page[0].ID
			}
		}
		for _, c := range []struct {
			f    LicenseFilter
			want []string
		}{
			{LicenseFilter{Beginning: "a-b 00"}, []string{"demo AB000", "pro AB000", "demo AB0010"}},
			{LicenseFilter{Beginning: "ab00", Product: "pro"}, []string{"pro AB000"}},
			{LicenseFilter{Beginning: "ab00", Status: Revoked}, []string{"demo AB0010"}},
			{LicenseFilter{Beginning: "ab00", Status: Active, Product: "demo"}, []string{"demo AB000"}},
			{LicenseFilter{Beginning: "zz"}, nil},
			{LicenseFilter{Beginning: "-"}, nil},
			{LicenseFilter{Code: "ab00 0"}, []string{"pro AB000", "demo AB000"}},
			{LicenseFilter{Code: "ab00 0", Product: "demo"}, []string{"demo AB000"}},
		} {
			if diff := cmp.Diff(c.want, find(c.f)); diff != "" {
				t.Errorf("%+v:\n%s", c.f, diff)
			}
		}
		var sold []string
		err := db.EachSold(ctx, LicenseFilter{Product: "demo", Limit: 3}, func(s Sold) error {
			sold = append(sold, s.Code+" "+s.Email+" "+s.Order.Transaction)
			return nil
		})
		if diff := cmp.Diff([]string{"ab-00-0  ÖDA0@Ex.com L0", "second-0  ÖDA0@Ex.com L0", "ab-03-3  ÖDA1@Ex.com L3"}, sold); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// A list of all goes on behind its first page, both ways.
func TestListOfAll(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		var n NewOrder
		for i := range pageRows/20 + 1 {
			n = newOrder(fmt.Sprint("A", i), fmt.Sprint("a", i))
			for j := range 20 {
				n.Outcome.Codes = append(n.Outcome.Codes, NewLicense{ID: NewID(), Code: fmt.Sprintf("A-%03d-%03d", i, j)})
			}
			mustAdd(t, db, n)
		}
		list, err := db.Licenses(t.Context(), LicenseFilter{})
		if err != nil || len(list) != pageRows+20 {
			t.Fatalf("%d licenses, %v", len(list), err)
		}
		var sold []string
		if err := db.EachSold(t.Context(), LicenseFilter{}, func(s Sold) error { sold = append(sold, s.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(sold)
		for i, l := range list {
			if sold[i] != l.ID {
				t.Fatalf("the %dth is %s one way and %s the other", i, l.ID, sold[i])
			}
		}
	})
}

// asOlderDaemon has all rows look as the version before writes them.
func asOlderDaemon(t *testing.T, db *DB) {
	t.Helper()
	for _, text := range []string{"UPDATE orders SET store = NULL, email_fold = NULL, name_fold = NULL", "UPDATE license SET code_fold = NULL"} {
		if _, err := db.writer.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// What a daemon of the version before writes after the migration is found all the same.
func TestFoldsOfAnOlderDaemon(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		listed(t, db, 6)
		for name, found := range map[string]func() (int, error){
			"store":  func() (int, error) { l, err := other.Orders(ctx, OrderFilter{Store: "stripe"}); return len(l), err },
			"e-mail": func() (int, error) { l, err := other.OrdersOf(ctx, "öda0@ex.com"); return len(l) - 1, err },
			"name":   func() (int, error) { l, err := other.OrdersOf(ctx, "émile 1"); return len(l), err },
			"beginning": func() (int, error) {
				l, err := other.Licenses(ctx, LicenseFilter{Beginning: "AB0"})
				return len(l) - 3, err
			},
		} {
			asOlderDaemon(t, db)
			sound(t, db)
			if n, err := found(); err != nil || n != 2 {
				t.Errorf("by %s %d are found, %v", name, n, err)
			}
		}
		sound(t, db)
	})
}

// A migration fills the columns of all rows in, in any number of batches, and again
// after a crash.
func TestMigrateFolds(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source := b.new(t)
			db := mustOpen(t, source, Options{Create: true})
			n := newOrder("F", "f")
			n.Order.Email = " ÖDA@Ex.com"
			for i := range 2*foldedAtOnce + 10 {
				n.Outcome.Codes = append(n.Outcome.Codes, NewLicense{ID: NewID(), Code: fmt.Sprintf("f-%04d", i)})
			}
			mustAdd(t, db, n)
			asOlderDaemon(t, db)
			for range 2 {
				if _, err := db.writer.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id >= ?", foldedSince); err != nil {
					t.Fatal(err)
				}
				if _, _, err := Migrate(t.Context(), source); err != nil {
					t.Fatal(err)
				}
			}
			sound(t, db)
			var left int
			err := db.writer.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM orders WHERE email_fold IS NULL) + (SELECT COUNT(*) FROM license WHERE code_fold IS NULL)").Scan(&left)
			if err != nil || left != 0 {
				t.Errorf("%d rows are left, %v", left, err)
			}
			if list, err := db.OrdersOf(t.Context(), "öda@ex.com"); err != nil || len(list) != 1 {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
}
