package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/keypost/keypost/store/queries"
)

var sqliteDialect = dialect{
	open:     openSQLite,
	goose:    "sqlite3",
	table:    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
	shared:   true,
	versions: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'",
	duplicate: func(err error) bool {
		code := sqliteCode(err)
		return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	},
	columnExists: func(error) bool { return false }, // a migration is one transaction with its version
	transient: func(err error) bool {
		switch sqliteCode(err) & 0xff { // the primary result code
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return true
		}
		return false
	},
	unwritable: func(err error) string {
		switch code := sqliteCode(err); {
		case code&0xff == sqlite3.SQLITE_FULL,
			code == sqlite3.SQLITE_IOERR_SHMSIZE: // no room for the log's index
			return diskFull
		case code&0xff == sqlite3.SQLITE_READONLY:
			return readOnly
		case code&0xff == sqlite3.SQLITE_IOERR:
			return diskBroken
		}
		return ""
	},
	use:      " INDEXED BY %s",
	tryBytes: 64 << 10, // more pages than a few that may be left in the log
	takeSeat: takeSeatSQLite,
	check:    checkSQLite,
	end:      endSQLite,
}

func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

func takeSeatSQLite(ctx context.Context, in queries.DBTX, license string, now int64) (used int64, err error) {
	err = in.QueryRowContext(ctx, queries.TakeSeat+" RETURNING used", license, now).Scan(&used)
	return used, err
}

func openSQLite(path string, o opening) (p pools, err error) {
	if err := makeFile(path, o.create); err != nil {
		return p, err
	}
	// One writer that takes its lock at BEGIN, many readers beside it. FULL:
	// a commit that was answered survives a loss of power. Secure delete: what
	// is forgotten is overwritten.
	pragmas := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)",
	}}
	if o.readOnly {
		pragmas = url.Values{"_pragma": {"busy_timeout(5000)"}, "mode": {"ro"}}
	}
	name := func(extra string) string {
		u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
		return u.String() + "?" + pragmas.Encode() + extra
	}
	if p.writer, err = sql.Open("sqlite", name("&_txlock=immediate&_pragma="+cache(8))); err != nil {
		return p, err
	}
	p.writer.SetMaxOpenConns(1)
	readers := max(4, 2*runtime.NumCPU())
	if p.reader, err = sql.Open("sqlite", name("&_pragma=query_only(1)"+mapped+"&_pragma="+cache(max(2, 32/readers)))); err != nil {
		p.writer.Close()
		return p, err
	}
	p.reader.SetMaxOpenConns(readers)
	p.reader.SetMaxIdleConns(readers)
	return p, nil
}

// mapped lets a reader map the file into memory, up to SQLite's own bound, so
// that a look-up among many licenses copies no pages. The pages are the file
// cache's, which takes them back when memory is short, although the process seems
// to hold them. A read error of the disk, and a file that another program cuts
// short, end the daemon (SIGBUS) where they were the error of one call: it starts
// again, and what was committed is on disk. The writer maps nothing.
const mapped = "&_pragma=mmap_size(2147418112)"

// cache lets a connection keep so many MB of pages.
func cache(mb int) string { return fmt.Sprintf("cache_size(-%d)", mb*1000) }

// endSQLite folds the log into the file and leaves the file alone: without this
// the last rows are beside it, and a full disk would not be noticed.
func endSQLite(ctx context.Context, db *DB) error {
	if err := db.reader.Close(); err != nil {
		return err
	}
	var mode string
	err := db.writer.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode)
	if err == nil && mode != "delete" {
		err = errors.New("its log was not folded in")
	}
	return err
}

// makeFile makes the database's file and folder where there is none: buyers'
// names are in it, so it is for the owner's eyes.
func makeFile(path string, create bool) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !create {
		return ErrNoDatabase
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkSQLite reads all pages, and finds out whether the file system lets
// SQLite have its journal mode and its locks.
func checkSQLite(ctx context.Context, db *DB) error {
	var seq, name, file string
	if err := db.writer.QueryRowContext(ctx, "PRAGMA database_list").Scan(&seq, &name, &file); err != nil {
		return err
	}
	if err := checkLocal(file); err != nil {
		return err
	}
	for _, want := range []struct{ pragma, value, mend string }{
		{"quick_check", "ok", "restore a backup"},
		{"journal_mode", "wal", "the folder's file system must support shared memory: use a local disk"},
	} {
		var got string
		if err := db.writer.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("PRAGMA %s is %s, not %s: %s", want.pragma, got, want.value, want.mend)
		}
	}
	return nil
}

func checkLocal(file string) error {
	mounts, _ := os.ReadFile("/proc/self/mountinfo") // none where there is no Linux
	if kind := networkFolder(string(mounts), file); kind != "" {
		return fmt.Errorf("%s is on %s: %w", file, kind, ErrNetworkFolder)
	}
	return nil
}

// checkPlace tells whether a file can be made where there is none yet. It leaves
// nothing behind.
func checkPlace(file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if err := checkLocal(file); err != nil {
		return err
	}
	folder := filepath.Dir(file)
	for { // the nearest folder that is there
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	f, err := os.CreateTemp(folder, ".keypost-check-*")
	if err != nil {
		return fmt.Errorf("it cannot be made: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// networkTypes are file systems whose disk is another machine's.
var networkTypes = map[string]bool{
	"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "smbfs": true, "afs": true, "ceph": true, "lustre": true, "beegfs": true, "glusterfs": true,
	"davfs": true, "vboxsf": true, "prl_fs": true, "ncpfs": true, "coda": true,
	"fuse.sshfs": true, "fuse.rclone": true, "fuse.s3fs": true, "fuse.glusterfs": true, "fuse.ceph": true, "fuse.davfs2": true, "fuse.curlftpfs": true,
	"fuse.gcsfuse": true, "fuse.juicefs": true, "fuse.vmhgfs-fuse": true, "fuse.mount-s3": true,
}

// networkFolder is the type of the network file system that a path is on, or
// "". mounts is what Linux tells in /proc/self/mountinfo (proc(5)).
func networkFolder(mounts, path string) string {
	best, kind := "", ""
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(types) < 1 {
			continue
		}
		// The last of equal ones lies on top.
		point := mountEscapes.Replace(fields[4])
		if under := strings.TrimSuffix(point, "/") + "/"; strings.HasPrefix(path, under) && len(point) >= len(best) {
			best, kind = point, types[0]
		}
	}
	if networkTypes[kind] {
		return kind
	}
	return ""
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
