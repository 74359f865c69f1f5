package authentic

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"
)

// The sizes of RSA keys that are taken, in bits. RFC 8301, 3.2: at least 1024.
const (
	minRSA = 1024
	maxRSA = 8192
)

// A key is what a key record says (RFC 6376, 3.6.1).
type key struct {
	rsa     *rsa.PublicKey
	ed25519 ed25519.PublicKey
	strict  bool // t=s: i= must be d= itself
}

// keyState is what the DNS said: a key, or that there is none.
type keyState struct {
	key  *key
	none string // why there is none; "" when there is one
}

// lookUp asks the DNS for the signature's key. That there is none is no
// failure yet: the mail server may have seen it.
func (t *trial) lookUp(ctx context.Context) (string, error) {
	name := t.field.selector + "._domainkey." + t.field.domain
	records, err := t.txt(ctx, name)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, err == nil && len(records) == 0:
		return t.noKey("there is no TXT record at " + name)
	case err != nil:
		return "", refuse(DNS, "the DNS did not answer for %s: it will be asked again", name)
	case len(records) > 1: // RFC 6376, 3.6.2.2: undefined
		return "", refuse(BadKey, "there are %d TXT records at %s; there must be one", len(records), name)
	}
	k, err := readKey(records[0], t.sig.algorithm)
	if err != nil {
		return "", err
	}
	if k == nil {
		return t.noKey("the key at " + name + " is revoked: its p= is empty")
	}
	if k.strict && t.sig.agent != t.field.domain { // RFC 6376, 3.6.1, t=s
		return "", refuse(BadKey, "the key at %s says t=s, but the signature's i= is in a subdomain", name)
	}
	t.key.key = k
	return "the key is at " + name, nil
}

func (t *trial) noKey(why string) (string, error) {
	t.key.none = why
	if !slices.ContainsFunc(t.policy.servers(t.field.domain), func(id string) bool { return id != "" }) {
		return "", refuse(NoKey, "%s", why)
	}
	return why + "; the mail server's result decides", nil
}

// readKey reads a key record for use with an algorithm; nil: it is revoked.
func readKey(record, algorithm string) (*key, error) {
	if len(record) > 16<<10 {
		return nil, refuse(BadKey, "the key record has %d bytes", len(record))
	}
	t, err := readTags(record)
	if err != nil {
		return nil, refuse(BadKey, "the key record cannot be read: %s", err)
	}
	v := t.values
	if version, ok := v["v"]; ok && (version != "DKIM1" || t.first != "v") {
		return nil, refuse(BadKey, "the key record has the version %s", shown(version))
	}
	flags := list(v["t"])
	if slices.Contains(flags, "y") { // RFC 6376, 3.6.1, t=y: as if it were not signed
		return nil, refuse(KeyTesting, "the key record says t=y: the domain is only testing, and its signatures prove nothing")
	}
	p, ok := v["p"]
	if !ok {
		return nil, refuse(BadKey, "the key record has no p=")
	}
	if p == "" {
		return nil, nil
	}
	if hashes, ok := v["h"]; ok && !slices.Contains(list(hashes), "sha256") {
		return nil, refuse(BadKey, "the key is not for SHA-256: h=%s", shown(hashes))
	}
	if s, ok := v["s"]; ok && !slices.Contains(list(s), "*") && !slices.Contains(list(s), "email") {
		return nil, refuse(BadKey, "the key is not for mail: s=%s", shown(s))
	}
	kind, ok := v["k"]
	if !ok {
		kind = "rsa"
	}
	if kind != algorithm {
		return nil, refuse(BadKey, "the key has k=%s, but the signature uses %s", shown(kind), algorithm)
	}
	k, err := readPublic(noFold(p), kind)
	if err == nil {
		k.strict = slices.Contains(flags, "s")
	}
	return k, err
}

func list(s string) []string { return strings.Split(noFold(s), ":") }

func readPublic(p, kind string) (*key, error) {
	der, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return nil, refuse(BadKey, "the key record's p= is not base64")
	}
	if kind == "ed25519" { // RFC 8463, 4
		if len(der) != ed25519.PublicKeySize {
			return nil, refuse(BadKey, "the Ed25519 key has %d bytes; it must have %d", len(der), ed25519.PublicKeySize)
		}
		return &key{ed25519: der}, nil
	}
	// RFC 6376, erratum 3017: SubjectPublicKeyInfo is meant, RSAPublicKey is written.
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		public, err = x509.ParsePKCS1PublicKey(der)
	}
	k, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, refuse(BadKey, "the key record's p= is not an RSA key")
	}
	if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, refuse(BadKey, "the RSA key has %d bits; %d to %d are accepted", bits, minRSA, maxRSA)
	}
	return &key{rsa: k}, nil
}

// made tells whether the key made a signature over a text.
func (k *key) made(sum, text []byte) bool {
	hash := sha256.Sum256(text)
	if k.ed25519 != nil { // RFC 8463, 3: over the hash
		return ed25519.Verify(k.ed25519, hash[:], sum)
	}
	return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, hash[:], sum) == nil
}
