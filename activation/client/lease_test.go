package client

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// The key of these tests, and one that was not shipped.
var (
	signer   = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	stranger = ed25519.NewKeyFromSeed([]byte("a key that was never shipped, 32"))
	shipped  = mustKeys(signer)
)

func mustKeys(private ed25519.PrivateKey) map[string]ed25519.PublicKey {
	keys, err := parseKeys([]string{b64(private.Public().(ed25519.PublicKey))})
	if err != nil {
		panic(err)
	}
	return keys
}

func keyID(private ed25519.PrivateKey) string {
	for id := range mustKeys(private) {
		return id
	}
	return ""
}

func b64[T ~string | ~[]byte](s T) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

const machine = "my-first-machine"

func signed(private ed25519.PrivateKey, header, claims string) string {
	text := b64(header) + "." + b64(claims)
	return text + "." + b64(ed25519.Sign(private, []byte(text)))
}

// goodLease is a lease as Keypost signs it: its header and its claims.
func goodLease() (header, claims string) {
	hash := sha256.Sum256([]byte("a salt of ours.." + machine))
	return `{"alg":"EdDSA","kid":"` + keyID(signer) + `","typ":"keypost-lease+jwt"}`,
		`{"aud":"demo","ent":{"type":"single","limit":2,"test":false,"expires_at":1800000000},"exp":1795600000,"fph":"` + b64(hash[:]) +
			`","fps":"` + b64("a salt of ours..") + `","iat":1795500000,"iss":"https://keys.example.com","jti":"L1","sub":"A1"}`
}

