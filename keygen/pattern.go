package keygen

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// Pattern draws codes of a shape that shipped software expects. Make one with
// NewPattern.
type Pattern struct {
	places []place
	check  string
	length int // of the code as it is compared, with its check digits
}

// A place of a pattern is drawn from symbols, or is a constant character.
type place struct {
	symbols string
	char    byte
}

const (
	digits         = "0123456789"
	patternMinBits = 20
)

// Checks are the check digits that a pattern may have, and how many they are.
var Checks = map[string]int{"luhn": 1, "damm": 1, "mod97": 2}

// NewPattern reads a pattern: # is a digit, @ a letter or digit that is not
// mistaken for another (Random's alphabet), \ makes the next character constant,
// and each other character is. check is "" or one of Checks, which is appended.
// Errors are OptionErrors.
func NewPattern(pattern, check string) (*Pattern, error) {
	p := &Pattern{check: check}
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c < ' ' || c > '~':
			return nil, wrong("pattern", "it must be printable ASCII")
		case c == '#':
			p.places = append(p.places, place{symbols: digits})
			continue
		case c == '@':
			p.places = append(p.places, place{symbols: randomAlphabet})
			continue
		case c == '\\':
			if i++; i == len(pattern) || pattern[i] < ' ' || pattern[i] > '~' {
				return nil, wrong("pattern", `the character after \ is missing`)
			}
		}
		p.places = append(p.places, place{char: pattern[i]})
	}
	extra, ok := Checks[check]
	if !ok && check != "" {
		return nil, wrong("check", "%q: it must be luhn, mod97 or damm", check)
	}
	for _, at := range p.places {
		if at.symbols != "" || !skipped(rune(at.char)) {
			p.length++
		}
		if check == "damm" && at.symbols == randomAlphabet {
			return nil, wrong("check", "damm checks digits alone, and the pattern draws letters (@): take mod97")
		}
	}
	p.length += extra
	if len(p.places)+extra > maxCode {
		return nil, wrong("pattern", "a code would have more than %d characters", maxCode)
	}
	if bits := p.Bits(); bits < patternMinBits {
		return nil, wrong("pattern", "its codes hold %.0f random bits, and who tries finds one: it must be at least %d (# is 3.3 bits, @ is 4.5)", bits, patternMinBits)
	}
	return p, nil
}

// Bits is how much chance is in a code, in bits.
func (p *Pattern) Bits() (bits float64) {
	for _, at := range p.places {
		if at.symbols != "" {
			bits += math.Log2(float64(len(at.symbols)))
		}
	}
	return bits
}

// Generate never fails.
func (p *Pattern) Generate(_ context.Context, q Request) ([]string, error) {
	codes := make([]string, q.Quantity)
	var d dice
	for i := range codes {
		b := make([]byte, len(p.places), len(p.places)+2)
		for j, at := range p.places {
			b[j] = at.char
			if at.symbols != "" {
				b[j] = at.symbols[d.roll(len(at.symbols))]
			}
		}
		codes[i] = string(p.appendCheck(b))
	}
	return codes, nil
}

// appendCheck appends the check digits of a code's letters and digits, the
// constant ones too; a letter counts as two digits, from A = 10 to Z = 35, in
// either case. Damm takes the digits alone.
func (p *Pattern) appendCheck(code []byte) []byte {
	switch p.check {
	case "luhn":
		return append(code, '0'+luhn(code))
	case "damm":
		return append(code, '0'+damm(code))
	case "mod97":
		return fmt.Appendf(code, "%02d", mod97(code))
	}
	return code
}

// eachDigit calls f for each digit of the letters and digits of code.
func eachDigit(code []byte, f func(byte)) {
	for _, c := range code {
		switch {
		case c >= '0' && c <= '9':
			f(c - '0')
		case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
			v := c&^0x20 - 'A' + 10
			f(v / 10)
			f(v % 10)
		}
	}
}

// luhn is ISO/IEC 7812-1, Annex B; with letters as in a securities number (ISO
// 6166). Every second digit from the right, the last one first, is doubled.
func luhn(code []byte) byte {
	var list [2 * maxCode]byte
	n := 0
	eachDigit(code, func(v byte) { list[n] = v; n++ })
	sum := 0
	for i, v := range list[:n] {
		if (n-i)%2 == 1 {
			v = v*2/10 + v*2%10
		}
		sum += int(v)
	}
	return byte((10 - sum%10) % 10)
}

// mod97 is ISO 7064, MOD 97-10: the number with the two digits after it is 1
// modulo 97.
func mod97(code []byte) int {
	rest := 0
	eachDigit(code, func(v byte) { rest = (rest*10 + int(v)) % 97 })
	return 98 - rest*100%97
}

// quasigroup is H. M. Damm, "Total anti-symmetrische Quasigruppen" (2004): it
// finds every wrong digit and every swap of neighbours.
var quasigroup = [10][10]byte{
	{0, 3, 1, 7, 5, 9, 8, 6, 4, 2},
	{7, 0, 9, 2, 1, 5, 4, 8, 6, 3},
	{4, 2, 0, 6, 8, 7, 1, 3, 5, 9},
	{1, 7, 5, 0, 9, 8, 3, 4, 2, 6},
	{6, 1, 2, 3, 0, 4, 5, 9, 7, 8},
	{3, 6, 7, 4, 2, 0, 9, 5, 8, 1},
	{5, 8, 6, 9, 7, 2, 0, 1, 3, 4},
	{8, 9, 4, 5, 3, 6, 2, 0, 1, 7},
	{9, 4, 3, 8, 6, 1, 7, 2, 0, 5},
	{2, 5, 8, 1, 4, 3, 6, 7, 9, 0},
}

func damm(code []byte) (state byte) {
	for _, c := range code {
		if c >= '0' && c <= '9' {
			state = quasigroup[state][c-'0']
		}
	}
	return state
}

// Malformed tells whether a code looks like one of ours, with the constant
// characters in their places and letters and digits in the others, and cannot
// be: it was mistyped. Any other code is not ours to judge.
func (p *Pattern) Malformed(code string) bool {
	code = plain(code)
	if len(code) != p.length {
		return false
	}
	rest, foreign := code, false
	for _, at := range p.places {
		if at.symbols == "" && skipped(rune(at.char)) {
			continue
		}
		c := rune(rest[0])
		rest = rest[1:]
		switch {
		case at.symbols == "" && plain(string(at.char)) != string(c), at.symbols != "" && !isSymbol(c):
			return false
		case at.symbols != "":
			foreign = foreign || !strings.ContainsRune(at.symbols, c)
		}
	}
	body := code[:len(code)-len(rest)]
	return foreign || string(p.appendCheck([]byte(body))) != code
}
