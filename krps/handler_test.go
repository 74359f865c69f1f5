package krps

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// newDesk is a real desk on a real store.
func newDesk(t *testing.T) (*ingest.Desk, *store.DB) {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/k.db", store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return ingest.New(db, ingest.Catalog{
		Products: []ingest.Product{{ID: "demo", Aliases: []string{"Product_Name", "Product_Name1", "Name"}, Limit: 3, Codes: ingest.Codes{Compute: keygen.Random{}}}},
		Channels: map[string]ingest.Channel{"kagi": {Name: "kagi", MaxQuantity: 250}},
	}), db
}

// call makes a request of this machine, with changes.
func call(h http.Handler, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerTakesAnOrder(t *testing.T) {
	desk, db := newDesk(t)
	h := Handler(hookup("MD5"), desk)
	first := call(h, "POST", "/in/kagi", example("MD5", "ACG:QuantityOrdered", "2"))
	a, err := ParseReply(first.Body.Bytes())
	if err != nil || !a.Good || len(a.Lines) != 2 || a.Lines[0].UserName != "Fred Fragola" || first.Code != http.StatusOK {
		t.Fatalf("%d %q: %v", first.Code, first.Body, err)
	}
	if got := first.Header().Get("Content-Type"); got != "text/text" {
		t.Errorf("Content-Type = %q", got)
	}
	// Two equal posts, and many at once: the same bytes.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if again := call(h, "POST", "/in/kagi", example("MD5", "ACG:QuantityOrdered", "2")); again.Body.String() != first.Body.String() {
				t.Errorf("again: %q, first: %q", again.Body, first.Body)
			}
		})
	}
	wg.Wait()
	// Information takes nothing in.
	info := call(h, "POST", "/in/kagi", example("MD5", "ACG:Request", "Information", "ACG:TransactionID", "OTHER"))
	if a, err := ParseReply(info.Body.Bytes()); err != nil || !a.Good || len(a.Lines) != 0 {
		t.Errorf("information: %q, %v", info.Body, err)
	}
	if list, err := db.Orders(t.Context(), store.OrderFilter{}); err != nil || len(list) != 1 {
		t.Errorf("%d orders, %v", len(list), err)
	}
}

// One captured post cut anew, with the same password: no second code.
func TestRecutPost(t *testing.T) {
	desk, _ := newDesk(t)
	h := Handler(hookup("MD5"), desk)
	post := func(changes ...string) string {
		return call(h, "POST", "/in/kagi", example("MD5", changes...)).Body.String()
	}
	first := post("ACG:Password", vectors["MD5"])
	for _, recut := range [][]string{
		{"ACG:ProductName", "Product_Name1", "ACG:UnitPayment", "49.000"},
		{"ACG:TransactionID", "CH0123456789Product_", "ACG:ProductName", "Name"},
	} {
		got := post(append(recut, "ACG:Password", vectors["MD5"])...)
		if a, err := ParseReply([]byte(got)); err != nil || !a.Good || len(a.Lines) != 1 || a.Lines[0].RegNumber != ingest.HeldMessageWithoutMail {
			t.Errorf("%v: %q, %v", recut, got, err)
		}
	}
	if again := post("ACG:TransactionID", "ch0123456789", "ACG:Password", vectors["MD5"]); again != first {
		t.Errorf("in another case: %q, first %q", again, first)
	}
}

