package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
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
	for _, kind := range []string{"sqlite", "mariadb"} {
		t.Run(kind, func(t *testing.T) {
			database := "sqlite:keypost.db"
			if kind == "mariadb" {
				database = storetest.MariaDB(t)
			}
			var out strings.Builder
			err := run(t.Context(), []string{"-keypost", binary, "-rounds", fmt.Sprint(*rounds), "-database", database}, &out)
			t.Log(out.String())
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(storetest.Main(m))
}
