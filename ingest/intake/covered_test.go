package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
)

// A coveredMail is a sample that its store signs.
type coveredMail struct {
	name    string
	raw     string // not signed yet
	profile *tfyp.Profile
	domain  string
	at      time.Time
}

// coveredMails are the samples of the profiles, and more that are made for this.
func coveredMails(t *testing.T) (list []coveredMail) {
	t.Helper()
	files, err := filepath.Glob("../tfyp/testdata/mails/*.eml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(file)
		profile, _ := tfyp.Builtin("tfyp")
		name, _, _ := strings.Cut(base, "-")
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(file), name+".toml")); err == nil {
			if profile, err = tfyp.ParseProfile(name, text); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, newCoveredMail(base, string(raw), profile))
	}
	shop, err := tfyp.ParseProfile("shop", []byte(coveredProfile))
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range coveredMore {
		list = append(list, newCoveredMail(name, raw, shop))
	}
	return list
}

func newCoveredMail(name, raw string, p *tfyp.Profile) coveredMail {
	c := coveredMail{name: name, raw: raw, profile: p, domain: "store.example", at: time.Date(2004, 5, 5, 16, 12, 44, 0, time.UTC)}
	if m, err := mail.ReadMessage(strings.NewReader(raw)); err == nil {
		if from, err := mail.ParseAddress(m.Header.Get("From")); err == nil {
			_, c.domain, _ = strings.Cut(from.Address, "@")
		}
	}
	return c
}

const coveredProfile = `store = "shop"
subject = ["New order"]
test = ["Test order"]
test_unless_to_buyer = true
comment = ["Your message:"]
comment_end = ["End of message"]
items = ["{quantity} x {product name} at {price} {currency} each"]
price = "copy"
sequence = ['no. "{blurb}" {number}']
keywords = ["Computer number"]
[types]
"Site license of" = "site"
[fields]
name = ["Name of the buyer:"]
email = ["E-mail of the buyer:"]
license_type = ["Type of license:"]
transaction = ["Order number:"]
language = ["...in the language "]
`

const (
	coveredHead = "From: \"A  Shop\" <orders@store.example>\r\nTo: \"Shop  x\"\t<shop@example.com>, ada@example.com\r\nSubject: New order \t=?utf-8?Q?of__a?= =?utf-8?Q?_day?=\r\n" +
		"Date: Wed, 5 May 2004 09:12:44 -0700\r\nMIME-Version: 1.0\r\n"
	coveredText = "Order number: 17\r\n2 x Site license of A Product at 35.00 USD each\r\n\r\nName of the buyer: Ada  King Noel\r\nE-mail of the buyer: ada@example.com\r\n" +
		"Computer number: 4 711\r\n\r\nsent in the language German\r\nno. \"me Demo\" 0042\r\nYour message:\r\nHello there\r\nEnd of message\r\n"
)

var coveredMore = map[string]string{
	"blanks":       coveredHead + "\r\n" + coveredText,
	"test order":   coveredHead + "\r\nTest order\r\n" + coveredText,
	"typed":        coveredHead + "\r\n" + strings.Replace(coveredText, "Hello there", "Hello there\r\n99 x A Product at 0.01 USD each", 1),
	"flowed":       coveredHead + "Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\r\n\r\n" + strings.Replace(coveredText, "King Noel", "King \r\n Noel", 1),
	"flowed, one":  coveredHead + "Content-Type: text/plain; charset=us-ascii; format=flowed\r\n\r\nsome text \r\n-- \r\n" + coveredText,
	"quoted":       coveredHead + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Replace(strings.Replace(coveredText, "King Noel", "King =20=\r\n Noel=C3=A9", 1), "Product at", "Pro=\r\nduct=20\tat =\r\n", 1),
	"html":         coveredHead + "Content-Type: text/html\r\n\r\n<table>\r\n<tr ><td>" + strings.ReplaceAll(coveredText, "\r\n", "</td ></tr>\r\n<tr><td class = \"a  b\">") + "</td></tr></table>\r\n",
	"preformatted": coveredHead + "Content-Type: text/html\r\n\r\n<pre >" + coveredText + "</pre>\r\n",
	"boundary":     coveredHead + "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\n--a b\r\nContent-Type: text/plain;\r\n\tcharset=us-ascii\r\n\r\n" + coveredText + "--a b--\r\n",
	"named parts": coveredHead + "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble of it\r\n--b\r\nContent-Type: text/plain; name=\"a  file\"\r\nContent-Disposition: inline; filename=\"a\tfile\"\r\n\r\n" + coveredText +
		"\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n\r\nTest order\r\n--b--\r\nepilogue of it\r\n",
	"no end": coveredHead + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + coveredText,
}

