package keygen

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// AESName makes a code of the licensee's name: AES-128 under the product's key.
// Software that was shipped with it encrypts the name that a customer types in
// and compares, or decrypts the code. Whoever takes the key out of that software
// can make codes; it is for software that is out there, not for new one. Make
// one with NewAESName.
type AESName struct {
	block   cipher.Block
	iv      []byte           // nil: ECB
	charset *charmap.Charmap // nil: UTF-8
	encode  func([]byte) string
	group   int
}

// AESNameOptions are its options, as the config has them; "" is the first word
// of each list.
type AESNameOptions struct {
	Key      string // 16 bytes, or 32 hexadecimal digits
	Mode     string // ecb, cbc
	IV       string // of cbc: 16 bytes, or 32 hexadecimal digits
	Encoding string // of the name: utf-8, windows-1252, mac-roman
	Output   string // hex, base32
	Case     string // upper, lower
	Group    int    // characters between dashes; 0: no dashes
}

// NewAESName returns OptionErrors, which never tell the key.
func NewAESName(o AESNameOptions) (*AESName, error) {
	g := &AESName{group: o.Group}
	key, ok := sixteen(o.Key)
	if !ok {
		return nil, wrong("key", "it must be 16 characters, or 32 hexadecimal digits")
	}
	var err error
	if g.block, err = aes.NewCipher(key); err != nil {
		return nil, err
	}
	switch o.Mode {
	case "", "ecb":
		if o.IV != "" {
			return nil, wrong("iv", "it is for mode = \"cbc\"")
		}
	case "cbc":
		if g.iv, ok = sixteen(o.IV); !ok {
			return nil, wrong("iv", "it must be 16 characters, or 32 hexadecimal digits")
		}
	default:
		return nil, wrong("mode", "%q: it must be ecb or cbc", o.Mode)
	}
	switch o.Encoding {
	case "", "utf-8":
	case "windows-1252":
		g.charset = charmap.Windows1252
	case "mac-roman":
		g.charset = charmap.Macintosh
	default:
		return nil, wrong("encoding", "%q: it must be utf-8, windows-1252 or mac-roman", o.Encoding)
	}
	switch o.Output {
	case "", "hex":
		g.encode = hex.EncodeToString
	case "base32":
		g.encode = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString
	default:
		return nil, wrong("output", "%q: it must be hex or base32", o.Output)
	}
	encode := g.encode
	switch o.Case {
	case "", "upper":
		g.encode = func(b []byte) string { return strings.ToUpper(encode(b)) }
	case "lower":
		g.encode = func(b []byte) string { return strings.ToLower(encode(b)) }
	default:
		return nil, wrong("case", "%q: it must be upper or lower", o.Case)
	}
	if o.Group < 0 {
		return nil, wrong("group", "it must be 0 (no dashes) or more")
	}
	return g, nil
}

// sixteen are the bytes of s, or those that it writes in hexadecimal.
func sixteen(s string) ([]byte, bool) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == 16 {
		return b, true
	}
	return []byte(s), len(s) == 16
}

// Fixed: a name has one code.
func (*AESName) Fixed() {}

// Generate answers ErrRequest to an order without a name, with one that the
// encoding does not have or that makes a code too long, and to one for several
// copies, which would be the same code again.
func (g *AESName) Generate(_ context.Context, q Request) ([]string, error) {
	if strings.TrimSpace(q.Name) == "" {
		return nil, fmt.Errorf("%w: the licensee has no name", ErrRequest)
	}
	if strings.Contains(q.Name, "?") {
		// Of a letter that a store cannot carry that is what comes (KRPS 2.0, "CSV
		// Safe Definition" 1), and the code of "Zo?" is of no use to Zoë.
		return nil, fmt.Errorf("%w: the name has a question mark, which stands for a letter that the store could not carry", ErrRequest)
	}
	if q.Quantity != 1 {
		return nil, fmt.Errorf("%w: a name has one code, and %d are wanted: they need names of their own", ErrRequest, q.Quantity)
	}
	encrypted, err := g.encrypt(q.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	code := grouped(g.encode(encrypted), g.group)
	if len(code) > maxCode {
		return nil, fmt.Errorf("%w: the name is too long: its code would have %d characters, and at most %d are possible", ErrRequest, len(code), maxCode)
	}
	return []string{code}, nil
}

func (g *AESName) encrypt(name string) ([]byte, error) {
	text := []byte(name)
	if g.charset != nil {
		text = text[:0]
		for _, r := range name {
			b, ok := g.charset.EncodeRune(r)
			if !ok {
				return nil, fmt.Errorf("the name has %q, which %s has not", r, g.charset)
			}
			text = append(text, b)
		}
	} else if !utf8.ValidString(name) {
		return nil, errors.New("the name is not UTF-8")
	}
	// PKCS #7 (RFC 5652, 6.3): always at least one byte.
	pad := aes.BlockSize - len(text)%aes.BlockSize
	text = append(text, bytes.Repeat([]byte{byte(pad)}, pad)...)
	if g.iv != nil {
		cipher.NewCBCEncrypter(g.block, g.iv).CryptBlocks(text, text)
		return text, nil
	}
	for i := 0; i < len(text); i += aes.BlockSize {
		g.block.Encrypt(text[i:], text[i:])
	}
	return text, nil
}
