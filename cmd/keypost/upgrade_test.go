package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// before is the last commit with the first schema.
const before = "7743d30eea50a8c2ab9c6616898aaafa6ff040fe"

// older builds the keypost of that commit, out of the repository's history.
func older(t *testing.T) string {
	t.Helper()
	program(t) // leaves the test out where that is
	if err := exec.Command("git", "cat-file", "-e", before).Run(); err != nil {
		// A source archive, or a clone without its past: no test can bring that.
		t.Skip("left out: it needs the repository's history, and " + before + " is not there")
	}
	binary, err := olderOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var olderOnce = sync.OnceValues(func() (binary string, err error) {
	source := filepath.Join(built, "older")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	archive := exec.Command("git", "archive", before)
	archive.Dir = "../.."
	tar, err := archive.Output()
	if err != nil {
		return "", err
	}
	unpack := exec.Command("tar", "-x", "-C", source)
	unpack.Stdin = strings.NewReader(string(tar))
	if err := unpack.Run(); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", "../keypost-older", "./cmd/keypost")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(built, "keypost-older"), nil
})

// A rolling upgrade: the daemon of the version before runs on while the schema
// is migrated, and after it beside the new one. They agree on everything.
func TestRollingUpgrade(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		old := start(t, t.TempDir(), older(t), "--config", s.config)
		s.url = old.url
		first := s.post("--quantity", "2")
		if _, err := s.software("machine-1", nil).Activate(t.Context(), first[0]); err != nil {
			t.Fatal(err)
		}
		if out := s.must(1, "serve"); !strings.Contains(out, "(keypost db migrate") {
			t.Errorf("the new one on the old schema:\n%s", out)
		}
		if out := s.must(0, "db", "migrate"); !strings.Contains(out, "from schema 1 to") {
			t.Errorf("migrate:\n%s", out)
		}
		s.serve()
		fresh := s.url
		on := func(url string) *site { return &site{t: t, config: s.config, url: url} }

		// What one has taken, the other knows.
		if again := on(fresh).post("--quantity", "2"); !slices.Equal(again, first) {
			t.Errorf("codes %v, the new one says %v", first, again)
		}
		second := on(fresh).post("--transaction", "SECOND")
		if again := on(old.url).post("--transaction", "SECOND"); !slices.Equal(again, second) {
			t.Errorf("codes %v, the old one says %v", second, again)
		}
		third := on(old.url).post("--transaction", "THIRD")
		if again := on(fresh).post("--transaction", "THIRD"); !slices.Equal(again, third) {
			t.Errorf("codes %v, the new one says %v", third, again)
		}
		// Two seats, whichever is asked.
		for _, c := range []struct{ url, machine, problem string }{
			{fresh, "machine-1", ""},
			{fresh, "machine-2", ""},
			{old.url, "machine-2", ""},
			{old.url, "machine-3", "limit_reached"},
			{fresh, "machine-3", "limit_reached"},
		} {
			if problem := on(c.url).activate(first[0], c.machine); problem != c.problem {
				t.Errorf("%s at %s: %q, want %q", c.machine, c.url, problem, c.problem)
			}
		}
		s.must(0, "license", "suspend", second[0])
		if problem := on(old.url).activate(second[0], "machine-1"); problem != "code_suspended" {
			t.Errorf("the old one does not know a suspension: %q", problem)
		}
		s.must(0, "db", "verify")
	})
}
