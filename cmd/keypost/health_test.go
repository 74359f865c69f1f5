package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// call asks the daemon, with a form if there is one, and wants a status; a 503
// says when to come again.
func (s *site) call(path string, form url.Values, want int) string {
	s.t.Helper()
	var resp *http.Response
	var err error
	if form == nil {
		resp, err = http.Get(s.url + path)
	} else {
		resp, err = http.PostForm(s.url+path, form)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want || want == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		s.t.Errorf("%s: %s, %v, want %d\n%s", path, resp.Status, resp.Header, want, body)
	}
	return string(body)
}

// A MariaDB that was made read-only answers validations alone: the daemon notices
// though nobody calls, says so, starts on it, and notices when that is over.
func TestReadOnlyMariaDB(t *testing.T) {
	database := storetest.MariaDB(t)
	s := newSite(t)
	s.write(siteConfig + fmt.Sprintf("[database]\nurl = %q\n[keys]\nmaster_file = \"master.key\"\n", database))
	stop := s.serve()
	code := s.post()[0]
	form := func(machine string) url.Values {
		return url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {machine}}
	}
	s.call("/v1/activate", form("machine-1"), http.StatusOK)
	s.call("/readyz", nil, http.StatusOK)
	noticed := s.log.expect("the database cannot be written: orders")
	writable := storetest.ReadOnly(t)
	<-noticed
	readOnly := func() {
		t.Helper()
		if body := s.call("/readyz", nil, http.StatusServiceUnavailable); !strings.Contains(body, "it is read-only. Validations go on") {
			t.Errorf("/readyz: %s", body)
		}
		s.call("/healthz", nil, http.StatusOK)
		s.call("/v1/validate", form("machine-1"), http.StatusOK)
		s.call("/v1/activate", form("machine-2"), http.StatusServiceUnavailable)
		if out := s.must(1, "check"); !strings.Contains(out, "failed  database: the database cannot be written, since it is read-only") {
			t.Errorf("check:\n%s", out)
		}
	}
	readOnly()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.serve()
	readOnly()
	over := s.log.expect("the database can be written again")
	writable()
	<-over
	s.call("/readyz", nil, http.StatusOK)
	s.call("/v1/activate", form("machine-2"), http.StatusOK)
	if n := strings.Count(s.log.String(), "level=ERROR"); n != 2 { // once a start
		t.Errorf("%d errors in the log:\n%s", n, s.log.String())
	}
}
