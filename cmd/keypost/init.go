package main

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/store"
)

//go:embed keypost.toml
var configTemplate string

type initCommand struct {
	Dir string `arg:"" optional:"" help:"The folder." default:"."`
}

func (initCommand) Help() string {
	return "The config, the embedded database and its master key are for their owner's eyes: run it as the user that keypost serve will run as. It never overwrites a file.\n\n" +
		"Example: keypost init /etc/keypost"
}

func (c initCommand) Run(a *app) error {
	file := filepath.Join(c.Dir, configName)
	if a.file != "" {
		if c.Dir != "." {
			return usageError{errors.New("name the folder or --config, not both")}
		}
		file = a.file
	}
	text := strings.NewReplacer(
		"WEBHOOK-SECRET-MADE-BY-INIT", newWebhookSecret(), "SECRET-MADE-BY-INIT", newSecret(),
	).Replace(configTemplate)
	conf := &config{file: file, folder: filepath.Dir(file)}
	if err := errors.Join(conf.parse([]byte(text)), conf.complete()); err != nil {
		return err
	}
	database := store.Name(conf.Database.URL)
	for _, path := range []string{file, database} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already and stays as it is: name another folder, or move it away first", path)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := writeNew(file, []byte(text)); err != nil {
		return err
	}
	if err := conf.create(a); err != nil {
		return fmt.Errorf("%s is written, but the database is not made: %w. Then go on with %s", file, err, conf.command("db create"))
	}
	fmt.Fprintf(a.out, `%s is written, with a secret of its own. The database %s and its master key %s are made;
keep a copy of the key elsewhere: without it, a backup of the database cannot be used. Next:
  edit the config: your product, and the secret and the cipher as agreed on with the store
  %s
  %s
`, safe(file), safe(database), safe(conf.Keys.MasterFile), safe(conf.command("check")), safe(conf.command("serve")))
	return nil
}

// newSecret has 130 random bits, in characters that a digest does not fold
// together.
func newSecret() string {
	b := make([]byte, 20)
	rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))[:26]
}

func newWebhookSecret() string {
	s := make(delivery.Secret, 32)
	rand.Read(s) // never fails
	return s.Encode()
}
