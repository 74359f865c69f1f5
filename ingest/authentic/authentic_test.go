package authentic

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
)

func TestAuthentic(t *testing.T) {
	z := storeZone()
	j := good(t, here(), libSigned(t, order), z)
	l := must(readLetter([]byte(order)))
	if hash := l.bodyHash(relaxed); j.Domain != "store.example" || string(j.BodyHash) != string(hash[:]) {
		t.Errorf("domain %q, hash %x", j.Domain, j.BodyHash)
	}
	for _, head := range []dkim.Canonicalization{"simple", "relaxed"} {
		for _, body := range []dkim.Canonicalization{"simple", "relaxed"} {
			form := func(o *dkim.SignOptions) { o.HeaderCanonicalization, o.BodyCanonicalization = head, body }
			ed := func(o *dkim.SignOptions) { o.Signer, o.Selector = edKey, "ed" }
			good(t, here(), libSigned(t, order, form), z)
			again := good(t, here(), libSigned(t, order, form, ed), z)
			if string(again.BodyHash) != string(j.BodyHash) {
				t.Errorf("%s/%s: another hash of the same body", head, body)
			}
		}
	}
	good(t, here(), hand(order, ""), z)
	good(t, here(), hand(order, "; x=1772445631; t=1772445600"), z)          // a second before its end
	good(t, here(), hand(order, "; xb=1; zz=b=c; i=@news.store.example"), z) // unknown tags, also those that look like b=
	good(t, here(), hand(strings.ReplaceAll(order, "\r\n", "\n"), ""), z)    // as a file
	good(t, here(), strings.ReplaceAll(hand(order, ""), "\r\n", "\n"), z)
	good(t, here(), hand(replaced(order, "Subject: You sold", "Subject:  You\r\n\tsold"), ""), z)                 // folded
	good(t, here(), replaced(hand(order, ""), "Order:  4711 \r\n", "Order: 4711\r\n"), z)                         // what relaxed lets pass
	good(t, here(), handSigned(order, plainTags, append(signedFields, "from", "Subject", "X-None"), rsaKey()), z) // oversigned
	good(t, here(), handSigned(order, strings.Replace(plainTags, "d=store", "d=Store", 1), signedFields, rsaKey()), z)
	good(t, here(), hand(strings.SplitAfter(order, "\r\n\r\n")[0], ""), z) // no body
	good(t, here(), hand(replaced(order, "Subject: You sold 1 x Demo\r\n", ""), ""), z)
	good(t, here(), hand(replaced(order, "orders@store", "orders@eu.store"), ""), z)
	good(t, here(), "Received: from x by y\r\nX-Spam: no\r\n"+hand(order, ""), z)
}

