package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/keypost/keypost/store/queries"
)

// A database may be readable and take no writes: its disk is full, or somebody
// made it read-only. Validations go on then, so that is told apart from a
// database that is away.

// ErrNoWrites is the error of a write that the database cannot take, whatever it
// is. It is [ErrUnavailable], too.
var ErrNoWrites = errors.New("the database cannot be written")

// Why a database cannot be written.
const (
	diskFull   = "the disk is full"
	readOnly   = "it is read-only"
	diskBroken = "the disk does not work"
)

// hints are what to do about it.
var hints = map[string]string{
	diskFull:   "free some space on it",
	readOnly:   "make the file and its folder, or the server, writable again",
	diskBroken: "look at the system's log",
}

// noWrites is a write's error with its reason in a few words of ours.
type noWrites struct {
	why string
	err error
}

func (n *noWrites) Error() string {
	return fmt.Sprintf("%v, since %s: %s (%v)", ErrNoWrites, n.why, hints[n.why], n.err)
}

func (n *noWrites) Unwrap() error { return n.err }

func (n *noWrites) Is(target error) bool { return target == ErrNoWrites || target == ErrUnavailable }

// WhyNoWrites says in words that anybody may read why an [ErrNoWrites] is one;
// "": it is none.
func WhyNoWrites(err error) string {
	if n, ok := errors.AsType[*noWrites](err); ok {
		return n.why
	}
	return ""
}

// Writes says why writes failed when the last one did that nothing but the
// database was to blame for: an [ErrNoWrites], or nil. It asks nobody: only
// [DB.TryWrite] finds out that they work again.
func (db *DB) Writes() error {
	if n := db.unwritten.Load(); n != nil {
		return n
	}
	return nil
}

// OnWrites has told called, once, when writes begin to fail, with the
// [ErrNoWrites], and once when they work again, with nil.
func (db *DB) OnWrites(told func(error)) { db.onWrites.Store(&told) }

// explainWrite is explain for a write: it notes when the database takes none.
func (db *DB) explainWrite(err error) error {
	if err == nil {
		return nil
	}
	why := db.dialect.unwritable(err)
	if why == "" {
		return db.explain(err)
	}
	n := &noWrites{why, err}
	db.noteWrites(n)
	return n
}

func (db *DB) noteWrites(n *noWrites) {
	before := db.unwritten.Swap(n)
	if (before == nil) == (n == nil) {
		return
	}
	if told := db.onWrites.Load(); told != nil {
		if n != nil {
			(*told)(n)
		} else {
			(*told)(nil)
		}
	}
}

// FreeSpace is how many bytes are free on the disk of an embedded database;
// false: it is not known.
func FreeSpace(source string) (bytes uint64, ok bool) {
	path, ok := strings.CutPrefix(source, "sqlite:")
	if !ok {
		return 0, false
	}
	return freeSpace(filepath.Dir(path))
}

// TryWrite finds out whether the database takes a write, as large as any that is
// usual, and leaves nothing behind. Its errors are those of a write.
func (db *DB) TryWrite(ctx context.Context) error {
	name := "try-" + NewID()
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		owner := strings.Repeat("x", db.dialect.tryBytes)
		if err := t.InsertClaim(ctx, queries.InsertClaimParams{Name: name, Owner: owner, UpdatedAt: t.now}); err != nil {
			return err
		}
		return t.DeleteClaim(ctx, queries.DeleteClaimParams{Name: name, Owner: owner})
	})
	if err == nil {
		db.noteWrites(nil)
	}
	return err
}
