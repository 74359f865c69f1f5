package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"

	"github.com/keypost/keypost/store/storetest"
)

// The day that somebody types is the day that everybody sees: in what commands
// print, in scripts' JSON, in an export, in the mail to the buyer.
func TestTheDayThatWasTyped(t *testing.T) {
	s := newSite(t)
	s.add("\n[mail]\nsmtp = \"127.0.0.1:1\"\nfrom = \"shop@example.com\"\nvendor = \"me@example.com\"\n")
	if err := s.serve()(); err != nil {
		t.Fatal(err)
	}
	s.must(0, "license", "issue", "demo", "--expires", "2127-01-01", "--transaction", "typed")
	s.must(0, "import", "csv", s.place("old.csv", "code,product,created,expires\nISO,demo,2019-05-01,2127-01-01\nDOTS,demo,1.5.2019,1.1.2127\nTIME,demo,2019-05-01T10:00:00Z,2127-01-01T18:00:00+02:00\n"))
	var o admin.Order
	s.read(0, &o, "order", "show", "manual", "typed")
	file := filepath.Join(filepath.Dir(s.config), "out.csv")
	s.must(0, "export", "csv", file)
	exported, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]struct{ shown, stored, cell string }{
		o.Licenses[0]: {"2127-01-01 (inclusive", "2127-01-01T23:59:59Z", ",2127-01-01,"},
		"ISO":         {"2127-01-01 (inclusive", "2127-01-01T23:59:59Z", ",2127-01-01,"},
		"DOTS":        {"2127-01-01 (inclusive", "2127-01-01T23:59:59Z", ",2127-01-01,"},
		"TIME":        {"2127-01-01 16:00 UTC", "2127-01-01T16:00:00Z", ",2127-01-01T16:00:00Z,"},
	} {
		if out := s.must(0, "license", "show", code); !strings.Contains(out, want.shown) {
			t.Errorf("%s is shown as\n%s", code, out)
		}
		var l admin.License
		if s.read(0, &l, "license", "show", code); l.ExpiresAt == nil || l.ExpiresAt.Format(time.RFC3339) != want.stored {
			t.Errorf("%s: %v", code, l.ExpiresAt)
		}
		for line := range strings.Lines(string(exported)) {
			if strings.Contains(line, code) && !strings.Contains(line, want.cell) {
				t.Errorf("%s is exported as\n%s", code, line)
			}
		}
	}
	for _, code := range []string{"ISO", "DOTS"} {
		if out := s.must(0, "license", "show", code); !regexp.MustCompile(`issued +2019-05-01\n`).MatchString(out) {
			t.Errorf("%s is shown as\n%s", code, out)
		}
	}
	if n := strings.Count(string(exported), ",2019-05-01,"); n != 2 {
		t.Errorf("%d of 2 days are exported as days:\n%s", n, exported)
	}
	if out := s.must(0, "mail", "preview", "demo", "manual", "typed"); !strings.Contains(out, "1 January 2127") {
		t.Errorf("the buyer reads\n%s", out)
	}
}

// The machine's time zone changes nothing about a day.
func TestTheDayInOtherTimeZones(t *testing.T) {
	binary := program(t)
	s := newSite(t)
	if err := s.serve()(); err != nil {
		t.Fatal(err)
	}
	s.must(0, "import", "csv", s.place("old.csv", "code,product,created,expires\nOLD,demo,2019-05-01,2127-01-01\n"))
	for _, zone := range []string{"Pacific/Auckland", "America/Los_Angeles"} {
		if _, err := time.LoadLocation(zone); err != nil {
			storetest.LeaveOut(t, "the time zones are missing (tzdata)")
		}
		cmd := exec.Command(binary, "license", "show", "OLD", "--config", s.config)
		cmd.Env = append(os.Environ(), "TZ="+zone)
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`expires +2127-01-01 \(inclusive`).Match(out) || !regexp.MustCompile(`issued +2019-05-01\n`).Match(out) {
			t.Errorf("%s: %v\n%s", zone, err, out)
		}
	}
}

func TestEnds(t *testing.T) {
	midnight := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC) // as older versions stored 2027-01-01
	if got := ends(&midnight); !strings.HasPrefix(got, "2027-01-01 (inclusive") {
		t.Error(got)
	}
}
