package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

const refundShop = `
[[channel]]
name = "mail"
kind = "imap"
store = "kagi"
address = "127.0.0.1:1"
user = "shop"
password = "s3cret"
recipients = ["shop@example.com"]
trust = [{ dkim = "store.example" }]
profiles = ["refunds.toml", "tfyp"]
`

const refundLabels = "kind = \"refund\"\nstore = \"kagi\"\nsubject = [\"Refund\"]\n[fields]\ntransaction = [\"Order:\"]\namount = [\"Back:\"]\n" +
	"reference = [\"Refund:\"]\nproduct = [\"Product:\"]\n"

// A refundDesk is a site that has sales, and held mails that refund them.
type refundDesk struct {
	*site
	db   *store.DB
	desk *ingest.Desk
}

func newRefundDesk(t *testing.T, s *site) *refundDesk {
	t.Helper()
	s.place("refunds.toml", refundLabels)
	s.add(refundShop)
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &refundDesk{s, db, ingest.New(db, c.Catalog())}
}

// sold is an order of one copy.
func (d *refundDesk) sold(transaction, product, price, currency string) store.Order {
	d.t.Helper()
	o, err := d.desk.Accept(context.Background(), ingest.Order{
		Channel: "kagi", Store: "kagi", Transaction: transaction, StoreProduct: product, LicenseType: "single", Name: "Ada Lovelace",
		Price: price, Currency: currency, Quantity: 1,
	})
	if err != nil || o.Status != store.Issued {
		d.t.Fatalf("%+v, %v", o, err)
	}
	return o
}

// held is a mail that is held, by its id.
func (d *refundDesk) held(lines string) string {
	d.t.Helper()
	m := store.Mail{
		ID: store.NewID(), Channel: "mail", Folder: "INBOX", UIDValidity: 1, UID: 1, Verdict: store.MailHeld, Reason: "incomplete", ArrivedAt: time.Now(),
		Raw: []byte("From: orders@store.example\r\nTo: shop@example.com\r\nSubject: Refund\r\nDate: Wed, 5 May 2004 09:12:44 -0700\r\n" +
			"Content-Type: text/plain\r\n\r\n" + lines),
	}
	copy(m.Content[:], m.ID)
	if _, _, err := d.db.AddMail(context.Background(), m); err != nil {
		d.t.Fatal(err)
	}
	return m.ID
}

