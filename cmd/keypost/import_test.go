package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Customers in the field come along: their codes activate, with the seats that
// are taken; a file can be taken in twice, and comes out as it went in.
func TestImportCSV(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		s.serve()
		folder := filepath.Dir(s.config)
		file := filepath.Join(folder, "old.csv")
		const text = "\ufeffCode,Product,Name,Email,Limit,Used,Status,Created,Expires,Store,Transaction,Store_Product\n" +
			"OLD-1,demo,Ada,ada@example.com,3,2,,2019-05-01,,,,\n" +
			"OLD-2,demo,\"'=HYPERLINK(1)\",bob@example.com,1,1,,,,,,\n" +
			"OLD-3,demo,Cy,,,,revoked,,,,,\n" +
			"OLD-4,demo,Di,,,,,,2020-01-01,,,\n" +
			"OLD-5,demo,Ed,ed@example.com,,,,,,kagi,OLDSALE,Product_Name\n" +
			"OLD-6,demo,Ed,ed@example.com,,,,,,kagi,oldsale,product_name\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := s.must(0, "import", "csv", file, "--dry-run"); !strings.Contains(out, "6 codes: 6 would be imported") {
			t.Errorf("dry run:\n%s", out)
		}
		s.must(3, "license", "show", "OLD-1")
		if out := s.must(0, "import", "csv", file); !strings.Contains(out, "6 codes: 6 were imported, 0 already exist, 0 failed") {
			t.Errorf("import:\n%s", out)
		}
		if out := s.must(0, "import", "csv", file); !strings.Contains(out, "0 were imported, 6 already exist") {
			t.Errorf("import again:\n%s", out)
		}
		for _, c := range []struct{ code, machine, problem string }{
			{"old1", "machine-1", ""},
			{"OLD-1", "machine-2", "limit_reached"},
			{"OLD-2", "machine-1", "limit_reached"},
			{"OLD-3", "machine-1", "code_revoked"},
			{"OLD-4", "machine-1", "code_expired"},
			{"OLD-5", "machine-1", ""},
		} {
			if problem := s.activate(c.code, c.machine); problem != c.problem {
				t.Errorf("%s on %s: %q, want %q", c.code, c.machine, problem, c.problem)
			}
		}
		s.must(0, "license", "reset", "OLD-1")
		if problem := s.activate("OLD-1", "machine-2"); problem != "" {
			t.Error(problem)
		}
		// The store's repeat of an imported sale gets the imported codes.
		if got := s.post("--transaction", "OLDSALE", "--quantity", "2"); strings.Join(got, " ") != "OLD-5 OLD-6" {
			t.Errorf("a repeat = %v", got)
		}
		s.must(0, "db", "verify")

		// What comes out goes in again, elsewhere.
		out := filepath.Join(folder, "out.csv")
		s.must(0, "export", "csv", out)
		s.must(1, "export", "csv", out)
		b, err := os.ReadFile(out)
		if err != nil || !strings.Contains(string(b), "'=HYPERLINK(1)") {
			t.Errorf("%v\n%s", err, b)
		}
		other := newSite(t)
		if err := other.serve()(); err != nil {
			t.Fatal(err)
		}
		other.must(0, "import", "csv", out)
		again := filepath.Join(folder, "again.csv")
		other.must(0, "export", "csv", again)
		b2, err := os.ReadFile(again)
		if err != nil || len(strings.Fields(string(b2))) != len(strings.Fields(string(b))) {
			t.Errorf("%v\n%s\n%s", err, b, b2)
		}
	})
}

func TestImportCSVFaults(t *testing.T) {
	s := newSite(t)
	s.serve()
	taken := s.post()[0]
	file := filepath.Join(t.TempDir(), "f.csv")
	try := func(text string, code int, want ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := s.must(code, "import", "csv", file, "--product", "demo")
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%q: no %q in\n%s", text, w, out)
			}
		}
	}
	try("", 1, "must name the columns")
	try("code,colour\nA,red\n", 1, "unknown")
	try("code,code\nA,B\n", 1, "appears twice")
	try("code,limit\nA,many\nB,1\n", 1, "line 2: limit", "1 were imported", "1 failed")
	try("code,limit,used\nC,1,2\n", 1, "more than the limit")
	try("code,status\nC,broken\n", 1, "status")
	try("code,created\nC,soon\n", 1, "created")
	try("code,expires\nC,soon\n", 1, "expires")
	try("code,product\nC,nothing\n", 1, "is not in the config")
	try("code,email\nC,a@b\nD,\"x\r\ny@z\"\n", 1, "line 3: name, email")
	try("code\n---\n", 1, "letter or digit")
	try("code\n"+taken+"\n", 1, "already exists with different data")
	try("code,limit\nE,\"1\n", 1, "f.csv")
	try("code,name\nF,a\nG\nH,c\n", 1, "line 3: it has 1 cells", "2 were imported")
	try("code\nI\ni\n", 1, "line 3: the code is also on line 2", "1 were imported")
	try("code\nESC-\x1b\n", 1, "control characters")
	// A dry run promises nothing that would be refused.
	for _, text := range []string{"code\n" + taken + "\n", "code,store,transaction,store_product\nJ,kagi,CH0123456789,Product_Name\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := s.must(1, "import", "csv", file, "--product", "demo", "--dry-run"); !strings.Contains(out, "already exists with different data") {
			t.Errorf("dry run of %q:\n%s", text, out)
		}
	}
}
