package authentic

import (
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
)

const ours = "Authentication-Results: mx.example.com; dkim=pass header.d=store.example\r\n"

// gone is the DNS after the store has changed its keys.
var gone = zone{}

func TestServerWord(t *testing.T) {
	mail := hand(order, "")
	_, after, _ := strings.Cut(mail, "; b=")
	b := after[:8]
	good := func(results string) {
		t.Helper()
		for _, z := range []zone{gone, storeZone()} { // with the key and without
			for _, p := range []Policy{byServer(), both()} {
				good(t, p, results+mail, z)
			}
		}
	}
	bad := func(results string, want Reason) {
		t.Helper()
		bad(t, byServer(), results+mail, storeZone(), want)
		bad(t, byServer(), results+mail, gone, want)
	}
	good(ours)
	good("Received: from out by mx\r\nReturn-Path: <a@b.example>\r\nX-Spam: no\r\nARC-Seal: i=1\r\nReceived-SPF: none\r\n" + ours + "Received: from a by b\r\n")
	good("Authentication-Results: MX.Example.COM 1; dkim=pass header.d=Store.Example\r\n") // host names have no case
	good("Authentication-Results: \"mx.example.com\" (a (nested) comment; dkim=fail); DKIM/1 = PASS (good) reason=\"it; is\" header.d=\"store.example\"\r\n")
	good("Authentication-Results:\r\n\tmx.example.com;\r\n\tspf=pass smtp.mailfrom=\"a; b=c\"@x.example;\r\n\tdkim=pass\r\n header.d=store.example header.s=s1 header.b=\"" + b + "\"; dmarc=pass action=none header.from=store.example\r\n")
	good(strings.TrimSpace(ours) + " header.b=" + b + ";\r\n")
	good(ours + "Authentication-Results: other.example; dkim=fail header.d=store.example\r\n") // came with the mail
	good("Authentication-Results: mx.example.com; dkim=fail header.d=evil.example; dkim=pass header.d=store.example\r\n")

	bad("", ServerSilent)
	bad("Authentication-Results: mx.example.com; none\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; spf=pass header.d=store.example\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=pass header.d=evil.example\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=pass header.d=mail.store.example\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=neutral header.d=store.example\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=temperror header.d=store.example\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.s=s2\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.b=AAAAAAAA\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=pass\r\n", ServerNoDomain)
	bad("Authentication-Results: mx.example.com; dkim=pass header.i=@store.example\r\n", ServerNoDomain) // as Gmail writes it
	// What a server repeats of strangers is in comments and quotes.
	bad("Authentication-Results: mx.example.com; dkim=none (; dkim=pass header.d=store.example)\r\n", ServerSilent)
	bad("Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=\"x; dkim=pass header.d=store.example\"@evil.example\r\n", ServerSilent)

	// Another server's, or one that looks like ours.
	for _, id := range []string{"other.example", "mx.example.com.evil.example", "evil-mx.example.com", "mx.example.c0m", "mx.example.com.", "mх.example.com", "example.com", "mx.example.com@evil.example"} {
		bad("Authentication-Results: "+id+"; dkim=pass header.d=store.example\r\n", ServerOther)
	}
	bad("Authentication-Results: evil.example (mx.example.com); dkim=pass header.d=store.example\r\n", ServerOther)
	// Below the top.
	bad("Authentication-Results: other.example; none\r\n"+ours, ServerOther)
	bad("authentication-results : other.example; none\r\n"+ours, ServerOther)
	bad("Authentication-Results: mx.example.com; none\r\n"+ours, ServerSilent)
	bad("Authentication-Results: mx.example.com; dkim=fail header.d=evil.example\r\n"+ours, ServerSilent)
	// Below what a writer writes.
	for _, f := range []string{"Message-ID: <1@x>", "Comments: x", "Reply-To: a@b.example", "List-Id: x", "Resent-From: a@b.example", "DKIM-Signature: v=1; d=evil.example", "Bcc: x@y.example"} {
		bad(f+"\r\n"+ours, ServerMisplaced)
	}
	bad2 := func(mail string, want Reason) {
		t.Helper()
		j := judged(t, byServer(), mail, arrival, gone)
		if j.Reason != want {
			t.Errorf("%q, want %q: %s", j.Reason, want, failed(j))
		}
	}
	signature := strings.TrimSuffix(mail, order)
	bad2(signature+ours+order, ServerMisplaced)
	bad2(signature+replaced(order, "\r\n\r\n", "\r\n"+ours+"\r\n"), ServerMisplaced)

	// What cannot be read is not guessed at.
	for _, s := range []string{
		"", ";", "; dkim=pass header.d=store.example", "mx.example.com 2; dkim=pass header.d=store.example", "mx.example.com dkim=pass header.d=store.example",
		"mx.example.com; dkim", "mx.example.com; dkim=", "mx.example.com; =pass", "mx.example.com; dkim=pass header.d", "mx.example.com; dkim=pass header.d=",
		"mx.example.com; dkim=pass header.d=store.example header.d=evil.example", "mx.example.com; dkim=pass header.d=evil.example header.D=store.example",
		"mx.example.com; dkim/2=pass header.d=store.example", "mx.example.com; dkim=pass (header.d=store.example", "mx.example.com; dkim=pass) header.d=store.example",
		"mx.example.com; dkim=pass \"header.d=store.example", "mx.example.com; dkim=pass header.d=store.example header.b=" + b[:7],
		"mx.example.com" + strings.Repeat("; dkim=pass header.d=store.example", maxResults+1), "mx.example.com; dkim=pass header.d=-..-", "mx.example.com; dkim=pass header.d=store.example \x01=x",
	} {
		bad("Authentication-Results: "+s+"\r\n", ServerMalformed)
	}
}

