package activation

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A rig is a real server on a real store, with a clock of the test's.
type rig struct {
	*Server
	t     *testing.T
	db    *store.DB
	ring  *Keyring
	clock time.Time
	mu    sync.Mutex
}

const fingerprint = "my-first-machine"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/k.db", store.Options{Create: true, Now: r.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r.db = db
	if r.ring, err = NewKeyring(db, make([]byte, MasterSize)); err != nil {
		t.Fatal(err)
	}
	if err := r.ring.MakeFirst(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Server = New(db, r.ring, 100, Config{Issuer: "https://keys.example.com", Products: []Product{
		{ID: "demo", Lease: 100 * time.Hour, Malformed: keygen.Random{}.Malformed},
		{ID: "tested", AcceptTest: true},
	}, Now: r.now})
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// issue makes an order with one license.
func (r *rig) issue(change ...func(*store.Order)) store.License {
	r.t.Helper()
	n := store.NewOrder{Order: store.Order{
		ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: store.NewID(), Product: "demo", LicenseType: "single", Quantity: 1, Limit: 2,
	}}
	n.Order.Fold = n.Order.Transaction
	for _, f := range change {
		f(&n.Order)
	}
	n.Message.ID = store.NewID()
	codes, _ := keygen.Random{}.Generate(r.t.Context(), keygen.Request{Quantity: 1})
	n.Outcome.Codes = []store.NewLicense{{ID: store.NewID(), Code: codes[0]}}
	o, _, err := r.db.AddOrder(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return o.Licenses[0]
}

// post sends a form by a handler and returns status, headers and the answer.
func post(h http.Handler, form url.Values, from string) (int, http.Header, map[string]any) {
	q := httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.RemoteAddr = from
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		out = map[string]any{"code": "not JSON: " + w.Body.String()}
	}
	return w.Code, w.Header(), out
}

func form(code, fingerprint string, more ...string) url.Values {
	f := url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {fingerprint}}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	return f
}

const here = "192.0.2.1:999"

// want calls a handler and checks status and code ("" for none).
func (r *rig) want(h http.Handler, f url.Values, status int, code string) map[string]any {
	r.t.Helper()
	got, header, out := post(h, f, here)
	if got != status || code != "" && out["code"] != code {
		r.t.Errorf("%v: %d %v, want %d %s", f, got, out, status, code)
	}
	if code != "" && (header.Get("Content-Type") != "application/problem+json" || out["status"] != float64(status) || out["title"] == "") {
		r.t.Errorf("%v is no problem document: %v %v", f, header, out)
	}
	return out
}

func TestActivateValidateDeactivate(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	first := r.want(r.Activate(), form(l.Code, fingerprint, "machine.name", "Fred's"), 200, "")
	want := map[string]any{"product": "demo", "type": "single", "limit": 2.0, "used": 1.0, "expires_at": nil, "test": false}
	if diff := cmp.Diff(want, first["license"]); diff != "" {
		t.Error(diff)
	}
	if first["lease_expires_at"] != "2026-11-25T16:00:00Z" {
		t.Errorf("lease until %v", first["lease_expires_at"])
	}
	// The same machine again, in whatever writing of the code: the same answer.
	for _, code := range []string{l.Code, strings.ToLower(l.Code), strings.ReplaceAll(l.Code, "-", ""), " " + l.Code + " "} {
		if diff := cmp.Diff(first, r.want(r.Activate(), form(code, fingerprint), 200, "")); diff != "" {
			t.Error(diff)
		}
	}
	second := r.want(r.Activate(), form(l.Code, "another-machine"), 200, "")
	if second["license"].(map[string]any)["used"] != 2.0 {
		t.Errorf("second machine: %v", second)
	}
	full := r.want(r.Activate(), form(l.Code, "third-machine"), 409, "limit_reached")
	if full["used"] != 2.0 || full["limit"] != 2.0 {
		t.Errorf("limit_reached: %v", full)
	}
	r.want(r.Validate(), form(l.Code, "third-machine"), 404, "not_activated")
	if out := r.want(r.Validate(), form(l.Code, fingerprint), 200, ""); out["lease"] != nil || out["lease_expires_at"] != nil ||
		!cmp.Equal(out["activation"], first["activation"]) {
		t.Errorf("validate: %v", out)
	}
	for range 2 {
		if out := r.want(r.Deactivate(), form(l.Code, "another-machine"), 200, ""); !cmp.Equal(out, map[string]any{"license": map[string]any{"used": 1.0}}) {
			t.Errorf("deactivate: %v", out)
		}
	}
	r.want(r.Validate(), form(l.Code, "another-machine"), 404, "not_activated")
	r.want(r.Activate(), form(l.Code, "third-machine"), 200, "")
}

