package store

import (
	"context"
	"database/sql"

	"github.com/keypost/keypost/store/queries"
)

// A dialect holds the few things in which the databases differ; each has a
// file of its own. All queries are the same.
type dialect struct {
	// open opens the pool that writes and the one that reads: where is the URL
	// after its scheme. It fails with ErrNoDatabase where there is none and it
	// is not to be created.
	open         func(where string, o opening) (pools, error)
	goose        string                                       // goose's name for it
	prepare      string                                       // before an empty database is set up; "": nothing
	shared       bool                                         // writers that wait share a transaction; without it the database sees to that
	early        bool                                         // a commit is seen by others before it is on disk: see Confirm
	snapshot     sql.IsolationLevel                           // of a transaction that reads all as it is at one moment
	table        string                                       // finds a table by its name
	versions     string                                       // counts the tables that hold the schema's version
	clustered    func(context.Context, *sql.DB) (bool, error) // it is a node that may lag behind others; nil: never
	duplicate    func(error) bool                             // a UNIQUE or PRIMARY KEY is taken
	columnExists func(error) bool                             // a migration adds a column that is there
	transient    func(error) bool                             // the whole transaction may be tried again
	unwritable   func(error) string                           // why no write is taken at all, in a few words; "": another error
	use          string                                       // has a SELECT use the index %s; planners guess among several
	tryBytes     int                                          // of the row by which [DB.TryWrite] tries
	// takeSeat counts one more machine on a license that may be used and has a seat
	// left, and tells how many it has then, all in one statement; sql.ErrNoRows: it
	// may not be used, or all seats are taken.
	takeSeat func(ctx context.Context, in queries.DBTX, license string, now int64) (used int64, err error)
	check    func(context.Context, *DB) error // is it whole, and does it keep what it commits
	// end closes a database that was written as a whole, so that all of it is on
	// disk, in one piece. nil: it is by then.
	end func(context.Context, *DB) error
}

// pools are the connections to a database.
type pools struct {
	writer, reader *sql.DB
	transactions   *sql.DB // for nothing but these; nil: those of the writer
	sure           *sql.DB // see [Sure]; nil: none needs it. It connects when it is first used.
	nodes          *nodes  // where the URL names several
}

// An opening is how a database is opened.
type opening struct {
	create   bool
	readOnly bool // nothing is written, nor beside it
	slow     bool // a statement may take as long as it does: for work on whole tables
}

// dialects by the scheme of the database URL.
var dialects = map[string]dialect{"sqlite": sqliteDialect, "mysql": mysqlDialect}
