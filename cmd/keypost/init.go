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
)

//go:embed keypost.toml
var configTemplate string

type initCommand struct {
	Dir string `arg:"" optional:"" help:"The folder." default:"."`
}

func (initCommand) Help() string {
	return "Never overwrites a file.\n\nExample: keypost init /etc/keypost"
}

func (c initCommand) Run(a *app) error {
	file := filepath.Join(c.Dir, defaultConfig)
	if a.file != "" {
		if c.Dir != "." {
			return usageError{errors.New("name the folder or --config, not both")}
		}
		file = a.file
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	text := strings.NewReplacer(
		"WEBHOOK-SECRET-MADE-BY-INIT", newWebhookSecret(), "SECRET-MADE-BY-INIT", newSecret(),
	).Replace(configTemplate)
	// There are secrets in it: for the owner's eyes.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and stays as it is", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	flag := " --config " + shellQuoted(file)
	if file == defaultConfig {
		flag = ""
	}
	fmt.Fprintf(a.out, `%s is written, with a secret of its own. Next:
  edit it: your product, and the secret and the cipher as agreed on with the store
  keypost check%s
  keypost serve%s
`, safe(file), safe(flag), safe(flag))
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
