package store

import (
	"context"
	"database/sql"

	"github.com/keypost/keypost/store/queries"
)

// reads runs statements outside of transactions, again where the database says
// that they may be tried again: a connection that broke, or a node that is not
// ready, costs a read no more than it costs a write. Rows that are on their way
// when a connection breaks are not asked for again; those of a short answer come
// all at once.
type reads struct {
	queries.DBTX
	db *DB
}

func (r reads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := r.DBTX.QueryContext(ctx, query, args...)
	if err == nil || !r.db.dialect.transient(err) {
		return rows, err
	}
	err = r.db.retry(ctx, err, func() (err error) {
		rows, err = r.DBTX.QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

func (r reads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := r.DBTX.QueryRowContext(ctx, query, args...)
	if err := row.Err(); err != nil && r.db.dialect.transient(err) {
		_ = r.db.retry(ctx, err, func() error { // the last row has the error
			row = r.DBTX.QueryRowContext(ctx, query, args...)
			return row.Err()
		})
	}
	return row
}
