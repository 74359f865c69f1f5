package external

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/keygen"
)

// A maker is a vendor's server that answers one thing after the other, the
// last for ever.
type maker struct {
	*httptest.Server
	mu   sync.Mutex
	ids  []string
	seen document
}

func serve(t *testing.T, answers ...http.HandlerFunc) (*maker, *HTTP) {
	t.Helper()
	m := &maker{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("test-signed") != strings.TrimSpace(string(body)) || r.Header.Get("webhook-id") != r.Header.Get("Idempotency-Key") || r.Method != http.MethodPost {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		m.mu.Lock()
		if err := json.Unmarshal(body, &m.seen); err != nil {
			t.Error(err)
		}
		answer := answers[min(len(m.ids), len(answers)-1)]
		m.ids = append(m.ids, r.Header.Get("webhook-id"))
		m.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(m.Close)
	client := m.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := NewHTTP(client, m.URL+"/?key=query-secret", func(h http.Header, id string, at time.Time, body []byte) {
		h.Set("webhook-id", id)
		h.Set("test-signed", strings.TrimSpace(string(body)))
	}, Limits{Timeout: 30 * time.Second})
	h.pause = time.Microsecond
	return m, h
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const two = `{"codes": ["A-1", "A-2"]}`

func TestHTTP(t *testing.T) {
	m, h := serve(t, answer(200, two))
	if got := good(t, h, request(2, "s")); got[1] != "A-2" || m.seen.Name != "Ada Lovelace" || m.seen.Seeds[0] != "s" || m.ids[0] != "01ORDER:demo" {
		t.Errorf("%v, %+v, %v", got, m.seen, m.ids)
	}
	bad(t, h, request(1), "made 2 codes, 1 were wanted")

	// Trouble passes: the same id each time.
	m, h = serve(t, answer(500, ""), answer(429, "{}"), answer(200, two))
	good(t, h, request(2))
	if len(m.ids) != 3 || m.ids[0] != m.ids[2] {
		t.Error(m.ids)
	}
	m, h = serve(t, answer(503, `{"error": "closed for Ada Lovelace \u001b"}`))
	bad(t, h, request(2), "asked 3 of 3 times: HTTP 503: closed for … ")
	if len(m.ids) != httpTries {
		t.Error(m.ids)
	}

	// The order lacks something: no other try is any use.
	m, h = serve(t, answer(422, `{"error": "no machine for Ada Lovelace\nmore"}`))
	if _, err := h.Generate(t.Context(), request(2)); !errors.Is(err, keygen.ErrRequest) || !strings.HasSuffix(err.Error(), ": no machine for …") || len(m.ids) != 1 {
		t.Error(err, m.ids)
	}
	_, h = serve(t, answer(422, "nonsense"))
	if _, err := h.Generate(t.Context(), request(2)); !errors.Is(err, keygen.ErrRequest) {
		t.Error(err)
	}

	for _, c := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/else", http.StatusTemporaryRedirect)
		}, "asked 1 of 3 times: HTTP 307"},
		{answer(200, "<html>"), `the answer is not {"codes"`},
		{answer(200, `{"codes": "A-1"}`), `the answer is not {"codes"`},
		{answer(200, two+"x"), `the answer is not {"codes"`},
		{answer(200, "{}"), "made 0 codes, 2 were wanted"},
		{answer(200, `{"codes": ["A", "\u001b[31m"]}`), "code 2 of 2 has a control character"},
		{answer(200, strings.Repeat("x", maxOutput+1)), "more than 64 KiB"},
		{answer(401, ""), "HTTP 401"},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "asked 3 of 3 times: EOF"},
	} {
		_, h := serve(t, c.answer)
		bad(t, h, request(2), c.want)
	}
}

// A slow server is given up three times.
func TestHTTPSlow(t *testing.T) {
	m, h := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h.limits.Timeout = limit / 4
	bad(t, h, request(1), "no answer within 25ms")
	m.Close()
	bad(t, h, request(1), "connection refused")
	_, err := h.Generate(t.Context(), request(1))
	if strings.Contains(err.Error(), "query-secret") {
		t.Error(err)
	}
}
