package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// The command measures every row and writes the page; so short, its figures
// mean nothing.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts real processes: make test does it")
	}
	for _, program := range []string{"mariadbd", "cc", "clang", "wasm-ld", "dovecot", "exim4", "mbsync"} {
		if _, err := exec.LookPath(program); errors.Is(err, exec.ErrNotFound) {
			storetest.LeaveOut(t, program+" is missing: make test installs it")
		}
	}
	if os.Getuid() != 0 {
		storetest.LeaveOut(t, "as root alone Dovecot can keep mail for another user")
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

// What is measured is databases as Keypost leaves them: after the fill, and after
// the rows of plain SQL, no rule of db verify is broken.
func TestFillIsWhole(t *testing.T) {
	for _, kind := range []string{sqlite, mariadb} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath("mariadbd"); err != nil && kind == mariadb {
				storetest.LeaveOut(t, "MariaDB is missing: make test installs it")
			}
			b := &bench{size: quick, out: io.Discard, large: map[int]string{}}
			if err := b.setUp(); err != nil {
				t.Fatal(err)
			}
			defer b.tearDown()
			database, err := b.filled(t.Context(), kind, 250)
			if err != nil {
				t.Fatal(err)
			}
			whole := func(after string, orders int64) {
				t.Helper()
				db, err := store.Open(t.Context(), database, store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				list, err := db.Verify(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range list {
					if v.Broken > 0 {
						t.Errorf("after %s: %s: not so for %d of %d", after, v.What, v.Broken, v.Rows)
					}
					if v.What == "each order has a key" && v.Rows != orders {
						t.Errorf("after %s: %d orders, want %d", after, v.Rows, orders)
					}
				}
			}
			whole("the fill", 250)
			p, err := openPlain(database)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, rows := range []plainRows{activationRows, orderRows} {
				if _, err := p.side(rows)(t.Context(), connections); err != nil {
					t.Fatal(err)
				}
			}
			whole("plain SQL", 250+connections)
		})
	}
}

// A part of the rows is measured alone, and the page stays as it is.
func TestOnly(t *testing.T) {
	t.Chdir("../..")
	page := filepath.Join(t.TempDir(), "benchmarks.md")
	var out strings.Builder
	if err := run(t.Context(), []string{"-quick", "-page", page, "-only", "^(random|signed) codes$"}, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "codes/s") || !strings.Contains(text, "\nsigned codes ") {
		t.Errorf("it says\n%s", text)
	}
	if _, err := os.Stat(page); err == nil {
		t.Error("a page was written")
	}
	if err := run(t.Context(), []string{"-quick", "-only", "no such row"}, &out); err == nil {
		t.Error("no row matches, and all is well")
	}
}

// A row says whether it has its target: more of a ratio or a rate, less of
// another figure.
func TestMet(t *testing.T) {
	for _, c := range []struct {
		unit     string
		measured float64
		want     bool
	}{
		{"", 2, true},
		{"", 1.99, false},
		{"codes/s", 2, true},
		{"codes/s", 1.9, false},
		{"codes/s", 3000, true},
		{"s", 1.9, true},
		{"s", 2, false},
		{"MiB", 3000, false},
	} {
		r := result{row: row{target: 2, unit: c.unit}, measured: c.measured}
		if r.met() != c.want {
			t.Errorf("%+v", r)
		}
	}
}

// Codes that are there twice are counted.
func TestRepeated(t *testing.T) {
	if n := repeated([]uint64{3, 1, 2}); n != 0 {
		t.Error(n)
	}
	if n := repeated([]uint64{3, 1, 3, 2, 1, 3}); n != 3 {
		t.Error(n)
	}
}

// The test's own program is the servers that are compared with, too.
func TestMain(m *testing.M) {
	if is, err := servers(os.Stdout); is {
		panic(err)
	}
	os.Exit(m.Run())
}