// Each row breaks one clause of a mail that is good but for it.
func TestRefused(t *testing.T) {
	z := storeZone()
	evil := func(o *dkim.SignOptions) { o.Domain, o.Signer = "evil.example", otherKey() }
	with := func(old, new string) string { return hand(replaced(order, old, new), "") }
	after := func(old, new string) string { return replaced(hand(order, ""), old, new) }
	unsigned := func(name string) string {
		var fields []string
		for _, f := range signedFields {
			if f != name {
				fields = append(fields, f)
			}
		}
		return handSigned(order, plainTags, fields, rsaKey())
	}
	for _, row := range []struct {
		why  string
		mail string
		want Reason
	}{
		{"no signature", order, NoSignature},
		{"another domain", libSigned(t, order, evil), OtherDomain},
		{"a domain below the trusted one", libSigned(t, order, func(o *dkim.SignOptions) { o.Domain, o.Signer = "mail.store.example", otherKey() }), OtherDomain},
		{"the name of the domain, the key of another", handSigned(order, plainTags, signedFields, otherKey()), SignatureWrong},
		{"l= of the whole body", hand(order, "; l=1000"), BodyLength},
		{"l= and text appended", hand(order, "; l=70") + "Order: 4712\r\n", BodyLength},
		{"changed body", after("4711 \r\n", "4712 \r\n"), BodyChanged},
		{"text appended", hand(order, "") + "Order: 4712\r\n", BodyChanged},
		{"changed subject", after("1 x Demo", "9 x Demo"), SignatureWrong},
		{"changed body, with its hash put right", replaced(replaced(hand(order, ""), "4711 \r\n", "4712 \r\n"), hashOf(order), hashOf(replaced(order, "4711 \r\n", "4712 \r\n"))), SignatureWrong},
		{"From unsigned", unsigned("From"), FieldUnsigned},
		{"To unsigned", unsigned("To"), FieldUnsigned},
		{"Subject unsigned", unsigned("Subject"), FieldUnsigned},
		{"Date unsigned", unsigned("Date"), FieldUnsigned},
		{"Content-Type unsigned", unsigned("Content-Type"), FieldUnsigned},
		{"Content-Transfer-Encoding unsigned", unsigned("Content-Transfer-Encoding"), FieldUnsigned},
		{"two From", "From: evil@evil.example\r\n" + hand(order, ""), FieldTwice},
		{"two To", "To: shop@example.com\r\n" + hand(order, ""), FieldTwice},
		{"two Subjects", "Subject: You sold 9 x Demo\r\n" + hand(order, ""), FieldTwice},
		{"two Subjects, one with a blank before its colon", "Subject : 9\r\n" + hand(order, ""), FieldTwice},
		{"two Dates", "Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n" + hand(order, ""), FieldTwice},
		{"two Content-Types", "content-type: text/html\r\n" + hand(order, ""), FieldTwice},
		{"two encodings", "Content-Transfer-Encoding: base64\r\n" + hand(order, ""), FieldTwice},
		{"a field twice below, as signed", with("Subject: ", "Subject: a\r\nSubject: "), FieldTwice},
		{"a Content-Type added", "Content-Type: text/html\r\n" + handSigned(replaced(order, "Content-Type: text/plain; charset=utf-8\r\n", ""), plainTags, []string{"From", "To", "Subject", "Date", "Content-Transfer-Encoding"}, rsaKey()), FieldUnsigned},
		{"two addresses in From", with("<orders@store.example>", "<orders@store.example>, evil@evil.example"), Sender},
		{"a display name like the store's", with("Example Store <orders@store.example>", `"Kagi <orders@store.example>" <evil@evil.example>`), Sender},
		{"a display name like the store's, signed elsewhere", libSigned(t, replaced(order, "Example Store <orders@store.example>", `"Kagi <orders@store.example>" <evil@evil.example>`), evil), OtherDomain},
		{"From above the signing domain", with("orders@store.example", "orders@example"), Sender},
		{"From of a longer name", with("orders@store.example", "orders@evilstore.example"), Sender},
		{"From is a group of nobody", with("Example Store <orders@store.example>", "Store:;"), Sender},
		{"no From", replaced(hand(order, ""), "From: Example Store <orders@store.example>\r\n", ""), Sender},
		{"no Date", replaced(hand(order, ""), "Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n", ""), DateUnreadable},
		{"a Date that is none", with("Mon, 2 Mar 2026 10:00:00 +0000", "yesterday"), DateUnreadable},
		{"15 days on its way", with("Mon, 2 Mar 2026", "Sun, 15 Feb 2026"), DateOld},
		{"from tomorrow", with("Mon, 2 Mar 2026", "Tue, 3 Mar 2026"), DateFuture},
		{"signed tomorrow", hand(order, "; t=1772532000"), DateFuture},
		{"signature expired", hand(order, "; x=1772445629"), SignatureExpired},
		{"signature ends before it begins", hand(order, "; t=1772445629; x=1772445629"), BadSignature},
		{"for another vendor", with("Shop <shop@example.com>", "other@example.net"), NotOurs},
		{"our address as a display name", with("Shop <shop@example.com>", `"shop@example.com" <other@example.net>`), NotOurs},
		{"our address in a comment", with("Shop <shop@example.com>", "other@example.net (shop@example.com)"), NotOurs},
		{"our address with a tag", with("shop@example.com", "shop+x@example.com"), NotOurs},
		{"our address below another domain", with("shop@example.com", "shop@example.com.evil.example"), NotOurs},
		{"our address in an unsigned Cc", "Cc: shop@example.com\r\n" + with("shop@example.com", "other@example.net"), NotOurs},
		{"our address in Bcc", "Bcc: shop@example.com\r\n" + with("shop@example.com", "other@example.net"), NotOurs},
		{"a list that cannot be read", with("Shop <shop@example.com>", "shop@example.com, <<"), NotOurs},

		{"rsa-sha1", handSigned(order, strings.Replace(plainTags, "sha256", "sha1", 1), signedFields, rsaKey()), WeakSignature},
		{"an algorithm that nobody knows", handSigned(order, strings.Replace(plainTags, "rsa-sha256", "none", 1), signedFields, rsaKey()), WeakSignature},
		{"an algorithm that is not the key's", handSigned(order, strings.Replace(plainTags, "rsa-", "ed25519-", 1), signedFields, edKey), BadKey},
		{"i= outside d=", hand(order, "; i=@evil.example"), BadSignature},
		{"i= of a longer name", hand(order, "; i=a@evilstore.example"), BadSignature},
		{"i= without @", hand(order, "; i=store.example"), BadSignature},
		{"d= twice", hand(order, "; d=store.example"), BadSignature},
		{"h= twice", hand(order, "; h=From"), BadSignature},
		{"bh= twice", hand(order, "; bh="+hashOf(order)), BadSignature},
		{"version 2", handSigned(order, strings.Replace(plainTags, "v=1", "v=2", 1), signedFields, rsaKey()), BadSignature},
		{"no version", handSigned(order, strings.Replace(plainTags, "v=1; ", "", 1), signedFields, rsaKey()), BadSignature},
		{"another form", handSigned(order, strings.Replace(plainTags, "relaxed/relaxed", "relaxed/nofws", 1), signedFields, rsaKey()), BadSignature},
		{"another query", hand(order, "; q=http"), BadSignature},
		{"a selector that is a name no DNS has", handSigned(order, strings.Replace(plainTags, "s=s1", "s=s1..x", 1), signedFields, rsaKey()), BadSignature},
		{"bh= too short", handSigned(order, strings.Replace(plainTags, "%s", "AAAA", 1), signedFields, rsaKey()), BadSignature},
		{"bh= no base64", handSigned(order, strings.Replace(plainTags, "%s", "!", 1), signedFields, rsaKey()), BadSignature},
		{"b= empty", strings.Split(hand(order, ""), "; b=")[0] + "; b=\r\n" + order, BadSignature},
		{"t= no number", hand(order, "; t=now"), BadSignature},
		{"x= too long", hand(order, "; x=9999999999999"), BadSignature},
		{"an empty name in h=", handSigned(order, plainTags, append([]string{""}, signedFields...), rsaKey()), BadSignature},
		{"a control character in a tag", hand(order, "; n=\x01"), BadSignature},
		{"no key", handSigned(order, strings.Replace(plainTags, "s=s1", "s=gone", 1), signedFields, rsaKey()), NoKey},

		{"empty", "", Malformed},
		{"no header", "\r\n" + hand(order, ""), Malformed},
		{"begins with a blank", " " + hand(order, ""), Malformed},
		{"as an mbox has it", "From orders@store.example Mon Mar 2 10:00:00 2026\r\n" + hand(order, ""), Malformed},
		{"a line of blanks in the header", "X-A: 1\r\n \t\r\nX-B: 2\r\n" + hand(order, ""), Malformed},
		{"a line without a colon", "Hello\r\n" + hand(order, ""), Malformed},
		{"a bare CR, that some take for a line's end", "X-A: 1\rSubject: 9 x Demo\r\n" + hand(order, ""), Malformed},
		{"a NUL", "X-A: \x00\r\n" + hand(order, ""), Malformed},
		{"a name with a blank in it", "Sub ject: x\r\n" + hand(order, ""), Malformed},
	} {
		t.Run(row.why, func(t *testing.T) { bad(t, here(), row.mail, z, row.want) })
	}
}

