package keygen

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode"
)

// An OptionError says what is wrong with an option of a generator, by the name
// that the config has for it. It never tells the value of a secret.
type OptionError struct {
	Option, Problem string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Problem }

func wrong(option, format string, args ...any) error {
	return &OptionError{option, fmt.Sprintf(format, args...)}
}

// maxCode is how many characters a code may have.
const maxCode = 255

// dice draws numbers by chance. Its zero value is ready; it is not for several
// goroutines.
type dice struct {
	pool [128]byte
	left int // of the pool, at its end
}

// roll is uniform in 0 … n-1, n at most 256: bytes past the last whole multiple
// are thrown away.
func (d *dice) roll(n int) int {
	for {
		if d.left == 0 {
			rand.Read(d.pool[:]) // never fails
			d.left = len(d.pool)
		}
		b := int(d.pool[len(d.pool)-d.left])
		d.left--
		if b < 256/n*n {
			return b % n
		}
	}
}

// skipped tells whether a character of a code does not count: people put in
// spaces and dashes as they like.
func skipped(r rune) bool {
	return r == '-' || unicode.IsSpace(r) || unicode.Is(unicode.Pd, r)
}

// plain is a code as it is compared: upper case, without spaces and dashes.
func plain(code string) string {
	return strings.Map(func(r rune) rune {
		if skipped(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, code)
}

func isSymbol(r rune) bool { return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' }

// grouped puts a dash between groups of n characters; 0: one group.
func grouped(s string, n int) string {
	if n == 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i += n {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(s[i:min(i+n, len(s))])
	}
	return b.String()
}