// One captured post, cut in every way that its password allows, as a test and
// not, with seeds and numbers of all sorts: a bounded number of orders, and no
// second code.
func TestRecutPostIsBounded(t *testing.T) {
	desk, db := newDesk(t)
	c := hookup("MD5")
	c.Blurb = "me_Demo"
	h := Handler(c, desk)
	answer := func(changes ...string) Answer {
		a, err := ParseReply(call(h, "POST", "/in/kagi", example("MD5", append(changes, "ACG:Password", vectors["MD5"])...)).Body.Bytes())
		if err != nil || !a.Good || len(a.Lines) != 1 {
			t.Fatalf("%v: %+v, %v", changes, a, err)
		}
		return a
	}
	code := answer().Lines[0].RegNumber
	cut, posts := "CH0123456789Product_Name149.000", 0
	for i := 1; i <= 23; i++ {
		for _, price := range []string{"149.000", "49.000", "9.000"} {
			for _, flags := range []string{"", "Test=1"} {
				posts++
				a := answer("ACG:TransactionID", cut[:i], "ACG:ProductName", strings.TrimSuffix(cut[i:], price), "ACG:UnitPayment", price,
					"ACG:Flags", flags, "ACG:CustomerSeed", fmt.Sprint("a=", posts), "ACG:SQNM", fmt.Sprint(posts))
				if a.Lines[0].RegNumber != ingest.HeldMessageWithoutMail {
					t.Errorf("%d %s %s: %+v", i, price, flags, a)
				}
			}
		}
	}
	for i := range 100 { // the same cut as ever
		if a := answer("ACG:SQNM", fmt.Sprint(1000+i)); a.Lines[0].RegNumber != code {
			t.Fatalf("a repeat: %+v", a)
		}
		answer("ACG:CustomerSeed", fmt.Sprint("b=", i))
	}
	list, err := db.Orders(t.Context(), store.OrderFilter{})
	if err != nil || len(list) > 60 {
		t.Errorf("%d posts made %d orders, %v", posts, len(list), err)
	}
}

