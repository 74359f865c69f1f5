package ingest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// A post and a mail of one sale. Each test runs on both databases.

var saleDay = time.Date(2004, 5, 5, 0, 0, 0, 0, time.UTC)

func mailConfig() Catalog {
	c := config()
	c.Products[0].Aliases = append(c.Products[0].Aliases, "product name", "product  name")
	c.Channels["mails"] = Channel{Name: "mails", ByMail: true}
	c.Channels["unit"] = Channel{Name: "unit", Unit: Unit{Max: 5, Window: time.Hour}}
	c.Channels["egg"] = Channel{Name: "egg"} // another hookup
	c.Products = append(c.Products, Product{ID: "other", Aliases: []string{"Other_Product"}, Codes: Codes{Compute: keygen.Random{}}})
	return c
}

func onBoth(t *testing.T, test func(t *testing.T, d *Desk)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newDesk(t, mailConfig())) })
	t.Run("mariadb", func(t *testing.T) { test(t, New(openStore(t, storetest.MariaDB(t), store.Options{}), mailConfig())) })
}

func numbered(n int, date time.Time) []Sequence { return []Sequence{{"me_Demo", n, date}} }

// post is a post of a sale whose channel knows its blurb.
func post(n int, change ...func(*Order)) Order {
	return claim(append([]func(*Order){func(o *Order) {
		o.Transaction, o.Sequences = fmt.Sprintf("T-%04d", n), numbered(n, saleDay)
	}}, change...)...)
}

// mailed is the mail of that sale, which has no transaction id.
func mailed(n int, change ...func(*Order)) Order {
	date := saleDay.Add(20 * time.Hour)
	return claim(append([]func(*Order){func(o *Order) {
		o.Channel, o.ByMail, o.Sequences = "mails", true, numbered(n, date)
		o.Transaction, o.LicenseType, o.Price, o.Currency, o.Seeds = o.Sequences[0].Transaction(), "", "", "", nil
		o.Message.Channel = "mails"
	}}, change...)...)
}

func date(d time.Time) func(*Order) {
	return func(o *Order) { o.Sequences[0].Date = d }
}