func TestLeases(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	first := r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
	header, claims := r.open(first["lease"].(string))
	if header["alg"] != "EdDSA" || header["typ"] != LeaseType || claims["iss"] != "https://keys.example.com" || claims["aud"] != "demo" ||
		claims["sub"] != first["activation"].(map[string]any)["id"] || claims["exp"].(float64)-claims["iat"].(float64) != 360000 {
		t.Errorf("lease = %v %v", header, claims)
	}
	salt, err := base64.RawURLEncoding.DecodeString(claims["fps"].(string))
	hash := sha256.Sum256(append(salt, fingerprint...))
	if err != nil || len(salt) != 16 || base64.RawURLEncoding.EncodeToString(hash[:]) != claims["fph"] {
		t.Errorf("fps, fph = %v, %v: %v", claims["fps"], claims["fph"], err)
	}
	if diff := cmp.Diff(map[string]any{"type": "single", "limit": 2.0, "test": false, "expires_at": nil}, claims["ent"]); diff != "" {
		t.Error(diff)
	}
	validate := func(more ...string) string {
		lease, _ := r.want(r.Validate(), form(l.Code, fingerprint, more...), 200, "")["lease"].(string)
		return lease
	}
	r.pass(49 * time.Hour)
	if validate() != "" {
		t.Error("a new lease though half of the last one is left")
	}
	renewed := validate("renew", "true")
	if _, c := r.open(renewed); c["jti"] == claims["jti"] || c["exp"].(float64) != claims["exp"].(float64)+49*3600 {
		t.Errorf("renewed = %v", c)
	}
	r.pass(51 * time.Hour)
	if validate() == "" {
		t.Error("no new lease though less than half of the last one is left")
	}
	// A machine that comes back after its lease ran out gets a new one.
	r.pass(1000 * time.Hour)
	back := r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
	if _, c := r.open(back["lease"].(string)); c["exp"].(float64) != float64(r.now().Add(100*time.Hour).Unix()) {
		t.Errorf("back = %v", c)
	}

	// A rotation counts at once, and JWKS shows it.
	if err := r.ring.Rotate(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	rotated, _ := r.open(validate("renew", "1"))
	if rotated["kid"] == header["kid"] || rotated["kid"] != r.jwks()[0].ID {
		t.Errorf("after the rotation: %v, before: %v", rotated, header)
	}

	// No leases: the fields are absent.
	test := r.issue(func(o *store.Order) { o.Product, o.Test = "tested", true })
	out := r.want(r.Activate(), url.Values{"product": {"tested"}, "code": {test.Code}, "fingerprint": {fingerprint}}, 200, "")
	if _, ok := out["lease"]; ok || out["lease_expires_at"] != nil || out["license"].(map[string]any)["test"] != true {
		t.Errorf("a product without leases: %v", out)
	}
}

// A lease never lasts longer than its license, and does not grow for asking.
func TestLeaseOfALicenseThatEnds(t *testing.T) {
	r := newRig(t)
	end := r.now().Add(10 * time.Hour)
	l := r.issue(func(o *store.Order) { o.ExpiresAt = &end })
	out := r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
	if out["lease_expires_at"] != "2026-11-21T22:00:00Z" || out["license"].(map[string]any)["expires_at"] != "2026-11-21T22:00:00Z" {
		t.Errorf("activate: %v", out)
	}
	_, claims := r.open(out["lease"].(string))
	if got := claims["ent"].(map[string]any)["expires_at"]; got != float64(end.Unix()) {
		t.Errorf("ent.expires_at = %v", got)
	}
	r.pass(9 * time.Hour)
	if out := r.want(r.Validate(), form(l.Code, fingerprint), 200, ""); out["lease"] != nil {
		t.Errorf("validate near the end: %v", out)
	}
	r.pass(time.Hour)
	r.want(r.Validate(), form(l.Code, fingerprint), 403, "code_expired")
	r.want(r.Activate(), form(l.Code, fingerprint), 403, "code_expired")
	r.want(r.Deactivate(), form(l.Code, fingerprint), 200, "")
}

func (r *rig) jwks() []JWK {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.JWKS().ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	var set struct{ Keys []JWK }
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || len(set.Keys) != 2 {
		r.t.Fatalf("jwks = %s, %v", w.Body, err)
	}
	return set.Keys
}

// open checks a lease by the published keys, with the standard library alone.
func (r *rig) open(lease string) (header, claims map[string]any) {
	r.t.Helper()
	parts := strings.Split(lease, ".")
	if len(parts) != 3 {
		r.t.Fatalf("lease = %q", lease)
	}
	for i, to := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, to)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		r.t.Fatal(err)
	}
	for _, key := range r.jwks() {
		public, err := base64.RawURLEncoding.DecodeString(key.X)
		if err == nil && key.ID == header["kid"] && ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), signature) {
			return header, claims
		}
	}
	r.t.Fatalf("no published key signed %v", header)
	return nil, nil
}