// One form for each two messages that a relaxed signature does not tell apart, and
// for no others.
func TestRelaxed(t *testing.T) {
	const want = "subject:a b\r\nto:c\r\n\r\n d e\r\n\r\nf\r\n"
	for _, same := range []string{want, "Subject: a b\nTO:c\n\n\td e\n\nf", "SUBJECT \t:\r\n a\r\n\t b \r\nTo:\tc\t\r\n\r\n  d \t e \r\n \r\nf\r\n\r\n \t\r\n"} {
		if got := string(Relaxed([]byte(same))); got != want {
			t.Errorf("%q = %q, want %q", same, got, want)
		}
	}
	for _, other := range []string{
		"subject:ab\r\nto:c\r\n\r\n d e\r\n\r\nf\r\n", "subject:a b\r\nto:c\r\n\r\nd e\r\n\r\nf\r\n", "subject:a b\r\nto:c\r\n\r\n d e\r\nf\r\n",
		"subject:a b\r\nto:c\r\n\r\n d\re\r\n\r\nf\r\n", "subject:a b\r\nto:c\r\n\r\n d e\r\r\n\r\nf\r\n", "to:c\r\nsubject:a b\r\n\r\n d e\r\n\r\nf\r\n",
	} {
		if got := string(Relaxed([]byte(other))); got == want {
			t.Errorf("%q has the same form as %q", other, want)
		}
	}
	for raw, want := range map[string]string{"": "\r\n", "x": "x\r\n\r\n", "A: b": "a:b\r\n\r\n", " x:y\nz": " x:y\r\nz\r\n\r\n", "\n\nx": "\r\n\r\nx\r\n"} {
		if got := string(Relaxed([]byte(raw))); got != want {
			t.Errorf("%q = %q, want %q", raw, got, want)
		}
	}
}

