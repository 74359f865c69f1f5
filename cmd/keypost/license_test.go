package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
)

func TestLicensesByHand(t *testing.T) { eachDatabase(t, testLicensesByHand) }

func testLicensesByHand(t *testing.T, s *site) {
	s.serve()
	code := s.post()[0]
	if problem := s.activate(code, "machine-1"); problem != "" {
		t.Fatal(problem)
	}
	var l admin.LicenseDetail
	s.read(0, &l, "license", "show", strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	if l.Code != code || l.Product != "demo" || l.Status != "active" || l.Type != "single" || l.Test || l.Limit != 2 || l.Used != 1 ||
		l.Order != (admin.OrderRef{Store: "kagi", Transaction: "CH0123456789", Line: 1}) || len(l.Activations) != 1 {
		t.Errorf("license = %+v", l)
	}
	for _, step := range []struct {
		verb, want, problem string
	}{{"suspend", "suspended", "code_suspended"}, {"revoke", "revoked", "code_revoked"}, {"restore", "active", ""}} {
		s.read(0, &l, "license", step.verb, code)
		if l.Status != step.want {
			t.Errorf("%s: %+v", step.verb, l)
		}
		if problem := s.activate(code, "machine-1"); problem != step.problem {
			t.Errorf("%s: %s", step.verb, problem)
		}
	}
	s.read(0, &l, "license", "suspend", code)
	if out := s.must(1, "license", "replace", code); !strings.Contains(out, "keypost license restore") {
		t.Errorf("replace a suspended code: %s", out)
	}
	s.must(0, "license", "restore", code)
	s.read(0, &l, "license", "reset", code)
	if l.Used != 0 {
		t.Errorf("reset = %+v", l)
	}
	old := code
	s.read(0, &l, "license", "replace", code)
	if l.Code == old || l.Status != "active" || l.Order.Transaction != "CH0123456789" {
		t.Errorf("replaced = %+v", l)
	}
	if again := s.post(); again[0] != l.Code {
		t.Errorf("the duplicate gets %v, want %s", again, l.Code)
	}
	s.must(1, "license", "replace", old)
	s.must(3, "license", "show", "NOTHING")
	s.must(2, "license", "show", "--", "--")

	// By hand: exactly once by a name of one's own.
	var o, again admin.Order
	issue := []string{"license", "issue", "demo", "--name", "Ada", "--quantity", "2", "--transaction", "gift-1"}
	s.read(0, &o, issue...)
	s.read(0, &again, issue...)
	if o.Store != "manual" || len(o.Licenses) != 2 || o.Licenses[0] != again.Licenses[0] || o.Name != "Ada" {
		t.Errorf("issued = %+v, %+v", o, again)
	}
	s.must(2, "license", "issue") // two products
	s.must(3, "license", "issue", "nothing")
	s.must(2, "license", "issue", "")
	s.must(2, "license", "issue", "demo", "--codes", "--json")
	s.must(2, "license", "issue", "demo", "--name", strings.Repeat("n", 257))
	s.must(2, "license", "issue", "demo", "--quantity", "0")
	s.must(2, "license", "issue", "demo", "--quantity", "251")
	s.must(2, "license", "issue", "demo", "--expires", "soon")
	s.must(2, "license", "issue", "demo", "--transaction", " ")
	s.must(2, "license", "issue", "demo", "--type", "")
	if out := s.must(0, "license", "issue", "demo", "--name", "Bob", "--quantity", "2", "--transaction", "GIFT-1"); !strings.Contains(out, "already existed") || strings.Contains(out, "Bob") {
		t.Errorf("another name for an order: %s", out)
	}
	s.must(2, "license", "issue", "demo", "--expires", "9999-12-31") // JSON has no year 10000
	_, expired, warning := s.run("license", "issue", "demo", "--expires", "2020-01-01", "--codes")
	if expired = strings.TrimSpace(expired); !strings.Contains(warning, "will not activate") {
		t.Errorf("a date that is past: %q", warning)
	}
	if problem := s.activate(expired, "machine-1"); problem != "code_expired" {
		t.Errorf("expired: %s", problem)
	}
	s.read(0, &l, "license", "show", expired)
	if l.Status != "active" || l.ExpiresAt == nil || !l.ExpiresAt.Equal(time.Date(2020, 1, 1, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("expired = %+v", l)
	}
	test := strings.TrimSpace(s.must(0, "license", "issue", "--product", "demo", "--test", "--codes"))
	if problem := s.activate(test, "machine-1"); problem != "code_test" {
		t.Errorf("test: %s", problem)
	}
	var list []admin.License
	s.read(0, &list, "license", "list", "--product", "demo", "--status", "active")
	if len(list) != 5 {
		t.Errorf("%d active licenses", len(list))
	}
}

// A batch for a store that takes lists: a file, which is never written over,
// and the same codes again for the same transaction.
func TestIssueBatch(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		if err := s.serve()(); err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		file := filepath.Join(folder, "codes.txt")
		s.must(2, "license", "issue", "demo", "--count", "251")
		s.must(2, "license", "issue", "demo", "--count", "2", "--out", file, "--json")
		s.must(2, "license", "issue", "demo", "--count", "100001", "--out", file)
		if out := s.must(0, "license", "issue", "demo", "--count", "600", "--out", file, "--transaction", "reseller-1"); !strings.Contains(out, "Wrote 600 codes to") {
			t.Errorf("issue:\n%s", out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		codes := strings.Fields(string(b))
		seen := map[string]bool{}
		for _, code := range codes {
			seen[code] = true
		}
		if len(codes) != 600 || len(seen) != 600 {
			t.Errorf("%d codes, %d of them different", len(codes), len(seen))
		}
		if out := s.must(1, "license", "issue", "demo", "--count", "600", "--out", file, "--transaction", "reseller-1"); !strings.Contains(out, "was not changed") {
			t.Errorf("again:\n%s", out)
		}
		again := filepath.Join(folder, "again.txt")
		for _, n := range []string{"599", "601", "10"} {
			if out := s.must(1, "license", "issue", "demo", "--count", n, "--out", again, "--transaction", "reseller-1"); !strings.Contains(out, "has 600 codes") {
				t.Errorf("%s codes:\n%s", n, out)
			}
		}
		s.must(0, "license", "issue", "demo", "--count", "600", "--out", again, "--transaction", "reseller-1")
		if b2, err := os.ReadFile(again); err != nil || string(b2) != string(b) {
			t.Errorf("the same transaction gave other codes, %v", err)
		}
		var orders []admin.Order
		if s.read(0, &orders, "order", "list"); len(orders) != 3 || orders[2].Quantity != 250 || orders[0].Quantity != 100 {
			t.Errorf("orders = %d", len(orders))
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		s.must(0, "db", "verify")
	})
}
