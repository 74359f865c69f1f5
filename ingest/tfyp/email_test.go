package tfyp

import (
	"strings"
	"testing"
)

func TestEmail(t *testing.T) {
	p, _ := Builtin("tfyp")
	for v, want := range map[string]string{
		"ada@example.com":                                  "ada@example.com",
		"Ada Lovelace <ada@example.com>":                   "ada@example.com",
		"ada@example.com, eve@example.com":                 "ada@example.com",
		"ada@example.com; eve@example.com":                 "ada@example.com",
		`"Lovelace, Ada" <ada@example.com>, e@example.com`: "ada@example.com",
		`"Ada \"the, Countess\"" <ada@example.com>`:        "ada@example.com",
		`"x, eve@example.com, y" <ada@example.com>`:        "ada@example.com",
		"nobody, <ada@example.com>":                        "ada@example.com",
		"ada at example.com":                               "",
		"ada@example.com eve@example.com":                  "",
		"ada@":                                             "",
		`"ada@example.com`:                                 "",
		",":                                                "",
	} {
		r := p.Read(textMail(t, "Payment for Product_Name\n\nRegistered-To: Ada\nEmail: "+v+"\n\nSQNM-\"me_Demo\" 0042\n"))
		if got := r.Sale.Email; got != want || (r.Held == HeldMalformed) != (want == "") {
			t.Errorf("%q: %q, want %q; %q %q", v, got, want, r.Held, r.Problems)
		}
		if told := strings.Contains(strings.Join(r.Problems, " "), "e-mail addresses: the first"); told != (want != "" && len(addresses(v)) > 1) {
			t.Errorf("%q: %q", v, r.Problems)
		}
	}
}

// A test order is known by whole addresses: of one domain that begins like another,
// and of names beside addresses, nothing follows.
func TestToBuyer(t *testing.T) {
	p, err := ParseProfile("p", []byte("subject = [\"Thanks\"]\ntest_unless_to_buyer = true\n[fields]\nname = [\"Name:\"]\nemail = [\"Email:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		to, email string
		test      bool
	}{
		{"me@vendor.com", "me@vendor.com", false},
		{"Shop <ME@Vendor.com>", "me@vendor.COM", false},
		{"Shop <shop@vendor.com>, Me\r\n\t<me@vendor.com>", "me@vendor.com", false},
		{"me@bücher.example", "me@xn--bcher-kva.example", false},
		{"me@vendor.com", "me@vendor.co", true},
		{"notme@vendor.com", "me@vendor.com", true},
		{"\"ada@example.com\" <me@vendor.com>", "ada@example.com", true},
		{"=?utf-8?Q?ada=40example.com=2C?= <me@vendor.com>", "ada@example.com", true},
		{"me@vendor.com (ada@example.com)", "ada@example.com", true},
		{"undisclosed-recipients:;", "ada@example.com", true},
		{"me@vendor.com, <<", "me@vendor.com", false},
		{"", "ada@example.com", true},
	} {
		m, err := Open([]byte("Subject: Thanks\r\nTo: " + test.to + "\r\n\r\nItem: Demo\r\nOrder: 17\r\n\r\nName: Ada\r\nEmail: " + test.email + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(m); r.Held != "" || len(r.Orders) != 1 || r.Orders[0].Test != test.test {
			t.Errorf("to %s, bought by %s: held %q, %+v; want a test order: %v", test.to, test.email, r.Held, r.Orders, test.test)
		}
	}
}

func TestSender(t *testing.T) {
	for _, test := range []struct {
		sender, from string
		want         bool
	}{
		{"@shop.example", "Shop <orders@shop.example>", true},
		{"@Shop.example", "orders@SHOP.example", true},
		{"orders@shop.example", "Shop <orders@shop.example>", true},
		{"Shop <orders@shop.example>", "orders@shop.example", true},
		{"shop.example", "orders@shop.example", true},
		{"shop.example", "orders@mail.shop.example", true},
		{"A. Shop", "\"A. Shop\" <orders@shop.example>", true},
		{"orders", "orders@shop.example", true},
		{"@shop.example", "broken, <orders@shop.example>", true},
		{"@shop.example", "orders@mail.shop.example", false},
		{"@shop.example", "orders@shop.example.org", false},
		{"@shop.example", "\"orders@shop.example\" <eve@else.example>", false},
		{"orders@shop.example", "reorders@shop.example", false},
		{"orders@shop.example", "new@shop.example", false},
		{"shop.example", "orders@shop.example.org", false},
		{"shop.example", "orders@bookshop.example", false},
		{"@shop.example", "", false},
	} {
		m, err := Open([]byte("Subject: x\r\nFrom: " + test.from + "\r\n\r\n"))
		if got := m.sentBy([]string{"@else.invalid", test.sender}); got != test.want || err != nil {
			t.Errorf("%q from %q: %v, want %v; %v", test.sender, test.from, got, test.want, err)
		}
	}
}

// A quantity that cannot be is held, and is not one copy in what a person sees.
func TestQuantity(t *testing.T) {
	p, err := ParseProfile("shop", []byte("subject = [\"Thanks\"]\nprice = \"line\"\n[fields]\nname = [\"Kunde:\"]\nproduct = [\"Artikel:\"]\nquantity = [\"Anzahl:\"]\nprice = [\"Summe:\"]\ntransaction = [\"Nr.:\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for v, want := range map[string]int{"1": 1, "999": 999, "0": 0, "-1": 0, "zwei": 0, "1000": 0, "1.5": 0} {
		r := p.Read(textMail(t, "Nr.: 7\nArtikel: Demo\nAnzahl: "+v+"\nSumme: 49,00 EUR\nKunde: Ada\n"))
		if len(r.Orders) != 1 || r.Orders[0].Quantity != want || (r.Held == HeldMalformed) != (want == 0) {
			t.Errorf("%q: %q %+v", v, r.Held, r.Orders)
		}
		if want == 1 && (r.Orders[0].Price != "49.00" || r.Orders[0].Currency != "EUR") {
			t.Errorf("price: %+v", r.Orders[0])
		}
	}
}
