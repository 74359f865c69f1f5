package store

import (
	"context"
	"database/sql"
	"sync"
)

// statements keeps the statements of a pool prepared: to read a query's text
// costs SQLite more than to run it. The texts are those of package queries, so
// there are not many.
type statements struct {
	*sql.DB
	mu    sync.RWMutex
	known map[string]*sql.Stmt
	noted []string
}

func newStatements(db *sql.DB) *statements {
	return &statements{DB: db, known: map[string]*sql.Stmt{}}
}

func (s *statements) find(query string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[query]
}

// prepare finds a statement or prepares it; nil: it cannot be prepared, and
// whoever runs its text learns why.
func (s *statements) prepare(ctx context.Context, query string) *sql.Stmt {
	if stmt := s.find(query); stmt != nil {
		return stmt
	}
	stmt, err := s.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[query]; known != nil { // another call was first
		stmt.Close()
		return known
	}
	s.known[query] = stmt
	return stmt
}

// QueryContext is that of [sql.DB], by a prepared statement.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := s.prepare(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return s.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of [sql.DB], by a prepared statement.
func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := s.prepare(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.DB.QueryRowContext(ctx, query, args...)
}

// prepareNoted prepares what transactions met for the first time: while one has
// the only connection, nothing can be prepared beside it.
func (s *statements) prepareNoted() {
	for _, query := range s.noted {
		s.prepare(context.Background(), query)
	}
	s.noted = nil
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
}

// find finds a prepared statement; nil: there is none yet.
func (t *txStatements) find(ctx context.Context, query string) *sql.Stmt {
	if stmt := t.known[query]; stmt != nil {
		return stmt
	}
	stmt := t.stmts.find(query)
	if stmt == nil {
		t.stmts.noted = append(t.stmts.noted, query)
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
