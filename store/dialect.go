package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A dialect holds the few things in which the databases differ.
type dialect struct {
	goose     string           // goose's name for it
	versions  string           // counts the tables that hold the schema's version
	duplicate func(error) bool // a UNIQUE or PRIMARY KEY is taken
	transient func(error) bool // the whole transaction may be tried again
	check     func(context.Context, *sql.DB) error
}

var sqliteDialect = dialect{
	goose:    "sqlite3",
	versions: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'",
	duplicate: func(err error) bool {
		code := sqliteCode(err)
		return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	},
	transient: func(err error) bool {
		switch sqliteCode(err) & 0xff { // the primary result code
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return true
		}
		return false
	},
	check: checkSQLite,
}

// checkSQLite reads all pages, and the settings that this process's writer has.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	for _, want := range []struct{ pragma, value, mend string }{
		{"quick_check", "ok", "restore a backup"},
		{"journal_mode", "wal", "the folder's file system must support shared memory: use a local disk"},
		{"synchronous", "2", "commits would not survive a loss of power"},
		{"foreign_keys", "1", "the database cannot guard its rows"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("PRAGMA %s is %s, not %s: %s", want.pragma, got, want.value, want.mend)
		}
	}
	return nil
}

func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
