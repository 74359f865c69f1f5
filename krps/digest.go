package krps

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/adler32"
	"regexp"
	"strings"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 Kagi offered MD4, and vendors agreed on it

	"github.com/keypost/keypost/ingest/channel"
)

// A Digest is a cipher of KRPS 2.0, Table 2, by its name there.
type Digest string

// ClearText and Adler32 protect nothing: whoever sees one post can forge any.
const (
	ClearText Digest = "Clear-Text"
	Adler32   Digest = "Adler32"
)

// Weak tells whether whoever reads one post could forge others.
func (d Digest) Weak() bool { return d == ClearText || d == Adler32 }

// A cipher is a row of the list in KRPS 2.0, Table 2, "Cypher".
type cipher struct {
	name Digest
	sum  func(message []byte) []byte // nil: clear text
}

func sum(h hash.Hash, message []byte) []byte {
	h.Write(message)
	return h.Sum(nil)
}

// The HMACs have an empty key: the secret is in the message. SHA is SHA-1, as
// in Java, which Kagi's side was written in.
var ciphers = []cipher{
	{ClearText, nil},
	{"MD5", func(m []byte) []byte { return sum(md5.New(), m) }},
	{Adler32, func(m []byte) []byte { return sum(adler32.New(), m) }},
	{"MD2", md2},
	{"MD4", func(m []byte) []byte { return sum(md4.New(), m) }},
	{"SHA", func(m []byte) []byte { return sum(sha1.New(), m) }},
	{"SHA-1", func(m []byte) []byte { return sum(sha1.New(), m) }},
	{"SHA-256", func(m []byte) []byte { return sum(sha256.New(), m) }},
	{"SHA-384", func(m []byte) []byte { return sum(sha512.New384(), m) }},
	{"SHA-512", func(m []byte) []byte { return sum(sha512.New(), m) }},
	{"HMAC_MD5", func(m []byte) []byte { return sum(hmac.New(md5.New, nil), m) }},
	{"HMAC_SHA-1", func(m []byte) []byte { return sum(hmac.New(sha1.New, nil), m) }},
}

var notInName = regexp.MustCompile(`[^a-z0-9]|with`)

// ParseDigest reads a cipher's name in any case and punctuation: "HMAC with
// MD5" is HMAC_MD5.
func ParseDigest(name string) (Digest, error) {
	fold := func(s string) string { return notInName.ReplaceAllString(lower(s), "") }
	for _, c := range ciphers {
		if fold(name) == fold(string(c.name)) {
			return c.name, nil
		}
	}
	names := make([]string, len(ciphers))
	for i, c := range ciphers {
		names[i] = string(c.name)
	}
	return "", fmt.Errorf("unknown cipher %q: it must be one of %s", name, strings.Join(names, ", "))
}

// Password is what Kagi sends as ACG:Password for these fields (KRPS 2.0, "How
// to calculate the encrypted password").
func (d Digest) Password(secret string, posted func(name string) string) string {
	for _, c := range ciphers {
		if c.name == d && c.sum != nil {
			return hex.EncodeToString(c.sum([]byte(message(secret, posted)))) // steps 3 and 4
		}
	}
	return secret
}

// message is what the digest runs over: steps 1 and 2.
func message(secret string, posted func(name string) string) string {
	m := secret
	for _, name := range covered {
		m += posted(name)
	}
	return lower(m)
}

// lower is lower case for ASCII alone: it leaves bytes beyond as they are,
// whatever they may mean.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Authenticate tells whether the post is from somebody who has the channel's
// user name and secret. Its errors are [Bad]; they do not tell which of the two
// is wrong, or strangers could find out one after the other.
func (c Channel) Authenticate(p Post) error {
	for _, name := range append([]string{"ACG:Password"}, covered...) {
		v, ok := p.posted[name]
		if !ok || v == "" {
			return badf("%s is missing.", name)
		}
		if shape := parameters[name].shape; shape != nil && !shape.re.MatchString(v) {
			return badf("%s is not %s.", name, shape.want)
		}
	}
	known := false
	for _, secret := range c.Secrets { // all of them, whichever it is
		known = c.Digest.match(c.Digest.Password(secret, p.Posted), p.posted["ACG:Password"]) || known
	}
	named := channel.Equal(c.UserName, p.posted["ACG:UserName"]) || c.UserName == ""
	switch {
	case known && named:
		return nil
	case c.UserName != "":
		return badf("ACG:UserName or ACG:Password does not match: check the user name, the secret, and that the cipher is %s on both sides.", c.Digest)
	}
	return badf("ACG:Password does not match: check the secret, and that the cipher is %s on both sides.", c.Digest)
}

// match compares in constant time. Digests count in any case, Adler32 without
// leading zeros too; clear text counts byte for byte.
func (d Digest) match(want, got string) bool {
	if d != ClearText {
		got = lower(got)
	}
	if d == Adler32 {
		want, got = strings.TrimLeft(want, "0"), strings.TrimLeft(got, "0")
	}
	return channel.Equal(want, got)
}
