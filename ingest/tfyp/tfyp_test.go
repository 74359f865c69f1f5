package tfyp

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is what a sample is read as, for people to check.
type golden struct {
	Verdict  string
	Fields   []string        `json:",omitempty"`
	Orders   []ingest.Order  `json:",omitempty"`
	Refunds  []ingest.Refund `json:",omitempty"`
	Problems []string        `json:",omitempty"`
	Attached int             `json:",omitempty"`
}

// samples are the mails of testdata/mails. A sample is read by the profile whose
// name it begins with (NAME.toml beside it), or else by the built-in one.
func samples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/mails/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	return files
}

func open(t testing.TB, file string) Mail {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func profileOf(t testing.TB, file string) *Profile {
	t.Helper()
	name, _, _ := strings.Cut(filepath.Base(file), "-")
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), name+".toml"))
	if err != nil {
		p, ok := Builtin("tfyp")
		if !ok {
			t.Fatal("no built-in profile")
		}
		return p
	}
	p, err := ParseProfile(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t testing.TB, file string) golden {
	m := open(t, file)
	r := profileOf(t, file).Read(m)
	g := golden{Verdict: "taken", Orders: r.Orders, Refunds: r.Refunds, Problems: r.Problems, Attached: m.Attached}
	for _, f := range r.Fields {
		g.Fields = append(g.Fields, f.Where()+": "+f.Name+" = "+f.Value)
	}
	switch {
	case !r.Recognised:
		g.Verdict = "not recognised"
	case r.Held != "":
		g.Verdict = "held: " + r.Held
	}
	return g
}

