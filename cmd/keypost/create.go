package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/keypost/keypost/store"
)

// errMade: the config's database is there already.
var errMade = errors.New("it is there already and stays as it is")

// create makes what a config names and is not there yet: the database, the
// master key with the first signing keys, and the audit log's key. A key file
// that is there is used. What an earlier try left half made is finished;
// errMade where nothing is missing.
func (c *config) create(ctx context.Context) error {
	if err := c.checkKeyFiles(); err != nil {
		return err // before a database is made that nothing can open
	}
	made, err := c.made(ctx)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, c.Database.URL, store.Options{Create: !made})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := c.keyring(ctx, db, !made); err != nil {
		return err
	}
	_, err = os.Stat(c.Keys.AuditFile)
	if made && (c.Keys.AuditFile == "" || err == nil) {
		return fmt.Errorf("database %s: %w", store.Name(c.Database.URL), errMade)
	}
	_, err = c.auditKey(ctx, db, true)
	return err
}

// made tells whether the config's database is there, with its signing keys.
func (c *config) made(ctx context.Context) (bool, error) {
	db, err := store.Open(ctx, c.Database.URL, store.Options{})
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

// checkKeyFiles tells whether the key files that are there can be read.
func (c *config) checkKeyFiles() error {
	for _, file := range []string{c.Keys.MasterFile, c.Keys.AuditFile} {
		if file == "" {
			continue
		}
		if _, err := readMaster(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// notMade says what to do about a database that is not there.
func (c *config) notMade(err error) error {
	switch {
	case !errors.Is(err, store.ErrNoDatabase):
		return err
	case c.file == "":
		return fmt.Errorf("there is no config file (name yours with --config, or set KEYPOST_CONFIG), and no demo was started here: %w", err)
	}
	return fmt.Errorf("%w. If it should be, correct [database] url in %s. To make a new one: %s", err, c.file, c.command("db create"))
}

// command is a command line for this config, to be typed in this folder.
func (c *config) command(words string) string {
	if c.file == "" || c.file == configFile("") {
		return "keypost " + words
	}
	return "keypost " + words + " --config " + shellQuoted(c.file)
}
