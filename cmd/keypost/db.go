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
	Create  dbCreate  `cmd:"" help:"Create the database that the config names, and its keys."`
	Migrate dbMigrate `cmd:"" help:"Upgrade an older database to the schema of this version."`
	Verify  dbVerify  `cmd:"" help:"Check that the database's rows are consistent."`
	Copy    dbCopy    `cmd:"" help:"Copy a database into an empty one, SQLite or MySQL."`
	Backup  dbBackup  `cmd:"" help:"Write a backup. Daemons may keep running."`
	Restore dbRestore `cmd:"" help:"Restore a backup into an empty database."`
}

type dbCreate struct {
	changing
	jsonFlag
}

func (dbCreate) Help() string {
	return "Creates the database that the config names, and the master key if it is missing. For an embedded database, keypost init does this. " +
		"Nothing that exists is overwritten. A MySQL database must exist and be empty.\n\nExample: keypost db create"
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
	fmt.Fprintf(a.out, "The database %s is ready. Keep a copy of %s elsewhere: without it, a backup of the database is useless.\n",
		safe(done.Name), safe(conf.Admin().KeyFiles()))
	return nil
}

type dbMigrate struct {
	changing
	jsonFlag
}

func (dbMigrate) Help() string {
	return "Make a backup first. Daemons of the previous version can keep running during and after the migration. Restart them with this version when it suits you.\n\nExample: keypost db migrate"
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
		fmt.Fprintf(a.out, "%s already has schema %d.\n", name, done.To)
	default:
		fmt.Fprintf(a.out, "%s was upgraded from schema %d to %d.\n", name, done.From, done.To)
	}
	return nil
}

type dbVerify struct {
	jsonFlag
}

func (dbVerify) Help() string {
	return "Changes nothing. Daemons may keep running. Exit code 1: something is inconsistent.\n\nExample: keypost db verify"
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
			result, detail = "BROKEN", fmt.Sprintf("wrong for %d of %d rows: %s", v.Broken, v.Rows, strings.Join(v.Some, " "))
		}
		fmt.Fprintf(a.out, "%-8s%s: %s\n", result, v.What, safe(detail))
	}
	return err
}

type dbCopy struct {
	jsonFlag
	From         string `arg:"" help:"sqlite:PATH or mysql://user:password@host:port/database; @FILE reads it from a file."`
	To           string `arg:"" help:"The same. It must be empty or not exist yet."`
	WhileRunning bool   `help:"Copy even if a daemon uses the database. The copy may miss what the daemon stores meanwhile."`
}

func (dbCopy) Help() string {
	return "Compares counts and checksums of all tables at the end. If it is interrupted, run it again: it starts over. To move to another database: stop the daemons, copy, and set [database] url to the new database. Keep the master key.\n\n" +
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
	key := "the old database's master key file"
	if conf, err := a.load(); err == nil && conf.Admin().SameDatabase(from) {
		if path, err := filepath.Abs(conf.Keys.MasterFile); err == nil {
			key = "[keys] master_file = " + strconv.Quote(path)
		}
	}
	fmt.Fprintf(a.out, "Everything was copied to %s. Now set [database] url (or url_file) to it in the config, and keep %s: the keys stay the same.\n", safe(admin.NameOfDatabase(to)), safe(key))
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
	return "", errors.New("it must be sqlite:PATH, mysql://user:password@host:port/database, or @FILE with one of them")
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
	File string `arg:"" help:"The file to write. An existing file is not overwritten."`
}

func (dbBackup) Help() string {
	return "Writes a consistent snapshot of the database, SQLite or MySQL, to one file and verifies it. The backup contains buyers' names. It does not contain the master key: back that up too.\n\n" +
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
	fmt.Fprintf(a.out, "Wrote %s. Keep with it: %s\n", safe(c.File), safe(conf.Admin().KeyFiles()))
	return nil
}

type dbRestore struct {
	changing
	jsonFlag
	File    string `arg:"" optional:"" help:"The backup."`
	Confirm bool   `help:"After a restore: resume the outbox and the pools."`
}

func (dbRestore) Help() string {
	return "The config's database must be empty or not exist yet. The backup does not know what was sent or taken from a pool after it was made. The outbox and the pools therefore pause " +
		"until you have checked what happened since then and run --confirm.\n\nExample: keypost db restore /backup/keypost-monday.db\nExample: keypost db restore --confirm"
}

func (c dbRestore) Run(a *app) error {
	if (c.File == "") != c.Confirm {
		return usageError{errors.New("name either a backup file or --confirm")}
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
	fmt.Fprintf(a.out, `%s was restored. It needs these files from the time of the backup: %s
Orders that came after the backup are missing: if the store sends them again, they get new codes.
The outbox and the pools are paused. To resume them: keypost db restore --confirm
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
	fmt.Fprintln(a.out, "The outbox and the pools are running again.")
	return nil
}