func TestProblems(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	other := r.issue(func(o *store.Order) { o.Product = "tested" })
	test := r.issue(func(o *store.Order) { o.Test = true })
	last := "A"
	if strings.HasSuffix(l.Code, last) {
		last = "C"
	}
	for _, h := range []http.Handler{r.Activate(), r.Validate(), r.Deactivate()} {
		r.want(h, form("NO-SUCH-CODE", fingerprint), 404, "code_unknown")
		r.want(h, form(other.Code, fingerprint), 404, "code_unknown")
		r.want(h, form(strings.Repeat("x", 300), fingerprint), 404, "code_unknown")
		r.want(h, form(l.Code[:28]+last, fingerprint), 400, "code_malformed")
		r.want(h, form(l.Code, fingerprint, "product", "nothing"), 404, "code_unknown")
		r.want(h, form("", fingerprint), 400, "bad_request")
		r.want(h, form(l.Code, ""), 400, "bad_request")
		r.want(h, form(l.Code, fingerprint, "product", ""), 400, "bad_request")
		r.want(h, form(l.Code, "1234567"), 400, "bad_request")
		r.want(h, form(l.Code, strings.Repeat("x", 257)), 400, "bad_request")
		r.want(h, form(l.Code, "not\xffUTF-8"), 400, "bad_request")
		r.want(h, form(l.Code, fingerprint, "machine.name", strings.Repeat("x", 257)), 400, "bad_request")
		r.want(h, form(l.Code, fingerprint, "renew", "maybe"), 400, "bad_request")
		r.want(h, form(l.Code, strings.Repeat("x", maxBody)), 413, "too_large")
	}
	r.want(r.Activate(), form(test.Code, fingerprint), 403, "code_test")
	r.want(r.Validate(), form(test.Code, fingerprint), 403, "code_test")
	r.want(r.Deactivate(), form(test.Code, fingerprint), 200, "")
	r.want(r.Activate(), form(l.Code, "12345678"), 200, "")
	r.want(r.Activate(), form(l.Code, strings.Repeat("ü", 128)), 200, "")

	for _, s := range []struct {
		code string
		do   func(context.Context, string, string) (store.License, error)
	}{{"code_suspended", r.db.SuspendLicense}, {"code_revoked", r.db.RevokeLicense}} {
		if _, err := s.do(t.Context(), l.ID, "test"); err != nil {
			t.Fatal(err)
		}
		for _, machine := range []string{"12345678", "a-new-machine"} {
			r.want(r.Activate(), form(l.Code, machine), 403, s.code)
			r.want(r.Validate(), form(l.Code, machine), 403, s.code)
		}
	}
	r.want(r.Deactivate(), form(l.Code, "12345678"), 200, "")
}

