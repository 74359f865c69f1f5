package admin

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

// The master key seals the signing keys that are in the database, and is not in
// it. Others are derived from it.

// Keyring opens the ring of lease-signing keys with the master key.
func (c Config) Keyring(ctx context.Context, db *store.DB) (*activation.Keyring, error) {
	return c.keyring(ctx, db, false)
}

// keyring is Keyring. With create, a database that has no signing keys yet gets
// its first ones, and a master key if there is none: a file for its owner alone.
func (c Config) keyring(ctx context.Context, db *store.DB, create bool) (*activation.Keyring, error) {
	file := c.MasterFile
	master, err := readMaster(file)
	if errors.Is(err, fs.ErrNotExist) {
		keys, keysErr := db.SigningKeys(ctx)
		switch {
		case keysErr != nil:
			return nil, keysErr
		case len(keys) == 0 && !create:
			return nil, fail(State, "run {db create} to finish it", "database %s has no signing keys yet", store.Name(c.Database))
		case len(keys) > 0:
			return nil, fail(Unavailable, "restore it from your backup (without it, activated machines are not found and leases cannot be signed)", "the master key %s is missing", file)
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

// AuditKey signs the seals of the audit log: the key of audit_file, or one that
// is derived from the master key.
func (c Config) AuditKey(ctx context.Context, db *store.DB) (ed25519.PrivateKey, error) {
	return c.auditKey(ctx, db, false)
}

// auditKey is AuditKey. With create, a file is made where there was none yet; one
// that has sealed and is gone is not replaced.
func (c Config) auditKey(ctx context.Context, db *store.DB, create bool) (ed25519.PrivateKey, error) {
	file := c.AuditFile
	if file == "" {
		return derivedAuditKey(c.MasterFile)
	}
	seed, err := readMaster(file)
	if errors.Is(err, fs.ErrNotExist) {
		derived, derivedErr := derivedAuditKey(c.MasterFile)
		if derivedErr != nil {
			return nil, derivedErr
		}
		first, sealedErr := db.SealedBy(ctx, derived.Public().(ed25519.PublicKey))
		if sealedErr != nil {
			return nil, sealedErr
		}
		switch {
		case !first:
			return nil, fail(Unavailable, "restore it from your backup (without it, sealed rows cannot be verified)", "the audit log's key %s is missing", file)
		case !create:
			return nil, fail(Unavailable, "if another daemon on this database has it, copy its file. If none has it, create it with {db create}", "the audit log's key %s does not exist", file)
		}
		seed, err = makeMaster(file)
	}
	if err != nil {
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// auditKeys are all that may have sealed: that of audit_file, and the one that is
// derived from the master key, which seals where there is no such file.
func (c Config) auditKeys(ctx context.Context, db *store.DB) (keys []ed25519.PublicKey, err error) {
	key, err := c.AuditKey(ctx, db)
	if err != nil {
		return nil, err
	}
	derived, err := derivedAuditKey(c.MasterFile)
	if err != nil {
		return nil, err
	}
	return []ed25519.PublicKey{key.Public().(ed25519.PublicKey), derived.Public().(ed25519.PublicKey)}, nil
}

func derivedAuditKey(masterFile string) (ed25519.PrivateKey, error) {
	return derivedKey(masterFile, "seal the audit log")
}

// derivedKey is a signing key for one use that is derived from the master key.
func derivedKey(masterFile, use string) (ed25519.PrivateKey, error) {
	master, err := readMaster(masterFile)
	if err != nil {
		return nil, fmt.Errorf("the master key: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, master, nil, "keypost "+use, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// CodeSigner signs a product's codes with a key that is derived from the master
// key. That is read when the first code is made: a config is read before there
// is one.
func CodeSigner(masterFile, product string) func() (crypto.Signer, error) {
	var mu sync.Mutex
	var key ed25519.PrivateKey
	return func() (_ crypto.Signer, err error) {
		mu.Lock()
		defer mu.Unlock()
		if key == nil {
			key, err = derivedKey(masterFile, "sign codes "+product)
		}
		return key, err
	}
}

// KeyFiles are what a backup of the database needs beside it, for people.
func (c Config) KeyFiles() string {
	if c.AuditFile == "" {
		return c.MasterFile
	}
	return c.MasterFile + " and " + c.AuditFile
}

// checkKeyFiles tells whether the key files that are there can be read.
func (c Config) checkKeyFiles() error {
	for _, file := range []string{c.MasterFile, c.AuditFile} {
		if file == "" {
			continue
		}
		if _, err := readMaster(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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
