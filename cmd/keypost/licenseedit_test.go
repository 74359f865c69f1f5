package main

import (
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
)

// A vendor gives a buyer more machines and another end, frees one machine of two,
// and finds the license by what the buyer wrote of the code.
func TestLicenseEdit(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		s.serve()
		code := s.post()[0]
		for _, machine := range []string{"machine-1", "machine-2"} {
			if problem := s.activate(code, machine); problem != "" {
				t.Fatal(problem)
			}
		}
		if problem := s.activate(code, "machine-3"); problem != "limit_reached" {
			t.Errorf("a third of two machines: %q", problem)
		}
		var l admin.LicenseDetail
		s.read(0, &l, "license", "edit", code, "--limit", "3", "--expires", "2127-01-01", "--type", "team", "--note", "a courtesy")
		if l.Limit != 3 || l.ExpiresAt == nil || l.Type != "team" || l.Note != "a courtesy" || len(l.Activations) != 2 {
			t.Errorf("edited: %+v", l)
		}
		if problem := s.activate(code, "machine-3"); problem != "" {
			t.Errorf("a third of three machines: %q", problem)
		}
		if out := s.must(1, "license", "edit", code, "--limit", "2"); !strings.Contains(out, "keypost license release CODE ACTIVATION") {
			t.Errorf("a limit below the machines:\n%s", out)
		}
		s.read(0, &l, "license", "edit", code, "--expires", "never", "--note", "")
		if l.ExpiresAt != nil || l.Note != "" || l.Limit != 3 {
			t.Errorf("edited again: %+v", l)
		}
		for _, wrong := range [][]string{{}, {"--limit", "-1"}, {"--type", " "}, {"--expires", "soon"}, {"--note", strings.Repeat("x", 5000)}} {
			s.must(2, append([]string{"license", "edit", code}, wrong...)...)
		}

		s.read(0, &l, "license", "release", code, l.Activations[0].ID)
		if l.Used != 2 || len(l.Activations) != 2 {
			t.Errorf("released: %+v", l)
		}
		s.must(3, "license", "release", code, "01KABCDEFGHJKMNPQRSTVWXYZ0")
		s.must(0, "db", "verify")

		if s.read(0, &l, "license", "show", strings.ToLower(code[:8])); l.Code != code {
			t.Errorf("by its beginning: %+v", l)
		}
		mistyped := code[:len(code)-7] + "????" + code[len(code)-3:]
		if out := s.must(3, "license", "show", mistyped); !strings.Contains(out, "letters and digits match "+code) {
			t.Errorf("a mistyped code:\n%s", out)
		}
		var list []admin.License
		if s.read(0, &list, "license", "list", "--beginning", code[:4]); len(list) != 1 {
			t.Errorf("list by a beginning: %+v", list)
		}
		if out := s.must(0, "license", "replace", code); !strings.Contains(out, "keypost order resend kagi CH0123456789 1") {
			t.Errorf("replace:\n%s", out)
		}
	})
}

// Orders are found by what a buyer writes, and by their day.
func TestOrderListFilters(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.post()
	s.post("--transaction", "T2", "--name", "Ada Lovelace", "--email", "Ada@Example.com")
	for _, c := range []struct {
		want int
		args []string
	}{
		{2, nil},
		{1, []string{"--email", "ada@example.COM"}},
		{1, []string{"--name", "ada lovelace"}},
		{0, []string{"--email", "nobody@example.com"}},
		{2, []string{"--from", "2020-01-01"}},
		{0, []string{"--to", "2020-01-01"}},
	} {
		var list []admin.Order
		if s.read(0, &list, append([]string{"order", "list"}, c.args...)...); len(list) != c.want {
			t.Errorf("%q: %d orders, want %d", c.args, len(list), c.want)
		}
	}
	s.must(2, "order", "list", "--from", "soon")
}

// What cannot be undone is asked first.
func TestConfirm(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.post("--email", "ada@example.com")
	if out := s.must(2, "customer", "forget", "ada@example.com"); !strings.Contains(out, "the buyer of 1 order") || !strings.Contains(out, "--yes") {
		t.Errorf("forget:\n%s", out)
	}
	if out := s.must(0, "customer", "forget", "ada@example.com", "--dry-run"); !strings.Contains(out, "Would be erased: the buyer of 1 order") {
		t.Errorf("a dry run:\n%s", out)
	}
	s.must(0, "customer", "show", "ada@example.com")
	s.must(0, "customer", "forget", "ada@example.com", "--yes")
	s.must(3, "customer", "show", "ada@example.com")
	s.must(0, "keys", "rotate") // the first time nothing is asked
	if out := s.must(2, "keys", "rotate"); !strings.Contains(out, "does not know it") || !strings.Contains(out, "--yes") {
		t.Errorf("rotate twice:\n%s", out)
	}
	s.must(0, "keys", "rotate", "--yes")
}

// The language of the mail with the codes is the vendor's to set.
func TestLanguageByHand(t *testing.T) {
	s := newSite(t)
	s.create()
	s.must(0, "license", "issue", "demo", "--transaction", "gift-1", "--email", "ada@example.com", "--language", "de")
	if out := s.must(0, "mail", "preview", "demo", "manual", "gift-1"); !strings.Contains(out, "Guten Tag") && !strings.Contains(out, "Hallo") {
		t.Errorf("in German:\n%s", out)
	}
	s.must(0, "customer", "edit", "ada@example.com", "--language", "en")
	if out := s.must(0, "mail", "preview", "demo", "manual", "gift-1"); !strings.Contains(out, "Hello") {
		t.Errorf("in English:\n%s", out)
	}
	s.must(2, "customer", "edit", "ada@example.com", "--language", "German, please")

	s.write(strings.Replace(siteConfig, "id = \"demo\"\n", "id = \"demo\"\nlanguage = \"de\"\n", 1))
	s.must(0, "license", "issue", "demo", "--transaction", "gift-2")
	if out := s.must(0, "order", "show", "manual", "gift-2"); !strings.Contains(out, "language      de") {
		t.Errorf("the product's language:\n%s", out)
	}
	if out := s.must(0, "mail", "template", "codes.de.txt"); !strings.Contains(out, "{{") {
		t.Errorf("the built-in template:\n%s", out)
	}
	s.must(3, "mail", "template", "codes.xx.txt")
	s.must(2, "license", "issue", "demo", "--language", "\x00")
	if out := s.must(0, "--version"); !strings.HasPrefix(out, "keypost ") {
		t.Errorf("--version: %q", out)
	}
}
