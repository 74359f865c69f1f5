package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// leaseType is the typ in a lease's header: no other artefact has it.
const leaseType = "keypost-lease+jwt"

const (
	maxLease = 8 << 10        // bytes
	maxTime  = 253402300799   // seconds: the last that RFC 3339 can write
	hashSize = sha256.Size    // of fph
	badLease = "it is no JWT" // what is said of every malformed one
)

// A lease is what a signed statement says, once it is verified.
type lease struct {
	ID, Activation  string // jti, sub
	Issued, Expires time.Time

	Type  string
	Limit int
	Test  bool
	Ends  time.Time // the license's end; zero: never
}

// parseKeys reads public keys as `keypost keys list` prints them. A key's id
// is its thumbprint.
func parseKeys(list []string) (map[string]ed25519.PublicKey, error) {
	keys := map[string]ed25519.PublicKey{}
	for i, s := range list {
		public, err := decode64(strings.TrimSpace(s))
		if err != nil || len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("keypost: Keys[%d] is no public key: copy it from `keypost keys list`", i)
		}
		// RFC 7638, 3.2, with RFC 8037, 2: the members in this order.
		thumb := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, base64.RawURLEncoding.EncodeToString(public)))
		keys[base64.RawURLEncoding.EncodeToString(thumb[:])] = public
	}
	return keys, nil
}

// parseLease verifies a lease for a product on a machine and reads it. The
// clock is not its business. The error is an ErrLease.
func parseLease(token string, keys map[string]ed25519.PublicKey, product, fingerprint string) (lease, error) {
	claims, err := verify(token, keys)
	if err == nil {
		var l lease
		if l, err = claims.lease(product, fingerprint); err == nil {
			return l, nil
		}
	}
	return lease{}, fmt.Errorf("%w: %w", ErrLease, err)
}

// verify checks a token's signature and returns what it covers.
func verify(token string, keys map[string]ed25519.PublicKey) (object, error) {
	if token == "" {
		return nil, errors.New("there is none")
	}
	// RFC 7515, 3.1: three parts.
	parts := strings.Split(token, ".")
	if len(token) > maxLease || len(parts) != 3 {
		return nil, errors.New(badLease)
	}
	header, err := decodeObject(parts[0])
	if err != nil {
		return nil, err
	}
	// RFC 8725, 3.1 and 3.11: one algorithm and one type, whatever the token says.
	if alg, err := header.text("alg"); err != nil || alg != "EdDSA" {
		return nil, errors.New("its alg is not EdDSA")
	}
	if typ, err := header.text("typ"); err != nil || typ != leaseType {
		return nil, errors.New("its typ is not " + leaseType)
	}
	// RFC 7515, 4.1.11: extensions that must be understood, of which there are none.
	if _, ok := header["crit"]; ok {
		return nil, errors.New("it has extensions")
	}
	kid, err := header.text("kid")
	key, shipped := keys[kid]
	if err != nil || !shipped {
		return nil, errors.New("its key is not one that was shipped")
	}
	signature, err := decode64(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("its signature is wrong")
	}
	return decodeObject(parts[1])
}

// lease reads verified claims, for a product on a machine.
func (o object) lease(product, fingerprint string) (l lease, err error) {
	if aud, err := o.text("aud"); err != nil || aud != product {
		return l, errors.New("it is another product's")
	}
	var salt, hash []byte
	if err := errors.Join(o.bytes("fps", &salt), o.bytes("fph", &hash)); err != nil || len(hash) != hashSize {
		return l, errors.New("it names no machine")
	}
	own := sha256.Sum256(append(salt, fingerprint...))
	if subtle.ConstantTimeCompare(own[:], hash) != 1 {
		return l, errors.New("it is another machine's")
	}
	if l.ID, err = o.text("jti"); err != nil {
		return l, err
	}
	if l.Activation, err = o.text("sub"); err != nil {
		return l, err
	}
	if l.Issued, err = o.time("iat"); err != nil {
		return l, err
	}
	if l.Expires, err = o.time("exp"); err != nil {
		return l, err
	}
	if l.Expires.Before(l.Issued) {
		return l, errors.New("it ends before it begins")
	}
	ent, err := parseObject(o["ent"])
	if err != nil {
		return l, err
	}
	if end := ent["expires_at"]; end != nil && string(end) != "null" {
		if l.Ends, err = ent.time("expires_at"); err != nil {
			return l, err
		}
	}
	return l, errors.Join(ent.read("type", &l.Type), ent.read("limit", &l.Limit), ent.read("test", &l.Test))
}

// An object is a JSON object whose names are exact and unique.
type object map[string]json.RawMessage

// decode64 is base64url without padding, and one writing of it only: the
// library passes over line ends.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New(badLease)
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func decodeObject(part string) (object, error) {
	b, err := decode64(part)
	if err != nil {
		return nil, errors.New(badLease)
	}
	return parseObject(b)
}

// RFC 7519, 4: claim names within a set must be unique.
func parseObject(b []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil || open != json.Delim('{') || !utf8.Valid(b) {
		return nil, errors.New(badLease)
	}
	o := object{}
	for d.More() {
		var value json.RawMessage
		token, err := d.Token()
		name, ok := token.(string)
		if _, twice := o[name]; err != nil || !ok || twice || d.Decode(&value) != nil {
			return nil, errors.New(badLease)
		}
		o[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New(badLease)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New(badLease)
	}
	return o, nil
}

func (o object) read(name string, to any) error {
	if err := json.Unmarshal(o[name], to); err != nil || string(o[name]) == "null" {
		return fmt.Errorf("it has no %s", name)
	}
	return nil
}

// text is a string that is not empty.
func (o object) text(name string) (s string, err error) {
	if err = o.read(name, &s); err == nil && s == "" {
		err = fmt.Errorf("its %s is empty", name)
	}
	return s, err
}

func (o object) bytes(name string, to *[]byte) error {
	s, err := o.text(name)
	if err == nil {
		*to, err = decode64(s)
	}
	return err
}

func (o object) time(name string) (time.Time, error) {
	var seconds int64
	if err := o.read(name, &seconds); err != nil {
		return time.Time{}, err
	}
	if seconds <= 0 || seconds > maxTime {
		return time.Time{}, fmt.Errorf("its %s is no time", name)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
