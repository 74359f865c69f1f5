package authentic

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// keysOf reads testdata/keys.txt: a name and a TXT record a line.
func keysOf(t testing.TB) zone {
	t.Helper()
	b, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		name, record, _ := strings.Cut(s.Text(), " ")
		z[name] = []string{record}
	}
	return z
}

func samples(t testing.TB, folder string, least int) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/" + folder + "/*.eml")
	if err != nil || len(files) < least {
		t.Fatalf("%d samples in %s: %v", len(files), folder, err)
	}
	mails := map[string]string{}
	for _, f := range files {
		mails[filepath.Base(f)] = string(must(os.ReadFile(f)))
	}
	return mails
}

var samplesArrived = time.Date(2026, 11, 21, 15, 40, 0, 0, time.UTC)

// What other programs signed is taken, and nothing of it can be changed. See
// testdata/README.md.
func TestSignedByOthers(t *testing.T) {
	z := keysOf(t)
	for name, mail := range samples(t, "signed", 15) {
		if j := judged(t, here(), mail, samplesArrived, z); j.Verdict != Authentic {
			t.Errorf("%s is not taken: %s: %s", name, j.Reason, failed(j))
		}
		for old, new := range map[string]string{"2 x": "3 x", "ada@": "eve@", "15:30": "15:31", "Shop <": "shop <", "orders@": "other@"} {
			if j := judged(t, here(), replaced(mail, old, new), samplesArrived, z); j.Reason != SignatureWrong {
				t.Errorf("%s with %q for %q: %q", name, new, old, j.Reason)
			}
		}
		if j := judged(t, here(), mail+"more", samplesArrived, z); j.Reason != BodyChanged {
			t.Errorf("%s with more text: %q", name, j.Reason)
		}
	}
	for name, mail := range samples(t, "refused", 1) {
		want, _, _ := strings.Cut(name, "-")
		if j := judged(t, here(), mail, samplesArrived, z); string(j.Reason) != want {
			t.Errorf("%s: %q, want %q", name, j.Reason, want)
		}
	}
}

// witness is what go-msgauth says about the signatures of a mail: whether it
// takes any by a domain.
func witness(mail, domain string, z zone) bool {
	found, err := dkim.VerifyWithOptions(strings.NewReader(mail), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return z.txt(context.Background(), name) },
	})
	if err != nil {
		return false
	}
	for _, v := range found {
		if v.Err == nil && strings.EqualFold(v.Domain, domain) {
			return true
		}
	}
	return false
}

// Nothing is taken here that another verifier refuses, over mails in which each
// byte in turn is another.
func TestNothingMoreThanAnother(t *testing.T) {
	z := storeZone()
	mail := libSigned(t, order)
	if !witness(mail, "store.example", z) {
		t.Fatal("the witness refuses the mail")
	}
	taken := 0
	for i := range len(mail) {
		for _, b := range []byte{' ', 'x', '\n', ';', '=', mail[i] ^ 0x20} {
			changed := mail[:i] + string(rune(b)) + mail[i+1:]
			if b >= 0x80 || changed == mail {
				continue
			}
			if j := judged(t, here(), changed, arrival, z); j.Verdict == Authentic {
				taken++
				if !witness(changed, "store.example", z) {
					t.Errorf("taken here alone, with %q at %d: %q", b, i, changed[max(0, i-20):min(len(changed), i+20)])
				}
			}
		}
	}
	if taken == 0 {
		t.Error("no change was harmless: what is compared?")
	}
}

// Whatever comes: no panic, and a judgement that holds together. What is
// authentic without a word of the mail server, another verifier takes as well.
func FuzzJudge(f *testing.F) {
	z := keysOf(f)
	for _, folder := range []string{"signed", "refused"} {
		for _, mail := range samples(f, folder, 1) {
			f.Add([]byte(mail), "")
		}
	}
	f.Add([]byte(order), "mx.example.com; dkim=pass (c(o)mment) header.d=store.example header.b=\"abcd\\efgh\"")
	f.Add([]byte("Subject: x\n\n"), "v=1; a=rsa-sha256; d=store.example; b=; bh=; h=from; s=s1; l=1; t=1; x=2")
	f.Add([]byte(" "), "\x97.example") // no UTF-8: a replacement character is no name
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		for _, p := range []Policy{here(), both()} {
			p.Merchant = "Example"
			j := p.Judge(t.Context(), raw, samplesArrived, z.txt)
			checkShape(t, j)
			// The witness takes a CR alone for the end of a line.
			bareCR := bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\r"))
			if len(p.Trust) == 1 && j.Verdict == Authentic && !bareCR && !witness(string(raw), "store.example", z) {
				t.Errorf("taken here alone: %q", raw)
			}
			p.Judge(t.Context(), append([]byte("Authentication-Results: "+text+"\r\n"), raw...), samplesArrived, z.txt)
		}
		if tags, err := readTags(text); err == nil && (tags.start > tags.end || tags.end > len(text)) {
			t.Errorf("b= of %q is at %d to %d", text, tags.start, tags.end)
		}
		_, _ = readKey(text, "rsa")
		if d, err := domain(text); err == nil {
			if again, err := domain(d); err != nil || again != d {
				t.Errorf("%q is %q, and that %q", text, d, again)
			}
		}
	})
}
