package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// ErrNoDatabase is what [Open] answers for a database that nobody has set up
// yet; [Options.Create] sets it up.
var ErrNoDatabase = errors.New("it is not set up yet")

// ErrSchema is what [Open] answers for a schema that this binary cannot use.
var ErrSchema = errors.New("schema mismatch")

// ErrOlder is within the ErrSchema that [Open] answers for an older schema, and is
// what [Copy] answers for one: [Migrate] upgrades it.
var ErrOlder = errors.New("migrate it first")

// ErrUnfinished is what [Open] answers for a database into which a copy was
// begun and not finished.
var ErrUnfinished = errors.New("a copy into it was not finished: run the copy or restore again")

// ErrNetworkFolder is what [Open] answers for a file whose locks and commits cannot
// be trusted: a copy of it on a local disk can be used.
var ErrNetworkFolder = errors.New("locks and commits cannot be trusted on a network folder: put it on a local disk, or use MySQL")

// Options for [Open].
type Options struct {
	Create bool             // set up an empty database
	Slow   bool             // for work on whole tables: a statement may take as long as it does
	Sure   bool             // all is done as under [Sure]: for commands, which nobody calls by the thousand
	Now    func() time.Time // the clock; nil: time.Now
}

// DB is the license store. Its methods may be called from several goroutines
// and several processes at once.
type DB struct {
	writer, reader *sql.DB
	transactions   *sql.DB  // for nothing else
	sureDB         *sql.DB  // reads on it see all nodes' commits; nil: there are no nodes
	lagging        *lagging // nil: all reads see all commits
	always         bool     // each read is to be sure
	nodes          *nodes   // nil: there is one host
	read           *queries.Queries
	search         queries.DBTX     // reads whose text is made for each search
	listed         *queries.Queries // on search: the rows of a page
	stmts          *statements
	sharing        *sharing // nil: each write has a transaction of its own
	dialect        dialect
	now            func() time.Time
	subscribers    atomic.Pointer[[]Subscriber]
	unwritten      atomic.Pointer[noWrites]      // why writes fail; nil: they do not
	onWrites       atomic.Pointer[func(error)]   // see [DB.OnWrites]
	afterCommit    func() error                  // a test's fault: the commit is done and fails
	asked          func(text string, args []any) // a test's record of the reads outside of transactions
}

// Open opens the store that a URL names: "sqlite:PATH", PATH as the operating
// system takes it, or "mysql://user:password@host:port/database"; of a cluster's
// nodes, host1:port,host2:port,…, the first that is well is used. It fails with
// [ErrNoDatabase] where nothing was set up yet, with [ErrSchema] where the
// schema is newer than the binary, or older (see [Migrate]), and with
// [ErrUnfinished].
func Open(ctx context.Context, source string, o Options) (*DB, error) {
	db, err := connect(source, opening{create: o.Create, slow: o.Slow}, o.Now)
	if err != nil {
		return nil, err
	}
	// Several processes may open a new database at once, and SQLite does not wait
	// for the one that sets its journal mode.
	err = db.learn(ctx)
	db.always = o.Sure
	if err == nil {
		err = db.patiently(ctx, func() error { return db.prepare(ctx, o.Create) })
	}
	if err != nil {
		if why := db.dialect.unwritable(err); why != "" {
			err = &noWrites{why, err}
		}
		db.Close()
		return nil, fmt.Errorf("database %s: %w", Name(source), err)
	}
	return db, nil
}

// connect is Open without a look at the schema.
func connect(source string, o opening, now func() time.Time) (*DB, error) {
	scheme, where, _ := strings.Cut(source, ":")
	d, ok := dialects[scheme]
	if !ok || where == "" {
		return nil, errors.New("database: its URL must be sqlite:PATH or mysql://user:password@host:port/database")
	}
	db := &DB{dialect: d, now: now}
	if db.now == nil {
		db.now = time.Now
	}
	p, err := d.open(where, o)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", Name(source), err)
	}
	db.writer, db.reader, db.sureDB, db.nodes = p.writer, p.reader, p.sure, p.nodes
	if db.transactions = p.transactions; db.transactions == nil {
		db.transactions = db.writer
	}
	db.stmts = newStatements(db.transactions, d.shared)
	db.search = reads{db.reader, db, true}
	db.listed = queries.New(db.search)
	db.read = queries.New(reads{newStatements(db.reader, d.shared), db, false})
	if d.shared {
		db.sharing = newSharing(db)
	}
	return db, nil
}

// prepare sees to it that the schema is the binary's.
func (db *DB) prepare(ctx context.Context, create bool) error {
	have, err := db.schemaVersion(ctx)
	if err != nil {
		return err
	}
	want := newest()
	switch {
	case have > want:
		return fmt.Errorf("%w: the database has schema %d, this keypost knows %d: run a newer keypost", ErrSchema, have, want)
	case have == 0 && !create:
		return ErrNoDatabase
	case have == 0:
		err = db.migrate(ctx)
	case have < want && create && db.settingUp(ctx):
		err = db.migrate(ctx) // another process is at it, or died at it
	case have < want:
		return fmt.Errorf("%w: the database has schema %d, this keypost needs %d: %w", ErrSchema, have, want, ErrOlder)
	}
	if err != nil {
		return fmt.Errorf("set up the database: %w", err)
	}
	return db.finished(ctx)
}

// finished tells whether no copy into the database was begun and not finished.
func (db *DB) finished(ctx context.Context) error {
	pauses, err := db.Pauses(ctx)
	for _, p := range pauses {
		if p.Name == PauseCopy {
			return ErrUnfinished
		}
	}
	return err
}

// CheckNew is [DB.Check] for a database that is not set up yet: can it be, and
// would it keep what it commits.
func CheckNew(ctx context.Context, source string) error {
	if path, ok := strings.CutPrefix(source, "sqlite:"); ok {
		return checkPlace(path)
	}
	db, err := connect(source, opening{}, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.dialect.check(ctx, db)
}

// Name is a database's URL without its password, for messages.
func Name(source string) string {
	path, ok := strings.CutPrefix(source, "sqlite:")
	if ok {
		return path
	}
	where, _ := strings.CutPrefix(source, "mysql:")
	u, err := readMySQLURL(where)
	if err != nil { // a password may be anywhere in it
		return "(its URL cannot be read)"
	}
	return u.redacted()
}

// Close closes the store, after the writes that wait; what was answered is on disk.
func (db *DB) Close() error {
	if db.sharing != nil {
		db.sharing.close()
	}
	err := errors.Join(db.reader.Close(), db.writer.Close(), db.transactions.Close())
	if db.sureDB != nil {
		err = errors.Join(err, db.sureDB.Close())
	}
	if db.nodes != nil {
		db.nodes.close()
	}
	return err
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
	return db.dialect.check(ctx, db)
}