// The server's word is about one signature, and every clause is, too.
func TestServerWordHasItsSignature(t *testing.T) {
	fine := hand(order, "")
	z := storeZone()
	forged := handSigned(order, plainTags, signedFields, otherKey())
	other := handSigned(order, strings.Replace(plainTags, "s=s1", "s=s2", 1), signedFields, otherKey()) // whose key is not there
	narrow := handSigned(order, plainTags, []string{"From", "Date"}, rsaKey())
	head := func(mail string) string { return strings.TrimSuffix(mail, order) }
	start := func(mail string) string { _, b, _ := strings.Cut(mail, "; b="); return b[:8] }
	about := func(mail string) string { return strings.TrimSpace(ours) + " header.b=" + start(mail) + "\r\n" }

	bad(t, byServer(), ours+order, gone, NoSignature) // a pass of nothing
	bad(t, byServer(), ours+libSigned(t, order), zone{"s1._domainkey.store.example": {"!timeout"}}, DNS)
	bad(t, byServer(), ours+fine, zone{"s1._domainkey.store.example": {rsaRecord(rsaKey()) + "; t=y"}}, KeyTesting)
	bad(t, byServer(), ours+fine, zone{"s1._domainkey.store.example": {"p=!"}}, BadKey)
	good(t, byServer(), ours+fine, zone{"s1._domainkey.store.example": {"v=DKIM1; p="}}) // revoked after it arrived
	// The clauses hold for it as for any.
	bad(t, byServer(), ours+hand(order, "; l=70"), gone, BodyLength)
	bad(t, byServer(), ours+fine+"more\r\n", gone, BodyChanged)
	bad(t, byServer(), ours+narrow, gone, FieldUnsigned)
	bad(t, byServer(), ours+replaced(fine, "Date: Mon, 2 Mar", "Date: Mon, 2 Feb"), gone, DateOld)
	bad(t, byServer(), ours+hand(order, "; x=1772445629"), gone, SignatureExpired)
	bad(t, byServer(), ours+hand(replaced(order, "shop@example.com", "other@example.net"), ""), gone, NotOurs)
	bad(t, byServer(), ours+hand(replaced(order, "orders@store.example", "evil@evil.example"), ""), gone, Sender)

	// Two signatures by one domain: which one did the server mean?
	bad(t, byServer(), ours+head(narrow)+other, gone, ServerAmbiguous)
	bad(t, byServer(), ours+head(other)+narrow, gone, ServerAmbiguous)
	bad(t, byServer(), ours+"DKIM-Signature: v=1; d=store.example; d=x\r\n"+other, gone, ServerAmbiguous) // that the server may read
	good(t, byServer(), about(fine)+head(other)+fine, gone)
	bad(t, byServer(), about(narrow)+head(narrow)+other, gone, ServerSilent)
	// An attacker gives a signature the other's beginning.
	twin := replaced(other, "b="+start(other), "b="+start(narrow))
	bad(t, byServer(), about(narrow)+head(narrow)+twin, gone, ServerAmbiguous)
	good(t, byServer(), ours+"DKIM-Signature: v=1; d=evil.example\r\n"+fine, gone)

	// The server and we differ.
	bad(t, byServer(), ours+forged, z, ServerContradicts)
	bad(t, both(), ours+forged, z, ServerContradicts)
	fails := replaced(ours, "pass", "fail")
	bad(t, byServer(), fails+fine, z, ServerContradicts)
	bad(t, both(), fails+fine, z, ServerContradicts)
	bad(t, both(), replaced(ours, "pass", "policy")+fine, z, ServerContradicts)
	bad(t, byServer(), fails+fine, gone, ServerFailed)
	bad(t, both(), fails+fine, gone, NoKey)
	bad(t, both(), strings.TrimSpace(ours)+"; dkim=fail header.d=store.example\r\n"+fine, z, ServerContradicts)
	good(t, here(), fails+fine, z) // no server is trusted: anybody may have written it
	// Both ways are open, and one of them is quiet.
	good(t, both(), fine, z)
	good(t, both(), "Authentication-Results: other.example; dkim=fail header.d=store.example\r\n"+fine, z)
	good(t, both(), "Authentication-Results: mx.example.com; dkim=temperror header.d=store.example\r\n"+fine, z)
	bad(t, both(), fine, gone, NoKey)
	bad(t, here(), ours+fine, gone, NoKey)
	bad(t, byServer(), ours+forged, gone, "") // the server's word, as trusted: why it must remove what is not its own
	// A server's word is about the domains that it is trusted for.
	p := byServer()
	p.Trust = append(p.Trust, Trust{DKIM: "other.example", AuthservID: "mx2.example.com"})
	bad(t, p, replaced(ours, "mx.", "mx2.")+fine, gone, ServerOther)
}

