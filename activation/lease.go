package activation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keypost/keypost/store"
)

// LeaseType is the typ in a lease's header: no other artefact has it.
//
// A lease is a JWT signed with EdDSA. A client checks the signature by the key
// that the header's kid names, typ, aud (its product) and exp, and that
// SHA-256(fps, its own fingerprint) is fph; both are base64url without padding.
const LeaseType = "keypost-lease+jwt"

const saltSize = 16 // bytes

// Entitled is what the license allows, for the software to act on offline.
type Entitled struct {
	Type      string `json:"type"`
	Limit     int    `json:"limit"`
	Test      bool   `json:"test"`
	ExpiresAt *int64 `json:"expires_at"` // the license's end, seconds since 1970; null: never
}

// lease signs an activation's lease from its stored row alone: the same row
// gives the same lease again.
func (k *Keyring) lease(ctx context.Context, issuer string, l store.License, a store.Activation) (string, error) {
	key, err := k.current(ctx)
	if err != nil {
		return "", err
	}
	ent := Entitled{Type: l.Type, Limit: l.Limit, Test: l.Test}
	if l.ExpiresAt != nil {
		at := l.ExpiresAt.Unix()
		ent.ExpiresAt = &at
	}
	b64 := base64.RawURLEncoding.EncodeToString
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": issuer,
		"sub": a.ID,
		"aud": l.Product,
		"jti": a.LeaseID,
		"iat": a.LeaseIssued.Unix(),
		"exp": a.LeaseExpires.Unix(),
		"fps": b64(a.Salt),
		"fph": b64(a.FPHash),
		"ent": ent,
	})
	token.Header["typ"], token.Header["kid"] = LeaseType, key.id
	return token.SignedString(key.private)
}

func fingerprintHash(salt []byte, fingerprint string) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte(fingerprint))
	return h.Sum(nil)
}

// newLease gives an activation a lease from now on: for the product's term,
// but never longer than the license.
func (s *Server) newLease(a store.Activation, l store.License, p Product) store.Activation {
	if p.Lease <= 0 {
		return a
	}
	a.LeaseID = store.NewID()
	a.LeaseIssued = s.now().UTC().Truncate(time.Second)
	a.LeaseExpires = a.LeaseIssued.Add(p.Lease.Truncate(time.Second))
	if l.ExpiresAt != nil && l.ExpiresAt.Before(a.LeaseExpires) {
		a.LeaseExpires = l.ExpiresAt.Truncate(time.Second)
	}
	return a
}

// clockLeeway is how far clocks of several daemons may be apart.
const clockLeeway = 5 * time.Minute

// leaseIsDue tells whether an activation needs a new lease: it has none; or less
// than half of the last one is left, and a new one would last longer; or the last
// one is from the future, since a clock ran ahead when it was issued. Such a lease
// would hold for too long, and a client whose clock is right takes it for a sign
// that its clock was set back.
func (s *Server) leaseIsDue(a store.Activation, l store.License, p Product) bool {
	now := s.now()
	switch {
	case p.Lease <= 0:
		return false
	case a.LeaseExpires.IsZero(), a.LeaseIssued.Sub(now) > clockLeeway:
		return true
	}
	half := a.LeaseExpires.Sub(a.LeaseIssued) / 2
	return a.LeaseExpires.Sub(now) < half && s.newLease(a, l, p).LeaseExpires.After(a.LeaseExpires)
}

func (s *Server) renew(ctx context.Context, a store.Activation, l store.License, p Product) (store.Activation, error) {
	return s.store.RenewLease(ctx, s.newLease(a, l, p), a.LeaseID)
}
