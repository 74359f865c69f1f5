package daemon

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestRealAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		peer string
		hops []string
		want string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1:5"},
		{"192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1:5"}, // no trusted proxy
		{"10.0.0.1:5", nil, "10.0.0.1:5"},
		{"10.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"[::1]:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"10.0.0.1:5", []string{"198.51.100.1, 203.0.113.9", "10.0.0.2"}, "203.0.113.9:0"}, // the first is the caller's own word
		{"10.0.0.1:5", []string{"203.0.113.9, nonsense"}, "10.0.0.1:5"},
		{"10.0.0.1:5", []string{"10.0.0.3"}, "10.0.0.3:0"},
		{"[::ffff:10.0.0.1]:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, h := range c.hops {
			r.Header.Add("X-Forwarded-For", h)
		}
		got := ""
		realAddress(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s %v: %s, want %s", c.peer, c.hops, got, c.want)
		}
	}
}

// What a stranger says of his protocol does not count.
func TestForwardedProto(t *testing.T) {
	for peer, want := range map[string]string{"10.0.0.1:5": "https", "192.0.2.1:5": "unknown"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-Proto", "https")
		realAddress([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("X-Forwarded-Proto"); got != want {
				t.Errorf("%s: %q, want %q", peer, got, want)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestAPanicIsNo500(t *testing.T) {
	w := httptest.NewRecorder()
	recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret internals") })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "internals") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