// sign signs a sample as its store would, in a canonical form.
func (c coveredMail) sign(t *testing.T, head, body dkim.Canonicalization) string {
	t.Helper()
	var out bytes.Buffer
	var keys []string
	header, _, _ := strings.Cut(c.raw, "\r\n\r\n")
	for _, name := range []string{"From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding"} {
		if strings.Contains("\r\n"+strings.ToLower(header), "\r\n"+strings.ToLower(name)+":") { // not oversigned
			keys = append(keys, name)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(c.at))
		err := dkim.Sign(&out, strings.NewReader(c.raw), &dkim.SignOptions{
			Domain: c.domain, Selector: "s1", Signer: edKey, HeaderKeys: keys, HeaderCanonicalization: head, BodyCanonicalization: body,
		})
		if err != nil {
			t.Fatal(c.name, err)
		}
	})
	return out.String()
}

// reads is all that is made of a copy of a mail.
func (c coveredMail) reads(t *testing.T, raw string) string {
	t.Helper()
	in := Reader{Profiles: []*tfyp.Profile{c.profile}}
	p := authentic.Policy{Trust: []authentic.Trust{{DKIM: c.domain}}, Recipients: []string{"shop@example.com"}}
	at := c.at.Add(time.Minute)
	j := p.Judge(t.Context(), []byte(raw), at, keysOfAll)
	p.Recipients, p.Merchant = nil, "Payment for Product_Name"
	marked := p.Judge(t.Context(), []byte(raw), at, keysOfAll)
	p.Trust[0].AuthservID = "mx.example.com"
	word := "Authentication-Results: mx.example.com; dkim=pass header.d=" + c.domain + " header.s=s1\r\n"
	byServer := p.Judge(t.Context(), []byte(word+raw), at, keysGone)
	f := in.Recognise([]byte(raw))
	f.Mail.MessageID = ""
	b, err := json.MarshalIndent([]any{j.Verdict, j.Reason, j.BodyHash, marked.Reason, byServer.Reason, f.Profile != nil, f.Reading, f.Mail}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is read of a mail is the same for every copy that its signature covers.
func TestCovered(t *testing.T) {
	forms := []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed}
	authenticMails, copies := 0, 0
	for _, c := range coveredMails(t) {
		for _, head := range forms {
			for _, body := range forms {
				t.Run(fmt.Sprintf("%s %s/%s", c.name, head, body), func(t *testing.T) {
					raw := c.sign(t, head, body)
					want := c.reads(t, raw)
					good := strings.Contains(want, `"authentic"`)
					if good {
						authenticMails++
					}
					faults := 0
					for _, changed := range coveredCopies(raw, head == dkim.CanonicalizationRelaxed, body == dkim.CanonicalizationRelaxed) {
						if copies++; testing.Short() && copies%6 > 0 {
							continue
						}
						got := c.reads(t, changed)
						if good && !strings.Contains(got, `"authentic"`) && !strings.Contains(got, `"field_`) {
							t.Fatalf("the signature does not cover what it should:\n%s\n%s", changed, got)
						}
						if got == want || strings.Contains(got, `"field_`) {
							continue
						}
						t.Errorf("a copy reads otherwise (-genuine +copy):\n%s\n%q", cmp.Diff(want, got), changed)
						if faults++; faults == 3 {
							return
						}
					}
				})
			}
		}
	}
	if authenticMails < 150 || copies < 20_000 {
		t.Errorf("%d authentic mails, %d copies: what is compared?", authenticMails, copies)
	}
}

// coveredCopies are copies of a mail that its signature does not tell from it, or
// that add what it does not cover.
func coveredCopies(raw string, relaxedHead, relaxedBody bool) (list []string) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	heads, bodies := []string{head}, []string{body}
	if relaxedHead {
		heads = append(heads, changedHeads(head)...)
	}
	lines := strings.Split(head, "\r\n")
	for i, line := range lines {
		if name, _, _ := strings.Cut(line, ":"); name == "MIME-Version" || name == "Message-ID" { // nobody signed it
			heads = append(heads, strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "\r\n"))
		}
	}
	for _, added := range []string{
		"Content-Disposition: attachment", "Content-Disposition: inline; filename=x", "Content-ID: <x@y>", "Content-Description: Test order", "Content-Language: de",
		"Content-Location: x", "MIME-Version: 2.0", "Message-ID: <other@store.example>", "Comments: Test order", "Content-Base: x", "Content-MD5: x", "Sender: eve@example.com",
		"Reply-To: eve@example.com", "Resent-Subject: Fwd: x", "Content-Type: text/html", "Content-Transfer-Encoding: base64", "Subject: Fwd: x", "To: ada@example.com", "From: x@example.com",
		"X-Content-Disposition: attachment", "Content-Features: x", "Content-Disposition:",
	} {
		heads = append(heads, added+"\r\n"+head, head+"\r\n"+added)
	}
	bodies = append(bodies, body+"\r\n", body+"\r\n\r\n\r\n", strings.TrimRight(body, "\r\n"))
	if relaxedBody {
		bodies = append(bodies, changedBodies(body)...)
	}
	for _, h := range heads {
		list = append(list, h+"\r\n\r\n"+body)
	}
	for _, b := range bodies {
		list = append(list, head+"\r\n\r\n"+b)
	}
	list = append(list, heads[len(heads)/2]+"\r\n\r\n"+bodies[len(bodies)-1])
	for _, whole := range slices.Clone(list)[:3] {
		list = append(list, strings.ReplaceAll(whole, "\r\n", "\n"))
	}
	return append(list, strings.ReplaceAll(head, "\r\n", "\n")+"\n\n"+body)
}

