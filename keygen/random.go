package keygen

import (
	"context"
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

// Random draws codes like 4KJMX-9RTWA-… : five groups of five, of which the
// last symbol checks the others. People read such a code aloud and type it in,
// so none of its symbols is mistaken for another (no 0 O Q, 1 I L, 5 S, 2 Z,
// 8 B, 6 G, U V, M N), and case, spaces and dashes do not count.
type Random struct{}

const (
	// 23 symbols, a prime: then a weighted sum finds every wrong symbol and
	// every swap of neighbours.
	randomAlphabet = "2346789ACDEFHJKMPRTVWXY"
	randomLength   = 25 // with the check symbol
	randomGroup    = 5
)

// Bits is how much chance is in a code, in bits.
func (Random) Bits() float64 {
	return (randomLength - 1) * math.Log2(float64(len(randomAlphabet)))
}

// Generate never fails.
func (Random) Generate(_ context.Context, r Request) ([]string, error) {
	codes := make([]string, r.Quantity)
	for i := range codes {
		codes[i] = randomCode()
	}
	return codes, nil
}

func randomCode() string {
	symbols := make([]int, randomLength)
	for i := range symbols[:randomLength-1] {
		symbols[i] = randomSymbol()
	}
	n := len(randomAlphabet)
	symbols[randomLength-1] = (n - weightedSum(symbols)) % n
	var b strings.Builder
	for i, s := range symbols {
		if i > 0 && i%randomGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(randomAlphabet[s])
	}
	return b.String()
}

// randomSymbol is uniform: bytes past the last whole multiple are thrown away.
func randomSymbol() int {
	n := len(randomAlphabet)
	var b [1]byte
	for {
		rand.Read(b[:]) // never fails
		if int(b[0]) < 256/n*n {
			return int(b[0]) % n
		}
	}
}

// weightedSum is 0 for a whole code. Weights are never 0, so that one wrong
// symbol changes the sum, and neighbours' differ, so that a swap does. The
// last symbol's is 1.
func weightedSum(symbols []int) int {
	n := len(randomAlphabet)
	sum := 0
	for i, s := range symbols {
		sum += s * ((len(symbols)-1-i)%(n-1) + 1)
	}
	return sum % n
}

// Malformed tells whether a code looks like one of ours, 25 letters and
// digits, and cannot be: it was mistyped. Any other code is not ours to judge.
func (Random) Malformed(code string) bool {
	symbols := make([]int, 0, randomLength)
	foreign := false // a letter or digit that our codes never hold
	for _, r := range strings.ToUpper(code) {
		switch {
		case r == '-' || unicode.IsSpace(r) || unicode.Is(unicode.Pd, r):
			continue
		case !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'):
			return false
		}
		s := strings.IndexRune(randomAlphabet, r)
		foreign = foreign || s < 0
		symbols = append(symbols, s)
	}
	if len(symbols) != randomLength {
		return false
	}
	return foreign || weightedSum(symbols) != 0
}