// The body hash of a mail as a tag has it.
func hashOf(mail string) string {
	hash := must(readLetter([]byte(mail))).bodyHash(relaxed)
	return base64.StdEncoding.EncodeToString(hash[:])
}

// Whatever holds for one mail's dates holds at its arrival, not today.
func TestDates(t *testing.T) {
	z := storeZone()
	mail := hand(order, "; x=1773400000") // 13 March
	at := func(arrived time.Time, want Reason) {
		t.Helper()
		if j := judged(t, here(), mail, arrived, z); j.Reason != want {
			t.Errorf("arrived %s: %q, want %q", arrived, j.Reason, want)
		}
	}
	written := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	at(written, "")
	at(written.Add(-maxSkew), "") // a clock that is ahead
	at(written.Add(-maxSkew-time.Second), DateFuture)
	at(time.Unix(1773400000, 0), "")
	at(time.Unix(1773400001, 0), SignatureExpired)
	mail = hand(order, "")
	at(written.Add(maxAge), "")
	at(written.Add(maxAge+time.Second), DateOld)
	mail = hand(replaced(order, "10:00:00 +0000", "05:00:00 -0500 (EST)"), "")
	at(written.Add(maxAge), "")
	at(written.Add(maxAge+time.Second), DateOld)
}

func TestKeys(t *testing.T) {
	mail, ed := hand(order, ""), handSigned(order, strings.NewReplacer("rsa-", "ed25519-", "s=s1", "s=ed").Replace(plainTags), signedFields, edKey)
	const name, edName = "s1._domainkey.store.example", "ed._domainkey.store.example"
	record := rsaRecord(rsaKey())
	p := strings.TrimPrefix(record, "v=DKIM1; k=rsa; p=")
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(rsaKey().Public().(*rsa.PublicKey)))

	for _, r := range []string{
		record, record + ";", "p=" + p, "k=rsa; p=" + p[:20] + " " + p[20:], "p=" + pkcs1, record + "; t=s", record + "; h=sha1:sha256; s=email", record + "; s=*; n=x; zz=1",
		"v=DKIM1; t=s:x; p=" + p,
	} {
		good(t, here(), mail, zone{name: {r}})
	}
	good(t, here(), ed, zone{edName: {edRecord()}})
	good(t, here(), handSigned(order, plainTags, signedFields, small), zone{name: {rsaRecord(small)}}) // 1024 bits

	for _, row := range []struct {
		record string
		want   Reason
	}{
		{record + "; t=y", KeyTesting},
		{record + "; t=s:y", KeyTesting},
		{record + "; t=y : s", KeyTesting},
		{"v=DKIM1; t=y; p=", KeyTesting},
		{"v=DKIM1; p=", NoKey}, // revoked
		{"v=DKIM2; p=" + p, BadKey},
		{"p=" + p + "; v=DKIM1", BadKey},   // RFC 6376, 3.6.1: v= stands first
		{record + "; p=" + p, BadKey},      // twice
		{record + "; t=; t=y", BadKey},     // a flag that one reader sees
		{"v=DKIM1; k=rsa", BadKey},         // no p=
		{record + "; h=sha1", BadKey},      // not for SHA-256
		{record + "; s=tlsrpt", BadKey},    // not for mail
		{"v=DKIM1; k=dsa; p=" + p, BadKey}, // unknown
		{edRecord(), BadKey},               // of another kind than a=
		{"v=DKIM1; p=" + p[:40], BadKey},
		{"v=DKIM1; p=!", BadKey},
		{"v=spf1 -all", BadKey},
		{"v=DKIM1\\; p=" + p, BadKey}, // a backslash too many in the zone file
		{"", BadKey},
		{"p=" + strings.Repeat("A", 17<<10), BadKey},
		{rsaRecord(otherKey()), SignatureWrong},
	} {
		bad(t, here(), mail, zone{name: {row.record}}, row.want)
	}
	bad(t, here(), mail, zone{name: {record, "v=spf1 -all"}}, BadKey) // RFC 6376, 3.6.2.2
	bad(t, here(), mail, zone{name: {}}, NoKey)
	bad(t, here(), mail, zone{}, NoKey)
	bad(t, here(), ed, zone{edName: {"v=DKIM1; k=ed25519; p=AAAA"}}, BadKey)
	// RFC 6376, 3.6.1, t=s.
	below := hand(order, "; i=@eu.store.example")
	good(t, here(), below, zone{name: {record}})
	bad(t, here(), below, zone{name: {record + "; t=s"}}, BadKey)
}