func TestJSONBodies(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	send := func(contentType, body string) (int, string) {
		q := httptest.NewRequest("POST", "/", strings.NewReader(body))
		q.Header.Set("Content-Type", contentType)
		q.RemoteAddr = here
		w := httptest.NewRecorder()
		r.Activate().ServeHTTP(w, q)
		return w.Code, w.Body.String()
	}
	good := fmt.Sprintf(`{"product":"demo","code":%q,"fingerprint":%q,"machine":{"name":"a","platform":"b","app_version":"c"},"new":1}`, l.Code, fingerprint)
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		if status, body := send(contentType, good); status != 200 {
			t.Errorf("%s: %d %s", contentType, status, body)
		}
	}
	machines, err := r.db.Activations(t.Context(), l.ID)
	if err != nil || len(machines) != 1 || machines[0].Machine != (store.Machine{Name: "a", Platform: "b", AppVersion: "c"}) {
		t.Errorf("machines = %+v, %v", machines, err)
	}
	for _, bad := range []struct {
		contentType, body string
		status            int
		want              string
	}{
		{"text/plain", good, 415, "unsupported_media_type"},
		{"", good, 415, "unsupported_media_type"},
		{"application/json", "", 400, "not JSON"},
		{"application/json", "null", 400, "product is missing"},
		{"application/json", "[]", 400, "must be a JSON object"},
		{"application/json", good + "x", 400, "not JSON"},
		{"application/json", `{"product":1}`, 400, "product must be a string"},
		{"application/json", `{"machine":"x"}`, 400, "machine must be a JSON object"},
		{"application/json", `{"machine":{"name":[]}}`, 400, "machine.name must be a string"},
		{"application/json", `{"renew":"yes"}`, 400, "renew must be true or false"},
		{"application/json", "{\"product\":\"\xff\"}", 400, "not UTF-8"},
		{"application/json", `{"product":"<script>`, 400, "not JSON"},
		{"application/x-www-form-urlencoded", "%zz", 400, "not a form"},
		{"application/x-www-form-urlencoded", "code=a&code=b", 400, "appears twice"},
		{"application/json", strings.Repeat(" ", maxBody+1), 413, "too_large"},
	} {
		status, body := send(bad.contentType, bad.body)
		if status != bad.status || !strings.Contains(body, bad.want) || strings.Contains(body, "script") {
			t.Errorf("%s %.30q: %d %s, want %d %s", bad.contentType, bad.body, status, body, bad.status, bad.want)
		}
	}
}

// The same machine, twice at once: one seat, one complete answer.
func TestActivateTwiceAtOnce(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	answers := make([]map[string]any, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { _, _, answers[i] = post(r.Activate(), form(l.Code, fingerprint), here) })
	}
	wg.Wait()
	for _, a := range answers {
		if diff := cmp.Diff(answers[0], a); diff != "" || a["lease"] == nil {
			t.Fatalf("%v: %s", a, diff)
		}
	}
}

// A machine that comes and goes meets no false alarm.
func TestActivateAndDeactivateAtOnce(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	var wg sync.WaitGroup
	for i := range 120 {
		h := []http.Handler{r.Activate(), r.Deactivate(), r.Validate()}[i%3]
		wg.Go(func() {
			status, _, out := post(h, form(l.Code, fingerprint, "renew", "true"), here)
			if status != 200 && out["code"] != "not_activated" {
				t.Errorf("%d %v", status, out)
			}
		})
	}
	wg.Wait()
	got, err := r.db.FindLicense(t.Context(), "demo", l.Code)
	machines, listErr := r.db.Activations(t.Context(), l.ID)
	if err != nil || listErr != nil || got.Used != len(machines) {
		t.Errorf("used %d, rows %d, %v, %v", got.Used, len(machines), err, listErr)
	}
}

func TestMisses(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	for i := range 100 {
		if status, _, out := post(r.Activate(), form(fmt.Sprint("GUESS-", i), fingerprint), here); status != 404 {
			t.Fatalf("miss %d: %d %v", i, status, out)
		}
	}
	status, header, out := post(r.Activate(), form(l.Code, fingerprint), here)
	if status != 429 || out["code"] != "rate_limited" || header.Get("Retry-After") != "1" {
		t.Errorf("over the budget: %d %v %v", status, header, out)
	}
	// Misses that came at once are paid for later.
	m := newMisses(2)
	for range 5 {
		m.add("a", "demo", r.now())
	}
	if got := m.wait("a", r.now()); got != 4 {
		t.Errorf("5 misses at once with a budget of 2: wait %d seconds, want 4", got)
	}
	// Another address goes on, and so does one that has activated.
	if status, _, out := post(r.Activate(), form(l.Code, fingerprint), "192.0.2.2:1"); status != 200 {
		t.Errorf("another address: %d %v", status, out)
	}
	for i := range 150 {
		post(r.Validate(), form(fmt.Sprint("GUESS-", i), fingerprint), "192.0.2.2:1")
	}
	if status, _, out := post(r.Validate(), form(l.Code, fingerprint), "192.0.2.2:1"); status != 200 {
		t.Errorf("an address that has activated: %d %v", status, out)
	}
}

// An unknown product is a miss, too; a second gives one back.
func TestMissesOfUnknownProducts(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	for range 100 {
		r.want(r.Activate(), form(l.Code, fingerprint, "product", "guess"), 404, "code_unknown")
	}
	r.want(r.Activate(), form(l.Code, fingerprint), 429, "rate_limited")
	r.pass(time.Second)
	r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
}

