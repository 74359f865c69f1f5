package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenSetsUpOnlyWhenTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "keypost.db")
	if _, err := Open(t.Context(), "sqlite:"+file, Options{}); !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("no file: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a look made the file")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+file, Options{}); !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("an empty file: %v", err)
	}
	db := mustOpen(t, "sqlite:"+file, Options{Create: true})
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database's mode is %v, %v", info.Mode(), err)
	}
}

func TestOpenRefusesOtherSchemas(t *testing.T) {
	source := "sqlite:" + filepath.Join(t.TempDir(), "k.db")
	db := mustOpen(t, source, Options{Create: true})
	for _, c := range []struct{ change, want string }{
		{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)", "run a newer keypost"},
		{"DELETE FROM goose_db_version WHERE version_id > 0", "not set up yet"},
	} {
		if _, err := db.writer.ExecContext(t.Context(), c.change); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), source, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("after %s: %v, want %q", c.change, err, c.want)
		}
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	for _, source := range []string{"", "sqlite:", "postgres://u:secret@h/db", "keypost.db"} {
		_, err := Open(t.Context(), source, Options{Create: true})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): %v", source, err)
		}
	}
}

// Several processes may start at once on a new database.
func TestOpenRace(t *testing.T) {
	source := "sqlite:" + filepath.Join(t.TempDir(), "k.db")
	parallel(24, func(int) {
		db, err := Open(context.Background(), source, Options{Create: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		if err := db.Ping(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestUnavailable(t *testing.T) {
	db := mustOpen(t, "sqlite:"+filepath.Join(t.TempDir(), "k.db"), Options{Create: true})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := db.AddOrder(t.Context(), newOrder("T", "k", "C"))
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("AddOrder on a closed database: %v", err)
	}
	if _, err := db.FindLicense(t.Context(), "p", "c"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("FindLicense: %v", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ping: %v", err)
	}
}

func TestNormalCode(t *testing.T) {
	for _, code := range []string{"ab c-d", "ABCD", " a-b–c\u00a0d\t", "--AB--CD--"} {
		if got := NormalCode(code); got != "ABCD" {
			t.Errorf("NormalCode(%q) = %q", code, got)
		}
	}
}