func TestParseLease(t *testing.T) {
	header, claims := goodLease()
	good := func(token string, want lease) {
		t.Helper()
		got, err := parseLease(token, shipped, "demo", machine)
		if got != want || err != nil {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	want := lease{
		ID: "L1", Activation: "A1", Issued: time.Unix(1795500000, 0).UTC(), Expires: time.Unix(1795600000, 0).UTC(),
		Type: "single", Limit: 2, Ends: time.Unix(1800000000, 0).UTC(),
	}
	good(signed(signer, header, claims), want)
	want.Ends = time.Time{}
	good(signed(signer, header, strings.Replace(claims, "1800000000", "null", 1)), want)
	good(signed(signer, header, strings.Replace(claims, `,"expires_at":1800000000`, "", 1)), want)
	good(signed(signer, " "+header, strings.Replace(claims, ":1800000000", `:null, "seats":[{}]`, 1)), want)

	bad := func(token, why string) {
		t.Helper()
		got, err := parseLease(token, shipped, "demo", machine)
		if !errors.Is(err, ErrLease) || !strings.Contains(err.Error(), why) || got != (lease{}) {
			t.Errorf("%v, want %s; %+v", err, why, got)
		}
	}
	token := signed(signer, header, claims)
	parts := strings.Split(token, ".")
	bad("", "there is none")
	bad(strings.Repeat("x", maxLease+1), "no JWT")
	bad(parts[0]+"."+parts[1], "no JWT")
	bad(token+".", "no JWT")
	bad(token+".x", "no JWT")
	bad("."+token, "no JWT")
	bad(token+"=", "signature")
	bad(token+"\n", "signature") // the library would pass over it
	bad(token[:20]+"\n"+token[20:], "no JWT")
	bad(token[:len(token)-1], "signature")
	bad(parts[0]+"."+parts[1]+".", "signature") // none at all
	bad(parts[0]+"."+b64(strings.Replace(claims, "L1", "L2", 1))+"."+parts[2], "signature")
	bad(b64(header+" ")+"."+parts[1]+"."+parts[2], "signature")
	bad(signed(stranger, header, claims), "signature") // another key under our name
	bad(signed(stranger, strings.Replace(header, keyID(signer), keyID(stranger), 1), claims), "shipped")
	for _, c := range []struct{ from, to, why string }{
		{`"EdDSA"`, `"none"`, "alg"},
		{`"EdDSA"`, `"HS256"`, "alg"},
		{`"EdDSA"`, `"eddsa"`, "alg"},
		{`"EdDSA"`, `["EdDSA"]`, "alg"},
		{`"alg"`, `"Alg"`, "alg"}, // names are exact
		{`"alg":"EdDSA",`, ``, "alg"},
		{`keypost-lease+jwt`, `JWT`, "typ"},
		{`keypost-lease+jwt`, `keypost-offline+jwt`, "typ"},
		{`keypost-lease+jwt`, `KEYPOST-LEASE+JWT`, "typ"},
		{`,"typ"`, `,"crit":["x"],"typ"`, "extensions"},
		{`"kid":"`, `"kid":"x`, "shipped"},
		{`"kid"`, `"k"`, "shipped"},
		{`{"alg"`, `{"alg":"none","alg"`, "no JWT"}, // twice
		{`}`, `}x`, "no JWT"},
		{`}`, `}{}`, "no JWT"},
		{`}`, ``, "no JWT"},
		{`{`, `[{`, "no JWT"},
		{`"kid"`, "\"\xff\":1,\"kid\"", "no JWT"},
	} {
		bad(signed(signer, strings.Replace(header, c.from, c.to, 1), claims), c.why)
	}
	for _, c := range []struct{ from, to, why string }{
		{`"aud":"demo"`, `"aud":"other"`, "another product"},
		{`"aud":"demo"`, `"aud":["demo"]`, "another product"},
		{`"aud":"demo",`, ``, "another product"},
		{`"fps":"`, `"fps":"AAAA`, "another machine"},
		{`"fph":"`, `"fph":"AAAA`, "no machine"},
		{`"fph"`, `"x"`, "no machine"},
		{`"fps"`, `"x"`, "no machine"},
		{`"sub":"A1"`, `"sub":""`, "sub"},
		{`"sub":"A1"`, `"sub":1`, "sub"},
		{`"jti":"L1"`, `"x":"L1"`, "jti"},
		{`"exp":1795600000`, `"exp":1795499999`, "ends before"},
		{`"exp":1795600000`, `"exp":"1795600000"`, "exp"},
		{`"exp":1795600000`, `"exp":1795600000.5`, "exp"},
		{`"exp":1795600000`, `"exp":null`, "exp"},
		{`"exp":1795600000`, `"exp":253402300800`, "exp"},
		{`"exp":1795600000`, `"exp":99999999999999999999`, "exp"},
		{`"exp":1795600000,`, ``, "exp"},
		{`"iat":1795500000`, `"iat":-1`, "iat"},
		{`"iat":1795500000`, `"Iat":1795500000`, "iat"},
		{`"iat":1795500000`, `"iat":1,"iat":1795500000`, "no JWT"},
		{`"ent":{`, `"x":{`, "no JWT"},
		{`"type":"single"`, `"type":"single","type":"site"`, "no JWT"},
		{`"limit":2`, `"limit":"2"`, "limit"},
		{`"test":false`, `"test":null`, "test"},
		{`1800000000`, `"never"`, "expires_at"},
	} {
		bad(signed(signer, header, strings.Replace(claims, c.from, c.to, 1)), c.why)
	}
	if _, err := parseLease(token, shipped, "demo", "my-second-machine"); !errors.Is(err, ErrLease) {
		t.Errorf("on another machine: %v", err)
	}
	if _, err := parseLease(token, nil, "demo", machine); !errors.Is(err, ErrLease) {
		t.Errorf("without keys: %v", err)
	}
}

// Nothing that the key did not sign counts, whatever it looks like.
func FuzzParseLease(f *testing.F) {
	header, claims := goodLease()
	token := signed(signer, header, claims)
	f.Add(token)
	f.Add(token + "\n")
	f.Add(signed(stranger, header, claims))
	f.Add(b64(strings.Replace(header, "EdDSA", "none", 1)) + "." + b64(claims) + ".")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := parseLease(s, shipped, "demo", machine); (err == nil) != (s == token) || err != nil && l != (lease{}) {
			t.Errorf("%q: %+v, %v", s, l, err)
		}
	})
}

// What stands in a token that was signed is read without a panic.
func FuzzClaims(f *testing.F) {
	header, claims := goodLease()
	f.Add(header, claims)
	f.Add(header, strings.Replace(claims, "1800000000", "null", 1))
	f.Add("{}", "{}")
	f.Add(`{"alg":`, `{"ent":[]}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		l, err := parseLease(signed(signer, header, claims), shipped, "demo", machine)
		if err != nil && (l != (lease{}) || !errors.Is(err, ErrLease)) ||
			err == nil && (l.ID == "" || l.Activation == "" || l.Expires.Before(l.Issued)) {
			t.Errorf("%+v, %v", l, err)
		}
	})
}
