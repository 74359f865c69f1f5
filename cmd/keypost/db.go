package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keypost/keypost/store"
)

func (dbCommands) Help() string { return "Example: keypost db verify" }

type dbCommands struct {
	Create  dbCreate  `cmd:"" help:"Make the database that the config names, and its keys."`
	Migrate dbMigrate `cmd:"" help:"Bring an older database to this keypost's schema."`
	Verify  dbVerify  `cmd:"" help:"Compare the database's rows with each other."`
	Copy    dbCopy    `cmd:"" help:"Copy a database into an empty one, of either kind."`
	Backup  dbBackup  `cmd:"" help:"Write a backup, also while daemons run."`
	Restore dbRestore `cmd:"" help:"Put a backup into an empty database."`
}

type dbCreate struct {
	changing
	jsonFlag
}

func (dbCreate) Help() string {
	return "Makes the database that the config names, and the master key if that is not there yet; keypost init does so for the embedded one. " +
		"What is there stays as it is. A MySQL database must exist, and be empty.\n\nExample: keypost db create"
}

func (c dbCreate) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	if err := conf.create(a); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Database string `json:"database"`
			Master   string `json:"master_file"`
		}{store.Name(conf.Database.URL), conf.Keys.MasterFile})
	}
	fmt.Fprintf(a.out, "The database %s is ready. Keep a copy elsewhere of %s: without it, a backup of the database cannot be used.\n",
		safe(store.Name(conf.Database.URL)), safe(conf.keyFiles()))
	return nil
}

type dbMigrate struct {
	changing
	jsonFlag
}

func (dbMigrate) Help() string {
	return "Daemons of the version before may run on meanwhile, and after it until they are restarted with this one. Back up first.\n\nExample: keypost db migrate"
}

func (c dbMigrate) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	from, to, err := store.Migrate(a, conf.Database.URL)
	if err != nil {
		return conf.notMade(err)
	}
	if c.JSON {
		return printJSON(a.out, struct {
			From int64 `json:"from"`
			To   int64 `json:"to"`
		}{from, to})
	}
	if from == to {
		fmt.Fprintf(a.out, "%s has schema %d already.\n", safe(store.Name(conf.Database.URL)), to)
		return nil
	}
	fmt.Fprintf(a.out, "%s went from schema %d to %d.\n", safe(store.Name(conf.Database.URL)), from, to)
	return nil
}

type dbVerify struct {
	jsonFlag
}

func (dbVerify) Help() string {
	return "Changes nothing; daemons may run meanwhile. Exit code 1: something does not hold.\n\nExample: keypost db verify"
}

type verifiedJSON struct {
	What   string   `json:"what"`
	Rows   int64    `json:"rows"`
	Broken int64    `json:"broken"`
	Some   []string `json:"some"` // ids of a few that are broken
}

func (c dbVerify) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	db, err := store.Open(a, conf.Database.URL, store.Options{Slow: true})
	if err != nil {
		return conf.notMade(err)
	}
	defer db.Close()
	list, err := db.Verify(a)
	if err != nil {
		return err
	}
	out := []verifiedJSON{}
	broken := 0
	for _, v := range list {
		out = append(out, verifiedJSON{v.What, v.Rows, v.Broken, append([]string{}, v.Some...)})
		if v.Broken > 0 {
			broken++
		}
	}
	if c.JSON {
		err = printJSON(a.out, out)
	} else {
		for _, v := range out {
			result, detail := "ok", fmt.Sprintf("%d rows", v.Rows)
			if v.Broken > 0 {
				result, detail = "BROKEN", fmt.Sprintf("not so for %d of %d: %s", v.Broken, v.Rows, strings.Join(v.Some, " "))
			}
			fmt.Fprintf(a.out, "%-8s%s: %s\n", result, v.What, safe(detail))
		}
	}
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d of %d rules do not hold: keep a backup of the database as it is, and report this", broken, len(list))
	}
	return err
}

type dbCopy struct {
	jsonFlag
	From         string `arg:"" help:"sqlite:PATH or mysql://user:password@host:port/database; @FILE reads it from a file."`
	To           string `arg:"" help:"The same; it must be empty, or not there yet."`
	WhileRunning bool   `help:"Copy though a daemon runs on it: what it takes in meanwhile is not in the copy."`
}

func (dbCopy) Help() string {
	return "Counts and checksums of all tables are compared at the end; a copy that was broken off is begun anew. To move: end the daemons, copy, and set [database] url to the new one, with the same master key.\n\n" +
		"Example: keypost db copy sqlite:data/keypost.db @mysql-url"
}

func (c dbCopy) Run(a *app) error {
	from, err := databaseURL(c.From)
	if err != nil {
		return usageError{fmt.Errorf("FROM: %w", err)}
	}
	to, err := databaseURL(c.To)
	if err != nil {
		return usageError{fmt.Errorf("TO: %w", err)}
	}
	if !c.WhileRunning {
		if err := a.notRunning(from); err != nil {
			return err
		}
	}
	copied, err := a.copy(from, to, "")
	if err != nil {
		return err
	}
	if err := showCopied(a, copied, c.JSON); err != nil || c.JSON {
		return err
	}
	key := "the master key file of the old one"
	if conf, err := a.load(); err == nil && sameDatabase(conf.Database.URL, from) {
		if path, err := filepath.Abs(conf.Keys.MasterFile); err == nil {
			key = "[keys] master_file = " + strconv.Quote(path)
		}
	}
	fmt.Fprintf(a.out, "%s holds all of it. Now set [database] url (or url_file) to it in the config, with %s: the keys stay the same.\n", safe(store.Name(to)), safe(key))
	return nil
}