// RFC 8301, 3.2: a key of less than 1024 bits proves nothing. Go makes none, so
// this one is written out: it was made for this test, and signs nothing.
func TestSmallKey(t *testing.T) {
	modulus := make([]byte, 64)
	for i := range modulus {
		modulus[i] = 0xc7
	}
	der := append([]byte{0x30, 0x48, 0x02, 0x41, 0x00}, modulus...)
	der = append(der, 0x02, 0x03, 0x01, 0x00, 0x01)
	j := bad(t, here(), hand(order, ""), zone{"s1._domainkey.store.example": {"p=" + base64.StdEncoding.EncodeToString(der)}}, BadKey)
	if !strings.Contains(failed(j), "512 bits") {
		t.Errorf("the reason: %s", failed(j))
	}
}

// Trouble with the DNS is no verdict on the mail.
func TestTrouble(t *testing.T) {
	for _, z := range []zone{{"s1._domainkey.store.example": {"!timeout"}}, {"s1._domainkey.store.example": {"!cancelled"}}} {
		for _, p := range []Policy{here(), both()} {
			bad(t, p, hand(order, ""), z, DNS)
		}
		// What is wrong without a key is wrong at once.
		bad(t, here(), hand(order, "")+"more\r\n", z, BodyChanged)
		// One signature may be good later, so the mail may.
		bad(t, here(), handSigned(hand(order, ""), strings.Replace(plainTags, "s=s1", "s=gone", 1), signedFields, rsaKey()), z, DNS)
	}
}

// One good signature suffices, and everything must hold for that one.
func TestSeveralSignatures(t *testing.T) {
	z := storeZone()
	fine := hand(order, "")
	narrow := handSigned(order, plainTags, []string{"From", "Date"}, rsaKey()) // genuine, and To is open
	forged := handSigned(order, plainTags, signedFields, otherKey())
	head := func(mail string) string { return strings.TrimSuffix(mail, order) }

	good(t, here(), libSigned(t, fine, func(o *dkim.SignOptions) { o.Domain, o.Signer = "evil.example", otherKey() }), z)
	good(t, here(), head(forged)+fine, z)
	good(t, here(), head(narrow)+fine, z)
	good(t, here(), head(fine)+forged, z)
	good(t, here(), "DKIM-Signature: nonsense\r\n"+fine, z)
	good(t, here(), strings.Repeat("DKIM-Signature: v=1; d=evil.example\r\n", 500)+fine, z)
	// The forged one says that all is signed, the genuine one verifies.
	bad(t, here(), head(forged)+narrow, z, SignatureWrong)
	bad(t, here(), head(narrow)+forged, z, SignatureWrong)
	bad(t, here(), replaced(head(forged)+narrow, "shop@example.com", "other@example.net"), z, SignatureWrong)
	// RFC 6376, 3.5, h=: a signature is never over itself, and may be over others.
	good(t, here(), handSigned(order, plainTags, append(signedFields, "DKIM-Signature"), rsaKey()), z)
	good(t, here(), handSigned(fine, plainTags, append(signedFields, "DKIM-Signature"), rsaKey()), z)
	// A copy with either signature left has the same hash.
	edOnly := libSigned(t, order, func(o *dkim.SignOptions) { o.Signer, o.Selector, o.BodyCanonicalization = edKey, "ed", "simple" })
	if a, b := good(t, here(), head(edOnly)+fine, z), good(t, here(), edOnly, z); string(a.BodyHash) != string(b.BodyHash) {
		t.Error("a mail is another with one of its signatures gone")
	}
	bad(t, here(), strings.Repeat(head(forged), maxSignatures)+fine, z, TooLarge)
	good(t, here(), strings.Repeat(head(forged), maxSignatures-1)+fine, z)
}

