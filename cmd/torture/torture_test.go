package main

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var rounds = flag.Int("rounds", 6, "how often the daemon is killed")

// A kill at any moment loses no acknowledged order, issues none twice and
// leaks no seat.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and kills a real daemon: make test does it")
	}
	binary := filepath.Join(t.TempDir(), "keypost")
	if b, err := exec.Command("go", "build", "-o", binary, "../keypost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	var out strings.Builder
	err := run(t.Context(), []string{"-keypost", binary, "-rounds", fmt.Sprint(*rounds)}, &out)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}
