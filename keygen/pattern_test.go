package keygen

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
)

func pattern(t testing.TB, text, check string) *Pattern {
	t.Helper()
	p, err := NewPattern(text, check)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatternShape(t *testing.T) {
	for _, c := range []struct {
		pattern, check, want string
		bits                 float64
	}{
		{"KP-####-####-@@@@", "luhn", `^KP-[0-9]{4}-[0-9]{4}-[2346789ACDEFHJKMPRTVWXY]{4}[0-9]$`, 8*math.Log2(10) + 4*math.Log2(23)},
		{`\#\@\\ @@@@@@`, "", `^#@\\ [2346789ACDEFHJKMPRTVWXY]{6}$`, 6 * math.Log2(23)},
		{"#######/", "mod97", `^[0-9]{7}/[0-9]{2}$`, 7 * math.Log2(10)},
	} {
		p := pattern(t, c.pattern, c.check)
		if math.Abs(p.Bits()-c.bits) > 1e-9 {
			t.Errorf("%s: %f bits, want %f", c.pattern, p.Bits(), c.bits)
		}
		codes, err := p.Generate(t.Context(), Request{Quantity: 50})
		if err != nil || len(codes) != 50 {
			t.Fatal(err)
		}
		for _, code := range codes {
			if !regexp.MustCompile(c.want).MatchString(code) || p.Malformed(code) || p.Malformed(strings.ToLower(code)) {
				t.Errorf("%s: %s, malformed %v", c.pattern, code, p.Malformed(code))
			}
		}
	}
}

// Published examples.
func TestCheckDigits(t *testing.T) {
	for body, want := range map[string]byte{"7992739871": 3, "US037833100": 5, "AU0000XVGZA": 3, "GB000263494": 6, "": 0} {
		if got := luhn([]byte(body)); got != want {
			t.Errorf("luhn(%s) = %d, want %d", body, got, want)
		}
	}
	// ISO 7064's own example, and a bank account's number, whose country is put behind.
	for body, want := range map[string]int{"794": 44, "WEST12345698765432GB": 82} {
		if got := mod97([]byte(body)); got != want {
			t.Errorf("mod97(%s) = %d, want %d", body, got, want)
		}
	}
	for body, want := range map[string]byte{"572": 4, "0": 0, "KP-57-2": 4} {
		if got := damm([]byte(body)); got != want {
			t.Errorf("damm(%s) = %d, want %d", body, got, want)
		}
	}
}

// What each check lets pass of single wrong symbols and swaps of neighbours is
// what the page says, and no more: a letter for a digit may pass mod97, since it
// counts as two.
func TestPatternCatches(t *testing.T) {
	for _, c := range []struct {
		pattern, check string
		swaps          string // pairs whose swap may pass
	}{
		{"KP-####-####", "damm", ""},
		{"KP-####-####", "mod97", ""},
		{"KP-####-####", "luhn", "09 90"},
		{"KP-@@@@-@@@@", "mod97", "2M M2 3X X3"},
	} {
		p := pattern(t, c.pattern, c.check)
		codes, _ := p.Generate(t.Context(), Request{Quantity: 2000})
		for _, code := range codes {
			s := plain(code)
			for i := 2; i < len(s); i++ {
				for _, x := range digits + randomAlphabet {
					if byte(x) != s[i] && (x <= '9') == (s[i] <= '9') && !p.Malformed(s[:i]+string(x)+s[i+1:]) {
						t.Fatalf("%s %s: %s with %c at %d passes", c.pattern, c.check, s, x, i)
					}
				}
				if i > 2 && s[i] != s[i-1] && !strings.Contains(c.swaps, s[i-1:i+1]) && !p.Malformed(s[:i-1]+s[i:i+1]+s[i-1:i]+s[i+1:]) {
					t.Fatalf("%s %s: %s with %d swapped passes", c.pattern, c.check, s, i)
				}
			}
		}
	}
}

func TestPatternUniform(t *testing.T) {
	const n = 23_000
	p := pattern(t, "X#@@@@@", "")
	codes, _ := p.Generate(t.Context(), Request{Quantity: n})
	var counts [7][256]int
	for _, code := range codes {
		for i := range code {
			counts[i][code[i]]++
		}
	}
	for i, symbols := range []string{1: digits, 2: randomAlphabet, 6: randomAlphabet} {
		for _, c := range symbols {
			want := n / len(symbols)
			if got := counts[i][c]; got < want*3/4 || got > want*5/4 {
				t.Errorf("%c at place %d came up %d times of %d", c, i, got, n)
			}
		}
	}
}

func TestPatternJudgesOnlyItsOwnShape(t *testing.T) {
	p := pattern(t, "KP-####-@@@@", "luhn")
	for _, code := range []string{"", "KP", "KQ-1234-ACDE-1", "KP-1234-ACDE", "KP-1234-ACDE-12", "KP-1234-AÄE-1", "KP-1234-AC/E-1"} {
		if p.Malformed(code) {
			t.Errorf("%q is called malformed: only a code of our shape may be", code)
		}
	}
	if !p.Malformed("KP-1A34-ACDE-1") || !p.Malformed("KP-1234-ACD0-1") {
		t.Error("symbols that are never drawn pass")
	}
}

func TestPatternRefuses(t *testing.T) {
	bad := func(text, check, option, want string) {
		t.Helper()
		_, err := NewPattern(text, check)
		e, ok := errors.AsType[*OptionError](err)
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) {
			t.Errorf("%s %s: %v, want %s: %s", text, check, err, option, want)
		}
	}
	bad("", "", "pattern", "0 random bits")
	bad("######", "luhn", "pattern", "20 random bits")
	bad("@@@@@@@é", "", "pattern", "ASCII")
	bad("@@@@@@@\n", "", "pattern", "ASCII")
	bad(`@@@@@@@\`, "", "pattern", `after \`)
	bad("@@@@@@@@", "damm", "check", "digits alone")
	bad("@@@@@@@@", "crc", "check", "luhn, mod97 or damm")
	bad(strings.Repeat("#", 255), "luhn", "pattern", "more than 255")
}

func BenchmarkPattern(b *testing.B) {
	p := pattern(b, "KP-####-####-@@@@", "luhn")
	for b.Loop() {
		if _, err := p.Generate(b.Context(), Request{Quantity: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "codes/s")
}
