package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// errMade: the config's database is there already.
var errMade = errors.New("it already exists and was not changed")

// IsMade tells whether [CreateDatabase] failed because nothing was missing.
func IsMade(err error) bool { return errors.Is(err, errMade) }

// A Database is one that was made.
type Database struct {
	Name   string `json:"database"` // its URL without the password
	Master string `json:"master_file"`
}

// DatabaseName is the database's URL without its password.
func (c Config) DatabaseName() string { return store.Name(c.Database) }

// CreateDatabase makes what the config names and is not there yet: the database,
// the master key with the first signing keys, and the audit log's key. A key file
// that is there is used. What an earlier try left half made is finished.
func CreateDatabase(ctx context.Context, c Config) (Database, error) {
	done := Database{store.Name(c.Database), c.MasterFile}
	if err := c.checkKeyFiles(); err != nil {
		return done, err // before a database is made that nothing can open
	}
	made, err := c.made(ctx)
	if err != nil {
		return done, err
	}
	db, err := store.Open(ctx, c.Database, store.Options{Create: !made})
	if err != nil {
		return done, err
	}
	defer db.Close()
	if _, err := c.keyring(ctx, db, !made); err != nil {
		return done, err
	}
	_, err = os.Stat(c.AuditFile)
	if made && (c.AuditFile == "" || err == nil) {
		return done, because(Exists, errMade, "", "database %s", store.Name(c.Database))
	}
	_, err = c.auditKey(ctx, db, true)
	return done, err
}

// made tells whether the config's database is there, with its signing keys.
func (c Config) made(ctx context.Context) (bool, error) {
	db, err := store.Open(ctx, c.Database, store.Options{})
	if errors.Is(err, store.ErrNoDatabase) || errors.Is(err, store.ErrSchema) {
		return false, nil // to open it for creating tells a half-made one from an older one
	}
	if err != nil {
		return false, err
	}
	defer db.Close()
	keys, err := db.SigningKeys(ctx)
	return len(keys) > 0, err
}

// notMade says what to do about a database that is not there.
func (c Config) notMade(err error) error {
	switch {
	case err == nil || !errors.Is(err, store.ErrNoDatabase):
		return err
	case c.Demo:
		return because(Unavailable, err, "", "there is no config file (name yours with --config or KEYPOST_CONFIG), and no demo was started here")
	}
	return &Error{Unavailable, err.Error() + ". If it should exist, correct [database] url in the config. To create a new one: {db create}", "", err}
}

