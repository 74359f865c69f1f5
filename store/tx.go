package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// A tx is one transaction with its one now, in microseconds.
type tx struct {
	*queries.Queries
	raw queries.DBTX // for statements of several rows
	db  *DB
	now int64
}

// facts are what an error may mean to a caller; everything else is
// ErrUnavailable.
var facts = []error{
	ErrNotFound, ErrCodeTaken, ErrUncarried, ErrBodyTaken, ErrUpgradeUsed, ErrPoolEmpty, ErrStale, ErrLimit, ErrShared, ErrRevoked, ErrSuspended, ErrExpired, ErrState, errDuplicate, errNothing,
	context.Canceled, context.DeadlineExceeded,
}

// errDuplicate: an INSERT met a row that was there before.
var errDuplicate = errors.New("duplicate")

// errAgain: another transaction came in between; the next try sees its work.
var errAgain = errors.New("try again")

// again is an error after which the same may be tried again.
type again struct{ error }

func (again) Is(target error) bool { return target == errAgain }

// explain makes err one of facts, or ErrUnavailable with err as its cause.
func (db *DB) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case db.dialect.duplicate(err):
		return errDuplicate
	}
	for _, fact := range facts {
		if errors.Is(err, fact) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Bounds on trying again; a locked SQLite has waited for its busy_timeout
// before it says so.
const (
	writeTries = 11 // about two seconds together: a server that restarts is back by then
	writeFor   = 10 * time.Second
)

// write runs fn in a transaction, again from the start when the database says
// that it may be tried again. A try that came back as an error may have been
// applied all the same; fn meets its own rows then, and knows them by their ids.
func (db *DB) write(ctx context.Context, fn func(context.Context, *tx) error) error {
	alone, again := false, db.sure(ctx)
	return db.explainWrite(db.patiently(ctx, func() error {
		if db.sharing == nil {
			careful := again
			again = true
			err := db.writeOnce(ctx, careful, fn)
			if !careful && db.lagging != nil && absent(err) {
				err = db.writeOnce(ctx, true, fn)
			}
			return err
		}
		err := db.sharing.write(ctx, alone, fn)
		_, failed := errors.AsType[apart](err)
		alone = alone || failed
		return err
	}))
}

// patiently calls fn, and calls it again as [DB.retry] does.
func (db *DB) patiently(ctx context.Context, fn func() error) error {
	return db.retry(ctx, fn(), fn)
}

// retry calls fn again after it failed with err, after a pause with jitter,
// while the database says that it may be called again.
func (db *DB) retry(ctx context.Context, err error, fn func() error) error {
	begin := time.Now()
	for try := 1; ; try++ {
		if err == nil || !db.mayRetry(err) || try == writeTries || time.Since(begin) > writeFor {
			return err
		}
		if db.nodes != nil && !isOneOf(err, 1213, 1205, 1020) { // those say nothing of the node
			db.nodes.doubt()
		}
		pause := time.Duration(rand.Int64N(int64(time.Millisecond) << try))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err = fn()
	}
}

// mayRetry tells whether a call that failed may be called again. A server that is
// known to take no writes is not asked again and again: validations wait for it.
func (db *DB) mayRetry(err error) bool {
	if db.Writes() != nil && db.dialect.unwritable(err) != "" {
		return false
	}
	return errors.Is(err, errAgain) || db.dialect.transient(err)
}

// writeOnce is one try; careful: not the first one, so that what the one before
// may have done, perhaps on another node, must be seen.
func (db *DB) writeOnce(ctx context.Context, careful bool, fn func(context.Context, *tx) error) error {
	pool, stmts := db.transactions, db.stmts
	if careful && db.lagging != nil {
		pool, stmts = db.lagging.pool, db.lagging.stmts
	}
	sqlTx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	t := stmts.in(sqlTx)
	defer t.end()
	if err := fn(ctx, &tx{queries.New(t), t, db, micros(db.now())}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil || db.afterCommit == nil {
		return err
	}
	return db.afterCommit()
}

// rowsAtOnce is how many rows one statement inserts at most: there are as many
// texts of it, and they stay prepared.
const rowsAtOnce = 8

// insert inserts rows by a query of package queries, which is for one row. An
// error says nothing of how many are there: the transaction must end.
func (t *tx) insert(ctx context.Context, query string, rows [][]any) error {
	_, row, ok := strings.Cut(query, "VALUES ")
	if !ok {
		return fmt.Errorf("a query that inserts no row: %s", query)
	}
	for some := range slices.Chunk(rows, rowsAtOnce) {
		text := query + strings.Repeat(", "+row, len(some)-1)
		if _, err := t.raw.ExecContext(ctx, text, slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// one turns the number of rows that an UPDATE found into missing when it is none.
func one(n int64, err, missing error) error {
	if err == nil && n == 0 {
		return missing
	}
	return err
}

func nullText(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }

func nullTime(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return nullMicros(micros(*t))
}

func timeOrNil(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := fromMicros(us.Int64)
	return &t
}

func nullMicros(us int64) sql.NullInt64 { return sql.NullInt64{Int64: us, Valid: true} }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
