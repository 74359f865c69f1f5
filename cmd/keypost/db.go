package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keypost/keypost/admin"
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
	done, err := admin.CreateDatabase(a, conf.Admin())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, done)
	}
	fmt.Fprintf(a.out, "The database %s is ready. Keep a copy elsewhere of %s: without it, a backup of the database cannot be used.\n",
		safe(done.Name), safe(conf.Admin().KeyFiles()))
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
	done, err := admin.MigrateDatabase(a, conf.Admin())
	if err != nil {
		return err
	}
	name := safe(conf.Admin().DatabaseName())
	switch {
	case c.JSON:
		return printJSON(a.out, done)
	case done.From == done.To:
		fmt.Fprintf(a.out, "%s has schema %d already.\n", name, done.To)
	default:
		fmt.Fprintf(a.out, "%s went from schema %d to %d.\n", name, done.From, done.To)
	}
	return nil
}

type dbVerify struct {
	jsonFlag
}

func (dbVerify) Help() string {
	return "Changes nothing; daemons may run meanwhile. Exit code 1: something does not hold.\n\nExample: keypost db verify"
}

func (c dbVerify) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	list, err := admin.VerifyDatabase(a, conf.Admin())
	if err != nil && admin.CodeOf(err) != admin.Broken {
		return err
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, list), err)
	}
	for _, v := range list {
		result, detail := "ok", fmt.Sprintf("%d rows", v.Rows)
		if v.Broken > 0 {
			result, detail = "BROKEN", fmt.Sprintf("not so for %d of %d: %s", v.Broken, v.Rows, strings.Join(v.Some, " "))
		}
		fmt.Fprintf(a.out, "%-8s%s: %s\n", result, v.What, safe(detail))
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
	bar := newBar(a.err)
	copied, err := admin.CopyDatabase(a, from, to, c.WhileRunning, bar.at)
	bar.end()
	if err != nil {
		return err
	}
	if err := showCopied(a, copied, c.JSON); err != nil || c.JSON {
		return err
	}
	key := "the master key file of the old one"
	if conf, err := a.load(); err == nil && conf.Admin().SameDatabase(from) {
		if path, err := filepath.Abs(conf.Keys.MasterFile); err == nil {
			key = "[keys] master_file = " + strconv.Quote(path)
		}
	}
	fmt.Fprintf(a.out, "%s holds all of it. Now set [database] url (or url_file) to it in the config, with %s: the keys stay the same.\n", safe(admin.NameOfDatabase(to)), safe(key))
	return nil
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
	if admin.DatabaseURL(arg) {
		return arg, nil
	}
	return "", errors.New("it must be sqlite:PATH or mysql://user:password@host:port/database, or @FILE with one of them")
}

func showCopied(a *app, copied []admin.CopiedTable, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, copied)
	}
	rows := [][]string{{"TABLE", "ROWS", "SHA-256, THE SAME IN BOTH"}}
	for _, c := range copied {
		rows = append(rows, []string{c.Table, strconv.FormatInt(c.Rows, 10), c.Sum[:16]})
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
	conf, err := a.load()
	if err != nil {
		return err
	}
	bar := newBar(a.err)
	copied, err := admin.BackupDatabase(a, conf.Admin(), c.File, bar.at)
	bar.end()
	if err != nil {
		return err
	}
	if err := showCopied(a, copied, c.JSON); err != nil || c.JSON {
		return err
	}
	fmt.Fprintf(a.out, "%s is written. Keep with it: %s\n", safe(c.File), safe(conf.Admin().KeyFiles()))
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
	bar := newBar(a.err)
	copied, err := admin.RestoreDatabase(a, conf.Admin(), c.File, bar.at)
	bar.end()
	if len(copied) == 0 && err != nil {
		return err
	}
	if err := errors.Join(showCopied(a, copied, c.JSON), err); err != nil || c.JSON {
		return err
	}
	fmt.Fprintf(a.out, `%s is restored. With it belongs, of the time of the backup: %s
Orders that came after the backup are not in it: the store's repeats would get new codes.
Outbox and pools rest until: keypost db restore --confirm
`, safe(conf.Admin().DatabaseName()), safe(conf.Admin().KeyFiles()))
	return nil
}

func (c dbRestore) confirm(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.ConfirmRestore(a, actor); err != nil {
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
