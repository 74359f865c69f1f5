package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTerm is how long a dead process keeps others from migrating.
const migrationTerm = 5 * time.Second

// Migrate brings an older database to this binary's schema, and tells from
// which version to which. Daemons of the version before may go on running: what
// is added has a default, nothing is taken away.
func Migrate(ctx context.Context, source string) (from, to int64, err error) {
	db, err := connect(source, opening{slow: true}, nil)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	to = newest()
	if err := db.learn(ctx); err != nil {
		return 0, 0, fmt.Errorf("database %s: %w", Name(source), err)
	}
	switch from, err = db.schemaVersion(ctx); {
	case err != nil:
	case from == 0:
		err = ErrNoDatabase
	case from > to:
		err = fmt.Errorf("%w: the database has schema %d, this keypost knows %d: run a newer keypost", ErrSchema, from, to)
	case from < to:
		err = db.migrate(ctx)
	}
	if err != nil {
		return from, to, fmt.Errorf("database %s: %w", Name(source), err)
	}
	return from, to, nil
}

func (db *DB) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.Dialect(db.dialect.goose), db.writer, files, goose.WithDisableGlobalRegistry(true))
}

// newest is the schema that this binary knows.
func newest() (v int64) {
	files, _ := fs.Glob(migrations, "migrations/*.sql") // the pattern is well-formed
	for _, f := range files {
		n, err := goose.NumericComponent(f)
		if err != nil {
			panic(err) // a file of ours without its number
		}
		v = max(v, n)
	}
	return v
}

// migrate sets an empty database up, or brings an older one to this binary's
// schema.
func (db *DB) migrate(ctx context.Context) error { return db.migrateTo(ctx, newest()) }

func (db *DB) migrateTo(ctx context.Context, version int64) error {
	p, err := db.provider()
	if err != nil {
		return err
	}
	// The first schema has the claims that the rest runs under. Several
	// processes may make it at once: each of its statements can run twice, but
	// goose's own table is met half-made.
	err = db.patiently(ctx, func() error {
		have, err := db.schemaVersion(ctx)
		if err != nil || have > 0 {
			return err
		}
		if db.dialect.prepare != "" {
			if _, err := db.writer.ExecContext(ctx, db.dialect.prepare); err != nil {
				return err
			}
		}
		if _, err := p.UpTo(ctx, 1); err != nil {
			return again{err}
		}
		return nil
	})
	if err != nil {
		return err
	}
	done := func(ctx context.Context) (bool, error) {
		have, err := db.schemaVersion(ctx)
		return have >= version, err
	}
	return db.NewClaim("migrations", migrationTerm).alone(ctx, done, func(ctx context.Context) error {
		for {
			have, err := db.schemaVersion(ctx)
			if err != nil || have >= version {
				return err
			}
			if err := db.step(ctx, p, have+1); err != nil {
				return err
			}
		}
	})
}

// foldedSince is the schema before which the rows of an older one get their folded
// columns.
const foldedSince = 18

// step applies one migration. MySQL commits at every DDL statement: a process
// that died between adding a column and noting so left the column.
func (db *DB) step(ctx context.Context, p *goose.Provider, version int64) error {
	if version == foldedSince {
		if err := db.foldAll(ctx); err != nil {
			return err
		}
	}
	_, err := p.ApplyVersion(ctx, version, true)
	if err == nil || !db.dialect.columnExists(err) {
		return err
	}
	_, err = db.writer.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, TRUE)", version)
	return err
}

// settingUp tells whether an older schema is one that a process is setting up,
// or died at: nobody has used it.
func (db *DB) settingUp(ctx context.Context) bool {
	var used int
	pool := db.reader
	if db.lagging != nil {
		pool = db.lagging.pool
	}
	err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM signing_key").Scan(&used)
	return err == nil && used == 0
}

// schemaVersion is 0 for an empty database. A node that lags is asked surely
// before its answer is that something is missing: another node may just have
// made it.
func (db *DB) schemaVersion(ctx context.Context) (v int64, err error) {
	v, err = db.readVersion(ctx, db.reader)
	if err != nil || v >= newest() || db.lagging == nil {
		return v, err
	}
	err = surely(ctx, func(ctx context.Context) error {
		v, err = db.readVersion(ctx, db.lagging.pool)
		return err
	})
	return v, err
}

// readVersion reads without goose, which would make its table.
func (db *DB) readVersion(ctx context.Context, pool *sql.DB) (v int64, err error) {
	var tables int
	if err := pool.QueryRowContext(ctx, db.dialect.versions).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied = TRUE").Scan(&v)
	return v, err
}

// Names of pauses: what must not go on until a person says so.
const (
	PauseOutbox = "outbox" // nothing is sent
	PausePools  = "pools"  // no code is taken from a pool
	PauseCopy   = "copy"   // a copy into this database was begun: it is not usable
)

// A Pause is why something must not go on.
type Pause struct {
	Name, Reason string
	Since        time.Time
}

// Pauses are those in force.
func (db *DB) Pauses(ctx context.Context) (list []Pause, err error) {
	rows, err := db.read.Pauses(ctx)
	for _, r := range rows {
		list = append(list, Pause{r.Name, r.Reason, fromMicros(r.CreatedAt)})
	}
	return list, db.explain(err)
}

// EndPauses lets everything go on that was paused.
func (db *DB) EndPauses(ctx context.Context, actor string) error {
	err := db.act(ctx, actor, "db.confirm", "", func(ctx context.Context, t *tx) error {
		ended := int64(0)
		for _, name := range []string{PauseOutbox, PausePools} {
			n, err := t.DeletePause(ctx, name)
			if err != nil {
				return err
			}
			ended += n
		}
		return one(ended, nil, errNothing)
	})
	if errors.Is(err, errNothing) {
		return ErrNotFound
	}
	return err
}
