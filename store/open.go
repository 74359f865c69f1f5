package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/keypost/keypost/store/queries"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNoDatabase is what [Open] answers for a database that nobody has set up
// yet; [Options.Create] sets it up.
var ErrNoDatabase = errors.New("it is not set up yet")

// ErrSchema is what [Open] answers for a schema that this binary cannot use.
var ErrSchema = errors.New("schema mismatch")

// Options for [Open].
type Options struct {
	Create bool             // set up an empty database
	Now    func() time.Time // the clock; nil: time.Now
}

// DB is the license store. Its methods may be called from several goroutines
// and several processes at once.
type DB struct {
	writer, reader *sql.DB
	read           *queries.Queries
	dialect        dialect
	now            func() time.Time
	afterCommit    func() error // a test's fault: the commit is done and fails
}

// Open opens the store that a URL names: "sqlite:PATH", PATH as the operating
// system takes it, or "mysql://user:password@host:port/database". It fails with [ErrNoDatabase] where nothing was set up yet
// and with [ErrSchema] where the schema is newer than the binary.
func Open(ctx context.Context, source string, o Options) (*DB, error) {
	scheme, where, _ := strings.Cut(source, ":")
	d, ok := dialects[scheme]
	if !ok || where == "" {
		return nil, errors.New("database: its URL must be sqlite:PATH or mysql://user:password@host:port/database")
	}
	name := Name(source)
	db := &DB{dialect: d, now: o.Now}
	if db.now == nil {
		db.now = time.Now
	}
	var err error
	if db.writer, db.reader, err = d.open(where, o.Create); err != nil {
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	db.read = queries.New(db.reader)
	// Several processes may open a new database at once.
	if err := db.patiently(ctx, func() error { return db.migrate(ctx, o.Create) }); err != nil {
		db.Close()
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	return db, nil
}

// Name is a database's URL without its password, for messages.
func Name(source string) string {
	path, ok := strings.CutPrefix(source, "sqlite:")
	if ok {
		return path
	}
	u, err := url.Parse(source)
	if err != nil {
		return "(its URL cannot be read)"
	}
	return u.Redacted()
}

// migrate sets up an empty database when create is true, and compares the
// schema's version with the newest one that this binary knows.
func (db *DB) migrate(ctx context.Context, create bool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.Dialect(db.dialect.goose), db.writer, files,
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, err := db.schemaVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	switch {
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("%w: the database has schema %d, this keypost knows %d: run a newer keypost", ErrSchema, have, want)
	case have > 0:
		return fmt.Errorf("%w: the database has schema %d, this keypost needs %d", ErrSchema, have, want)
	case !create:
		return ErrNoDatabase
	}
	if db.dialect.prepare != "" {
		if _, err := db.writer.ExecContext(ctx, db.dialect.prepare); err != nil {
			return fmt.Errorf("set up the database: %w", err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		// Another process may be setting it up at the same time: each statement
		// can run twice, but goose's own table is met half-made.
		return again{fmt.Errorf("set up the database: %w", err)}
	}
	return nil
}

// schemaVersion is 0 for an empty database. It reads without goose, which
// would make its table.
func (db *DB) schemaVersion(ctx context.Context) (v int64, err error) {
	var tables int
	if err := db.reader.QueryRowContext(ctx, db.dialect.versions).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = db.reader.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied = TRUE").Scan(&v)
	return v, err
}

// Close closes the store; what was answered is on disk.
func (db *DB) Close() error {
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.reader.QueryRowContext(ctx, "SELECT 1 FROM goose_db_version LIMIT 1").Scan(&one); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Check tells whether the database is whole and keeps what it commits.
func (db *DB) Check(ctx context.Context) error {
	if err := db.Ping(ctx); err != nil {
		return err
	}
	return db.dialect.check(ctx, db.writer)
}
