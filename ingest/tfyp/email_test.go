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
