package authentic

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

var arrival = time.Date(2026, 3, 2, 10, 0, 30, 0, time.UTC)

// order is a mail of a store, as its server would send it before signing.
const order = "From: Example Store <orders@store.example>\r\n" +
	"To: Shop <shop@example.com>\r\n" +
	"Subject: You sold 1 x Demo\r\n" +
	"Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n" +
	"Message-ID: <4711@store.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"\r\n" +
	"Merchant: Example Soft=\r\nware (#4711)\r\n" +
	"Order:  4711 \r\n" +
	"Name: Ada Lovelace\r\n" +
	"\r\n"

var signedFields = []string{"From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding"}

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	edKey    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func rsaRecord(k *rsa.PrivateKey) string {
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(must(x509.MarshalPKIXPublicKey(k.Public())))
}

func edRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))
}

// A zone is a DNS of TXT records; a record that begins with "!" is trouble.
type zone map[string][]string

func (z zone) txt(_ context.Context, name string) ([]string, error) {
	records, ok := z[name]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case len(records) > 0 && records[0] == "!timeout":
		return nil, &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, IsTemporary: true}
	case len(records) > 0 && records[0] == "!cancelled":
		return nil, context.Canceled
	}
	return records, nil
}

// storeZone has the store's two keys, and those of a stranger.
func storeZone() zone {
	return zone{
		"s1._domainkey.store.example":      {rsaRecord(rsaKey())},
		"ed._domainkey.store.example":      {edRecord()},
		"s1._domainkey.evil.example":       {rsaRecord(otherKey())},
		"s1._domainkey.mail.store.example": {rsaRecord(otherKey())},
	}
}

func here() Policy {
	return Policy{Trust: []Trust{{DKIM: "store.example"}}, Recipients: []string{"shop@example.com"}}
}

func byServer() Policy {
	p := here()
	p.Trust = []Trust{{DKIM: "store.example", AuthservID: "mx.example.com"}}
	return p
}

func both() Policy {
	p := here()
	p.Trust = append(p.Trust, byServer().Trust...)
	return p
}

// libSigned is a mail signed by go-msgauth, which is no code of ours, at the
// time of the arrival.
func libSigned(t *testing.T, mail string, change ...func(*dkim.SignOptions)) string {
	t.Helper()
	o := &dkim.SignOptions{
		Domain: "store.example", Selector: "s1", Signer: rsaKey(), HeaderKeys: signedFields,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}
	for _, c := range change {
		c(o)
	}
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(arrival))
		if err := dkim.Sign(&out, strings.NewReader(mail), o); err != nil {
			t.Fatal(err)
		}
	})
	return out.String()
}

// handSigned signs a mail with the tags that are given, whatever they say; "%s"
// stands for the right bh=. Canonical form: relaxed/relaxed, so that the signed
// text is easily made. The fields are signed by name, each the lowest one.
func handSigned(mail, tags string, fields []string, sign crypto.Signer) string {
	l := must(readLetter([]byte(mail)))
	hash := l.bodyHash(relaxed)
	list := strings.Replace(tags, "%s", base64.StdEncoding.EncodeToString(hash[:]), 1)
	head := "DKIM-Signature: " + list + "; h=" + strings.Join(fields, ":") + "; b="
	text, used := "", map[string]int{}
	for _, name := range fields {
		found := l.named(strings.ToLower(name))
		if n := len(found) - used[strings.ToLower(name)]; n > 0 {
			text += string(relaxed.field(found[n-1].raw))
			used[strings.ToLower(name)]++
		}
	}
	text += strings.TrimSuffix(string(relaxed.field([]byte(head))), "\r\n")
	sum := sha256.Sum256([]byte(text))
	var hashed crypto.SignerOpts = crypto.SHA256
	if _, ok := sign.(ed25519.PrivateKey); ok {
		hashed = crypto.Hash(0)
	}
	b := must(sign.Sign(rand.Reader, sum[:], hashed))
	return head + base64.StdEncoding.EncodeToString(b) + "\r\n" + mail
}

const plainTags = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=store.example; s=s1; bh=%s"

// hand signs as the store would, with more tags.
func hand(mail, more string) string {
	return handSigned(mail, plainTags+more, signedFields, rsaKey())
}

func replaced(s, old, new string) string {
	if !strings.Contains(s, old) {
		panic(fmt.Sprintf("%q is not in the mail", old))
	}
	return strings.Replace(s, old, new, 1)
}

// judged runs a judgement and holds it against what every judgement must be.
func judged(t *testing.T, p Policy, raw string, at time.Time, z zone) Judgement {
	t.Helper()
	j := p.Judge(t.Context(), []byte(raw), at, z.txt)
	checkShape(t, j)
	return j
}

func checkShape(t *testing.T, j Judgement) {
	t.Helper()
	if (j.Verdict == Authentic) != (j.Reason == "") || (j.Verdict == Authentic) != (len(j.BodyHash) == 32) ||
		(j.Verdict == Later) != (j.Reason == DNS) || !slices.Contains([]Verdict{Authentic, Refused, Later}, j.Verdict) {
		t.Errorf("a judgement that contradicts itself: %+v", j)
	}
	if len(j.Checks) != len(clauses) {
		t.Errorf("%d checks, want %d", len(j.Checks), len(clauses))
	}
	want := Passed
	for _, c := range j.Checks {
		if c.Result != want && want == Passed && c.Result == Failed {
			want = NotReached
		} else if c.Result != want {
			t.Errorf("check %s is %s after others", c.Name, c.Result)
		}
		if (c.Detail == "") != (c.Result == NotReached) || c.Name == "" {
			t.Errorf("check %q: %s %q", c.Name, c.Result, c.Detail)
		}
		for _, r := range c.Detail {
			if r < ' ' || r > '~' && r != '…' {
				t.Errorf("check %s lets through what a mail says: %q", c.Name, c.Detail)
			}
		}
	}
	if (want == Passed) != (j.Verdict == Authentic) {
		t.Errorf("verdict %s, checks %v", j.Verdict, j.Checks)
	}
}

func good(t *testing.T, p Policy, raw string, z zone) Judgement {
	t.Helper()
	j := judged(t, p, raw, arrival, z)
	if j.Verdict != Authentic {
		t.Errorf("not taken: %s: %s", j.Reason, failed(j))
	}
	return j
}

func bad(t *testing.T, p Policy, raw string, z zone, want Reason) Judgement {
	t.Helper()
	j := judged(t, p, raw, arrival, z)
	if j.Reason != want {
		t.Errorf("%q, want %q: %s", j.Reason, want, failed(j))
	}
	return j
}

func failed(j Judgement) string {
	for _, c := range j.Checks {
		if c.Result == Failed {
			return c.Name + ": " + c.Detail
		}
	}
	return ""
}