// Each sample is read as the file beside it says; go test -update writes those.
func TestSamples(t *testing.T) {
	for _, file := range samples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got, err := json.MarshalIndent(read(t, file), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			want := strings.TrimSuffix(file, ".eml") + ".golden.json"
			if *update {
				if err := os.WriteFile(want, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			b, err := os.ReadFile(want)
			if err != nil {
				t.Fatalf("%v (go test -update writes it: read it before you commit it)", err)
			}
			if diff := cmp.Diff(string(b), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the samples must be, whoever updates their files.
func TestVerdicts(t *testing.T) {
	for name, want := range map[string]string{
		"01-1997": "taken", "02-later-wording": "taken", "03-comment-flag": "held: comment", "04-comments": "taken",
		"05-labels-in-a-comment": "held: ambiguous", "06-keyword-in-a-comment": "taken", "07-several-products": "taken",
		"08-site-license": "taken", "09-bonus": "taken", "10-keyword-spelling": "taken", "11-keyword-in-both-spellings": "held: ambiguous",
		"12-quoted-printable": "taken", "13-base64": "taken", "14-html-only": "taken", "15-alternative": "taken", "16-flowed": "held: ambiguous",
		"17-wrong-charset": "held: charset", "18-wrong-charset-elsewhere": "taken", "19-unknown-charset": "held: charset",
		"20-forwarded-inline": "held: forwarded", "21-forwarded-unquoted": "held: forwarded", "22-attached": "not recognised",
		"23-no-buyer": "held: incomplete", "24-no-product": "held: incomplete", "25-no-name-of-the-sale": "held: incomplete",
		"26-doubled-label": "held: ambiguous", "27-doubled-product": "held: ambiguous", "28-two-numbers": "held: ambiguous",
		"29-another-mail": "not recognised", "30-no-email": "taken", "31-no-date": "held: incomplete", "32-several-copies": "taken", "33-with-the-headers-of-the-way": "taken", "34-product-in-a-comment": "held: ambiguous",
		"shop-01-order": "taken", "shop-02-typed-end": "held: ambiguous", "shop-03-only-in-the-comment": "taken", "shop-04-test": "taken",
		"shop-05-not-from-the-shop": "not recognised", "shop-06-malformed": "held: malformed", "shop-07-behind-the-comment": "taken",
		"refund-01": "taken", "refund-02-by-number": "taken", "refund-03-no-reference": "held: incomplete",
		"refund-04-no-amount": "held: incomplete", "refund-05-no-currency": "held: incomplete", "refund-06-two-amounts": "held: ambiguous", "refund-07-malformed-amount": "held: malformed",
	} {
		if got := read(t, "testdata/mails/"+name+".eml"); got.Verdict != want {
			t.Errorf("%s: %s, want %s\n%s", name, got.Verdict, want, strings.Join(got.Problems, "\n"))
		}
	}
}

func TestOrders(t *testing.T) {
	date := time.Date(2004, 5, 5, 9, 12, 44, 0, time.FixedZone("", -7*3600))
	numbers := func(list ...ingest.Sequence) []ingest.Sequence {
		for i := range list {
			list[i].Date = date
		}
		return list
	}
	want := map[string][]ingest.Order{
		"01-1997": {{
			Store: "kagi", ByMail: true, Transaction: `SQNM-"me_Demo" 0042 2004-05-05`, StoreProduct: "Product_Name", Name: "Ada Lovelace", Email: "ada@example.com", Language: "en",
			Price: "35.00", Currency: "USD", Quantity: 1, Seeds: []string{"Keyword: Computer-number - 4711-0815"}, Sequences: numbers(ingest.Sequence{Name: "me_Demo", Number: 42}),
		}},
		"07-several-products": {
			{
				Store: "kagi", ByMail: true, Transaction: `SQNM-"me_Demo" 0048 2004-05-05`, StoreProduct: "Product_Name", Name: "Ada Lovelace", Email: "ada@example.com", Language: "en",
				Price: "35.00", Currency: "USD", Quantity: 1, Beside: []string{"Other_Product"},
				Sequences: numbers(ingest.Sequence{Name: "me_Demo", Number: 48}, ingest.Sequence{Name: "me_Other", Number: 9999}, ingest.Sequence{Name: "me_general", Number: 7}),
			},
			{
				Store: "kagi", ByMail: true, Transaction: `SQNM-"me_Demo" 0048 2004-05-05`, StoreProduct: "Other_Product", Name: "Ada Lovelace", Email: "ada@example.com", Language: "en",
				Quantity: 2, Beside: []string{"Product_Name"},
				Sequences: numbers(ingest.Sequence{Name: "me_Demo", Number: 48}, ingest.Sequence{Name: "me_Other", Number: 9999}, ingest.Sequence{Name: "me_general", Number: 7}),
			},
		},
		"08-site-license": {{
			Store: "kagi", ByMail: true, Transaction: `SQNM-"me_Demo" 0049 2004-05-05`, StoreProduct: "Product_Name", Name: "Ada Lovelace", Email: "ada@example.com", Language: "en", LicenseType: "site",
			Quantity: 1, QuantityUnknown: true, Seeds: []string{"Keyword: Computer-number - 4711-0815"}, Sequences: numbers(ingest.Sequence{Name: "me_Demo", Number: 49}),
		}},
		"shop-01-order": {{
			Store: "shop", ByMail: true, Transaction: "S-2004-17", StoreProduct: "Product Name 2", Name: "Grace Hopper", Email: "grace@example.com", LicenseType: "upgrade",
			Price: "25.025", Currency: "EUR", Quantity: 4,
		}},
	}
	for name, want := range want {
		got := read(t, "testdata/mails/"+name+".eml")
		if diff := cmp.Diff(want, got.Orders); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	names := map[string]string{
		"12-quoted-printable": "Zoë Ångström", "13-base64": "Zoë Ångström", "14-html-only": "Ada & Charles",
		"30-no-email": "Ada Lovelace",
	}
	for name, want := range names {
		if got := read(t, "testdata/mails/"+name+".eml"); len(got.Orders) != 1 || got.Orders[0].Name != want {
			t.Errorf("%s: %+v", name, got.Orders)
		}
	}
	if got := read(t, "testdata/mails/shop-03-only-in-the-comment.eml"); got.Orders[0].Email != "" {
		t.Errorf("an e-mail that is typed in a comment wins: %+v", got.Orders)
	}
	if got := read(t, "testdata/mails/06-keyword-in-a-comment.eml"); got.Orders[0].Seeds != nil {
		t.Errorf("a keyword that is typed in a comment wins: %+v", got.Orders)
	}
	if got := read(t, "testdata/mails/shop-04-test.eml"); !got.Orders[0].Test {
		t.Error("a test order is none")
	}
}

func TestRefunds(t *testing.T) {
	got := read(t, "testdata/mails/refund-01.eml").Refunds
	want := []ingest.Refund{{Store: "shop", Transaction: "S-2004-17", Amount: "25.00", Currency: "EUR", Reference: "R-9"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What cannot be read for certain is not all of it.
	for name, want := range map[string]bool{
		"01": false, "03-no-reference": false, "04-no-amount": true, "05-no-currency": false, "06-two-amounts": true, "07-malformed-amount": true,
	} {
		if got := read(t, "testdata/mails/refund-"+name+".eml").Refunds; len(got) != 1 || got[0].Unread != want {
			t.Errorf("%s: %+v; want Unread %v", name, got, want)
		}
	}
}

// A refund of several products, of which none is certain, is not one of all.
func TestRefundOfSeveral(t *testing.T) {
	p, err := ParseProfile("p", []byte("kind = \"refund\"\nstore = \"shop\"\nsubject = [\"Refund\"]\nitems = [\"- {product}\"]\n[fields]\ntransaction = [\"Order:\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]bool{"- one\r\n": false, "- one\r\n- two\r\n": true} {
		m, err := Open([]byte("Subject: Refund\r\nDate: Wed, 5 May 2004 09:12:44 -0700\r\n\r\nOrder: S-1\r\n" + lines))
		if err != nil {
			t.Fatal(err)
		}
		r := p.Read(m)
		if len(r.Refunds) != 1 || r.Refunds[0].Unread != want || (r.Held != "") != want {
			t.Errorf("%q: held %q, %+v", lines, r.Held, r.Refunds)
		}
	}
}

// An attached mail is what it was before it was attached, byte by byte.
func TestAttached(t *testing.T) {
	raw, err := os.ReadFile("testdata/mails/22-attached.eml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/mails/02-later-wording.eml")
	if err != nil {
		t.Fatal(err)
	}
	got := Attached(raw)
	if len(got) != 1 || string(got[0]) != string(want) {
		t.Fatalf("attached: %q", got)
	}
	// Mails in mails in mails, and many beside each other, have an end.
	deep := want
	for range 30 {
		deep = slices.Concat([]byte("Subject: x\r\nContent-Type: message/rfc822\r\n\r\n"), deep)
	}
	if got := Attached(deep); len(got) != maxDepth {
		t.Errorf("%d mails in each other", len(got))
	}
	var many strings.Builder
	many.WriteString("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
	for range 90 {
		many.WriteString("--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n")
	}
	many.WriteString("--b--\r\n")
	if got := Attached([]byte(many.String())); len(got) != maxAttached {
		t.Errorf("%d mails beside each other", len(got))
	}
}

// Where a profile knows how a product is told of, a refund that tells of none is
// not one of all of them.
func TestRefundWithoutItsProduct(t *testing.T) {
	p, err := ParseProfile("p", []byte("kind = \"refund\"\nstore = \"shop\"\nsubject = [\"Refund\"]\n[fields]\ntransaction = [\"Order:\"]\nproduct = [\"Product:\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"Product: Demo\r\n": "", "": HeldIncomplete, "Product:\r\n": HeldIncomplete, "Product: A\r\nProduct: B\r\n": HeldAmbiguous} {
		m, err := Open([]byte("Subject: Refund\r\nDate: Wed, 5 May 2004 09:12:44 -0700\r\n\r\nOrder: S-1\r\n" + line))
		if err != nil {
			t.Fatal(err)
		}
		r := p.Read(m)
		if len(r.Refunds) != 1 || r.Refunds[0].Unread != (want != "") || r.Held != want {
			t.Errorf("%q: held %q, %+v", line, r.Held, r.Refunds)
		}
	}
}