// RFC 6376, 3.4.2: a field's name in any case, folds, runs of blanks, and those
// around the colon.
func changedHeads(head string) (list []string) {
	fields := strings.SplitAfter(head+"\r\n", "\r\n")
	set := func(i int, text string) {
		changed := slices.Clone(fields)
		changed[i] = text
		list = append(list, strings.TrimSuffix(strings.Join(changed, ""), "\r\n"))
	}
	all := slices.Clone(fields)
	for i, f := range fields {
		if f == "" {
			continue
		}
		name, value, colon := strings.Cut(strings.TrimSuffix(f, "\r\n"), ":")
		if colon && name[0] != ' ' && name[0] != '\t' {
			value = strings.TrimLeft(value, " \t")
			set(i, strings.ToUpper(name)+":"+value+"\r\n")
			set(i, strings.ToLower(name)+"\t : \t "+value+" \t\r\n")
			set(i, name+":\r\n\t "+value+"\r\n")
			all[i] = name + " :\t" + spread(value, "\r\n \t ") + "\r\n"
		}
		for _, at := range runs(f) {
			for n, blank := range []string{"\t", "  ", "\r\n\t"} {
				if n == (i+at[0])%3 && at[0] > 0 {
					set(i, f[:at[0]]+blank+f[at[1]:])
				}
			}
		}
	}
	return append(list, strings.TrimSuffix(strings.Join(all, ""), "\r\n"))
}

// RFC 6376, 3.4.4: runs of blanks, and blanks and empty lines at the ends.
func changedBodies(body string) (list []string) {
	lines := strings.SplitAfter(body, "\r\n")
	set := func(i int, text string) {
		changed := slices.Clone(lines)
		changed[i] = text
		list = append(list, strings.Join(changed, ""))
	}
	tabs, wide, trailing, tight := "", "", "", ""
	for i, line := range lines {
		text, ended := strings.CutSuffix(line, "\r\n")
		for _, at := range runs(text) {
			for n, blank := range []string{"\t", "  ", " \t ", " "} {
				if n == (i+at[0])%4 {
					set(i, line[:at[0]]+blank+line[at[1]:])
				}
			}
		}
		end := ""
		if ended {
			end = "\r\n"
		}
		set(i, text+[]string{" ", "\t", "  "}[i%3]+end)
		set(i, strings.TrimRight(text, " \t")+end)
		tabs += spread(text, "\t") + end
		wide += spread(text, "  \t ") + end
		trailing += text + " " + end
		tight += strings.TrimRight(spread(text, " "), " ") + end
	}
	return append(list, tabs, wide, trailing, tight, body+" \r\n\t\r\n \t", tabs+"\r\n \r\n")
}

// runs are where the runs of blanks of a line are.
func runs(line string) (list [][2]int) {
	for i := 0; i < len(line); i++ {
		from := i
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		if i > from {
			list = append(list, [2]int{from, i})
		}
	}
	return list
}

// spread has each run of blanks of a line written in another way.
func spread(line, blank string) string {
	out, last := "", 0
	for _, at := range runs(line) {
		out += line[last:at[0]] + blank
		last = at[1]
	}
	return out + line[last:]
}

// keysOfAll is a DNS where every domain has the key.
func keysOfAll(ctx context.Context, _ string) ([]string, error) {
	return keys(ctx, "s1._domainkey.store.example")
}

// keysGone is a DNS that has no key any more.
func keysGone(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