// Whoever attaches a message writes all of it, a server's word too.
func TestAttached(t *testing.T) {
	p := byServer()
	forged := ours + handSigned(order, strings.Replace(plainTags, "s=s1", "s=none", 1), signedFields, otherKey())
	bad(t, p, forged, storeZone(), "") // the word would be believed on top of a mail
	bad(t, p.Attached(), forged, storeZone(), NoKey)
	good(t, p.Attached(), hand(order, ""), storeZone())
	bad(t, p.Attached(), libSigned(t, order, func(o *dkim.SignOptions) { o.Domain, o.Signer = "evil.example", otherKey() }), storeZone(), OtherDomain)
	if p.Trust[0].AuthservID == "" {
		t.Error("the outer policy was changed")
	}
}

func TestReadResults(t *testing.T) {
	id, list, err := readResults(`mx.example.com (x) 1; dkim=pass (2048-bit \) key) header.d=a.example header.s = s1 header.b="a/b+c=d=" ; auth=pass (cram) smtp.auth=a@b;`)
	want := []result{{method: "dkim", value: "pass", domain: "a.example", selector: "s1", start: "a/b+c=d="}, {method: "auth", value: "pass"}}
	if diff := cmp.Diff(want, list, cmp.AllowUnexported(result{})); diff != "" || id != "mx.example.com" || err != nil {
		t.Errorf("%q, %v\n%s", id, err, diff)
	}
	if _, list, err = readResults("x; dkim=pass header.b=abcdefg=="); err != nil || list[0].start != "abcdefg==" {
		t.Errorf("header.b with = in it: %v, %v", list, err)
	}
}
