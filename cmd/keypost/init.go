package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
)

type initCommand struct {
	Dir string `arg:"" optional:"" help:"The folder." default:"."`
}

func (initCommand) Help() string {
	return "Run it as the user that will run keypost serve: only that user can read the config, the database and the master key. It never overwrites a file.\n\n" +
		"Example: keypost init /etc/keypost"
}

func (c initCommand) Run(a *app) error {
	file := filepath.Join(c.Dir, config.Name)
	if a.file != "" {
		if c.Dir != "." {
			return usageError{errors.New("name the folder or --config, not both")}
		}
		file = a.file
	}
	text := config.New()
	conf, err := config.Parse(file, text)
	if err != nil {
		return err
	}
	database := conf.Admin().DatabaseName()
	for _, path := range []string{file, database} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s already exists and was not changed: name another folder, or move the file away first", path)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := writeNew(file, text); err != nil {
		return err
	}
	a.file = file
	if _, err := admin.CreateDatabase(a, conf.Admin()); err != nil {
		return fmt.Errorf("wrote %s, but could not create the database: %w. Fix this, then run %s", file, err, a.command("db create"))
	}
	fmt.Fprintf(a.out, `Wrote %s with a new secret. Created the database %s and its master key %s:
keep a copy of the key elsewhere: without it, a backup of the database is useless. Next:
  edit the config: your product, and the secret and the cipher as agreed on with the store
  %s
  %s
`, safe(file), safe(database), safe(conf.Keys.MasterFile), safe(a.command("check")), safe(a.command("serve")))
	return nil
}
