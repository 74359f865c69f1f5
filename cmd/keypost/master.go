package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/store"
)

// keyring opens the key ring. With create, a database that has no signing keys
// yet gets its first ones, and a master key if there is none: a file for its
// owner alone.
func (c *config) keyring(ctx context.Context, db *store.DB, create bool) (*activation.Keyring, error) {
	file := c.Keys.MasterFile
	master, err := readMaster(file)
	if errors.Is(err, fs.ErrNotExist) {
		keys, keysErr := db.SigningKeys(ctx)
		switch {
		case keysErr != nil:
			return nil, keysErr
		case len(keys) == 0 && !create:
			return nil, fmt.Errorf("database %s has no signing keys yet: %s finishes it", store.Name(c.Database.URL), c.command("db create"))
		case len(keys) > 0:
			return nil, fmt.Errorf("the master key %s is missing: put it back from your backup (without it, machines that are activated are not found and leases cannot be signed)", file)
		}
		master, err = makeMaster(file)
	}
	if err != nil {
		return nil, err
	}
	ring, err := activation.NewKeyring(db, master)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if create {
		if err := ring.MakeFirst(ctx); err != nil {
			return nil, err
		}
	}
	if err := ring.Check(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ring, nil
}

// auditKey signs the seals of the audit log: the key of audit_file, or one that
// hangs on the master key. With create, a file is made where there was none
// yet; one that has sealed and is gone is not made up anew.
func (c *config) auditKey(ctx context.Context, db *store.DB, create bool) (ed25519.PrivateKey, error) {
	file := c.Keys.AuditFile
	if file == "" {
		return c.derivedAuditKey()
	}
	seed, err := readMaster(file)
	if errors.Is(err, fs.ErrNotExist) {
		derived, derivedErr := c.derivedAuditKey()
		if derivedErr != nil {
			return nil, derivedErr
		}
		first, sealedErr := db.SealedBy(ctx, derived.Public().(ed25519.PublicKey))
		if sealedErr != nil {
			return nil, sealedErr
		}
		switch {
		case !first:
			return nil, fmt.Errorf("the audit log's key %s is missing: put it back from your backup (without it, what is sealed cannot be verified)", file)
		case !create:
			return nil, fmt.Errorf("the audit log's key %s is not there: if another daemon on this database has it, copy its file; if none has, %s makes it", file, c.command("db create"))
		}
		seed, err = makeMaster(file)
	}
	if err != nil {
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// derivedAuditKey hangs on the master key.
func (c *config) derivedAuditKey() (ed25519.PrivateKey, error) {
	return c.derivedKey("seal the audit log")
}

// derivedKey is a signing key for one use that hangs on the master key.
func (c *config) derivedKey(use string) (ed25519.PrivateKey, error) {
	master, err := readMaster(c.Keys.MasterFile)
	if err != nil {
		return nil, fmt.Errorf("the master key: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, master, nil, "keypost "+use, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// codeSigner signs a product's codes with a key that hangs on the master key.
// That is read when the first code is made: a config is read before there is one.
func (c *config) codeSigner(product string) func() (crypto.Signer, error) {
	var mu sync.Mutex
	var key ed25519.PrivateKey
	return func() (_ crypto.Signer, err error) {
		mu.Lock()
		defer mu.Unlock()
		if key == nil {
			key, err = c.derivedKey("sign codes " + product)
		}
		return key, err
	}
}

// keyFiles are what a backup of the database needs beside it.
func (c *config) keyFiles() string {
	if c.Keys.AuditFile == "" {
		return c.Keys.MasterFile
	}
	return c.Keys.MasterFile + " and " + c.Keys.AuditFile
}

// readMaster reads a master key: 32 bytes in base64, on one line.
func readMaster(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	master, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(master) != activation.MasterSize {
		return nil, fmt.Errorf("%s is not a master key: it must be %d bytes in base64", file, activation.MasterSize)
	}
	return master, nil
}

// makeMaster writes a new master key, unless another process does so first.
func makeMaster(file string) ([]byte, error) {
	master := make([]byte, activation.MasterSize)
	rand.Read(master) // never fails
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".keypost-*.key") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	_, err = fmt.Fprintln(temp, base64.StdEncoding.EncodeToString(master))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	// A link appears whole or not at all, and never in another's place.
	if err := os.Link(temp.Name(), file); errors.Is(err, fs.ErrExist) {
		return readMaster(file)
	} else if err != nil {
		return nil, err
	}
	return master, nil
}
