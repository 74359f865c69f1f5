package keygen

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func signed(seed byte) Signed {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return Signed{Signer: func() (crypto.Signer, error) { return key, nil }, Group: 5}
}

func TestSignedLayout(t *testing.T) {
	day := func(s string) *time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return &at
	}
	for _, c := range []struct {
		q    Request
		name bool
		want string // without the number
	}{
		{Request{}, false, "10"},
		{Request{ExpiresAt: day("2020-01-02T00:00:00Z")}, false, "11" + "0000"},
		{Request{ExpiresAt: day("2021-01-01T23:59:59Z")}, false, "11" + "016e"},
		{Request{Limit: 300}, false, "12" + "ac02"},
		{Request{LicenseType: "site"}, false, "14" + "0473697465"},
		{Request{Name: "Zoë"}, true, "18" + "5a6fc3ab"},
		{Request{LicenseType: "site", Limit: 3, Name: "Ada", ExpiresAt: day("2020-01-03T00:00:00Z")}, true, "1f" + "0001" + "03" + "0473697465" + "416461"},
	} {
		g := signed(1)
		g.Name = c.name
		c.q.Product, c.q.Quantity = "demo", 2
		codes, err := g.Generate(t.Context(), c.q)
		if err != nil || len(codes) != 2 || codes[0] == codes[1] {
			t.Fatalf("%v: %v, %v", c.q, codes, err)
		}
		b, err := encoding32.DecodeString(plain(codes[0]))
		if got := hex.EncodeToString(append(b[:1:1], b[5:len(b)-64]...)); err != nil || got != c.want {
			t.Errorf("%v: %s, %v, want %s", c.q, got, err, c.want)
		}
	}
}

func TestSignedVerify(t *testing.T) {
	g := signed(1)
	codes, err := g.Generate(t.Context(), Request{Product: "demo", LicenseType: "single", Quantity: 1})
	if err != nil {
		t.Fatal(err)
	}
	code := codes[0]
	if !verifies(g, "demo", code) || !verifies(g, "demo", strings.ToLower(strings.ReplaceAll(code, "-", " "))) {
		t.Errorf("%s is not its own", code)
	}
	if verifies(g, "other", code) || verifies(signed(2), "demo", code) || verifies(g, "demo", "") || verifies(g, "demo", code+"2") {
		t.Error("a foreign code passes")
	}
	s := plain(code)
	for i := range s {
		for _, c := range symbols32 {
			if byte(c) != s[i] && (i%7 == 0 || i == len(s)-1) && verifies(g, "demo", s[:i]+string(c)+s[i+1:]) {
				t.Fatalf("%s with %c at %d passes", s, c, i)
			}
		}
	}
}

func TestSignedRequests(t *testing.T) {
	g := signed(1)
	g.Name = true
	late := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, q := range []Request{
		{Quantity: 1},
		{Quantity: 1, Name: "  "},
		{Quantity: 1, Name: strings.Repeat("x", 70)},
		{Quantity: 1, Name: "Ada", LicenseType: strings.Repeat("x", 300)},
		{Quantity: 1, Name: "Ada", ExpiresAt: &time.Time{}},
		{Quantity: 1, Name: "Ada", ExpiresAt: &late},
	} {
		if codes, err := g.Generate(t.Context(), q); !errors.Is(err, ErrRequest) || codes != nil {
			t.Errorf("%+v: %v, %v", q, codes, err)
		}
	}
	broken := Signed{Signer: func() (crypto.Signer, error) { return nil, errors.New("no key") }}
	if _, err := broken.Generate(t.Context(), Request{Quantity: 1}); err == nil || errors.Is(err, ErrRequest) {
		t.Errorf("without a key: %v", err)
	}
	if verifies(broken, "demo", strings.Repeat("2", 120)) {
		t.Error("without a key a code passes")
	}
}

func FuzzSignedVerify(f *testing.F) {
	g := signed(1)
	codes, _ := g.Generate(f.Context(), Request{Product: "demo", Quantity: 1})
	f.Add(codes[0])
	f.Fuzz(func(t *testing.T, code string) {
		if verifies(g, "demo", code) && plain(code) != plain(codes[0]) {
			t.Errorf("%q passes", code)
		}
	})
}

func verifies(g Signed, product, code string) bool {
	_, ok := g.Verify(product, code)
	return ok
}

// A code says what was sold.
func TestSignedClaims(t *testing.T) {
	g := signed(1)
	g.Name = true
	end := time.Date(2027, 12, 31, 23, 59, 59, 0, time.UTC)
	last := signedEpoch.Add(0x10000 * signedDay).Add(-time.Second) // of all that it can say
	for _, want := range []Claims{{Name: "Ada"}, {LicenseType: "site", Name: "Ada", Limit: 300, ExpiresAt: &end}, {Name: "Ada", ExpiresAt: &last}} {
		codes, err := g.Generate(t.Context(), Request{
			Product: "demo", Name: want.Name, LicenseType: want.LicenseType, Limit: want.Limit, ExpiresAt: want.ExpiresAt, Quantity: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := g.Verify("demo", codes[0])
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%v %s", ok, diff)
		}
	}
}

// Whatever a signed payload holds, reading it does not panic.
func FuzzReadClaims(f *testing.F) {
	f.Add([]byte("\x1f12345\x00\x02\x03\x04siteAda"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= 5 {
			readClaims(p)
		}
	})
}