// A product that was sold and is not in the config left it by mistake: nobody
// is told that the code is unknown, and nothing counts against the caller.
func TestProductThatLeftTheConfig(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	full := *r.config.Load()
	without := full
	without.Products = full.Products[1:]
	r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
	r.Configure(without)
	for range 150 {
		for _, h := range []http.Handler{r.Activate(), r.Validate(), r.Deactivate()} {
			status, header, out := post(h, form(l.Code, "my-second-machine"), "192.0.2.7:1")
			if status != 503 || out["code"] != "unavailable" || header.Get("Retry-After") != "60" {
				t.Fatalf("%d %v %v", status, header, out)
			}
		}
	}
	for _, other := range []string{"Demo", "demo ", "guess"} {
		r.want(r.Activate(), form(l.Code, fingerprint, "product", other), 404, "code_unknown")
	}
	r.Configure(full)
	if status, _, out := post(r.Activate(), form(l.Code, "my-second-machine"), "192.0.2.7:1"); status != 200 {
		t.Errorf("after it came back: %d %v", status, out)
	}
}

// The machines of all customers hang on these bytes: they must never change.
// full is a store that takes no lease: its disk is full.
type full struct{ *store.DB }

func (full) RenewLease(context.Context, store.Activation, string) (store.Activation, error) {
	return store.Activation{}, fmt.Errorf("%w: the disk is full", store.ErrNoWrites)
}

// A machine whose lease is to be renewed is told that its seat is good, without a
// new lease, when that cannot be noted; one that asks for a lease comes again.
func TestValidateWithoutWrites(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	if status, _, out := post(r.Activate(), form(l.Code, fingerprint), "10.0.0.1:1"); status != 200 {
		t.Fatal(out)
	}
	r.pass(60 * time.Hour) // of 100
	r.Server.store = full{r.db}
	if status, _, out := post(r.Validate(), form(l.Code, fingerprint), "10.0.0.1:1"); status != 200 || out["lease"] != nil || out["activation"].(map[string]any)["id"] == "" {
		t.Errorf("%d %v", status, out)
	}
	if status, header, out := post(r.Validate(), form(l.Code, fingerprint, "renew", "true"), "10.0.0.1:1"); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("%d %v", status, out)
	}
	r.Server.store = r.db
	if status, _, out := post(r.Validate(), form(l.Code, fingerprint), "10.0.0.1:1"); status != 200 || out["lease"] == nil {
		t.Errorf("%d %v", status, out)
	}
}

func TestMACIsFrozen(t *testing.T) {
	r := newRig(t)
	const want = "FP8sj5WwhbEhgCex6ZTtX9fUCmloeqNQN7ILk-Omfvs" // OpenSSL's HKDF and HMAC say so, too
	if got := base64.RawURLEncoding.EncodeToString(r.ring.MAC(fingerprint)); got != want {
		t.Errorf("MAC = %s, want %s", got, want)
	}
}

func TestAddress(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:1":                "192.0.2.1",
		"[::ffff:192.0.2.1]:1":       "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:1":   "2001:db8:1:2::/64",
		"[2001:db8:1:2:9:9:9:9]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":           "fe80::/64",
	} {
		if got := address(&http.Request{RemoteAddr: from}); got != want {
			t.Errorf("address(%s) = %s, want %s", from, got, want)
		}
	}
}

func TestWithoutADatabase(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	r.db.Close()
	for _, h := range []http.Handler{r.Activate(), r.Validate(), r.Deactivate(), r.JWKS()} {
		status, header, out := post(h, form(l.Code, fingerprint), here)
		if status != 503 || out["code"] != "unavailable" || header.Get("Retry-After") == "" || strings.Contains(fmt.Sprint(out), "sql") {
			t.Errorf("%d %v %v", status, header, out)
		}
	}
}

func TestMasterKey(t *testing.T) {
	r := newRig(t)
	wrong, err := NewKeyring(r.db, []byte(strings.Repeat("x", MasterSize)))
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Check(t.Context()); !errors.Is(err, ErrMaster) {
		t.Errorf("another master key: %v", err)
	}
	if _, err := NewKeyring(r.db, []byte("short")); err == nil {
		t.Error("a short master key is taken")
	}
	keys, err := r.db.SigningKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if string(r.ring.MAC("a")) == string(wrong.MAC("a")) {
		t.Error("fingerprints do not hang on the master key")
	}
}
