package tfyp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBuiltins(t *testing.T) {
	for _, name := range Builtins() {
		text, _ := BuiltinText(name)
		if _, err := ParseProfile(name, text); err != nil {
			t.Error(err)
		}
	}
	if !slices.Contains(Builtins(), "tfyp") {
		t.Errorf("%q", Builtins())
	}
	for _, name := range []string{"", "nothing", "../profile", "tfyp.toml"} {
		if _, ok := Builtin(name); ok {
			t.Errorf("%q is built in", name)
		}
	}
}

const leastProfile = `subject = ["New order"]
items = ["{quantity} x {product}"]
sequence = ['no. "{blurb}" {number}']
[fields]
name = ["Name:"]
`

func TestParseProfile(t *testing.T) {
	bad := func(text, want string) {
		t.Helper()
		if _, err := ParseProfile("p", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	with := func(old, new string) string {
		if !strings.Contains(leastProfile, old) {
			t.Fatalf("%q is not in it", old)
		}
		return strings.Replace(leastProfile, old, new, 1)
	}
	if p, err := ParseProfile("p", []byte(leastProfile)); err != nil || p.Kind != "order" {
		t.Fatal(p, err)
	}
	bad(leastProfile+"nick = [\"Nick:\"]\n", "p:6: unknown key fields.nick")
	bad("colour = 1\n"+leastProfile, "p:1: unknown key colour")
	bad("subject = 7\n", "p:1:11")
	bad("subject = [", "p:1")
	bad(with(`subject = ["New order"]`, ""), "subject: nothing says which mails")
	bad(with(`items = ["{quantity} x {product}"]`, ""), "items: nothing says how a product")
	bad(with(`name = ["Name:"]`, ""), "fields: nothing says who bought")
	bad(with(`sequence = ['no. "{blurb}" {number}']`, ""), "sequence: nothing names the sale")
	bad(with("{quantity} x {product}", "{quantity} x {color}"), "p:2: items: ")
	bad(with("{quantity} x {product}", "{quantity} x"), "it needs {product}")
	bad(with("{quantity} x {product}", "{quantity}{product}"), "there must be some text between")
	bad(with("{quantity} x {product}", "{product}"), "some text of its own")
	bad(with("{quantity} x {product}", "{product} x {product}"), "appears twice")
	bad(with("{blurb}", "blurb"), "it needs {blurb} and {number}")
	bad(with(`["Name:"]`, `[" "]`), "p:5: name: ")
	bad(leastProfile+"email = [\"Käufer:\"]\nproduct = [\"KÄUFER:\"]\n", "is also a label of email")
	bad(leastProfile+"email = [\"name:\"]\n", "is also a label of name")
	bad("price = \"each\"\n"+leastProfile, "p:1: price: ")
	bad("kind = \"gift\"\n"+leastProfile, "p:1: kind: ")
	bad("comment_flag = \"**\"\n"+leastProfile, "p:1: comment_flag: ")
	bad("always = [\"colour\"]\n"+leastProfile, "p:1: always: ")
	bad("always = [\"email\"]\n"+leastProfile, "has no label in this profile")
	bad("always = [\"code\"]\n"+leastProfile+"code = [\"Code:\"]\n", "always: ")
	bad("keywords = [\" \"]\n"+leastProfile, "p:1: keywords: ")
	bad(leastProfile+"[types]\n\"\" = \"site\"\n", "types: ")
	bad("kind = \"refund\"\nsubject = [\"Refund\"]\n[fields]\ntransaction = [\"Order:\"]\namount = [\"Back:\"]\n", "reference: ")
}

// A draft can be read as it is, or tells what is missing, and reads its own
// sample, of which it holds nothing personal.
func TestDraft(t *testing.T) {
	for _, file := range samples(t) {
		text := Draft(open(t, file))
		p, err := ParseProfile("draft", text)
		if (err != nil) != strings.Contains(string(text), "# MISSING") {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
		if err != nil {
			continue
		}
		for _, word := range []string{"Ada", "ada@", "Zoë", "4711", "Grace", "eve@"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s: the draft has %q of the sample in it:\n%s", file, word, text)
			}
		}
		if name := filepath.Base(file); slices.Contains([]string{"01-1997.eml", "12-quoted-printable.eml", "14-html-only.eml"}, name) {
			if r := p.Read(open(t, file)); !r.Recognised || r.Held != "" || len(r.Orders) != 1 || r.Orders[0].Email != "ada@example.com" || r.Orders[0].Name == "" {
				t.Errorf("%s by its draft: %+v\n%s", file, r, text)
			}
		}
	}
}

// The usual labels are known in some languages, and none is made up.
func TestDraftLanguages(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"German": {
			"Bestellnummer: B-17\nKundennummer: 4\nKäufer: Ada Lovelace\nArtikel: Demo\nAnzahl: 2\nGesamtbetrag: 49,00 EUR\nE-Mail: ada@example.com\n\nBemerkung: hallo\n",
			[]string{`transaction = ["Bestellnummer:"]`, `name = ["Käufer:"]`, `product = ["Artikel:"]`, `quantity = ["Anzahl:"]`, `price = ["Gesamtbetrag:"]`, `email = ["E-Mail:"]`, `comment = ["Bemerkung:"]`, `keywords = ["Kundennummer"]`},
		},
		"German, a customer": {
			"Bestell-Nr.: 17\nKunde: Ada Lovelace\nProdukt: Demo\nMenge: 2\nSumme: 49,00 EUR\nE-Mail-Adresse: ada@example.com\n",
			[]string{`transaction = ["Bestell-Nr.:"]`, `name = ["Kunde:"]`, `product = ["Produkt:"]`, `quantity = ["Menge:"]`, `price = ["Summe:"]`},
		},
		"French": {
			"Numéro de commande: 17\nClient: Ada Lovelace\nProduit: Demo\nQuantité: 2\nMontant: 49,00 EUR\nCourriel: ada@example.com\n",
			[]string{`transaction = ["Numéro de commande:"]`, `name = ["Client:"]`, `product = ["Produit:"]`, `quantity = ["Quantité:"]`, `price = ["Montant:"]`, `email = ["Courriel:"]`},
		},
		"Spanish": {
			"Número de pedido: 17\nCliente: Ada Lovelace\nProducto: Demo\nCantidad: 2\nImporte: 49,00 EUR\nCorreo electrónico: ada@example.com\n",
			[]string{`transaction = ["Número de pedido:"]`, `name = ["Cliente:"]`, `product = ["Producto:"]`, `quantity = ["Cantidad:"]`, `price = ["Importe:"]`, `email = ["Correo electrónico:"]`},
		},
	} {
		m, err := Open([]byte("From: Laden <shop@store.example>\nSubject: Neue Bestellung Nr. B-17-2\nDate: Wed, 5 May 2004 09:12:44 -0700\nContent-Type: text/plain; charset=utf-8\n\n" + test.text))
		if err != nil {
			t.Fatal(err)
		}
		text := string(Draft(m))
		for _, want := range append(test.want, `from = ["@store.example"]`, `subject = ["Neue Bestellung Nr."]`) {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in:\n%s", name, want, text)
			}
		}
		p, err := ParseProfile("draft", []byte(text))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if r := p.Read(m); r.Held != "" || len(r.Orders) != 1 || r.Orders[0].Quantity != 2 || r.Orders[0].Email != "ada@example.com" || r.Orders[0].Name != "Ada Lovelace" {
			t.Errorf("%s: %+v\n%s", name, r, text)
		}
	}
	for text, labels := range map[string][]string{"Nothing is told here.\n": {"product", "email", "name", "sequence", "transaction"}, "Artikel: Demo\n": {"email", "sequence"}} {
		draft := string(Draft(Mail{Subject: "New", Text: text}))
		for _, label := range labels {
			if strings.Contains(draft, "\n"+label+" = ") {
				t.Errorf("%s is made up:\n%s", label, draft)
			}
		}
	}
}

