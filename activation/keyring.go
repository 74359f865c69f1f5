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
	"sync"

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

	mu   sync.Mutex
	open map[string]ed25519.PrivateKey // unsealed, by id
}

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
	return &Keyring{store: s, seal: seal, mac: derive("find fingerprints"), open: map[string]ed25519.PrivateKey{}}, nil
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

// current is the key that signs. It is looked up each time, so that a rotation
// by another process counts at once.
func (k *Keyring) current(ctx context.Context) (signingKey, error) {
	keys, err := k.store.SigningKeys(ctx)
	if err != nil {
		return signingKey{}, err
	}
	for _, key := range keys {
		if key.Slot != store.SlotCurrent {
			continue
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if private, ok := k.open[key.ID]; ok {
			return signingKey{key.ID, private}, nil
		}
		seed, err := k.seal.Open(nil, nil, key.Sealed, []byte(key.ID))
		if err != nil {
			return signingKey{}, ErrMaster
		}
		private := ed25519.NewKeyFromSeed(seed)
		k.open[key.ID] = private
		return signingKey{key.ID, private}, nil
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
	return k.store.RotateSigningKeys(ctx, id[store.SlotCurrent], id[store.SlotNext], k.newKey(), actor)
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