func TestPostAndMailMeet(t *testing.T) {
	days := func(n int) time.Time { return saleDay.AddDate(0, 0, n) }
	product := func(s string) func(*Order) { return func(o *Order) { o.StoreProduct = s } }
	withT := func(o *Order) { o.Transaction = "t-0007 " }
	tests := map[string]struct {
		change []func(*Order) // of the mail
		want   string         // "same", "new", or why it is held
	}{
		"as it is":                         {nil, "same"},
		"before it":                        {[]func(*Order){date(days(-1))}, "same"},
		"sent again":                       {[]func(*Order){date(days(59))}, "same"},
		"the number came again":            {[]func(*Order){date(days(90))}, "new"},
		"long before":                      {[]func(*Order){date(days(-90))}, "new"},
		"another number":                   {[]func(*Order){func(o *Order) { o.Sequences = numbered(8, saleDay); o.Transaction = "" }}, "new"},
		"another blurb":                    {[]func(*Order){func(o *Order) { o.Sequences[0].Name = "me_Egg" }}, "new"},
		"a blurb in other case":            {[]func(*Order){func(o *Order) { o.Sequences[0].Name = " ME_demo" }}, "same"},
		"spaces for underscores":           {[]func(*Order){product("product  name")}, "same"},
		"another product":                  {[]func(*Order){product("Other_Product")}, HeldConflict},
		"another buyer":                    {[]func(*Order){func(o *Order) { o.Email = "eve@example.com" }}, HeldConflict},
		"no e-mail":                        {[]func(*Order){func(o *Order) { o.Email = "" }}, "same"},
		"neither e-mail nor the name":      {[]func(*Order){func(o *Order) { o.Email, o.Name = "", "Eve" }}, HeldConflict},
		"no quantity":                      {[]func(*Order){func(o *Order) { o.QuantityUnknown = true }}, "same"},
		"another quantity":                 {[]func(*Order){func(o *Order) { o.Quantity = 2 }}, HeldConflict},
		"cents":                            {[]func(*Order){func(o *Order) { o.Price, o.Currency = "149.00", "USD" }}, "same"},
		"another price":                    {[]func(*Order){func(o *Order) { o.Price, o.Currency = "149.01", "USD" }}, HeldConflict},
		"another currency":                 {[]func(*Order){func(o *Order) { o.Price, o.Currency = "99.00", "EUR" }}, "same"},
		"seeds":                            {[]func(*Order){func(o *Order) { o.Seeds = []string{"c=d"} }}, "same"},
		"another license type":             {[]func(*Order){func(o *Order) { o.LicenseType = "site" }}, HeldConflict},
		"the transaction too":              {[]func(*Order){withT}, "same"},
		"the transaction alone":            {[]func(*Order){withT, func(o *Order) { o.Sequences = nil }}, "same"},
		"the transaction, another date":    {[]func(*Order){withT, date(days(400))}, "same"},
		"the transaction, spaces":          {[]func(*Order){withT, func(o *Order) { o.Sequences = nil; o.StoreProduct = "product name" }}, "same"},
		"the transaction, another product": {[]func(*Order){withT, func(o *Order) { o.Sequences = nil; o.StoreProduct = "Other_Product" }}, HeldConflict},
		"another transaction":              {[]func(*Order){func(o *Order) { o.Transaction = "T-X" }}, HeldConflict},
		"another line beside it":           {[]func(*Order){func(o *Order) { o.StoreProduct, o.Beside = "Other_Product", []string{"product name"} }}, "new"},
	}
	check := func(t *testing.T, first, second store.Order, want string) {
		t.Helper()
		got := second.Reason
		switch {
		case first.Status != store.Issued:
			t.Fatalf("the first is %s, %s", first.Status, first.Reason)
		case second.Status == store.Issued && second.ID == first.ID:
			got = "same"
		case second.Status == store.Issued:
			got = "new"
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if want == "same" && !cmp.Equal(codes(first), codes(second)) {
			t.Error("other codes")
		}
	}
	onBoth(t, func(t *testing.T, base *Desk) {
		n := 0
		for name, test := range tests {
			// A store of its own each: the names must not meet by chance.
			n++
			own := fmt.Sprintf("store%d", n)
			t.Run(name, func(t *testing.T) {
				for _, mailFirst := range []bool{false, true} {
					first := post(7, func(o *Order) { o.Store = own + fmt.Sprint(mailFirst) })
					second := mailed(7, append(test.change, func(o *Order) { o.Store = own + fmt.Sprint(mailFirst) })...)
					if mailFirst {
						first, second = second, first
					}
					a := mustAccept(t, base, first)
					b := mustAccept(t, base, second)
					want := test.want
					if mailFirst && name == "another line beside it" {
						want = HeldConflict // the mail knew of the post's line, and did not bring it
					}
					check(t, a, b, want)
					// Repeats of both are what they were.
					if again := mustAccept(t, base, second); again.ID != b.ID {
						t.Error("a repeat of the second is another order")
					}
					if again := mustAccept(t, base, first); again.ID != a.ID {
						t.Error("a repeat of the first is another order")
					}
				}
			})
		}
	})
}

// Two products under one number: a mail has both, posts come one by one.
func TestLinesUnderOneNumber(t *testing.T) {
	other := func(o *Order) { o.StoreProduct = "Other_Product" }
	lines := func() (p1, p2, m1, m2 Order) {
		p1, p2, m1, m2 = post(7), post(7, other), mailed(7), mailed(7, other)
		m1.Beside, m2.Beside = []string{"Other_Product"}, []string{"Product_Name"}
		return
	}
	orders := map[string][]int{"posts, mail": {0, 1, 2, 3}, "mail, posts": {2, 3, 0, 1}, "post, mail, post": {0, 2, 3, 1}, "the second first": {1, 3, 2, 0}}
	onBoth(t, func(t *testing.T, d *Desk) {
		for name, order := range orders {
			p1, p2, m1, m2 := lines()
			all := []Order{p1, p2, m1, m2}
			var got [4]store.Order
			for range 2 {
				for _, i := range order {
					all[i].Store = strings.ReplaceAll(name, " ", "-") // they must not meet those of another turn
					got[i] = mustAccept(t, d, all[i])
					if got[i].Status != store.Issued {
						t.Errorf("%s: %d: %s %s", name, i, got[i].Status, got[i].Reason)
					}
				}
			}
			if got[0].ID != got[2].ID || got[1].ID != got[3].ID || got[0].ID == got[1].ID {
				t.Errorf("%s: post 1 %s, post 2 %s, mail 1 %s, mail 2 %s", name, got[0].ID, got[1].ID, got[2].ID, got[3].ID)
			}
		}
	})
}

// A post's number is nothing that another post could be taken for.
func TestPostsAreToldApartByTheirKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		seen := map[string]bool{}
		for i, o := range []Order{
			post(9999), post(9999, func(o *Order) { o.Transaction = "T-2" }), // the number came again
			post(9999, func(o *Order) { o.StoreProduct = "Other_Product" }), // two lines
			post(9999, func(o *Order) { o.StoreProduct, o.Channel = "Other_Product", "egg"; o.Transaction = "T-3" }),
			post(9999, func(o *Order) { o.Test = true }),
		} {
			got := mustAccept(t, d, o)
			if got.Status != store.Issued || seen[got.ID] {
				t.Errorf("%d: %+v", i, got)
			}
			seen[got.ID] = true
		}
	})
}

