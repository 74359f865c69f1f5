package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store/storetest"
)

// A database that takes no writes says so by a write's error, until a write of
// usual size works again; reads go on. Each change is told once.
func TestNoWrites(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			db := mustOpen(t, b.new(t), Options{Create: true})
			l := issued(t, db, 3)
			var told []string
			db.OnWrites(func(err error) { told = append(told, WhyNoWrites(err)) })
			if err := errors.Join(db.Writes(), db.TryWrite(t.Context())); err != nil {
				t.Fatal(err)
			}
			why := "it is read-only"
			var mend func()
			switch b.name {
			case "mariadb":
				mend = storetest.ReadOnly(t)
			case galera.name:
				c, _ := storetest.Galera(t)
				mend = storetest.ReadOnly(t, c.Nodes...)
			default:
				why, mend = "the disk is full", fillSQLite(t, db)
			}
			for range 3 {
				if err := db.AddMessage(t.Context(), large()); !errors.Is(err, ErrNoWrites) || !errors.Is(err, ErrUnavailable) || WhyNoWrites(err) != why {
					t.Errorf("a message: %v", err)
				}
				if err := db.TryWrite(t.Context()); !errors.Is(err, ErrNoWrites) {
					t.Errorf("try: %v", err)
				}
			}
			if got := db.Writes(); WhyNoWrites(got) != why {
				t.Errorf("writes: %v", got)
			}
			if _, err := db.License(t.Context(), l.ID); err != nil {
				t.Errorf("a read: %v", err)
			}
			mend()
			if db.Writes() == nil {
				t.Error("nobody has tried, and yet writes work")
			}
			if err := db.TryWrite(t.Context()); err != nil || db.Writes() != nil {
				t.Errorf("afterwards: %v, %v", err, db.Writes())
			}
			if err := db.AddMessage(t.Context(), large()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{why, ""}, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if claims, err := db.read.ClaimsLike(t.Context(), "try-%"); err != nil || len(claims) != 0 {
				t.Errorf("it left %v, %v", claims, err)
			}
		})
	}
}

// fillSQLite lets the database's file grow no more, until mend is called.
func fillSQLite(t *testing.T, db *DB) (mend func()) {
	t.Helper()
	limit := func(pages string) {
		if _, err := db.writer.ExecContext(context.Background(), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // as many as there are
	for db.AddMessage(t.Context(), large()) == nil {
	} // until no free page is left
	return func() { limit("1000000") }
}

// large is a write that needs more pages than may be free.
func large() Message {
	return Message{ID: NewID(), Channel: "kagi", Verdict: VerdictRefused, Raw: make([]byte, 64<<10)}
}

// A read-only file is no reason not to read it, and says what to do.
func TestReadOnlyFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("left out: root may write to everything")
	}
	file := filepath.Join(t.TempDir(), "k.db")
	db := mustOpen(t, "sqlite:"+file, Options{Create: true})
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	other := mustOpen(t, "sqlite:"+file, Options{})
	if err := other.TryWrite(t.Context()); WhyNoWrites(err) != "it is read-only" {
		t.Error(err)
	}
	if err := db.TryWrite(t.Context()); err != nil { // it was opened before
		t.Error(err)
	}
}