// A test order's password is its live order's as well: whichever comes second is held.
func TestChangedFlag(t *testing.T) {
	for _, flags := range [][2]string{{"Test=1", ""}, {"", "Test=1"}} {
		desk, _ := newDesk(t)
		h := Handler(hookup("MD5"), desk)
		first := call(h, "POST", "/in/kagi", example("MD5", "ACG:Flags", flags[0]))
		second := call(h, "POST", "/in/kagi", example("MD5", "ACG:Flags", flags[1]))
		if a, b := first.Header().Get(StatusHeader), second.Header().Get(StatusHeader); a != store.Issued || b != store.Held {
			t.Errorf("%q: the first is %s, the second %s", flags, a, b)
		}
		if again := call(h, "POST", "/in/kagi", example("MD5", "ACG:Flags", flags[0])); again.Body.String() != first.Body.String() {
			t.Errorf("%q: the first again: %q, %q", flags, again.Body, first.Body)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	desk, db := newDesk(t)
	c := hookup("MD5")
	c.Basic = "realm:geheim"
	h := Handler(c, desk)
	basic := func(r *http.Request) { r.SetBasicAuth("realm", "geheim") }
	for _, bad := range []struct {
		name, method, target, body string
		status                     int
		want                       string
		change                     []func(*http.Request)
	}{
		{"no realm", "POST", "/in/kagi", example("MD5"), 401, "user name and a password", nil},
		{"the other password", "POST", "/in/kagi", example("MD5"), 401, "user name and a password", []func(*http.Request){func(r *http.Request) { r.SetBasicAuth("realm", "x") }}},
		{"GET without the realm", "GET", "/in/kagi", "", 401, "user name and a password", nil},
		{"PUT", "PUT", "/in/kagi", example("MD5"), 405, "Post orders with POST", []func(*http.Request){basic}},
		{"GET with a query", "GET", "/in/kagi?a=b", "", 405, "Post orders with POST", []func(*http.Request){basic}},
		{"too long", "POST", "/in/kagi", strings.Repeat("x", MaxBody+1), 200, "longer than 65536", []func(*http.Request){basic}},
		{"no form", "POST", "/in/kagi", "%", 200, "escape", []func(*http.Request){basic}},
		{"multipart", "POST", "/in/kagi", "--x", 200, "urlencoded", []func(*http.Request){basic, func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }}},
		{"empty", "POST", "/in/kagi", "", 200, "ACG:Password is missing", []func(*http.Request){basic}},
		{"wrong password", "POST", "/in/kagi", example("MD5", "ACG:Password", "00"), 200, "does not match", []func(*http.Request){basic}},
		{"version", "POST", "/in/kagi", example("MD5", "ACG:InputVersion", "0300"), 200, "ACG:InputVersion", []func(*http.Request){basic}},
	} {
		w := call(h, bad.method, bad.target, bad.body, bad.change...)
		a, err := ParseReply(w.Body.Bytes())
		if err != nil || a.Good || w.Code != bad.status || !strings.Contains(a.Message, bad.want) || w.Header().Get("Content-Type") != "text/text" {
			t.Errorf("%s: %d %q, %v", bad.name, w.Code, w.Body, err)
		}
	}
	var told []string // which part of the realm's pair is wrong, nobody is told
	for _, pair := range [][2]string{{"realm", "x"}, {"x", "geheim"}, {"x", "x"}, {"realm:", "geheim"}, {"", ""}} {
		w := call(h, "POST", "/in/kagi", example("MD5"), func(r *http.Request) { r.SetBasicAuth(pair[0], pair[1]) })
		told = append(told, fmt.Sprint(w.Code, w.Header(), w.Body))
	}
	if len(slices.Compact(told)) != 1 {
		t.Errorf("the realm: %q", told)
	}
	if w := call(h, "GET", "/in/kagi", "", basic); w.Code != 200 || !strings.Contains(w.Body.String(), "online") {
		t.Errorf("a bare GET: %d %q", w.Code, w.Body)
	}
	if w := call(h, "POST", "/in/kagi", example("MD5"), basic); !strings.Contains(w.Body.String(), "GOOD") {
		t.Errorf("with the realm: %q", w.Body)
	}
	if list, err := db.Orders(t.Context(), store.OrderFilter{}); err != nil || len(list) != 1 {
		t.Errorf("%d orders, %v: the refused posts left some", len(list), err)
	}
}

func TestHandlerAnswersThisMachineAlone(t *testing.T) {
	desk, _ := newDesk(t)
	c := hookup("MD5")
	c.LocalOnly = "Set a secret of your own."
	h := Handler(c, desk)
	for name, change := range map[string]func(*http.Request){
		"another machine": func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" },
		"a proxy":         func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
		"RFC 7239":        func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
		"a proto":         func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") },
		"a CDN":           func(r *http.Request) { r.Header.Set("CF-Connecting-IP", "127.0.0.1") },
	} {
		w := call(h, "POST", "/in/kagi", example("MD5"), change)
		if a, err := ParseReply(w.Body.Bytes()); err != nil || a.Good || a.Message != c.LocalOnly {
			t.Errorf("%s: %q, %v", name, w.Body, err)
		}
	}
	for _, peer := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		if w := call(h, "POST", "/in/kagi", example("MD5"), func(r *http.Request) { r.RemoteAddr = peer }); !strings.Contains(w.Body.String(), "GOOD") {
			t.Errorf("%s: %q", peer, w.Body)
		}
	}
}

func TestHandlerForHTTPSAlone(t *testing.T) {
	desk, _ := newDesk(t)
	c := hookup(Adler32)
	c.HTTPSOnly = true
	h := Handler(c, desk)
	for _, from := range []struct {
		name   string
		good   bool
		change func(*http.Request)
	}{
		{"this machine", true, func(*http.Request) {}},
		{"HTTP", false, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }},
		{"HTTP by a proxy", false, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }},
		{"HTTPS by a proxy", true, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }},
		{"HTTPS", true, func(r *http.Request) { r.RemoteAddr, r.TLS = "192.0.2.1:1", &tls.ConnectionState{} }},
	} {
		w := call(h, "POST", "/in/kagi", example(Adler32), from.change)
		if a, err := ParseReply(w.Body.Bytes()); err != nil || a.Good != from.good {
			t.Errorf("%s: %q, %v", from.name, w.Body, err)
		}
	}
}

