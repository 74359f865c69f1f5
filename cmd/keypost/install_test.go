package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// make install puts a binary that runs, and a unit that systemd takes and that
// starts it, under DESTDIR and PREFIX and nowhere else.
func TestInstall(t *testing.T) {
	binary := program(t)
	tree := t.TempDir()
	// A copy of what is installed: what was built in the working copy stays.
	for from, to := range map[string]string{"../../Makefile": "Makefile", "../../docs/deploy": "docs/deploy", binary: "bin/keypost"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, to)), 0o700); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "cp", "-r", from, filepath.Join(tree, to))
	}
	install := func(args ...string) {
		t.Helper()
		mustRun(t, "make", append([]string{"-C", tree, "install"}, args...)...)
	}
	dest := t.TempDir()
	install("DESTDIR="+dest, "PREFIX=/usr")
	var found []string
	err := filepath.WalkDir(dest, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, dest))
		}
		return err
	})
	const want = "/usr/bin/keypost /usr/lib/systemd/system/keypost.service /usr/share/doc/keypost/Caddyfile /usr/share/doc/keypost/nginx.conf"
	if got := strings.Join(found, " "); err != nil || got != want {
		t.Errorf("installed: %s, %v", got, err)
	}
	if out, err := exec.Command(filepath.Join(dest, "usr/bin/keypost"), "version").Output(); err != nil || !strings.HasPrefix(string(out), "keypost ") {
		t.Errorf("version: %q, %v", out, err)
	}
	unit, err := os.ReadFile(filepath.Join(dest, "usr/lib/systemd/system/keypost.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/bin/keypost serve ") {
		t.Errorf("the unit starts something else: %v\n%s", err, unit)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		storetest.LeaveOut(t, "systemd-analyze is missing: it is a part of systemd")
	}
	prefix := t.TempDir()
	install("PREFIX=" + prefix)
	out, err := exec.Command("systemd-analyze", "verify", filepath.Join(prefix, "lib/systemd/system/keypost.service")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "keypost.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
