package tfyp

import (
	"strings"
	"testing"
)

// textMail is a plain mail of Kagi's with a text.
func textMail(t *testing.T, text string) Mail {
	t.Helper()
	m, err := Open([]byte("Subject: Thanks for your purchase\nDate: Wed, 5 May 2004 09:12:44 -0700\nContent-Type: text/plain; charset=utf-8\n\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What a buyer types does not become a second product, more copies, or a dearer
// license.
func TestTypedProducts(t *testing.T) {
	p, _ := Builtin("tfyp")
	const item, buyer, end = "US$ 35.00 - 1 * Product_Name\n", "Registered-To: Ada Lovelace\nEmail: ada@example.com\n", "\nSQNM-\"me_Demo\" 0042\n"
	for _, test := range []struct{ name, text, want string }{
		{"nothing typed", item + "\n" + buyer + end, ""},
		{"the products below the buyer", buyer + "\n" + item + "US$ 20.00 - 2 * Other_Product\n" + end, ""},
		{"below the e-mail", buyer + item + end, ""},
		{"a product in the e-mail", item + "\n" + buyer + "US$ 35.00 - 500 * Other_Product\n" + end, HeldAmbiguous},
		{"below a label of the store's", buyer + "Registration-Code: X-1\n" + item + end, ""},
		{"a product in the name", item + "\nRegistered-To: Ada Lovelace\nUS$ 35.00 - 500 * Other_Product\nEmail: ada@example.com\n" + end, HeldAmbiguous},
		{"a product in a wrapped name", "Registered-To: Ada Lovelace\nCountess\nUS$ 35.00 - 500 * Other_Product\n" + end, HeldAmbiguous},
		{"a product in a keyword", item + "\n" + buyer + "Computer-number: 1\nUS$ 35.00 - 500 * Other_Product\n" + end, HeldAmbiguous},
		{"a product below an empty line", item + "\n" + buyer + "\nUS$ 35.00 - 500 * Other_Product\n" + end, HeldAmbiguous},
		{"a quantity for what has none", "Payment for Product_Name\n\n" + buyer + "\nUS$ 35.00 - 500 * Product_Name\n" + end, HeldAmbiguous},
		{"products on both sides", "Registered-To: Ada\n\nUS$ 35.00 - 500 * Other_Product\nEmail: ada@example.com\n\n" + item + end, HeldAmbiguous},
		{"a license type", item + "\n" + buyer + "Site license for Product_Name\n" + end, HeldAmbiguous},
		{"a license type beside the product", item + "Site license for Product_Name\n\n" + buyer + end, HeldAmbiguous},
		{"two license types", "Payment for Site license for Product_Name\nUS$ 35.00 - 1 * World-wide license for Product_Name\n\n" + buyer + end, HeldAmbiguous},
		{"one license type", "Payment for Site license for Product_Name\nUS$ 35.00 - 1 * Site license for Product_Name\n\n" + buyer + end, ""},
	} {
		if r := p.Read(textMail(t, test.text)); r.Held != test.want || !r.Recognised {
			t.Errorf("%s: %q, want %q; %q", test.name, r.Held, test.want, r.Problems)
		}
	}
	// HTML makes lines of its own: a row below another one is no answer that wraps.
	const head = "Subject: Thanks for your purchase\nDate: Wed, 5 May 2004 09:12:44 -0700\nContent-Type: text/html\n\n"
	for text, want := range map[string]string{
		strings.ReplaceAll("Registered-To: Ada\n"+item+end, "\n", "<br>\n"): "",
		"<pre>" + "Registered-To: Ada\n" + item + end + "</pre>":            HeldAmbiguous,
	} {
		m, err := Open([]byte(head + text))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(m); r.Held != want || !r.Recognised {
			t.Errorf("%s: %q, want %q; %q", text, r.Held, want, r.Problems)
		}
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]int{
		leastProfile: 1, "comment_flag = \"*\"\n" + leastProfile: 0, "comment = [\"Note:\"]\n" + leastProfile: 0,
		strings.Replace(leastProfile, `items = ["{quantity} x {product}"]`, "", 1) + "product = [\"Item:\"]\n": 0,
	} {
		p, err := ParseProfile("p", []byte(text))
		if err != nil || len(p.Warnings()) != want {
			t.Errorf("%v, %v: want %d\n%s", p.Warnings(), err, want, text)
		}
	}
}
