package keygen

import (
	"strings"
	"testing"
)

func draw(t *testing.T, n int) []string {
	t.Helper()
	codes, err := Random{}.Generate(t.Context(), Request{Quantity: n})
	if err != nil || len(codes) != n {
		t.Fatalf("Generate(%d) = %d codes, %v", n, len(codes), err)
	}
	return codes
}

func TestRandomIsStrongAndReadable(t *testing.T) {
	if bits := (Random{}).Bits(); bits < 100 {
		t.Errorf("%.1f random bits, want at least 100", bits)
	}
	seen := map[string]bool{}
	for _, code := range draw(t, 10_000) {
		if seen[code] {
			t.Fatalf("%s was drawn twice", code)
		}
		seen[code] = true
		if strings.ContainsAny(code, "01OILQ5SZBGUN") {
			t.Fatalf("%s holds a symbol that is mistaken for another", code)
		}
		if len(code) != 29 || strings.Count(code, "-") != 4 {
			t.Fatalf("%s is not five groups of five", code)
		}
	}
}

// Every symbol must come up about equally often at every place, the check
// symbol's too.
func TestRandomIsUniform(t *testing.T) {
	const n = 23_000 // 1000 of each symbol expected, standard deviation 31
	var counts [randomLength][256]int
	for _, code := range draw(t, n) {
		for i, c := range []byte(strings.ReplaceAll(code, "-", "")) {
			counts[i][c]++
		}
	}
	for i := range counts {
		for _, c := range []byte(randomAlphabet) {
			if got := counts[i][c]; got < 750 || got > 1250 {
				t.Errorf("symbol %c at place %d came up %d times of %d", c, i, got, n)
			}
		}
	}
}

func TestRandomCheckSymbol(t *testing.T) {
	const all = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, code := range draw(t, 20) {
		if (Random{}).Malformed(code) || (Random{}).Malformed(strings.ToLower(strings.ReplaceAll(code, "-", "\u2013\u00a0"))) {
			t.Fatalf("%s is malformed", code)
		}
		plain := []byte(strings.ReplaceAll(code, "-", ""))
		for i := range plain {
			for _, c := range []byte(all) {
				wrong := append([]byte(nil), plain...)
				wrong[i] = c
				if got := (Random{}).Malformed(string(wrong)); got != (c != plain[i]) {
					t.Fatalf("%s with %c at %d: malformed = %v", plain, c, i, got)
				}
			}
			if i > 0 && plain[i] != plain[i-1] {
				swapped := append([]byte(nil), plain...)
				swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
				if !(Random{}).Malformed(string(swapped)) {
					t.Fatalf("%s with %d and %d swapped passes", plain, i-1, i)
				}
			}
		}
	}
}

func TestRandomJudgesOnlyItsOwnShape(t *testing.T) {
	for _, code := range []string{"", "NO-SUCH-CODE", strings.Repeat("A", 24), strings.Repeat("A", 26), "ÄAAAA-AAAAA-AAAAA-AAAAA-AAAAA", "AAAAA_AAAAA_AAAAA_AAAAA_AAAA"} {
		if (Random{}).Malformed(code) {
			t.Errorf("%q is called malformed: only a code of our shape may be", code)
		}
	}
}
