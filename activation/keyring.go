package activation

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/store"
)

// MasterSize is the length of the master key, in bytes.
const MasterSize = 32

// KeyStore is where signing keys are kept, sealed.
type KeyStore interface {
	SigningKeys(context.Context) ([]store.SigningKey, error)
	FirstSigningKeys(ctx context.Context, current, next store.SigningKey) error
	RotateSigningKeys(ctx context.Context, currentID, nextID string, n store.SigningKey, actor string) error
}

// A Keyring signs leases and finds machines. All its keys hang on the master
// key: signing keys are sealed by it, the fingerprints' HMAC key is derived
// from it.
type Keyring struct {
	store KeyStore
	seal  cipher.AEAD
	mac   []byte
	now   func() time.Time // for how long a key was kept; not the clock of leases

	kept atomic.Pointer[keptKey] // nil: none was looked up yet, or it was rotated
	turn chan struct{}           // held by the one that looks the key up
}

// A keptKey is the current signing key, unsealed, as it was looked up.
type keptKey struct {
	signingKey
	until time.Time
}

// keyKept is for how long a key is used before it is looked up again (DESIGN 5).
// So a rotation by another process counts a second later at the latest. What is
// signed meanwhile is good: vendors shipped the old key's public half, too, and
// leases from before the rotation are signed by it for days to come.
const keyKept = time.Second

// ErrMaster: the master key is not the one that sealed the signing keys.
var ErrMaster = errors.New("the master key is not this database's")

// NewKeyring makes a key ring from a master key of MasterSize bytes.
func NewKeyring(s KeyStore, master []byte) (*Keyring, error) {
	if len(master) != MasterSize {
		return nil, fmt.Errorf("the master key has %d bytes, it must have %d", len(master), MasterSize)
	}
	derive := func(use string) []byte {
		key, err := hkdf.Key(sha256.New, master, nil, "keypost "+use, 32)
		if err != nil {
			panic(err) // only for lengths that SHA-256 cannot give
		}
		return key
	}
	block, err := aes.NewCipher(derive("seal signing keys"))
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Keyring{store: s, seal: seal, mac: derive("find fingerprints"), now: time.Now, turn: make(chan struct{}, 1)}, nil
}

// MakeFirst makes the first two keys of a new database; an older one keeps its own.
func (k *Keyring) MakeFirst(ctx context.Context) error {
	keys, err := k.store.SigningKeys(ctx)
	if err != nil || len(keys) > 0 {
		return err
	}
	return k.store.FirstSigningKeys(ctx, k.newKey(), k.newKey())
}

// Check tells whether the master key opens the current key; ErrMaster.
func (k *Keyring) Check(ctx context.Context) error {
	_, err := k.current(ctx)
	return err
}

// MAC finds a machine: an HMAC of its fingerprint under a key of the server's.
func (k *Keyring) MAC(fingerprint string) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write([]byte(fingerprint))
	return h.Sum(nil)
}

// newKey makes a signing key. Its id is the key's thumbprint (RFC 7638).
func (k *Keyring) newKey() store.SigningKey {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	thumb := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, base64.RawURLEncoding.EncodeToString(public)))
	id := base64.RawURLEncoding.EncodeToString(thumb[:])
	return store.SigningKey{ID: id, Public: public, Sealed: k.seal.Seal(nil, nil, private.Seed(), []byte(id))}
}

type signingKey struct {
	id      string
	private ed25519.PrivateKey
}

// current is the key that signs.
func (k *Keyring) current(ctx context.Context) (signingKey, error) {
	if key, ok := k.fresh(); ok {
		return key, nil
	}
	// One looks, for all that wait; each waits no longer than its own caller does.
	// An error is that one's alone, and nothing is kept of it: the next one looks.
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return signingKey{}, ctx.Err()
	}
	defer func() { <-k.turn }()
	if key, ok := k.fresh(); ok {
		return key, nil
	}
	return k.look(ctx)
}

// fresh is the key that is kept, if it need not be looked up.
func (k *Keyring) fresh() (signingKey, bool) {
	kept := k.kept.Load()
	if kept == nil || !k.now().Before(kept.until) {
		return signingKey{}, false
	}
	return kept.signingKey, true
}

// look looks the current key up and keeps it. The second begins before the look.
func (k *Keyring) look(ctx context.Context) (signingKey, error) {
	until := k.now().Add(keyKept)
	keys, err := k.store.SigningKeys(ctx)
	if err != nil {
		return signingKey{}, err
	}
	for _, key := range keys {
		if key.Slot != store.SlotCurrent {
			continue
		}
		if last := k.kept.Load(); last != nil && last.id == key.ID {
			k.kept.Store(&keptKey{last.signingKey, until}) // it is unsealed
			return last.signingKey, nil
		}
		seed, err := k.seal.Open(nil, nil, key.Sealed, []byte(key.ID))
		if err != nil {
			return signingKey{}, ErrMaster
		}
		current := signingKey{key.ID, ed25519.NewKeyFromSeed(seed)}
		k.kept.Store(&keptKey{current, until})
		return current, nil
	}
	return signingKey{}, errors.New("there is no signing key yet: keypost db create makes it")
}

// Rotate makes the next key the current one, and a new next one.
func (k *Keyring) Rotate(ctx context.Context, actor string) error {
	keys, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	id := map[string]string{}
	for _, key := range keys {
		id[key.Slot] = key.ID
	}
	err = k.store.RotateSigningKeys(ctx, id[store.SlotCurrent], id[store.SlotNext], k.newKey(), actor)
	k.kept.Store(nil) // here it counts at once, also where an error came back though it was applied
	return err
}

// A JWK is a public key (RFC 8037).
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// NewJWK is a signing key's public half.
func NewJWK(key store.SigningKey) JWK {
	return JWK{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(key.Public), key.ID, "EdDSA", "sig"}
}

// JWKS answers GET /.well-known/jwks.json: the current key and the next one.
func (s *Server) JWKS() http.Handler {
	return call(func(r *http.Request) (any, error) {
		keys, err := s.keys.store.SigningKeys(r.Context())
		if err != nil {
			return nil, err
		}
		set := struct {
			Keys []JWK `json:"keys"`
		}{Keys: []JWK{}}
		for _, slot := range []string{store.SlotCurrent, store.SlotNext} {
			for _, key := range keys {
				if key.Slot == slot {
					set.Keys = append(set.Keys, NewJWK(key))
				}
			}
		}
		return set, nil
	})
}