// Once a post has met its mail, its sale key is that order's: the number, which
// no digest covers, cannot make another one of it.
func TestPostThatMetItsMail(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		first := mustAccept(t, d, mailed(7))
		if got := mustAccept(t, d, post(7)); got.ID != first.ID {
			t.Fatal("the post did not meet its mail")
		}
		for _, forged := range []Order{
			post(7, func(o *Order) { o.Sequences = numbered(8, saleDay) }),
			post(7, func(o *Order) { o.Sequences = nil }),
		} {
			if got := mustAccept(t, d, forged); got.ID != first.ID {
				t.Errorf("a post with another number is order %s, %s", got.ID, got.Status)
			}
		}
	})
}

// A mail does not say that it is a test order's.
func TestMailOfATestOrder(t *testing.T) {
	test := func(o *Order) { o.Test = true }
	onBoth(t, func(t *testing.T, d *Desk) {
		for i, withID := range []bool{false, true} {
			m := mailed(i)
			if withID {
				m.Transaction, m.Sequences = "T-0001", nil
			}
			p := post(i, test)
			if withID { // the channel does not know its blurb
				p.Sequences = nil
			}
			first := mustAccept(t, d, p)
			if got := mustAccept(t, d, m); got.ID != first.ID || !got.Test {
				t.Errorf("post, mail: %+v", got)
			}
			live := p
			live.Test = false
			if got := mustAccept(t, d, live); got.ID == first.ID || got.Status != store.Issued {
				t.Errorf("a sale after a test order: %+v", got)
			}
		}
		for i, withID := range []bool{false, true} {
			m := mailed(10 + i)
			if withID {
				m.Transaction, m.Sequences = "T-0011", nil
			}
			mustAccept(t, d, m)
			p := post(10+i, test)
			if withID {
				p.Sequences = nil
			}
			if got := mustAccept(t, d, p); got.Reason != HeldConflict {
				t.Errorf("mail, post: %+v", got)
			}
		}
	})
}

// A mail that does not say how many is for one copy, until the post says more.
func TestMailWithoutAQuantity(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		three := func(o *Order) { o.Quantity = 3 }
		unknown := func(o *Order) { o.QuantityUnknown = true }
		first := mustAccept(t, d, post(7, three))
		if got := mustAccept(t, d, mailed(7, unknown)); got.ID != first.ID {
			t.Errorf("post, mail: %+v", got)
		}
		mustAccept(t, d, mailed(8, unknown))
		if got := mustAccept(t, d, post(8, three)); got.Reason != HeldConflict {
			t.Errorf("mail, post: %+v", got)
		}
	})
}

// Copies that are posted one by one are orders of their own; a mail tells of all
// of them at once.
func TestMailAndCopies(t *testing.T) {
	unit := func(o *Order) { o.Channel = "unit" }
	onBoth(t, func(t *testing.T, d *Desk) {
		first := mustAccept(t, d, post(7, unit))
		second := mustAccept(t, d, post(7, unit))
		if second.ID == first.ID || second.Status != store.Issued {
			t.Fatalf("the second copy = %+v", second)
		}
		for _, n := range []int{3, 1} {
			if got := mustAccept(t, d, mailed(7, func(o *Order) { o.Quantity = n })); got.ID != first.ID {
				t.Errorf("the mail, of %d: %+v", n, got)
			}
		}
		third := mustAccept(t, d, post(7, unit))
		if third.ID == first.ID || third.ID == second.ID || third.Status != store.Issued {
			t.Errorf("a copy after the mail = %+v", third)
		}
		// Where the mail is there first, nothing tells its copies apart.
		for n := 1; n < 3; n++ {
			mustAccept(t, d, mailed(10+n, func(o *Order) { o.Quantity = n }))
			for range 2 {
				if got := mustAccept(t, d, post(10+n, unit)); got.Reason != HeldConflict {
					t.Errorf("a copy after the mail of %d: %+v", n, got)
				}
			}
		}
	})
}

// However post and mail cross, one order is issued.
func TestPostAndMailCross(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Desk) {
		for n := range 8 {
			var all sync.WaitGroup
			var mu sync.Mutex
			ids := map[string]bool{}
			for i := range 6 {
				o := post(n)
				if i%2 == 1 {
					o = mailed(n)
				}
				all.Go(func() {
					got, err := d.Accept(context.Background(), o)
					if err != nil || got.Status != store.Issued {
						t.Errorf("%+v, %v", got, err)
					}
					mu.Lock()
					defer mu.Unlock()
					ids[got.ID] = true
				})
			}
			all.Wait()
			if len(ids) != 1 {
				t.Errorf("number %d: %d orders", n, len(ids))
			}
		}
	})
}

// What has no name of its own cannot be told from its repeats.
func TestMailWithoutAName(t *testing.T) {
	d := newDesk(t, mailConfig())
	o := mailed(7, func(o *Order) { o.Sequences = nil })
	if got := mustAccept(t, d, o); got.Reason != HeldIncomplete {
		t.Errorf("%+v", got)
	}
	o = mailed(8, func(o *Order) { o.Channel = "kagi" })
	if _, err := d.Accept(t.Context(), o); err == nil {
		t.Error("a channel of posts takes a mail")
	}
}
