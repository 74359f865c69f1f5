package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// The command measures every row and writes the page; so short, its figures
// mean nothing.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts real processes: make test does it")
	}
	if _, err := exec.LookPath("mariadbd"); errors.Is(err, exec.ErrNotFound) {
		storetest.LeaveOut(t, "MariaDB is missing: make test installs it")
	}
	t.Chdir("../..") // profiles build the daemon from here
	folder := t.TempDir()
	binary, page := filepath.Join(folder, "keypost"), filepath.Join(folder, "benchmarks.md")
	if b, err := exec.Command("go", "build", "-o", binary, "./cmd/keypost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-quick", "-keypost", binary, "-page", page}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !strings.Contains(string(text), "\n| "+r.what+" | ") {
			t.Errorf("the page lacks %s:\n%s", r.what, text)
		}
	}
}

// The test's own program is the empty server, too.
func TestMain(m *testing.M) {
	if os.Getenv(emptyServer) != "" {
		if err := serveEmpty(os.Stdout); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
