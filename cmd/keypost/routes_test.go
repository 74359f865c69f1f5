package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
)

func TestRoutes(t *testing.T) {
	s := newSite(t)
	s.serve()
	noRedirect := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	call := func(method, path, contentType string) (int, http.Header, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader("x=1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		resp, err := noRedirect.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header, string(b)
	}
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/healthz", 200, "alive"},
		{"GET", "/readyz", 200, "ready"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/in/kagi", 200, "online"},
		{"GET", "/in/kagi/", 200, "online"},
		{"POST", "/in/kagi/below/this", 200, "kagiRemotePostStatus=BAD"},
		{"GET", "/in/nothing", 404, "No channel"},
		{"POST", "/in/", 404, ""},
		{"POST", "/in/%2e%2e/kagi", 404, ""},
		{"POST", "//in/kagi", 404, ""},
		{"DELETE", "/in/kagi", 405, "kagiRemotePostStatus=BAD"},
		{"POST", "/v1/activate", 400, `"code":"bad_request"`},
		{"GET", "/v1/activate", 405, `"code":"method_not_allowed"`},
		{"GET", "/v1/validate", 405, `"code":"method_not_allowed"`},
		{"PUT", "/v1/deactivate", 405, `"code":"method_not_allowed"`},
		{"POST", "/.well-known/jwks.json", 405, `"code":"method_not_allowed"`},
		{"GET", "/.well-known/jwks.json", 200, `"crv":"Ed25519"`},
		{"POST", "/v1/anything", 404, `"code":"not_found"`},
		{"GET", "/<script>", 404, `"code":"not_found"`},
	} {
		status, header, body := call(c.method, c.path, form)
		if status != c.status || !strings.Contains(body, c.want) || strings.Contains(body, "script") {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, status, body, c.status, c.want)
		}
		if status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", c.method, c.path)
		}
	}
	// One line a request, and nothing in it that is somebody's.
	code := s.post()[0]
	logged := s.log.expect("route=/v1/activate status=200")
	s.activate(code, "the-fingerprint")
	<-logged
	log := s.log.String()
	for _, want := range []string{"route=/in/{channel} status=200", "route=/v1/activate status=200", "route=none status=404", "method=DELETE", "status=issued"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{code, "Fragola", "email@domain.com", "geheim", "the-fingerprint", "script", "nothing"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %q:\n%s", secret, log)
		}
	}
	// The two published keys are the database's.
	_, _, body := call("GET", "/.well-known/jwks.json", "")
	var set struct{ Keys []struct{ Kid string } }
	var keys []admin.Key
	s.read(0, &keys, "keys", "list")
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 2 || len(keys) != 2 {
		t.Errorf("jwks = %s, %v", body, err)
	}
}

func TestSafe(t *testing.T) {
	for s, want := range map[string]string{
		"plain ø 漢":            "plain ø 漢",
		"a\r\n\tb\x1b[31m\x00": `a\r\n\tb\e[31m`,
		"\xff\u202edrow":       "?drow",
	} {
		if got := safe(s); got != want {
			t.Errorf("safe(%q) = %q, want %q", s, got, want)
		}
	}
}

// A page of a configured origin may use the activation calls, and nothing else.
func TestCrossOriginRoutes(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "[server]", "[server]\ncors_origins = [\"https://app.example.com\"]", 1))
	s.serve()
	for path, want := range map[string]string{
		"/v1/activate": "https://app.example.com", "/v1/validate": "https://app.example.com", "/v1/deactivate": "https://app.example.com",
		"/in/kagi": "", "/healthz": "", "/.well-known/jwks.json": "", "/v1/anything": "",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || (resp.StatusCode == http.StatusNoContent) != (want != "") {
			t.Errorf("OPTIONS %s: %d, origin %q, want %q", path, resp.StatusCode, got, want)
		}
	}
}
