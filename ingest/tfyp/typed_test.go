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

const labelsProfile = `store = "shop"
subject = ["New order"]
test = ["Test order", "...(a test)"]
comment = ["Comments:"]
sequence = ['SQNM-"{blurb}" {number}']
keywords = ["Computer", "Käse"]
price = "line"
[fields]
name = ["Name:"]
email = ["Email:"]
product = ["Item:"]
quantity = ["Copies:", "...copies wanted "]
price = ["Total:", "Prix à payer:"]
currency = ["Currency:"]
license_type = ["Licence:", "...licence étendue "]
transaction = ["Order:"]
language = ["Language:"]
code = ["Code:"]
`

// No label counts that the buyer may have typed: in an answer, or below one that may
// go on there. Those that an order needs would be there twice, and the buyer's own
// stand below each other in ordinary mails.
func TestTypedLabels(t *testing.T) {
	p, err := ParseProfile("p", []byte(labelsProfile))
	if err != nil {
		t.Fatal(err)
	}
	held := func(name, text, want string) {
		t.Helper()
		m := textMail(t, text)
		m.Subject = "New order"
		r := p.Read(m)
		if r.Held != want {
			t.Errorf("%s: held %q, want %q; %q\n%s", name, r.Held, want, r.Problems, text)
		}
	}
	const item, number = "Item: Demo\n", "SQNM-\"me_Demo\" 0042\n"
	typed := []string{"Copies: 99", "Total: 0.01 USD", "Prix à payer: 1.00 EUR", "Currency: JPY", "Licence: site", "Order: 17", "Test order", "SQNM-\"me_Other\" 0001"}
	own := []string{"Email: ada@example.com", "Language: German", "Computer: 1", "Käse: 1", "Keyword: Seat - 1", "Code: X-1"}
	for _, line := range typed {
		held(line+" alone", item+line+"\n\nName: Ada\n\n"+number, "")
		held(line+" below an empty line", item+"\nName: Ada\n\n"+line+"\n\n"+number, "")
		held(line+" below the product", "Name: Ada\n"+item+line+"\n\n"+number, "")
		held(line+" below the e-mail", item+"\nName: Ada\nEmail: ada@example.com\n"+line+"\n\n"+number, "")
		held(line+" below the name", item+"\nName: Ada\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" below a wrapped name", item+"\nName: Ada\nKing\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" below a keyword", item+"\nName: Ada\nComputer: 1\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" below a foreign keyword", item+"\nName: Ada\nKäse: 1\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" below a general keyword", item+"\nName: Ada\n\nKeyword: Seat - 1\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" below another one", item+"\nName: Ada\nTest order\n"+line+"\n\n"+number, HeldAmbiguous)
		held(line+" in a comment", item+"\nName: Ada\n\n"+number+"\nComments: look\n"+line+"\n", "")
		held(line+" hidden by a comment that may be typed", item+"\nName: Ada\nComments:\n"+line+"\n\n"+number, HeldAmbiguous)
	}
	for _, line := range own {
		held(line+" below the name", item+"\nName: Ada\n"+line+"\n\n"+number, "")
		held(line+" below a wrapped name", item+"\nName: Ada\nKing\n"+line+"\n\n"+number, HeldAmbiguous)
	}
	for _, line := range []string{"Item: Other", "Name: Eve"} {
		held(line+" twice", item+"\nName: Ada\n"+line+"\n\n"+number, HeldAmbiguous)
	}
	// Labels that may stand within a line.
	for _, within := range []string{"copies wanted 99", "licence étendue site", "(a test)"} {
		held(within+" alone", item+"the store says: "+within+"\n\nName: Ada\n\n"+number, "")
		held(within+" in the name", item+"\nName: Ada "+within+"\n\n"+number, HeldAmbiguous)
		held(within+" in the e-mail", item+"\nName: Ada\nEmail: "+within+" <ada@example.com>\n\n"+number, HeldAmbiguous)
		held(within+" in a keyword", item+"\nName: Ada\n\nKeyword: Seat - "+within+"\n\n"+number, HeldAmbiguous)
		held(within+" in a line of a wrapped name", item+"\nName: Ada\nKing, "+within+"\n\n"+number, HeldAmbiguous)
	}
	// Where each mail has one, a typed one is a second one.
	always, err := ParseProfile("p", []byte("always = [\"quantity\"]\n"+labelsProfile))
	if err != nil {
		t.Fatal(err)
	}
	p = always
	held("always", item+"\nName: Ada\nCopies: 2\n\n"+number, "")
	held("always, and typed", item+"\nName: Ada\nCopies: 99\n\nCopies: 2\n\n"+number, HeldAmbiguous)
	held("not there", item+"\nName: Ada\n\n"+number, HeldIncomplete)
	held("in the comment alone", item+"\nName: Ada\n\n"+number+"\nComments:\nCopies: 2\n", HeldIncomplete)
}

// What an order or a refund needs may stand anywhere, and lines that HTML makes do
// not go on.
func TestNotTypedLabels(t *testing.T) {
	for _, test := range []struct{ profile, text, want string }{
		{"[fields]\nname = [\"Name:\"]\nemail = [\"Email:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Name: Ada\nKing\nItem: Demo\nOrder: 17\n", ""},
		{"[fields]\nname = [\"Name:\"]\nemail = [\"Email:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Name: Ada\nKing\nOrder: 17\nItem: Demo\n", ""},
		{"sequence = ['no. \"{blurb}\" {number}']\n[fields]\nname = [\"Name:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Name: Ada\nOrder: 17\nItem: Demo\n", HeldAmbiguous},
		{"[fields]\nname = [\"Name:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Order: 17\nItem: Demo\nComputer: 1\n2\nName: Ada\n", ""},
		{"[fields]\nemail = [\"Email:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Order: 17\nItem: Demo\nComputer: 1\n2\nEmail: ada@example.com\n", ""},
		{"[fields]\nname = [\"Name:\"]\nemail = [\"Email:\"]\nproduct = [\"Item:\"]\ntransaction = [\"Order:\"]\n", "Order: 17\nItem: Demo\nComputer: 1\n2\nEmail: ada@example.com\n", HeldAmbiguous},
		{"kind = \"refund\"\n[fields]\nname = [\"Name:\"]\ntransaction = [\"Order:\"]\namount = [\"Amount:\"]\nreference = [\"Refund:\"]\n", "Name: Ada\nAmount: 5.00 EUR\n\nName of it\nComputer: 1\nRefund: 2\nOrder: 17\n", ""},
		{"kind = \"refund\"\n[fields]\nname = [\"Name:\"]\ntransaction = [\"Order:\"]\namount = [\"Amount:\"]\ncurrency = [\"Currency:\"]\nreference = [\"Refund:\"]\n", "Amount: 5.00 EUR\nRefund: 2\nOrder: 17\nName: Ada\nCurrency: JPY\n", HeldAmbiguous},
	} {
		p, err := ParseProfile("p", []byte("store = \"shop\"\nsubject = [\"Thanks\"]\nkeywords = [\"Computer\"]\n"+test.profile))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(textMail(t, test.text)); r.Held != test.want {
			t.Errorf("%q: held %q, want %q; %q", test.text, r.Held, test.want, r.Problems)
		}
	}
	p, err := ParseProfile("p", []byte(labelsProfile))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"<p>Item: Demo</p><p>Name: Ada<br>Copies: 2</p><p>SQNM-\"me_Demo\" 0042</p>":    "",
		"<p>Item: Demo</p><p>Name: Ada copies wanted 2</p><p>SQNM-\"me_Demo\" 0042</p>": HeldAmbiguous,
		"<p>Item: Demo</p><pre>Name: Ada\nCopies: 2</pre><p>SQNM-\"me_Demo\" 0042</p>":  HeldAmbiguous,
	} {
		m, err := Open([]byte("Subject: New order\nDate: Wed, 5 May 2004 09:12:44 -0700\nContent-Type: text/html\n\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(m); r.Held != want {
			t.Errorf("%s: held %q, want %q; %q", text, r.Held, want, r.Problems)
		}
	}
}

// What the buyer types does not make another profile know the mail, nor give an
// e-mail to who has none.
func TestTypedText(t *testing.T) {
	p, err := ParseProfile("p", []byte("kind = \"refund\"\nstore = \"shop\"\ntext = [\"Money back\"]\ncomment = [\"Comments:\"]\nkeywords = [\"Computer\"]\n[fields]\nname = [\"Name:\"]\ntransaction = [\"Order:\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Money back\nOrder: 17\n":                              "",
		"Order: 17\n\nName: Ada\nMoney back\n":                 HeldAmbiguous,
		"Order: 17\n\nName: Ada\n\nComments:\nMoney back\n":    HeldAmbiguous,
		"Money back\nOrder: 17\n\nName: Ada\nMoney back\n":     "",
		"Order: 17\n\nName: Ada\n\nMoney back\nComments: Hi\n": "",
	} {
		if r := p.Read(textMail(t, text)); !r.Recognised || r.Held != want {
			t.Errorf("%q: held %q, want %q; %q", text, r.Held, want, r.Problems)
		}
	}
	builtin, _ := Builtin("tfyp")
	for subject, want := range map[string]string{"Thanks for your purchase": "", "Thanks for your purchase @": HeldAmbiguous} {
		m := textMail(t, "US$ 35.00 - 1 * Product_Name\n\nRegistered-To: Ada\nEmail: ada@example.com\n\nSQNM-\"me_Demo\" 0042\n")
		m.Subject = subject
		if r := builtin.Read(m); r.Held != want {
			t.Errorf("%s: held %q, want %q; %q", subject, r.Held, want, r.Problems)
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
