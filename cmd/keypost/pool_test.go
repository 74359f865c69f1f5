package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
)

// A store of codes that were made elsewhere: loaded from the config's file and
// by hand, sold, run low, empty, filled again.
func TestPoolOfCodes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		folder := filepath.Dir(s.config)
		file := filepath.Join(folder, "codes.txt")
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(file, "\ufeff# from the factory\nFACTORY-1\r\n\n  FACTORY-2  \nfactory 1\n")
		s.write(s.text() + "[[product]]\nid = \"boxed\"\ngenerator = { kind = \"pool\", file = \"codes.txt\", low = 2 }\nlimit = 1\n")
		s.serve()
		if got := s.post("--product", "boxed", "--transaction", "B1"); !slices.Equal(got, []string{"FACTORY-1"}) {
			t.Errorf("first = %v", got)
		}
		if out := s.must(0, "check"); !strings.Contains(out, "warning pool boxed: 1 code left of 2") {
			t.Errorf("check:\n%s", out)
		}
		// Test orders take none.
		if got := s.post("--product", "boxed", "--transaction", "TEST", "--test"); strings.HasPrefix(got[0], "FACTORY") {
			t.Errorf("a test order took %v", got)
		}
		s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "boxed", "--transaction", "B2", "--quantity", "2")
		if out := s.must(0, "order", "show", "kagi", "B2"); !strings.Contains(out, "pool_empty") || !strings.Contains(out, "keypost pool load") {
			t.Errorf("order show:\n%s", out)
		}
		s.must(4, "order", "approve", "kagi", "B2")
		more := filepath.Join(folder, "more.txt")
		write(more, "MORE-1\nMORE-2\nFACTORY-2\n")
		if out := s.must(0, "pool", "load", "boxed", more); !strings.Contains(out, "Added 2 codes to the pool boxed; 1 were already there") {
			t.Errorf("load:\n%s", out)
		}
		var o admin.Order
		s.read(0, &o, "order", "approve", "kagi", "B2")
		if !slices.Equal(o.Licenses, []string{"FACTORY-2", "MORE-1"}) {
			t.Errorf("approved = %v", o.Licenses)
		}
		if out := s.must(0, "keygen", "try", "boxed"); out != "MORE-2\n" {
			t.Errorf("try: %q", out)
		}
		if out := s.must(1, "keygen", "try", "boxed", "--quantity", "2"); !strings.Contains(out, "no code left") {
			t.Errorf("try two:\n%s", out)
		}
		var pools []admin.Pool
		if s.read(0, &pools, "pool", "show"); len(pools) != 1 || pools[0] != (admin.Pool{Pool: "boxed", Codes: 4, Free: 1, Low: true}) {
			t.Errorf("pools = %+v", pools)
		}
		if out := s.must(0, "pool", "show"); !strings.Contains(out, "boxed  4      1     yes") {
			t.Errorf("pool show:\n%s", out)
		}
		write(more, "GOOD\n---\n")
		if out := s.must(1, "pool", "load", "boxed", more); !strings.Contains(out, "more.txt:2:") {
			t.Errorf("a bad line:\n%s", out)
		}
		write(more, "GOOD\nESC-\x1b[31m\n")
		s.must(1, "pool", "load", "boxed", more)
		s.must(3, "pool", "load", "nothing", more)
		s.must(1, "pool", "load", "demo", file)
		s.must(1, "pool", "load", "boxed", filepath.Join(folder, "missing"))
		s.must(0, "db", "verify")
	})
}

// keygen try shows codes and issues none.
func TestKeygenTry(t *testing.T) {
	s := newSite(t)
	s.write(s.text() + "[[product]]\nid = \"both\"\ngives = [\"demo\", \"other\"]\n")
	if out := s.must(0, "keygen", "try", "demo", "--quantity", "2"); len(strings.Fields(out)) != 2 {
		t.Errorf("try:\n%s", out)
	}
	var tried []admin.Trial
	if s.read(0, &tried, "keygen", "try", "both"); len(tried) != 2 || tried[1].Product != "other" {
		t.Errorf("a bundle: %+v", tried)
	}
	s.must(3, "keygen", "try", "nothing")
	s.must(2, "keygen", "try", "demo", "--quantity", "251")
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.config), "data")); err == nil {
		t.Error("trying made a database")
	}
}
