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
	db  *DB
	raw bool // texts are made for each read: they are not kept prepared
}

// from is where a read goes.
func (r reads) from(ctx context.Context) queries.DBTX {
	switch {
	case !r.db.sure(ctx):
		return r.DBTX
	case r.raw:
		return r.db.lagging.pool
	}
	return r.db.lagging.stmts
}

func (r reads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if r.db.asked != nil {
		r.db.asked(query, args)
	}
	rows, err := r.from(ctx).QueryContext(ctx, query, args...)
	if err == nil || !r.db.dialect.transient(err) {
		return rows, err
	}
	err = r.db.retry(ctx, err, func() (err error) {
		rows, err = r.from(ctx).QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

func (r reads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if r.db.asked != nil {
		r.db.asked(query, args)
	}
	row := r.from(ctx).QueryRowContext(ctx, query, args...)
	if err := row.Err(); err != nil && r.db.dialect.transient(err) {
		_ = r.db.retry(ctx, err, func() error { // the last row has the error
			row = r.from(ctx).QueryRowContext(ctx, query, args...)
			return row.Err()
		})
	}
	return row
}
