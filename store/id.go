package store

import (
	"crypto/sha256"
	"strings"
	"unicode"

	"github.com/oklog/ulid/v2"
)

// NewID makes an id: a ULID, which sorts by the time it was made.
func NewID() string { return ulid.Make().String() }

// NormalCode is the form under which a code is found: case, spaces and dashes
// do not count.
func NormalCode(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, code)
}

func codeHash(code string) []byte {
	h := sha256.Sum256([]byte(NormalCode(code)))
	return h[:]
}