// sameDatabase tells whether two URLs name one database, however its path is written.
func sameDatabase(a, b string) bool {
	one, oneErr := os.Stat(strings.TrimPrefix(a, "sqlite:"))
	other, otherErr := os.Stat(strings.TrimPrefix(b, "sqlite:"))
	return a == b || oneErr == nil && otherErr == nil && os.SameFile(one, other)
}

// databaseURL is an argument: a URL, or a file that holds one, so that its
// password is in no list of processes.
func databaseURL(arg string) (string, error) {
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		arg = strings.TrimSpace(string(b))
	}
	if path, ok := strings.CutPrefix(arg, "sqlite:"); ok && path != "" || strings.HasPrefix(arg, "mysql://") {
		return arg, nil
	}
	return "", errors.New("it must be sqlite:PATH or mysql://user:password@host:port/database, or @FILE with one of them")
}

// notRunning tells whether a daemon lives on a database: what it took in after
// a move would be lost.
func (a *app) notRunning(url string) error {
	alive, err := store.Alive(a, url, claimBeat)
	if err != nil {
		return err
	}
	if alive {
		return fmt.Errorf("a daemon runs on %s: end it first, or its next orders would be lost (--while-running copies all the same)", store.Name(url))
	}
	return nil
}

// copy copies with a progress bar, where a person looks on.
func (a *app) copy(from, to, pause string) ([]store.Copied, error) {
	bar := newBar(a.err)
	copied, err := store.Copy(a, from, to, store.CopyOptions{Pause: pause, Progress: bar.at})
	bar.end()
	return copied, err
}

func showCopied(a *app, copied []store.Copied, asJSON bool) error {
	type tableJSON struct {
		Table string `json:"table"`
		Rows  int64  `json:"rows"`
		Sum   string `json:"sha256"`
	}
	list := []tableJSON{}
	rows := [][]string{{"TABLE", "ROWS", "SHA-256, THE SAME IN BOTH"}}
	for _, c := range copied {
		sum := hex.EncodeToString(c.Sum[:])
		list = append(list, tableJSON{c.Table, c.Rows, sum})
		rows = append(rows, []string{c.Table, strconv.FormatInt(c.Rows, 10), sum[:16]})
	}
	if asJSON {
		return printJSON(a.out, list)
	}
	return table(a.out, rows)
}

type dbBackup struct {
	jsonFlag
	File string `arg:"" help:"Where to; a file that is there stays."`
}

func (dbBackup) Help() string {
	return "One file, of either database, as it is at one moment and compared with it. It holds buyers' names; the master key is not in it: keep that too.\n\n" +
		"Example: keypost db backup /backup/keypost-monday.db"
}

func (c dbBackup) Run(a *app) (err error) {
	if c.File == "" {
		return usageError{errors.New("the file's name is empty")}
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.File); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already and stays as it is: name another file", c.File)
	}
	// Nobody meets half a backup: it gets its name when it is whole.
	folder, err := os.MkdirTemp(filepath.Dir(c.File), ".keypost-backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	partial := filepath.Join(folder, "backup.db")
	copied, err := a.copy(conf.Database.URL, "sqlite:"+partial, "")
	if err != nil {
		return err
	}
	err = os.Link(partial, c.File) // never in another's place
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(partial, c.File) // a file system without links
	}
	if err != nil {
		return err
	}
	if err := showCopied(a, copied, c.JSON); err != nil || c.JSON {
		return err
	}
	fmt.Fprintf(a.out, "%s is written. Keep with it: %s\n", safe(c.File), safe(conf.keyFiles()))
	return nil
}

type dbRestore struct {
	changing
	jsonFlag
	File    string `arg:"" optional:"" help:"The backup."`
	Confirm bool   `help:"After a restore: let outbox and pools go on."`
}

func (dbRestore) Help() string {
	return "The config's database must be empty, or not there yet. What was sent or taken from a pool after the backup is not known in it, so outbox and pools rest " +
		"until you have looked at what happened since, and confirm.\n\nExample: keypost db restore /backup/keypost-monday.db\nExample: keypost db restore --confirm"
}

func (c dbRestore) Run(a *app) error {
	if (c.File == "") != c.Confirm {
		return usageError{errors.New("name the backup, or --confirm a restore")}
	}
	if c.Confirm {
		return c.confirm(a)
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.File); err != nil {
		return err
	}
	copied, err := a.copy("sqlite:"+c.File, conf.Database.URL, "restored from "+filepath.Base(c.File))
	if errors.Is(err, store.ErrNotEmpty) {
		return fmt.Errorf("%w: move it away, or name another one in the config", err)
	}
	if err != nil {
		return err
	}
	if err := showCopied(a, copied, c.JSON); err != nil {
		return err
	}
	if err := conf.opens(a); err != nil {
		return fmt.Errorf("it is restored, but keypost serve will not start on it: %w", err)
	}
	if c.JSON {
		return nil
	}
	fmt.Fprintf(a.out, `%s is restored. With it belongs, of the time of the backup: %s
Orders that came after the backup are not in it: the store's repeats would get new codes.
Outbox and pools rest until: keypost db restore --confirm
`, safe(store.Name(conf.Database.URL)), safe(conf.keyFiles()))
	return nil
}

// opens tells whether the master key at hand is the database's.
func (c *config) opens(a *app) error {
	db, err := store.Open(a, c.Database.URL, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := db.SigningKeys(a)
	if err != nil || len(keys) == 0 {
		return err
	}
	_, err = c.keyring(a, db, false)
	return err
}

func (c dbRestore) confirm(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.EndPauses(a, actor)
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("nothing rests: there is no restore to confirm")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Confirmed bool `json:"confirmed"`
		}{true})
	}
	fmt.Fprintln(a.out, "Outbox and pools go on.")
	return nil
}