func TestAmount(t *testing.T) {
	for v, want := range map[string]string{
		"35.00": "35.00", "1,234.50": "1234.50", "0.5": "0.5", "7": "7", "007.10": "7.10", "1,000,000": "1000000",
		"35,00": "35.00", "1.234,56": "1234.56", "1.234.567,89": "1234567.89", "1,234.56": "1234.56", "0,50": "0.50", "1,234": "1234", "1.234": "1.234",
		"35,0": "", "1234.56,78": "", "12.34,56": "", "1,234,56": "", ",50": "", "1.234,5": "", "1,234.56,78": "", "-49,00": "", "1.2.3": "", "": "", ".5": "", "5.": "", "-1": "", "1,23,4": "", "1e3": "", "1.2345": "", "12345678901234567": "", "1,0000": "",
	} {
		if got, ok := amount(v); got != want || ok != (want != "") {
			t.Errorf("%q = %q, %v", v, got, ok)
		}
	}
	for v, want := range map[string]string{"US$": "USD", "usd": "USD", "€": "EUR", "$": "", "DM": "", "kr.": ""} {
		if got := currency(v); got != want {
			t.Errorf("%q = %q, want %q", v, got, want)
		}
	}
}

// Each label of the page is a key, and each key is on the page.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/mail-profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	built := tomlKeys()
	for _, key := range built {
		if !strings.Contains(string(page), "| `"+key+"`") && !strings.Contains(string(page), "`"+key+"`, ") && !strings.Contains(string(page), ", `"+key+"`") {
			t.Errorf("docs/mail-profiles.md lacks %s", key)
		}
	}
	for _, reason := range []string{HeldIncomplete, HeldAmbiguous, HeldForwarded, HeldComment, HeldCharset, HeldMalformed, HeldUnreadable} {
		if !strings.Contains(string(page), "| `"+reason+"` |") || Explain(reason) == "" {
			t.Errorf("docs/mail-profiles.md or Explain lacks the reason %s", reason)
		}
	}
	// The profile on the page can be pasted.
	_, text, _ := strings.Cut(string(page), "```toml\n")
	text, _, _ = strings.Cut(text, "```")
	if _, err := ParseProfile("page", []byte(text)); err != nil {
		t.Error(err)
	}
}
