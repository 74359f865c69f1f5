package tfyp

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tomlKeys are the keys of a profile.
func tomlKeys() (keys []string) {
	for _, part := range []any{file{}, fieldLabels{}} {
		for f := range reflect.TypeOf(part).Fields() {
			keys = append(keys, f.Tag.Get("toml"))
		}
	}
	return keys
}

func TestOpenBounds(t *testing.T) {
	const head = "Subject: Thanks for your purchase\r\nDate: Wed, 5 May 2004 09:12:44 -0700\r\n"
	held := func(name, raw, want string) {
		t.Helper()
		m, err := Open([]byte(raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		p, _ := Builtin("tfyp")
		if r := p.Read(m); r.Held != want || len(m.Text) > maxText {
			t.Errorf("%s: %q, want %q; %q", name, r.Held, want, r.Problems)
		}
	}
	held("a long text", head+"\r\n"+strings.Repeat("0123456789\r\n", 100_000), HeldUnreadable)
	held("a long line", head+"\r\n"+strings.Repeat("x", maxLine+1), HeldUnreadable)
	held("many lines", head+"\r\n"+strings.Repeat("x\n", maxLines+1), HeldUnreadable)
	held("many labels", head+"\r\n"+strings.Repeat("Email: ada@example.com\n", maxFindings+2), HeldUnreadable)
	held("a long mail", head+"\r\n"+strings.Repeat("x\n", MaxMail/2), HeldUnreadable)
	held("a long value", head+"\r\nEmail: "+strings.Repeat("x", maxValue+1), HeldMalformed)
	held("broken base64", head+"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!", HeldUnreadable)
	held("an unknown encoding", head+"Content-Type: text/plain\r\nContent-Transfer-Encoding: uuencode\r\n\r\nx", HeldUnreadable)
	for _, field := range []string{"Subject: Thanks for your purchase", "From: a@store.example\r\nFrom: b@store.example", "To: a@example.com\r\nto : a@example.com", "Content-Type: text/plain\r\nContent-Type: text/plain"} {
		held("twice "+field, head+field+"\r\n\r\nx", HeldAmbiguous)
	}
	held("a boundary with a blank", head+"Content-Type: multipart/mixed; boundary=\"b c\"\r\n\r\n--b c\r\n\r\nx\r\n--b c--\r\n", HeldUnreadable)
	many := head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", maxParts+5) + "--b--\r\n"
	held("many parts", many, HeldUnreadable)
	for depth, want := range map[int]string{maxDepth: HeldIncomplete, maxDepth + 1: HeldUnreadable} {
		begin, end := head, ""
		for i := range depth {
			begin += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n", i, i)
			end = fmt.Sprintf("\r\n--b%dx--\r\n", i) + end
		}
		held(fmt.Sprint(depth, " deep"), begin+"\r\nx"+end, want)
	}
	held("a part that breaks off", head+"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhalf", HeldUnreadable)
	for _, raw := range []string{"", "\r\n\r\nx", "no header at all", "Subject: " + strings.Repeat("x", maxHeader) + "\r\n\r\n"} {
		if _, err := Open([]byte(raw)); !errors.Is(err, ErrMail) {
			t.Errorf("%.20q: %v", raw, err)
		}
	}
}

// Of alternatives one is read: the first plain text.
func TestAlternatives(t *testing.T) {
	const plain, html, nothing = "--b\r\n\r\nplain\r\n", "--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n", "--b\r\n\r\n \r\n"
	const related = "--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--c--\r\n"
	for parts, want := range map[string]string{
		plain + html: "plain", html + plain: "plain", plain + related: "plain", related + plain: "plain", html: "html", nothing + html: "html",
		plain + "--b\r\n\r\nanother\r\n": "plain", html + html: "html",
		plain + "--b\r\nContent-Disposition: attachment\r\n\r\nfile\r\n": "plain",
	} {
		m, err := Open([]byte("Subject: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" + parts + "--b--\r\n"))
		if got := strings.TrimSpace(m.Text); err != nil || got != want || m.HTML != (want == "html") {
			t.Errorf("%q: %q, HTML %v, %v", parts, got, m.HTML, err)
		}
	}
}

// One space and several are the same, in the mail, in what comes out of its
// encoding, and in the profile.
func TestBlanks(t *testing.T) {
	p, err := ParseProfile("p", []byte("store = \"shop\"\nsubject = [\"New \\t order\"]\nitems = [\"{quantity}  x  {product}\"]\nkeywords = [\"Computer  number\"]\n[types]\n\"Site  license of\" = \"site\"\n"+
		"[fields]\nname = [\"Name\\tof:\"]\ntransaction = [\"Order  no.\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		"Subject: New order\n\nOrder no. 17\n2 x Site license of Demo\n\nName of: Ada King\nComputer number: 4 7\n",
		"Subject: New\n\t order\n\nOrder\tno.  17\n2 x  Site  license\tof Demo\t\n\nName  of:\tAda  King\nComputer \t number:  4  7 \n",
		"Subject: =?utf-8?Q?New=20=09order?=\nContent-Transfer-Encoding: quoted-printable\n\nOrder=20=09no. 17\n2 x =20Site license=09of Demo=20\n\nName =20of: Ada=20 King\nComputer =20number: 4=09=\n7\n",
	} {
		m, err := Open([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		r := p.Read(m)
		if r.Held != "" || len(r.Orders) != 1 {
			t.Fatalf("%q: held %q, %q", raw, r.Held, r.Problems)
		}
		o := r.Orders[0]
		if diff := cmp.Diff([]string{"17", "Demo", "site", "Ada King", "Keyword: Computer number - 4 7"}, []string{o.Transaction, o.StoreProduct, o.LicenseType, o.Name, o.Seeds[0]}); diff != "" || o.Quantity != 2 {
			t.Errorf("%q (-want +got):\n%s", raw, diff)
		}
	}
}

// Of the header nothing is read that a signature need not cover.
func TestUnsignedHeader(t *testing.T) {
	const mail = "Subject: x\r\nContent-Type: text/plain\r\n\r\nthe text\r\n"
	want, err := Open([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	for _, added := range []string{"Content-Disposition: attachment", "Content-Disposition: attachment; filename=x", "MIME-Version: 2.0", "Content-Language: de", "X-Subject: y"} {
		got, err := Open([]byte(added + "\r\n" + mail))
		if diff := cmp.Diff(want.Text, got.Text); diff != "" || got.Subject != "x" || err != nil {
			t.Errorf("with %s: %v\n%s", added, err, diff)
		}
	}
}

// A line that may go on in the next one is not taken as if it ended there.
func TestFlowed(t *testing.T) {
	p, _ := Builtin("tfyp")
	const head = "Subject: Thanks for your purchase\r\nDate: Wed, 5 May 2004 09:12:44 -0700\r\nContent-Type: text/plain; format="
	const item, buyer, end = "US$ 35.00 - 1 * Product_Name\r\n", "Registered-To: Ada King\r\n", "\r\nSQNM-\"me_Demo\" 0042\r\n"
	for text, want := range map[string]string{
		"flowed\r\n\r\n" + item + "\r\n" + buyer + end:                                 "",
		"flowed\r\n\r\n" + item + "\r\n" + buyer + "Noel\r\n" + end:                    HeldAmbiguous,
		"Flowed; delsp=yes\r\n\r\n" + item + "\r\n" + buyer + "Noel\r\n" + end:         HeldAmbiguous,
		"fixed\r\n\r\n" + item + "\r\n" + buyer + "Noel\r\n" + end:                     "",
		"flowed\r\n\r\n" + item + "Other\r\n\r\n" + buyer + end:                        HeldAmbiguous,
		"flowed\r\n\r\nThank you, \r\nAda.\r\n" + item + "\r\n" + buyer + "\r\n" + end: "",
	} {
		m, err := Open([]byte(head + text))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(m); r.Held != want || !r.Recognised {
			t.Errorf("%q: %q, want %q; %q", text, r.Held, want, r.Problems)
		}
	}
}

func TestOneBlank(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", "a b\nc\n": "a b\nc\n", "a \t b": "a b", "a\tb": "a b", "\t a": " a", "a \r\nb\t\n \n": "a\nb\n\n", "a \r": "a", "a\rb": "a\rb", "\u00a0  b": "\u00a0 b",
	} {
		if got := oneBlank(text); got != want || oneBlank(got) != got {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"<p>a <b>b</b>&nbsp; c</p>d":                                         "a b c\nd",
		"a<br>b<br/><br>c":                                                   "a\nb\nc",
		"<tr><td>Email:</td><td>x@y</td></tr><tr>z":                          "Email: x@y\nz",
		"<style>Email: e</style><script>Email: e</script><!-- Email: e -->a": "a",
		"<pre>a\nb  c</pre>d\ne":                                             "a\nb c\nd e",
		"&lt;Email:&gt;":                                                     "<Email:>",
		"<p":                                                                 "",
	} {
		if got := plain(text); got != want {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
}

// Whatever comes, nothing panics, and what is taken is whole.
func FuzzRead(f *testing.F) {
	for _, file := range samples(f) {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	var profiles []*Profile
	for _, file := range []string{"testdata/mails/01-1997.eml", "testdata/mails/shop-01-order.eml", "testdata/mails/refund-01.eml"} {
		profiles = append(profiles, profileOf(f, file))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		Attached(raw)
		m, err := Open(raw)
		if err != nil {
			return
		}
		if _, err := ParseProfile("draft", Draft(m)); err != nil && !strings.Contains(string(Draft(m)), "# MISSING") {
			t.Errorf("its draft: %v\n%s", err, Draft(m))
		}
		for _, p := range profiles {
			r := p.Read(m)
			for _, o := range r.Orders {
				if r.Held == "" && (o.StoreProduct == "" || o.Name == "" || o.Transaction == "" || o.Quantity < 1) {
					t.Errorf("%s takes %+v", p.Name, o)
				}
			}
			if r.Recognised && r.Held == "" && len(r.Orders)+len(r.Refunds) == 0 {
				t.Errorf("%s takes nothing of it", p.Name)
			}
		}
	})
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(leastProfile))
	text, _ := BuiltinText("tfyp")
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := ParseProfile("p", text); err == nil {
			p.Read(Mail{Subject: "New order", Text: "1 x A\nName: b\n"})
		}
	})
}
