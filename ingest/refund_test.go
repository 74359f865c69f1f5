package ingest

import (
	"errors"
	"strings"
	"testing"

	"github.com/keypost/keypost/store"
)

// back is a refund with a reference of its own.
func back(transaction, amount, currency string) Refund {
	return Refund{Store: "kagi", Transaction: transaction, Amount: amount, Currency: currency, Reference: "r-" + amount + currency}
}

func TestJudgeRefund(t *testing.T) {
	d := newDesk(t, config())
	of := func(transaction, product, price, currency string) {
		mustAccept(t, d, claim(func(o *Order) {
			o.Transaction, o.StoreProduct, o.Price, o.Currency = transaction, product, price, currency
		}))
	}
	of("ONE", "demo", "35.000", "USD")
	of("TWO", "demo", "35.000", "USD")
	of("TWO", "Product_Name", "20.000", "EUR")
	of("SAME", "demo", "35.000", "USD")
	of("SAME", "Product_Name", "", "USD")
	of("FREE", "demo", "", "USD")
	of("HELD", "nothing", "35.000", "USD") // an unknown product
	of("BESIDE", "demo", "35.000", "USD")
	of("BESIDE", "nothing", "35.000", "EUR")
	of("BARE", "demo", "35.000", "")
	if err := d.Refund(t.Context(), back("AHEAD", "", "")); err != nil { // it makes a sale of no orders
		t.Fatal(err)
	}
	product := func(r Refund, name string) Refund {
		r.Product = name
		return r
	}
	unread := back("ONE", "", "")
	unread.Unread = true
	for name, test := range map[string]struct {
		refund Refund
		want   string
	}{
		"all":                              {back("ONE", "", ""), ""},
		"a part":                           {back("one ", "5.00", "USD"), ""},
		"more than all":                    {back("ONE", "99", "USD"), ""},
		"another currency":                 {back("ONE", "5.00", "EUR"), RefundAmount},
		"no currency":                      {back("ONE", "5.00", ""), RefundAmount},
		"no currency on either side":       {back("BARE", "5.00", ""), RefundAmount},
		"no amount":                        {back("ONE", "x", "USD"), RefundAmount},
		"nothing":                          {back("ONE", "0.00", "USD"), RefundAmount},
		"less than nothing":                {back("ONE", "-5.00", "USD"), RefundAmount},
		"too long":                         {back("ONE", "1.0000000000000000000000000000000", "USD"), RefundAmount},
		"what could not be read":           {unread, RefundAmount},
		"a price that is not known":        {back("FREE", "5.00", "USD"), RefundAmount},
		"all of it":                        {back("FREE", "", ""), ""},
		"a line":                           {product(back("TWO", "5.00", "EUR"), "Product Name"), ""},
		"a line in the other's currency":   {product(back("TWO", "5.00", "EUR"), "demo"), RefundAmount},
		"a sale of two currencies":         {back("TWO", "5.00", "USD"), RefundAmount},
		"a sale with an unknown price":     {back("SAME", "5.00", "USD"), RefundAmount},
		"a line beside an unknown price":   {product(back("SAME", "5.00", "USD"), "demo"), ""},
		"a sale beside a held line":        {back("BESIDE", "5.00", "USD"), ""},
		"a held order":                     {back("HELD", "5.00", "USD"), ""},
		"a sale that nobody told of":       {back("B-7777", "", ""), RefundUnknownSale},
		"a part of one":                    {back("NOPE-1", "5.00", "USD"), RefundUnknownSale},
		"one that another refund is of":    {back("AHEAD", "", ""), RefundUnknownSale},
		"another product":                  {product(back("ONE", "", ""), "other"), RefundUnknownSale},
		"a number":                         {Refund{Store: "kagi", Sequences: []Sequence{{Name: "me_Demo", Number: 7}}}, RefundUnknownSale},
		"no name":                          {back(" ", "", ""), RefundUnknownSale},
		"another store's":                  {Refund{Store: "shop", Transaction: "ONE"}, RefundUnknownSale},
		"unread, of what nobody told of":   {Refund{Store: "kagi", Transaction: "B-7777", Unread: true}, RefundUnknownSale},
		"a currency that nobody has heard": {back("ONE", "5.00", "usd"), RefundAmount},
	} {
		got, err := d.JudgeRefund(t.Context(), test.refund)
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
		if got != "" && ExplainRefund(got).Text == "" {
			t.Errorf("%s: nobody explains %s", name, got)
		}
	}
}

// A refund of which nobody could read how much it is takes nothing back.
func TestRefundUnread(t *testing.T) {
	d := newDesk(t, config())
	sold := mustAccept(t, d, claim())
	r := Refund{Store: "kagi", Transaction: sold.Transaction, Reference: "r1", Unread: true}
	if err := d.Refund(t.Context(), r); !errors.Is(err, ErrUnread) {
		t.Errorf("unread: %v", err)
	}
	if o, err := d.db.Order(t.Context(), sold.ID); err != nil || o.Refunded || o.Licenses[0].Status != store.Active {
		t.Errorf("%+v, %v", o, err)
	}
	r.Unread = false
	for i, want := range []bool{true, false} {
		if added, err := d.NoteRefund(t.Context(), r); err != nil || added != want {
			t.Errorf("time %d: added %v, %v", i+1, added, err)
		}
	}
	orders, err := d.OrdersOf(t.Context(), r)
	if err != nil || len(orders) != 1 || !orders[0].Refunded {
		t.Errorf("of %+v, %v", orders, err)
	}
}

// A person who is to decide reads why the order of a refund is not clear.
func TestRefundUnclear(t *testing.T) {
	d := newDesk(t, config())
	first := mustAccept(t, d, claim())
	second := mustAccept(t, d, claim(func(o *Order) { o.Seeds = []string{"a=c"} }))
	of := Refund{Store: first.Store, Transaction: first.Transaction, Product: first.StoreProduct}
	if orders, err := d.OrdersOf(t.Context(), of); err != nil || len(orders) != 1 || orders[0].ID != first.ID {
		t.Errorf("beside a line that is held: %+v, %v", orders, err)
	}
	if _, err := d.Approve(t.Context(), second.ID, "", "test"); err != nil {
		t.Fatal(err)
	}
	unknown, unsold := of, of
	unknown.Transaction, unsold.Product = "NOBODY", "other"
	for why, r := range map[string]Refund{"two lines of the sale": of, "the sale is unknown": unknown, "no such product": unsold} {
		if err := d.Refund(t.Context(), r); !errors.Is(err, ErrNoSale) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v; want %s", err, why)
		}
	}
}
