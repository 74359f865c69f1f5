package store

import (
	"context"
	"database/sql"
	"sync"
)

// statements keeps the statements of a pool prepared: to read a query's text
// costs a database more than to run it. The texts are those of package queries,
// so there are not many.
type statements struct {
	*sql.DB
	whole bool // reads are not broken off
	mu    sync.RWMutex
	known map[string]*sql.Stmt
}

func newStatements(db *sql.DB, whole bool) *statements {
	return &statements{DB: db, whole: whole, known: map[string]*sql.Stmt{}}
}

func (s *statements) find(query string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[query]
}

// prepare finds a statement or prepares it; nil: it cannot be prepared, or is
// being prepared by another call, and its text must do. Nothing is prepared
// twice: to close one too many would wait for its connection, which may wait
// for a lock that a caller of find has.
func (s *statements) prepare(ctx context.Context, query string) *sql.Stmt {
	if stmt := s.find(query); stmt != nil {
		return stmt
	}
	s.mu.Lock()
	_, met := s.known[query]
	if !met {
		s.known[query] = nil
	}
	s.mu.Unlock()
	if met {
		return nil
	}
	stmt, err := s.DB.PrepareContext(ctx, query)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.known, query)
		return nil
	}
	s.known[query] = stmt
	return stmt
}

// reading is the context of a read. SQLite's driver has a goroutine watch each
// statement that can be broken off, which is dear beside a read of one row.
func (s *statements) reading(ctx context.Context) context.Context {
	if s.whole && ctx.Err() == nil {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// QueryContext is that of [sql.DB], by a prepared statement.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := s.prepare(ctx, query); stmt != nil {
		ctx = s.reading(ctx)
		return stmt.QueryContext(ctx, args...)
	}
	return s.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of [sql.DB], by a prepared statement.
func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := s.prepare(ctx, query); stmt != nil {
		ctx = s.reading(ctx)
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.DB.QueryRowContext(ctx, query, args...)
}

// in makes statements run in a transaction.
func (s *statements) in(t *sql.Tx) *txStatements {
	return &txStatements{Tx: t, stmts: s, known: map[string]*sql.Stmt{}}
}

// txStatements are statements in a transaction.
type txStatements struct {
	*sql.Tx
	stmts *statements
	known map[string]*sql.Stmt
	noted []string
}

// end undoes the transaction unless it is committed, and then prepares what it
// met for the first time: until here it may have had the only connection.
func (t *txStatements) end() {
	_ = t.Rollback()
	for _, query := range t.noted {
		t.stmts.prepare(context.Background(), query)
	}
}

// find finds a prepared statement; nil: there is none yet.
func (t *txStatements) find(ctx context.Context, query string) *sql.Stmt {
	if stmt := t.known[query]; stmt != nil {
		return stmt
	}
	stmt := t.stmts.find(query)
	if stmt == nil {
		t.noted = append(t.noted, query)
		return nil
	}
	stmt = t.StmtContext(ctx, stmt)
	t.known[query] = stmt
	return stmt
}

// ExecContext is that of [sql.Tx], by a prepared statement.
func (t *txStatements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.find(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext is that of [sql.Tx], by a prepared statement.
func (t *txStatements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.find(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of [sql.Tx], by a prepared statement.
func (t *txStatements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.find(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}