// OpenToServe opens the config's database for a daemon. The demo's is made, and
// is no other's: where a config has got lost, its store must not be served with
// a secret that everybody knows.
func OpenToServe(ctx context.Context, c Config) (*store.DB, error) {
	if c.Demo {
		if _, err := CreateDatabase(ctx, c); err != nil && !IsMade(err) {
			return nil, err
		}
	}
	db, err := store.Open(ctx, c.Database, store.Options{})
	if err != nil || !c.Demo {
		return db, c.notMade(err)
	}
	sold, err := c.missingProducts(ctx, db)
	if err == nil && len(sold) > 0 {
		err = fmt.Errorf("there is no config file, and %s is not the demo's database: it has licenses of %s. Name its config with --config", c.Database, sold[0].Subject)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// A Migration is from one version of the schema to another; they are equal where
// nothing was to be done.
type Migration struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// MigrateDatabase brings an older database to this version's schema.
func MigrateDatabase(ctx context.Context, c Config) (Migration, error) {
	from, to, err := store.Migrate(ctx, c.Database)
	return Migration{from, to}, c.notMade(err)
}

// A Rule is one thing that must hold of the database's rows.
type Rule struct {
	What   string   `json:"what"`
	Rows   int64    `json:"rows"`
	Broken int64    `json:"broken"`
	Some   []string `json:"some"` // ids of a few that are broken
}

// VerifyDatabase compares the database's rows with each other. With [Broken] the
// list is there all the same.
func VerifyDatabase(ctx context.Context, c Config) ([]Rule, error) {
	db, err := store.Open(ctx, c.Database, store.Options{Slow: true})
	if err != nil {
		return nil, c.notMade(err)
	}
	defer db.Close()
	list, err := db.Verify(ctx)
	if err != nil {
		return nil, err
	}
	out := []Rule{}
	broken := 0
	for _, v := range list {
		out = append(out, Rule{v.What, v.Rows, v.Broken, all(v.Some)})
		if v.Broken > 0 {
			broken++
		}
	}
	if broken > 0 {
		return out, fail(Broken, "back up the database as it is now, and report this", "%d of %d rules are violated", broken, len(list))
	}
	return out, nil
}

// A CopiedTable was copied, and is the same in both databases.
type CopiedTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Sum   string `json:"sha256"`
}

// Progress is told how far a long operation is.
type Progress func(what string, done, total int64)

// CopyDatabase copies a database into an empty one, of either kind. Unless
// whileRunning, no daemon may run on it: what that took in after would be lost.
func CopyDatabase(ctx context.Context, from, to string, whileRunning bool, p Progress) ([]CopiedTable, error) {
	if !whileRunning {
		alive, err := store.Alive(ctx, from, ClaimBeat)
		if err != nil {
			return nil, err
		}
		if alive {
			return nil, fail(State, "stop it first, or its next orders would be lost (--while-running copies anyway)", "a daemon is using %s", store.Name(from))
		}
	}
	return copyDatabase(ctx, from, to, "", p)
}

// ClaimBeat is how often a daemon shows that it lives.
const ClaimBeat = 4 * time.Second

func copyDatabase(ctx context.Context, from, to, pause string, p Progress) ([]CopiedTable, error) {
	copied, err := store.Copy(ctx, from, to, store.CopyOptions{Pause: pause, Progress: p})
	list := []CopiedTable{}
	for _, t := range copied {
		list = append(list, CopiedTable{t.Table, t.Rows, hex.EncodeToString(t.Sum[:])})
	}
	return list, err
}

// SameDatabase tells whether a URL names the config's database, however its path
// is written.
func (c Config) SameDatabase(url string) bool {
	one, oneErr := os.Stat(strings.TrimPrefix(c.Database, "sqlite:"))
	other, otherErr := os.Stat(strings.TrimPrefix(url, "sqlite:"))
	return c.Database == url || oneErr == nil && otherErr == nil && os.SameFile(one, other)
}

// DatabaseURL tells whether a text can be a database's URL.
func DatabaseURL(text string) bool {
	path, ok := strings.CutPrefix(text, "sqlite:")
	return ok && path != "" || strings.HasPrefix(text, "mysql://")
}

// NameOfDatabase is a URL without its password.
func NameOfDatabase(url string) string { return store.Name(url) }

// BackupDatabase writes a backup of the config's database into a file that is
// not there yet, also while daemons run.
func BackupDatabase(ctx context.Context, c Config, file string, p Progress) ([]CopiedTable, error) {
	if file == "" {
		return nil, invalid("the file's name is empty")
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(Exists, "name another file", "%s already exists and was not changed", file)
	}
	// Nobody meets half a backup: it gets its name when it is whole.
	folder, err := os.MkdirTemp(filepath.Dir(file), ".keypost-backup-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	partial := filepath.Join(folder, "backup.db")
	copied, err := copyDatabase(ctx, c.Database, "sqlite:"+partial, "", p)
	if err != nil {
		return nil, err
	}
	err = os.Link(partial, file) // never in another's place
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(partial, file) // a file system without links
	}
	return copied, err
}

// RestoreDatabase puts a backup into the config's database, which must be empty
// or not there yet. Outbox and pools rest until [Admin.ConfirmRestore].
func RestoreDatabase(ctx context.Context, c Config, file string, p Progress) ([]CopiedTable, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	copied, err := copyDatabase(ctx, "sqlite:"+file, c.Database, "restored from "+filepath.Base(file), p)
	if errors.Is(err, store.ErrNotEmpty) {
		return nil, &Error{State, err.Error(), "move it away, or name another one in the config", err}
	}
	if err != nil {
		return nil, err
	}
	if err := c.opens(ctx); err != nil {
		return copied, fmt.Errorf("the database was restored, but keypost serve cannot start with it: %w", err)
	}
	return copied, nil
}

// opens tells whether the master key at hand is the database's.
func (c Config) opens(ctx context.Context) error {
	db, err := store.Open(ctx, c.Database, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := db.SigningKeys(ctx)
	if err != nil || len(keys) == 0 {
		return err
	}
	_, err = c.Keyring(ctx, db)
	return err
}

// ConfirmRestore lets outbox and pools go on after a restore.
func (a *Admin) ConfirmRestore(ctx context.Context, actor string) error {
	err := a.db.EndPauses(ctx, actor)
	if isNotFound(err) {
		return fail(State, "", "there is no restore to confirm: nothing is paused")
	}
	return err
}
