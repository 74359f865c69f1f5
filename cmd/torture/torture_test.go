package main

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

var (
	rounds       = flag.Int("rounds", 8, "how often something is killed")
	galeraRounds = flag.Int("galerarounds", 4, "how often a node of a cluster is killed, stopped or locked, or a daemon killed: each takes some seconds")
)

// A kill of daemons and of their database at any moment loses no acknowledged
// order, issues none twice and leaks no seat.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and kills a real daemon: make test does it")
	}
	binary := filepath.Join(t.TempDir(), "keypost")
	if b, err := exec.Command("go", "build", "-o", binary, "../keypost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	for database, rounds := range map[string]int{"sqlite": *rounds, "mariadb": *rounds, "galera": *galeraRounds} {
		t.Run(database, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), []string{"-keypost", binary, "-rounds", fmt.Sprint(rounds), "-database", database}, &out)
			t.Log(out.String())
			if errors.Is(err, exec.ErrNotFound) {
				storetest.LeaveOut(t, "MariaDB, Galera, openssl or clang is missing: make test installs them")
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
