package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
)

// A signed code that an earlier installation sold activates here: it becomes a
// license with what it says, once. One that anybody could have written does not.
func TestAdoptSignedCodes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		s.write(strings.Replace(s.text(), "limit = 2\n", "limit = 2\nadopt = true\ngenerator = { kind = \"signed\" }\n", 1))
		stop := s.serve()
		var tried []admin.Trial
		s.read(0, &tried, "keygen", "try", "demo", "--type", "site", "--expires", "2099-12-31")
		code := tried[0].Code
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		s.serve()
		s.must(3, "license", "show", code)
		for machine, problem := range map[string]string{"machine-1": "", "machine-2": ""} {
			if got := s.activate(strings.ToLower(code), machine); got != problem {
				t.Errorf("%s: %q", machine, got)
			}
		}
		if got := s.activate(code, "machine-3"); got != "limit_reached" {
			t.Errorf("a third machine: %q", got)
		}
		var l admin.License
		s.read(0, &l, "license", "show", code)
		if l.Order.Store != "adopted" || l.Type != "site" || l.Limit != 2 || l.Used != 2 || l.ExpiresAt == nil || l.ExpiresAt.Format(time.RFC3339) != "2099-12-31T23:59:59Z" {
			t.Errorf("license = %+v", l)
		}
		last := byte('2')
		if code[len(code)-1] == last {
			last = '3'
		}
		if got := s.activate(code[:len(code)-1]+string(last), "machine-1"); got != "code_unknown" {
			t.Errorf("a forged code: %q", got)
		}
		s.must(0, "license", "revoke", code)
		if got := s.activate(code, "machine-1"); got != "code_revoked" {
			t.Errorf("revoked: %q", got)
		}
		s.must(0, "db", "verify")
	})
}
