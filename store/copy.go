package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// copied are the tables that a copy takes along, each after those that it
// points to; the first column is the key. Claims belong to the processes that
// run, and pauses to the database that they are in.
var copied = []string{
	"sale", "orders", "order_key", "money_event", "license", "share", "status_reason", "activation", "upgrade", "pool_code", "outbox", "message",
	"mail", "mail_body", "mail_number", "mailbox",
	"audit", "audit_seal", "signing_key",
}

// ErrNotEmpty is what [Copy] answers for a target that was used.
var ErrNotEmpty = errors.New("it is not empty: copy into a new database")

// CopyOptions for [Copy].
type CopyOptions struct {
	Pause    string                                // why outbox and pools rest in the target until confirmed; "": they do not
	Progress func(table string, done, total int64) // rows of all tables, now and then; may be nil
	Now      func() time.Time                      // the clock; nil: time.Now
}

// A Copied tells of one table that was copied: rows, and SHA-256 over all of
// them, which was found to be the same in both databases.
type Copied struct {
	Table string
	Rows  int64
	Sum   [32]byte
}

// Copy copies a database into an empty one of either kind, as it is at one
// moment, while daemons may go on writing to the source. The target has the
// source's schema first and is brought to this binary's at the end. Until all
// is there and compared it cannot be opened ([ErrUnfinished]). A target that was
// made and never used counts as empty, and so does one into which a copy was
// broken off. [ErrNotEmpty] for any other.
func Copy(ctx context.Context, source, target string, o CopyOptions) ([]Copied, error) {
	from, err := connect(source, opening{readOnly: true, slow: true}, o.Now)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	version, err := from.schemaVersion(ctx)
	if err == nil && version == 0 {
		err = ErrNoDatabase
	}
	if err == nil {
		err = from.learn(ctx)
	}
	if err == nil && version > newest() {
		err = fmt.Errorf("%w: it has schema %d, this keypost knows %d: take a newer keypost", ErrSchema, version, newest())
	}
	if err == nil && version >= pausesSince {
		err = from.finished(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", Name(source), err)
	}
	undo := undoNew(target)
	to, err := connect(target, opening{create: true, slow: true}, o.Now)
	if err != nil {
		return nil, err
	}
	list, err := copyInto(ctx, from, to, version, o)
	if err == nil && to.dialect.end != nil {
		err = to.dialect.end(ctx, to)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		undo()
		err = fmt.Errorf("copy to %s: %w", Name(target), err)
	}
	return list, err
}

// undoNew removes an embedded database that was not there before: half a copy
// is of no use.
func undoNew(target string) func() {
	path, embedded := strings.CutPrefix(target, "sqlite:")
	if _, err := os.Stat(path); !embedded || !errors.Is(err, fs.ErrNotExist) {
		return func() {}
	}
	return func() {
		for _, file := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
			_ = os.Remove(file) // some are not there
		}
	}
}

func copyInto(ctx context.Context, from, to *DB, version int64, o CopyOptions) (list []Copied, err error) {
	if err := to.ready(ctx, version); err != nil {
		return nil, err
	}
	// Two copies at once would both believe that the other's rows are left over.
	never := func(context.Context) (bool, error) { return false, nil }
	err = to.NewClaim("copy", migrationTerm).alone(ctx, never, func(ctx context.Context) error {
		if err := to.clear(ctx); err != nil {
			return err
		}
		list, err = fill(ctx, from, to, o)
		return err
	})
	return list, err
}

// fill copies all tables into a database that is empty, and marked as unfinished.
func fill(ctx context.Context, from, to *DB, o CopyOptions) ([]Copied, error) {
	// All tables as they are at one moment: SQLite and InnoDB both take a
	// snapshot at a transaction's first read.
	// A node of a cluster that lags catches up first: what it has not applied yet
	// would be missing, and no checksum tells.
	reader := from.reader
	if from.lagging != nil {
		reader = from.lagging.pool
	}
	snapshot, err := reader.BeginTx(ctx, &sql.TxOptions{Isolation: from.dialect.snapshot, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer snapshot.Rollback()
	tables, total, err := from.tables(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	var list []Copied
	var done int64
	for _, table := range tables {
		progress := func(rows int64) {
			if o.Progress != nil {
				o.Progress(table, done+rows, total)
			}
		}
		c, err := copyTable(ctx, snapshot, to, table, progress)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", table, err)
		}
		got, err := sumTable(ctx, to.writer, table, c.columns)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", table, err)
		}
		if got != c.Copied {
			return nil, fmt.Errorf("table %s: %d rows with sum %x were read, %d with %x are there", table, c.Rows, c.Sum[:4], got.Rows, got.Sum[:4])
		}
		list = append(list, got)
		done += c.Rows
	}
	if err := to.migrate(ctx); err != nil {
		return nil, err
	}
	pauses, err := from.pausesIn(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	for _, p := range []string{PauseOutbox, PausePools} {
		reason := pauses[p]
		if reason == "" {
			reason = o.Pause
		}
		if reason != "" {
			if err := to.mark(ctx, p, reason); err != nil {
				return nil, err
			}
		}
	}
	return list, to.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.DeletePause(ctx, PauseCopy)
		return err
	})
}

// pausesSince is the schema that brought the table of pauses.
const pausesSince = 2

// ready sets the target up with the source's schema.
func (db *DB) ready(ctx context.Context, version int64) error {
	have, err := db.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > version {
		return fmt.Errorf("it has schema %d, and the source has schema %d: %w, the source", have, version, ErrOlder)
	}
	return db.migrateTo(ctx, max(version, pausesSince))
}

// clear marks the target as unfinished and empties it, where nothing is lost by
// that: of the rows of a copy that was broken off, or of the signing keys of a
// database that was made and never used. ErrNotEmpty for any other.
func (db *DB) clear(ctx context.Context) error {
	unfinished := db.finished(ctx)
	if unfinished != nil && !errors.Is(unfinished, ErrUnfinished) {
		return unfinished
	}
	var rows []string
	for _, table := range copied {
		there, err := db.hasTable(ctx, db.writer, table)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		var any int
		err = db.writer.QueryRowContext(ctx, "SELECT 1 FROM "+table+" LIMIT 1").Scan(&any)
		if err == nil {
			rows = append(rows, table)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if unfinished == nil {
		if len(rows) > 0 && !slices.Equal(rows, []string{"signing_key"}) {
			return ErrNotEmpty
		}
		if err := db.mark(ctx, PauseCopy, "being written since"); err != nil {
			return err
		}
	}
	slices.Reverse(rows) // those that point to others first
	for _, table := range rows {
		if _, err := db.writer.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

// mark pauses something.
func (db *DB) mark(ctx context.Context, name, reason string) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		return t.InsertPause(ctx, queries.InsertPauseParams{Name: name, Reason: reason, CreatedAt: t.now})
	})
}

// pausesIn are the reasons of the pauses in a snapshot.
func (db *DB) pausesIn(ctx context.Context, snapshot *sql.Tx) (map[string]string, error) {
	pauses := map[string]string{}
	if there, err := db.hasTable(ctx, snapshot, "pause"); err != nil || !there {
		return pauses, err
	}
	rows, err := queries.New(snapshot).Pauses(ctx)
	for _, p := range rows {
		pauses[p.Name] = p.Reason
	}
	return pauses, err
}

type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

func (db *DB) hasTable(ctx context.Context, q querier, table string) (bool, error) {
	rows, err := q.QueryContext(ctx, db.dialect.table, table)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	there := rows.Next()
	return there, rows.Err()
}
