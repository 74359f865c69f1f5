package keygen

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Signed makes codes that software checks offline with a public key alone: what
// was sold, and an Ed25519 signature (RFC 8032) of it. What is signed is
// "keypost-signed-code" LF product LF payload; a code is payload and signature,
// 64 bytes, in base32. The payload:
//
//	1 byte   16 (version 1 of the layout), plus 1: expiry, 2: seats, 4: edition,
//	         8: name; each follows, in this order, where its bit is set
//	4 bytes  a number drawn by chance, which makes codes differ
//	2 bytes  expiry: the last day, in days since 2020-01-01 (UTC), big endian
//	1-5      seats: seven bits a byte, the lowest first, the top bit set where
//	         another byte follows
//	1 + n    edition: its length, and the license type in UTF-8
//	n        name: the licensee's in UTF-8, to the payload's end
//
// The product is signed and not carried: software knows its own.
type Signed struct {
	Signer func() (crypto.Signer, error) // of Ed25519; asked for each time
	Name   bool                          // codes carry the licensee's name
	Group  int                           // symbols between dashes; 0: no dashes
}

const (
	signedVersion = 0x10
	signedExpiry  = 1
	signedSeats   = 2
	signedEdition = 4
	signedName    = 8
	signedMin     = 1 + 4 + ed25519.SignatureSize
	signedDay     = 24 * time.Hour
)

var signedEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Public is what software checks codes with.
func (g Signed) Public() (ed25519.PublicKey, error) {
	signer, err := g.Signer()
	if err != nil {
		return nil, err
	}
	public, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the signer's key is not of Ed25519")
	}
	return public, nil
}

// Generate answers ErrRequest where a code would be too long, has no name that
// it must carry, or an expiry outside 2020-2199.
func (g Signed) Generate(_ context.Context, q Request) ([]string, error) {
	signer, err := g.Signer()
	if err != nil {
		return nil, err
	}
	codes := make([]string, q.Quantity)
	for i := range codes {
		p, err := g.payload(q)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		signature, err := signer.Sign(rand.Reader, signedMessage(q.Product, p), crypto.Hash(0))
		if err != nil {
			return nil, fmt.Errorf("signing a code: %w", err)
		}
		codes[i] = grouped(encoding32.EncodeToString(append(p, signature...)), g.Group)
		if len(codes[i]) > maxCode {
			return nil, fmt.Errorf("%w: the code would have %d characters, and at most %d are possible: the name or the license type is too long", ErrRequest, len(codes[i]), maxCode)
		}
	}
	return codes, nil
}

func (g Signed) payload(q Request) ([]byte, error) {
	p := make([]byte, 5, 64)
	p[0] = signedVersion
	rand.Read(p[1:]) // never fails
	if q.ExpiresAt != nil {
		last := q.ExpiresAt.Add(-time.Nanosecond) // at the end itself it is over
		day := last.Sub(signedEpoch) / signedDay
		if last.Before(signedEpoch) || day > 0xffff {
			return nil, errors.New("it expires outside the years 2020-2199")
		}
		p[0] |= signedExpiry
		p = binary.BigEndian.AppendUint16(p, uint16(day))
	}
	if q.Limit > 0 {
		p[0] |= signedSeats
		p = binary.AppendUvarint(p, uint64(q.Limit))
	}
	if q.LicenseType != "" {
		if len(q.LicenseType) > maxCode {
			return nil, errors.New("the license type is too long")
		}
		p[0] |= signedEdition
		p = append(append(p, byte(len(q.LicenseType))), q.LicenseType...)
	}
	if g.Name {
		if strings.TrimSpace(q.Name) == "" {
			return nil, errors.New("the licensee has no name")
		}
		p[0] |= signedName
		p = append(p, q.Name...)
	}
	return p, nil
}

func signedMessage(product string, payload []byte) []byte {
	return append([]byte("keypost-signed-code\n"+product+"\n"), payload...)
}

// Verify tells by a code's signature that it was made for this product, and
// what it says.
func (g Signed) Verify(product, code string) (Claims, bool) {
	code = plain(code)
	b, err := encoding32.DecodeString(code)
	// The last symbol's spare bits must be 0: one code has one writing.
	if err != nil || len(b) < signedMin || encoding32.EncodeToString(b) != code {
		return Claims{}, false
	}
	public, err := g.Public()
	payload := b[:len(b)-ed25519.SignatureSize]
	if err != nil || payload[0]&0xf0 != signedVersion || !ed25519.Verify(public, signedMessage(product, payload), b[len(payload):]) {
		return Claims{}, false
	}
	return readClaims(payload)
}

// readClaims reads a payload that was signed.
func readClaims(p []byte) (c Claims, ok bool) {
	has, p := p[0], p[5:]
	if has&signedExpiry != 0 {
		if len(p) < 2 {
			return c, false
		}
		// uint16 would overflow on the last day.
		end := signedEpoch.Add((time.Duration(binary.BigEndian.Uint16(p)) + 1) * signedDay).Add(-time.Second)
		c.ExpiresAt, p = &end, p[2:]
	}
	if has&signedSeats != 0 {
		n, size := binary.Uvarint(p)
		if size <= 0 || n > 1<<30 {
			return c, false
		}
		c.Limit, p = int(n), p[size:]
	}
	if has&signedEdition != 0 {
		if len(p) == 0 || len(p) < 1+int(p[0]) {
			return c, false
		}
		c.LicenseType, p = string(p[1:1+p[0]]), p[1+p[0]:]
	}
	if has&signedName != 0 {
		c.Name, p = string(p), nil
	}
	return c, len(p) == 0
}
