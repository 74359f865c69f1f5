package keygen

import (
	"context"
	"math"
	"strings"
)

// Random draws codes like 4KJMX-9RTWA-… : groups of symbols, of which the last
// one checks the others. The zero value makes five groups of five, 108 random
// bits, of symbols that people read aloud and type in without mistaking one for
// another (no 0 O Q, 1 I L, 5 S, 2 Z, 8 B, 6 G, U V, M N). Case, spaces and
// dashes do not count.
type Random struct {
	Groups   int    // of symbols; 0: 5
	Length   int    // symbols a group; 0: 5
	Alphabet string // the symbols; "": those of above
	Prefix   string // before the first group, with a dash; the check symbol leaves it out
}

const (
	// 23 symbols, a prime: then a weighted sum finds every wrong symbol and
	// every swap of neighbours.
	randomAlphabet = "2346789ACDEFHJKMPRTVWXY"
	randomGroups   = 5
	randomGroup    = 5
	minBits        = 100
	maxPrefix      = 16
)

func (r Random) alphabet() string {
	if r.Alphabet == "" {
		return randomAlphabet
	}
	return r.Alphabet
}

func (r Random) group() int {
	if r.Length == 0 {
		return randomGroup
	}
	return r.Length
}

// symbols is how many there are, the check symbol among them.
func (r Random) symbols() int {
	if r.Groups == 0 {
		return randomGroups * r.group()
	}
	return r.Groups * r.group()
}

// Bits is how much chance is in a code, in bits.
func (r Random) Bits() float64 {
	return float64(r.symbols()-1) * math.Log2(float64(len(r.alphabet())))
}

// Check tells, with an OptionError, which option does not make codes that are
// sound: at least 100 random bits, and a check symbol that catches every wrong
// symbol and every swap of neighbours.
func (r Random) Check() error {
	if r.Groups < 0 || r.Groups > 51 {
		return wrong("groups", "it must be from 1 to 51")
	}
	if r.Length < 0 || r.Length > 51 {
		return wrong("length", "it must be from 1 to 51 symbols a group")
	}
	for i, s := range r.Alphabet {
		switch {
		case !isSymbol(s):
			return wrong("alphabet", "%q: it must be capital letters and digits", s)
		case strings.ContainsRune(r.Alphabet[:i], s):
			return wrong("alphabet", "%q is in it twice", s)
		}
	}
	if n := len(r.alphabet()); n < 3 || n%2 == 0 && fieldOf[n] == 0 {
		return wrong("alphabet", "it has %d symbols: take an odd number of them, or 16 or 32, so that the check symbol catches each swap of neighbours", n)
	}
	if err := checkPrefix(r.Prefix); err != nil {
		return err
	}
	if bits := r.Bits(); bits < minBits {
		return wrong("length", "%d symbols, one of them for the check, hold %.0f random bits: it must be at least %d", r.symbols(), bits, minBits)
	}
	if n := len(r.Prefix) + r.symbols() + r.symbols()/r.group(); n > maxCode {
		return wrong("length", "a code would have more than %d characters", maxCode)
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return wrong("prefix", "it must have at most %d characters", maxPrefix)
	}
	for _, c := range prefix {
		if !isSymbol(c) && c != '-' {
			return wrong("prefix", "%q: it must be capital letters, digits and dashes", c)
		}
	}
	return nil
}

// Generate never fails where Check does not.
func (r Random) Generate(_ context.Context, q Request) ([]string, error) {
	codes := make([]string, q.Quantity)
	var d dice
	for i := range codes {
		codes[i] = r.code(&d)
	}
	return codes, nil
}

func (r Random) code(d *dice) string {
	alphabet := r.alphabet()
	values := make([]byte, r.symbols())
	last := len(values) - 1
	for i := range values[:last] {
		values[i] = byte(d.roll(len(alphabet)))
	}
	values[last] = checkSymbol(values[:last], len(alphabet))
	b := make([]byte, 0, maxCode)
	if r.Prefix != "" {
		b = append(append(b, strings.TrimRight(r.Prefix, "-")...), '-')
	}
	for i, v := range values {
		if i > 0 && i%r.group() == 0 {
			b = append(b, '-')
		}
		b = append(b, alphabet[v])
	}
	return string(b)
}

// fieldOf has, for each power of two, the polynomial that makes the numbers
// below it a field.
var fieldOf = map[int]byte{4: 0x7, 8: 0xb, 16: 0x13, 32: 0x25}

// checkSymbol is what follows values, numbers below n: with it, the sum of all
// of them, each times its weight, is 0. Weights have an inverse, so that one
// wrong symbol changes the sum, and so have the differences of neighbours'
// weights, so that a swap does. The check symbol's own weight is 1.
//
//   - n is a power of two: in the field of n elements, weights are the powers of x.
//   - n is a prime: modulo n, weights are 1, 2, … n-1 from the end, and again.
//   - n is another odd number: modulo n, weights are 1, 2, 1, 2 … from the end.
func checkSymbol(values []byte, n int) byte {
	if n%2 == 0 {
		poly := fieldOf[n]
		sum := byte(0)
		for _, v := range values {
			sum = timesX(sum, n, poly) ^ v
		}
		return timesX(sum, n, poly)
	}
	cycle := 2
	if prime(n) {
		cycle = n - 1
	}
	sum := 0
	weight := len(values)%cycle + 1 // of the first; the check symbol is place 0 from the end
	for _, v := range values {
		sum += int(v) * weight
		if weight--; weight == 0 {
			weight = cycle
		}
	}
	return byte((n - sum%n) % n)
}

func timesX(v byte, n int, poly byte) byte {
	v <<= 1
	if int(v) >= n {
		v ^= poly
	}
	return v
}

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// Malformed tells whether a code looks like one of ours, the prefix and as many
// letters and digits, and cannot be: it was mistyped. Any other code is not
// ours to judge.
func (r Random) Malformed(code string) bool {
	code, ours := strings.CutPrefix(plain(code), plain(r.Prefix))
	if !ours || len(code) != r.symbols() {
		return false
	}
	values := make([]byte, len(code))
	foreign := false // a letter or digit that our codes never hold
	for i, c := range code {
		if !isSymbol(c) {
			return false
		}
		v := strings.IndexRune(r.alphabet(), c)
		foreign = foreign || v < 0
		values[i] = byte(v)
	}
	last := len(values) - 1
	return foreign || checkSymbol(values[:last], len(r.alphabet())) != values[last]
}