func TestLimits(t *testing.T) {
	z := storeZone()
	bad(t, here(), hand(order, "")+strings.Repeat("x", maxMessage), z, TooLarge)
	bad(t, here(), "X-A: "+strings.Repeat("x", maxHeader)+"\r\n"+hand(order, ""), z, TooLarge)
	bad(t, here(), strings.Repeat("X-A: b\r\n", maxFields)+hand(order, ""), z, TooLarge)
	good(t, here(), strings.Repeat("X-A: b\r\n", maxFields-20)+hand(order, ""), z)
	bad(t, here(), handSigned(order, plainTags, append(slices.Repeat([]string{"x"}, maxFields), signedFields...), rsaKey()), z, TooLarge)
}

// RFC 6376, 3.2.
func TestReadTags(t *testing.T) {
	good := func(list string, want map[string]string) {
		t.Helper()
		got, err := readTags(list)
		if diff := cmp.Diff(want, got.values); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", list, err, diff)
		}
		if got.start > 0 && list[:got.start]+list[got.end:] != strings.Replace(list, "123", "", 1) {
			t.Errorf("%q without b= is %q", list, list[:got.start]+list[got.end:])
		}
	}
	bad := func(list string) {
		t.Helper()
		if got, err := readTags(list); err == nil {
			t.Errorf("%q is %v", list, got.values)
		}
	}
	good("v=1", map[string]string{"v": "1"})
	good("v=1; b=123;", map[string]string{"v": "1", "b": "123"})
	good("b=123;bh=b=;xb=123", map[string]string{"b": "123", "bh": "b=", "xb": "123"})
	good(" v =\r\n\t1 ;a_9= x  y ; p=; \r\n", map[string]string{"v": "1", "a_9": "x  y", "p": ""})
	good("V=1; v=2; zz=ü", map[string]string{"V": "1", "v": "2", "zz": "ü"}) // names have case
	for _, list := range []string{
		"", ";", "v", "v=1;;a=2", "; v=1", "=1", "v=1; =2", "v=1; x", "v=1; v=1", "v=1; v =2", "9v=1", "_v=1", "v-1=1", "v x=1", "ü=1", "v=\x00", "v=\x7f", "v=1;\x00",
	} {
		bad(list)
	}
}

// RFC 6376, 3.4.5, and the hashes of an empty body that 3.4.3 and 3.4.4 print.
func TestCanonicalForms(t *testing.T) {
	header := "A: X\r\nB : Y\t\r\n\tZ  \r\n"
	l := must(readLetter([]byte(header + "\r\n C \r\nD \t E\r\n\r\n\r\n")))
	got := ""
	for _, f := range l.fields {
		got += string(relaxed.field(f.raw))
	}
	if got != "a:X\r\nb:Y Z\r\n" || string(simple.field(l.fields[1].raw)) != "B : Y\t\r\n\tZ  \r\n" {
		t.Errorf("relaxed header %q", got)
	}
	if l.bodyHash(relaxed) != sha256.Sum256([]byte(" C\r\nD E\r\n")) {
		t.Error("relaxed body")
	}
	if l.bodyHash(simple) != sha256.Sum256([]byte(" C \r\nD \t E\r\n")) {
		t.Error("simple body")
	}
	for form, want := range map[canonical]string{
		simple:  "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
		relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
	} {
		hash := letter{}.bodyHash(form)
		if got := base64.StdEncoding.EncodeToString(hash[:]); got != want {
			t.Errorf("an empty body, %s: %s", form, got)
		}
	}
	for body, want := range map[string]string{"x": "x\r\n", "x\r\n": "x\r\n", " \r\n\t\r\n": "", "\r\n\r\nx \t \r\n": "\r\n\r\nx\r\n", "a\r\n\r\n \r\nb  c": "a\r\n\r\n\r\nb c\r\n"} {
		if (letter{body: []byte(body)}).bodyHash(relaxed) != sha256.Sum256([]byte(want)) {
			t.Errorf("relaxed form of %q is not %q", body, want)
		}
	}
}

// The page tells what to do about each reason, and about no other.
func TestReasonsAreTold(t *testing.T) {
	words := func(text, pattern string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		slices.Sort(found)
		return found
	}
	built := words(string(must(os.ReadFile("reason.go"))), `Reason = "(\w+)"`)
	_, table, _ := strings.Cut(string(must(os.ReadFile("../../docs/mail-trust.md"))), "\n## Why a mail was refused")
	told := words(table, "(?m)^\\| `(\\w+)` \\|")
	if diff := cmp.Diff(built, told); diff != "" || len(built) < 25 {
		t.Errorf("docs/mail-trust.md:\n%s", diff)
	}
}
