package activation

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask sends a request from a page of an origin, and returns the answer's status
// and those headers that browsers look at.
func ask(h http.Handler, method, origin string, more ...string) (int, map[string]string) {
	q := httptest.NewRequest(method, "/v1/validate", strings.NewReader(`{}`))
	q.Header.Set("Content-Type", "application/json")
	if origin != "" {
		q.Header.Set("Origin", origin)
	}
	for i := 0; i < len(more); i += 2 {
		q.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	seen := map[string]string{}
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			seen[strings.TrimPrefix(name, "Access-Control-")] = w.Header().Get(name)
		}
	}
	return w.Code, seen
}

func TestCrossOrigin(t *testing.T) {
	r := newRig(t)
	c := *r.config.Load()
	const page, other = "https://app.example.com", "https://evil.example.com"
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}
	allowed := map[string]string{"Allow-Methods": "POST", "Allow-Headers": "Content-Type", "Max-Age": "7200"}
	with := func(m map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			out[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for _, step := range []struct {
		name    string
		origins []string
		method  string
		origin  string
		more    []string
		status  int
		want    map[string]string
	}{
		{"nothing configured", nil, "POST", page, nil, 400, with(nil)},
		{"nothing configured, preflight", nil, "OPTIONS", page, preflight, 405, with(nil)},
		{"preflight", []string{page}, "OPTIONS", page, preflight, 204, with(allowed, "Allow-Origin", page, "Vary", "Origin")},
		{"call", []string{"http://localhost:3000", page}, "POST", page, nil, 400, with(nil, "Allow-Origin", page, "Vary", "Origin", "Expose-Headers", "Retry-After")},
		{"another page", []string{page}, "POST", other, nil, 400, with(nil, "Vary", "Origin")},
		{"another page, preflight", []string{page}, "OPTIONS", other, preflight, 405, with(nil, "Vary", "Origin")},
		{"a longer name", []string{page}, "POST", page + ".evil.example", nil, 400, with(nil, "Vary", "Origin")},
		{"a program", []string{page}, "POST", "", nil, 400, with(nil, "Vary", "Origin")},
		{"no preflight", []string{page}, "OPTIONS", page, nil, 405, with(nil, "Allow-Origin", page, "Vary", "Origin", "Expose-Headers", "Retry-After")},
		{"every page", []string{"*"}, "POST", other, nil, 400, with(nil, "Allow-Origin", "*", "Expose-Headers", "Retry-After")},
		{"every page, preflight", []string{"*"}, "OPTIONS", "null", preflight, 204, with(allowed, "Allow-Origin", "*")},
	} {
		c.Origins = step.origins
		r.Configure(c)
		h := r.Validate()
		if step.method != http.MethodPost {
			h = MethodNotAllowed(http.MethodPost)
		}
		status, got := ask(r.CrossOrigin(h), step.method, step.origin, step.more...)
		if diff := cmp.Diff(step.want, got); status != step.status || diff != "" {
			t.Errorf("%s: %d, want %d\n%s", step.name, status, step.status, diff)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, good := range []string{"*", "https://app.example.com", "http://localhost:3000", "https://app.example.com:8443", "http://[::1]:3000", "app://bundle", "chrome-extension://abcdef"} {
		if err := CheckOrigin(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "null", "app.example.com", "https://", "https://app.example.com/", "https://app.example.com/x", "https://app.example.com?x", "https://*.example.com", "https://exämple.com", "https://app.example.com:", "https://:8080",
		"https://u@app.example.com", "HTTPS://app.example.com", "https://App.example.com", "https://app.example.com:443", "http://app.example.com:80", "https://app.example.com ", "%zz",
	} {
		if CheckOrigin(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