// state is an order's codes, and what was refunded of it.
func (d *refundDesk) state(o store.Order) string {
	d.t.Helper()
	now, err := d.db.Order(context.Background(), o.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	refunds, err := d.db.Refunds(context.Background(), o.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	list := []string{now.Licenses[0].Status}
	for _, r := range refunds {
		list = append(list, strings.TrimSpace("- "+r.Amount+" "+r.Currency))
	}
	return strings.Join(list, " ")
}

// A mail that does not say how much goes back revokes nothing, until a person
// says that all of it does.
func TestApproveRefund(t *testing.T) { eachDatabase(t, testApproveRefund) }

func testApproveRefund(t *testing.T, s *site) {
	d := newRefundDesk(t, s)
	for name, test := range map[string]struct {
		price, mail string // of the order ID
		args        []string
		exit        int
		out, state  string
	}{
		"no amount": {"35.000 USD", "Refund: R-1\r\n", nil, 2, `is not clear about the refunded amount (kagi ID: 1 * 35.000 USD): give --amount "5.00 USD" (the refunded amount, in that currency), or --all`, "active"},
		"malformed": {"35.000 USD", "Refund: R-1\r\nBack: 5.0000 USD\r\n", nil, 2, "give --amount", "active"},
		"two":       {"35.000 USD", "Refund: R-1\r\nBack: 5.00 USD\r\nBack: 35.00 USD\r\n", nil, 2, "give --amount", "active"},
		"all":       {"35.000 USD", "Refund: R-1\r\n", []string{"--all"}, 0, "all of kagi ID: noted; its codes are revoked\n", "revoked -"},
		"a part": {
			"35.000 EUR", "Refund: R-1\r\n", []string{"--amount", "5.00 EUR"}, 0, "5.00 EUR of kagi ID: noted; its codes keep working\n", "active - 5.00 EUR",
		},
		"the price":        {"35.000 EUR", "Refund: R-1\r\n", []string{"--amount", "35.00 EUR"}, 0, "its codes are revoked\n", "revoked - 35.00 EUR"},
		"what the mail is": {"35.000 USD", "Back: 5.00 USD\r\n", nil, 0, "5.00 USD of kagi ID: noted; its codes keep working\n", "active - 5.00 USD"}, // it lacks its reference
		"another currency": {"35.000 USD", "Refund: R-1\r\nBack: 5.00 EUR\r\n", nil, 2, `is about 5.00 EUR, which cannot be compared with the price (kagi ID: 1 * 35.000 USD): give --amount "5.00 USD"`, "active"},
		"no currency":      {"35.000 USD", "Refund: R-1\r\nBack: 5.00\r\n", nil, 2, "is about 5.00, which cannot be compared with the price", "active"},
		"another by hand":  {"35.000 USD", "Refund: R-1\r\n", []string{"--amount", "5.00 EUR"}, 2, "cannot be approved with the amount 5.00 EUR", "active"},
		"no price":         {"", "Refund: R-1\r\nBack: 5.00 EUR\r\n", nil, 2, "its price is unknown): a partial refund cannot be compared with this price. For a full refund, give --all", "active"},
		"no price, all":    {"", "Refund: R-1\r\nBack: 5.00 EUR\r\n", []string{"--all"}, 0, "its codes are revoked", "revoked -"},
		"not an amount":    {"35.000 USD", "Refund: R-1\r\n", []string{"--amount", "5,00"}, 2, "--amount: ", "active"},
		"both":             {"35.000 USD", "Refund: R-1\r\n", []string{"--amount", "5.00 USD", "--all"}, 2, "--all", "active"},
		"a buyer":          {"35.000 USD", "Refund: R-1\r\n", []string{"--all", "--name", "Ada"}, 2, "only orders have a name, an e-mail address and a quantity", "active"},
	} {
		t.Run(name, func(t *testing.T) {
			id := "B-" + strings.ReplaceAll(name, " ", "-")
			price, currency, _ := strings.Cut(test.price, " ")
			o := d.sold(id, "demo", price, currency)
			mail := d.held("Order: " + id + "\r\n" + test.mail)
			out := s.must(test.exit, append([]string{"mail", "approve", mail}, test.args...)...)
			if want := strings.ReplaceAll(test.out, "ID", id); !strings.Contains(out, want) {
				t.Errorf("%s\nwant %s", out, want)
			}
			if got := d.state(o); got != test.state {
				t.Errorf("%s; want %s", got, test.state)
			}
			verdict := "held"
			if test.exit == 0 {
				verdict = "taken"
			}
			if m, err := d.db.Mail(t.Context(), mail); err != nil || m.Verdict != verdict || test.exit == 0 && m.Fold != strings.ToLower(id) {
				t.Errorf("the mail is %s of %q, %v; want %s", m.Verdict, m.Fold, err, verdict)
			}
		})
	}
}

// Of a sale of several lines each is told; a refund whose sale is not here waits.
func TestApproveRefundOfLines(t *testing.T) {
	s := newSite(t)
	d := newRefundDesk(t, s)
	first, second := d.sold("B-1", "demo", "35.000", "USD"), d.sold("B-1", "other", "20.000", "USD")
	const want = "5.00 USD of kagi B-1: noted; line 1: its codes keep working; line 2: its codes keep working\n"
	if out := s.must(0, "mail", "approve", d.held("Order: B-1\r\nRefund: R-1\r\n"), "--amount", "5.00 USD"); out != want {
		t.Errorf("%s", out)
	}
	if out := s.must(0, "mail", "approve", d.held("Order: B-1\r\nRefund: R-1\r\nBack: 5.00 USD\r\n")); !strings.Contains(out, "already recorded; ") {
		t.Errorf("%s", out)
	}
	// Parts without a reference are told apart by their mails, and add up.
	for range 2 {
		var orders []admin.Order
		s.read(0, &orders, "mail", "approve", d.held("Order: B-1\r\nBack: 10.00 USD\r\nProduct: other\r\n"))
		if len(orders) != 1 || orders[0].Line != 2 || orders[0].Transaction != "B-1" {
			t.Errorf("%+v", orders)
		}
	}
	if a, b := d.state(first), d.state(second); a != "active - 5.00 USD" || b != "revoked - 5.00 USD - 10.00 USD - 10.00 USD" {
		t.Errorf("%s, %s", a, b)
	}
	// All is all, though a part was noted under the same reference.
	if out := s.must(0, "mail", "approve", d.held("Order: B-1\r\nRefund: R-1\r\nProduct: demo\r\n"), "--amount", "5.00 USD"); !strings.HasPrefix(out, "5.00 USD of kagi B-1 1: noted; its") {
		t.Errorf("%s", out)
	}
	if out := s.must(0, "mail", "approve", d.held("Order: B-1\r\nRefund: R-1\r\nProduct: demo\r\n"), "--all"); out != "all of kagi B-1 1: noted; its codes are revoked\n" {
		t.Errorf("%s", out)
	}
	unknown := d.held("Order: B-7777\r\nRefund: R-1\r\nBack: 5.00 USD\r\n")
	for _, args := range [][]string{{}, {"--all"}, {"--amount", "5.00 USD"}} {
		if out := s.must(1, append([]string{"mail", "approve", unknown}, args...)...); !strings.Contains(out, "it is not clear which order was refunded: the sale is unknown. If") {
			t.Errorf("%s", out)
		}
	}
	d.sold("B-7777", "demo", "35.000", "USD")
	s.must(0, "mail", "approve", unknown)
	sale := d.held("")
	if out := s.must(1, "mail", "approve", sale); !strings.Contains(out, "it is not clear which order was refunded: the sale is unknown. If") {
		t.Errorf("%s", out)
	}
	if out := s.must(0, "order", "list"); !strings.Contains(out, "issued, refunded") || strings.Count(out, "issued, refunded") != 2 || strings.Count(out, "issued") != 3 {
		t.Errorf("%s", out)
	}
}

// An order's mail has no amount to be given.
func TestApproveOrderWithAmount(t *testing.T) {
	s := newSite(t)
	d := newRefundDesk(t, s)
	m := store.Mail{ID: store.NewID(), Channel: "mail", Verdict: store.MailHeld, Reason: "ambiguous", Raw: []byte(oldSale(1, "")), ArrivedAt: time.Now()}
	if _, _, err := d.db.AddMail(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--all"}, {"--amount", "5.00 USD"}} {
		if out := s.must(2, append([]string{"mail", "approve", m.ID}, args...)...); !strings.Contains(out, "is not a refund") {
			t.Errorf("%s", out)
		}
	}
	s.must(0, "mail", "approve", m.ID)
}
