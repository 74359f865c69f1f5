package delivery

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

// The vector that the specification's own libraries are tested with.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTimestamp = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func secret(t *testing.T, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSign(t *testing.T) {
	h := http.Header{}
	other := Secret(strings.Repeat("x", 32))
	Sign(h, vectorID, time.Unix(vectorTimestamp, 999), []byte(vectorBody), secret(t, vectorSecret), other)
	signatures := strings.Fields(h.Get("webhook-signature"))
	if h.Get("webhook-id") != vectorID || h.Get("webhook-timestamp") != "1614265330" || len(signatures) != 2 || signatures[0] != vectorSignature {
		t.Errorf("headers = %v", h)
	}
	Sign(h, vectorID, time.Unix(vectorTimestamp, 0), []byte(vectorBody), other)
	if h.Get("webhook-signature") != signatures[1] {
		t.Errorf("the second secret's signature is not its own: %v, %v", h, signatures)
	}
}

func TestParseSecret(t *testing.T) {
	good := func(text string, size int) {
		t.Helper()
		if s, err := ParseSecret(text); err != nil || len(s) != size {
			t.Errorf("%q: %d bytes, %v; want %d", text, len(s), err, size)
		}
	}
	bad := func(text string) {
		t.Helper()
		if _, err := ParseSecret(text); err == nil || len(text) > 6 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	good(vectorSecret, 24)
	good(Secret(make([]byte, 25)).Encode(), 25)
	good("whsec_"+strings.Repeat("A", 34), 25) // without padding
	good(Secret(make([]byte, 64)).Encode(), 64)
	bad("")
	bad("whsec_")
	bad(strings.TrimPrefix(vectorSecret, "whsec_"))
	bad("whpk_" + strings.Repeat("A", 32)) // a key of the specification's asymmetric kind
	bad(Secret(make([]byte, 23)).Encode())
	bad(Secret(make([]byte, 65)).Encode())
	bad("whsec_" + strings.Repeat("-", 32)) // base64url
}

func FuzzParseSecret(f *testing.F) {
	f.Add(vectorSecret)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err != nil {
			return
		}
		if again, err := ParseSecret(s.Encode()); err != nil || !bytes.Equal(again, s) {
			t.Errorf("%q is read as %q, and that as %q, %v", text, s, again, err)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"120":                           2 * time.Minute,
		"soon":                          0,
		"-5":                            0,
		"99999999999":                   24 * time.Hour,
		"99999999999999999999999":       24 * time.Hour,
		"Sun, 01 Mar 2026 13:00:00 GMT": time.Hour,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Mon, 01 Mar 2027 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestDocument(t *testing.T) {
	n := store.Notice{Kind: "order.held", CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.FixedZone("", 3600))}
	o := store.Order{
		Store: "kagi", Transaction: "T1", Line: 2, Quantity: 3, Status: store.Held, Reason: "unknown_product", LicenseType: "single",
		Name: "Ada & Co", Email: "ada@example.com", Price: "29.95", Currency: "USD",
	}
	check := func(l *store.License, want string) {
		t.Helper()
		got, err := Document(n, o, l)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	check(nil, `{"type":"order.held","timestamp":"2026-03-01T11:00:00.5Z","data":{"order":{"store":"kagi","transaction":"T1","line":2,`+
		`"product":null,"quantity":3,"status":"held","reason":"unknown_product","test":false,"licenses":[],"license_type":"single",`+
		`"name":"Ada \u0026 Co","email":"ada@example.com","price":"29.95","currency":"USD","refunded":false}}}`)
	n.Kind, o.Product, o.Status, o.Reason, o.Test = "license.revoked", "demo", store.Issued, "", true
	l := store.License{Code: "A-B", Product: "demo", Status: store.Revoked, Type: "single", Test: true, Limit: 3, Used: 1}
	o.Licenses = []store.License{l}
	check(&l, `{"type":"license.revoked","timestamp":"2026-03-01T11:00:00.5Z","data":{"order":{"store":"kagi","transaction":"T1","line":2,`+
		`"product":"demo","quantity":3,"status":"issued","reason":null,"test":true,"licenses":["A-B"],"license_type":"single",`+
		`"name":"Ada \u0026 Co","email":"ada@example.com","price":"29.95","currency":"USD","refunded":false},`+
		`"license":{"code":"A-B","product":"demo","status":"revoked","type":"single","test":true,"limit":3,"used":1}}}`)
}
