package keygen

import (
	"context"
	"crypto/dsa" //lint:ignore SA1019 the software that checks these codes is out there, and knows DSA alone
	"crypto/rand"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// CocoaFob makes the codes of CocoaFob (github.com/glebd/cocoafob), which Mac
// software checks offline: a DSA signature of a text that has the licensee's
// name in it. DSA draws a number for each signature, so that a name has as many
// codes as one likes. Make one with NewCocoaFob.
//
// A code does not carry its text, so that it is no [Verifier]: by the code alone
// nobody can tell whether it is a good one.
type CocoaFob struct {
	key     *dsa.PrivateKey
	product string
	text    template
}

// CocoaFobOptions are its options, as the config has them.
type CocoaFobOptions struct {
	Key     string // the private key in PEM, "DSA PRIVATE KEY" or PKCS #8, not encrypted
	Product string // what {product} stands for
	Text    string // what is signed; "": DefaultCocoaFobText
}

// DefaultCocoaFobText is what CocoaFob's generators in Ruby (for Potion Store)
// and Python sign; those in PHP and Java add a comma and the e-mail address.
const DefaultCocoaFobText = "{product},{name}"

// NewCocoaFob returns OptionErrors, which never tell the key.
func NewCocoaFob(o CocoaFobOptions) (*CocoaFob, error) {
	g := &CocoaFob{product: o.Product, text: template(o.Text)}
	if g.text == "" {
		g.text = DefaultCocoaFobText
	}
	if err := g.text.check(orderWords); err != nil {
		return nil, wrong("text", "%v", err)
	}
	if len(g.text.words()) == 0 {
		return nil, wrong("text", "it has nothing of the order in it, such as {name}: a code would fit everybody")
	}
	if err := checkWord("product", o.Product); err != nil {
		return nil, wrong("product_code", "%v", err)
	}
	key, err := parseDSA([]byte(o.Key))
	if err != nil {
		return nil, wrong("key_file", "%v", err)
	}
	g.key = key
	return g, nil
}

// Generate answers ErrRequest to an order that lacks what the text has in it.
func (g *CocoaFob) Generate(_ context.Context, q Request) ([]string, error) {
	text, err := g.signed(q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	codes := make([]string, q.Quantity)
	for i := range codes {
		if codes[i], err = g.sign(text); err != nil {
			return nil, fmt.Errorf("signing a code: %w", err)
		}
	}
	return codes, nil
}

// signed is the text of an order.
func (g *CocoaFob) signed(q Request) (string, error) {
	values := q.words(g.product)
	for _, word := range g.text.words() {
		value := values[word]
		if why := lacking[word]; why != "" && strings.TrimSpace(value) == "" {
			return "", errors.New(why)
		}
		if err := checkWord(word, value); err != nil {
			return "", err
		}
		if word != "product" && strings.Contains(value, "?") {
			// As for AESName: the code of "Zo?" is of no use to Zoë.
			return "", fmt.Errorf("the %s has a question mark, which stands for a letter that the store could not carry", word)
		}
	}
	return g.text.fill(values), nil
}

// dsaSignature is Dss-Sig-Value (RFC 3279, 2.2.2).
type dsaSignature struct{ R, S *big.Int }

func (g *CocoaFob) sign(text string) (string, error) {
	digest := sha1.Sum([]byte(text))
	r, s, err := dsa.Sign(rand.Reader, g.key, digest[:])
	if err != nil {
		return "", err
	}
	der, err := asn1.Marshal(dsaSignature{r, s})
	return grouped(cocoaFobEncoding.EncodeToString(der), 5), err
}

// cocoaFobEncoding is base32 (RFC 4648, 6) without padding, with 8 for O and 9
// for I, as each of CocoaFob's generators has it.
var cocoaFobEncoding = base32.NewEncoding("ABCDEFGH9JKLMN8PQRSTUVWXYZ234567").WithPadding(base32.NoPadding)

// Sizes of DSA keys, in bits. CocoaFob's README makes keys of 512; FIPS 186-4,
// 4.2 has those from 1024 on.
const (
	minDSA = 512
	maxDSA = 3072
)

// parseDSA reads the first private key of a PEM file.
func parseDSA(file []byte) (*dsa.PrivateKey, error) {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil, errors.New("it has no private key in PEM, such as openssl gendsa writes")
		}
		file = rest
		var key *dsa.PrivateKey
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the key is encrypted: take the passphrase off, with openssl dsa -in FILE -out NEWFILE")
		case block.Type == "DSA PRIVATE KEY":
			key, err = traditionalDSA(block.Bytes)
		case block.Type == "PRIVATE KEY":
			key, err = pkcs8DSA(block.Bytes)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			err = errNotDSA
		default: // DSA PARAMETERS, which openssl dsaparam -genkey writes before the key
			continue
		}
		if err == nil {
			err = checkDSA(key)
		}
		return key, err
	}
}

var (
	errNotDSA    = errors.New("it is not a DSA key")
	errBrokenDSA = errors.New("the DSA key is damaged")
)

// traditionalDSA reads OpenSSL's own form: version 0, p, q, g, y, x.
func traditionalDSA(der []byte) (*dsa.PrivateKey, error) {
	var k struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 || k.Version != 0 {
		return nil, errBrokenDSA
	}
	return &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: dsa.Parameters{P: k.P, Q: k.Q, G: k.G}, Y: k.Y}, X: k.X}, nil
}

// id-dsa (RFC 3279, 2.3.2).
var oidDSA = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}

// pkcs8DSA reads PKCS #8 (RFC 5208, 5), which crypto/x509 does for no DSA key.
func pkcs8DSA(der []byte) (*dsa.PrivateKey, error) {
	var k struct {
		Version   int
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key        []byte
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, errBrokenDSA
	}
	if !k.Algorithm.ID.Equal(oidDSA) {
		return nil, errNotDSA
	}
	var p struct{ P, Q, G *big.Int }
	x := new(big.Int)
	if _, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &p); err != nil {
		return nil, errBrokenDSA
	}
	if _, err := asn1.Unmarshal(k.Key, &x); err != nil || p.P.Sign() <= 0 || x.Sign() <= 0 {
		return nil, errBrokenDSA
	}
	key := &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: dsa.Parameters{P: p.P, Q: p.Q, G: p.G}}, X: x}
	if p.P.BitLen() <= maxDSA { // or this takes long
		key.Y = new(big.Int).Exp(p.G, x, p.P)
	}
	return key, nil
}

// checkDSA holds a key's numbers against each other (FIPS 186-4, 4.1).
func checkDSA(k *dsa.PrivateKey) error {
	size, q := k.P.BitLen(), k.Q.BitLen()
	if size < minDSA || size > maxDSA || q != 160 && q != 224 && q != 256 {
		return fmt.Errorf("the DSA key has %d bits and a q of %d: it must have from %d to %d, and a q of 160, 224 or 256", size, q, minDSA, maxDSA)
	}
	one := big.NewInt(1)
	switch {
	case k.G.Cmp(one) <= 0, k.G.Cmp(k.P) >= 0, k.X.Sign() <= 0, k.X.Cmp(k.Q) >= 0,
		new(big.Int).Exp(k.G, k.Q, k.P).Cmp(one) != 0, new(big.Int).Exp(k.G, k.X, k.P).Cmp(k.Y) != 0,
		!k.Q.ProbablyPrime(0):
		return errBrokenDSA
	}
	return nil
}
