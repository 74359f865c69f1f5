package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// A node of a Galera cluster answers from what it has applied, which may be less
// than another node has acknowledged: usually by milliseconds, by minutes while a
// backup locks its tables. What it does not find may be there all the same, and
// a final no to a customer must not come from that. So whatever finds nothing is
// asked again on a connection with wsrep_sync_wait = 1, on which reads wait until
// the node has applied all that was committed before. A database that is no such
// node has no such connections, and is asked once.

// sureFor is how long one read waits for a node that lags: then there is no
// answer, which is better than a wrong one.
const sureFor = 5 * time.Second

// sureConnections is how many reads wait at the most; they wait in no other
// read's way.
const sureConnections = 16

type sureKey struct{}

// Sure has reads, and writes, under a context see all that was committed before,
// on whatever node of a cluster. Where there is no cluster they do in any case,
// and it changes nothing.
func Sure(ctx context.Context) context.Context { return context.WithValue(ctx, sureKey{}, true) }

// A lagging is a second pool of connections to a node that may lag.
type lagging struct {
	pool  *sql.DB
	stmts *statements
}

// Lags tells whether what a read does not find may be there all the same, so
// that it is worth to be read again under [Sure].
func (db *DB) Lags() bool { return db.lagging != nil }

// sure tells whether a context asks for what costs more.
func (db *DB) sure(ctx context.Context) bool {
	return db.lagging != nil && (db.always || ctx.Value(sureKey{}) != nil)
}

// learn finds out whether the database may lag. It is asked once: a server that
// becomes a node of a cluster is started anew.
func (db *DB) learn(ctx context.Context) error {
	if db.sureDB == nil || db.lagging != nil {
		return nil
	}
	var clustered bool
	err := db.patiently(ctx, func() (err error) {
		clustered, err = db.dialect.clustered(ctx, db.writer)
		return err
	})
	if clustered {
		db.lagging = &lagging{db.sureDB, newStatements(db.sureDB, false)}
	}
	return err
}

// surely runs a read where it sees all commits, for a short while.
func surely(ctx context.Context, read func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(Sure(ctx), sureFor)
	defer cancel()
	return read(ctx)
}

// found runs a read, and once more surely if it finds nothing.
func (db *DB) found(ctx context.Context, read func(context.Context) error) error {
	err := read(ctx)
	if db.lagging == nil || db.sure(ctx) || !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, ErrNotFound) {
		return err
	}
	return surely(ctx, read)
}

// absences are what a transaction ends with that has missed a row, or met an old
// one: on a node that lags each may be wrong. What a row in the way says is none
// of them: that row was committed.
var absences = []error{
	sql.ErrNoRows, ErrNotFound, ErrPoolEmpty, ErrStale, ErrLimit, ErrRevoked, ErrSuspended, ErrExpired, ErrState, ErrUpgradeUsed, errNothing,
}

func absent(err error) bool {
	for _, a := range absences {
		if errors.Is(err, a) {
			return true
		}
	}
	return false
}