// The secret is kept and logged nowhere, in whatever body it came.
func TestSecretIsNotKept(t *testing.T) {
	c := hookup(ClearText)
	c.Name, c.Secrets = "kagi-0123456789-0123456789", []string{"top secret"}
	kept := &keepingDesk{}
	h := Handler(c, kept)
	for _, body := range []string{
		"--x\r\nContent-Disposition: form-data; name=\"ACG:Password\"\r\n\r\ntop secret\r\n--x--", "x=1;ACG%3APassword=top+secret", "ACG%3APassword=top+secret",
	} {
		call(h, "POST", "/in/x", body)
		if raw := string(kept.refused.Raw); raw == "" || strings.Contains(raw, "top secret") || strings.Contains(raw, "top+secret") {
			t.Errorf("%q is kept as %q", body, raw)
		}
	}
	// What is too long, or broke off, is data too.
	call(h, "POST", "/in/x", "ACG%3APassword=top+secret&x="+strings.Repeat("x", MaxBody))
	if m := kept.refused; !strings.Contains(m.Reason, "longer than") || len(m.Raw) == 0 || strings.Contains(string(m.Raw), "top+secret") {
		t.Errorf("a long post is kept as %q: %.60q", m.Reason, m.Raw)
	}
	w := call(h, "POST", "/in/x", "", func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) })
	if !strings.Contains(kept.refused.Reason, "broke off") || !strings.Contains(w.Body.String(), "BAD") {
		t.Errorf("a post that broke off: %q, %q", kept.refused.Reason, w.Body)
	}
	if c.Label() != "kagi…" {
		t.Errorf("a secret path is logged as %s", c.Label())
	}
}

type keepingDesk struct {
	brokenDesk
	refused store.Message
}

func (d *keepingDesk) Refuse(_ context.Context, m store.Message) error { d.refused = m; return nil }

// A brokenDesk injects what a real one rarely does.
type brokenDesk struct {
	order store.Order
	err   error
}

func (d brokenDesk) Accept(context.Context, ingest.Order) (store.Order, error) { return d.order, d.err }
func (d brokenDesk) Refuse(context.Context, store.Message) error               { return d.err }

func TestHandlerWithoutADatabase(t *testing.T) {
	down := fmt.Errorf("%w: secret internals", store.ErrUnavailable)
	h := Handler(hookup("MD5"), brokenDesk{err: down})
	w := call(h, "POST", "/in/kagi", example("MD5"))
	if a, err := ParseReply(w.Body.Bytes()); err != nil || a.Good || w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "internals") {
		t.Errorf("%d %q, %v", w.Code, w.Body, err)
	}
	// A refusal is a refusal, though it cannot be kept.
	if w := call(h, "POST", "/in/kagi", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "BAD") {
		t.Errorf("refused: %d %q", w.Code, w.Body)
	}
	h = Handler(hookup("MD5"), brokenDesk{order: store.Order{ID: "x", Status: store.Reserved}})
	if w := call(h, "POST", "/in/kagi", example("MD5")); w.Code != 200 || !strings.Contains(w.Body.String(), "BAD") || w.Header().Get(StatusHeader) != store.Reserved {
		t.Errorf("reserved: %d %q", w.Code, w.Body)
	}
	h = Handler(hookup("MD5"), brokenDesk{err: errors.New("anything else")})
	if w := call(h, "POST", "/in/kagi", example("MD5")); w.Code != 503 {
		t.Errorf("anything else: %d %q", w.Code, w.Body)
	}
}

// The caller hangs up; its order is kept all the same.
func TestHandlerFinishesWhatItBegan(t *testing.T) {
	desk, db := newDesk(t)
	h := Handler(hookup("MD5"), desk)
	call(h, "POST", "/in/kagi", example("MD5"), func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	})
	list, err := db.Orders(t.Context(), store.OrderFilter{Status: store.Issued})
	if err != nil || len(list) != 1 {
		t.Errorf("%d orders, %v", len(list), err)
	}
}
