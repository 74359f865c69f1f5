package keygen

import (
	"errors"
	"regexp"
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
	var counts [randomGroups * randomGroup][256]int
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

// One alphabet for each way to make the check symbol: a prime, another odd
// number, a power of two.
var randoms = []Random{
	{},
	{Prefix: "KP"},
	{Prefix: "KP-2-", Groups: 6, Length: 4, Alphabet: "0123456789ABCDEFGHJKMNPQRSTVWXYZ"},
	{Groups: 1, Length: 27, Alphabet: "0123456789ABCDEF"},
	{Groups: 51, Length: 4, Alphabet: "ABC"},
	{Groups: 7, Length: 5, Alphabet: "ACDEFHJKM"},
	{Groups: 13, Length: 2, Alphabet: "23456789ACDEFHJKMNPRTUWXY"},
	{Groups: 5, Length: 5, Alphabet: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXY"},
}

// Whatever the alphabet, every single wrong symbol and every swap of neighbours
// is caught.
func TestRandomCheckSymbol(t *testing.T) {
	const all = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, g := range randoms {
		if err := g.Check(); err != nil {
			t.Fatalf("%+v: %v", g, err)
		}
		codes, err := g.Generate(t.Context(), Request{Quantity: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codes {
			if g.Malformed(code) || g.Malformed(strings.ToLower(strings.ReplaceAll(code, "-", "\u2013\u00a0"))) {
				t.Fatalf("%s is malformed", code)
			}
			prefix := plain(g.Prefix)
			symbols := []byte(strings.TrimPrefix(plain(code), prefix))
			for i := range symbols {
				for _, c := range []byte(all) {
					wrong := append([]byte(nil), symbols...)
					wrong[i] = c
					if got := g.Malformed(prefix + string(wrong)); got != (c != symbols[i]) {
						t.Fatalf("%s with %c at %d: malformed = %v", code, c, i, got)
					}
				}
				if i > 0 && symbols[i] != symbols[i-1] {
					swapped := append([]byte(nil), symbols...)
					swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
					if !g.Malformed(prefix + string(swapped)) {
						t.Fatalf("%s with %d and %d swapped passes", code, i-1, i)
					}
				}
			}
		}
	}
}

// For each number of symbols that is allowed: all pairs of neighbours, at each
// weight that there is.
func TestCheckSymbolCatchesAllSwaps(t *testing.T) {
	for n := 3; n <= 36; n++ {
		if n%2 == 0 && fieldOf[n] == 0 {
			continue
		}
		for length := 2; length < n+3; length++ {
			for a := range n {
				for b := range n {
					values := make([]byte, length)
					values[0], values[1] = byte(a), byte(b)
					check := checkSymbol(values, n)
					if values[0], values[1] = values[1], values[0]; a != b && checkSymbol(values, n) == check {
						t.Fatalf("%d symbols, %d places: %d %d swapped passes", n, length, a, b)
					}
					if values[0], values[1] = byte(b), byte(b); a != b && checkSymbol(values, n) == check {
						t.Fatalf("%d symbols, %d places: %d for %d passes", n, length, b, a)
					}
				}
			}
		}
	}
}

// Codes that were sold before the options came are good ones for ever.
func TestRandomOldCodes(t *testing.T) {
	for _, code := range []string{"84263-KYYRF-TFMP8-J4W72-DV64H", "JT6KA-XAWYD-6DWVV-CMJXY-2HTVT", "RWHRW-VKFPT-668CY-Y3FFJ-K7KKC"} {
		if (Random{}).Malformed(code) {
			t.Errorf("%s is malformed", code)
		}
	}
}

func TestRandomShape(t *testing.T) {
	shape := regexp.MustCompile(`^KP-2-[0-9A-Z]{4}(-[0-9A-Z]{4}){5}$`)
	codes, _ := randoms[2].Generate(t.Context(), Request{Quantity: 3})
	for _, code := range codes {
		if !shape.MatchString(code) {
			t.Errorf("%s", code)
		}
	}
}

func TestRandomRefuses(t *testing.T) {
	bad := func(r Random, option, want string) {
		t.Helper()
		e, ok := errors.AsType[*OptionError](r.Check())
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) {
			t.Errorf("%+v: %v, want %s: %s", r, e, option, want)
		}
	}
	bad(Random{Groups: -1}, "groups", "from 1")
	bad(Random{Length: 52}, "length", "from 1")
	bad(Random{Groups: 4}, "length", "20 symbols")
	bad(Random{Groups: 51, Length: 51}, "length", "more than 255")
	bad(Random{Alphabet: "ABCDEFGHIJ"}, "alphabet", "it has 10 symbols")
	bad(Random{Alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}, "alphabet", "it has 36 symbols")
	bad(Random{Alphabet: "AB"}, "alphabet", "it has 2 symbols")
	bad(Random{Alphabet: "ABA"}, "alphabet", "twice")
	bad(Random{Alphabet: "ABc"}, "alphabet", "capital letters")
	bad(Random{Prefix: "K P"}, "prefix", "capital letters")
	bad(Random{Prefix: strings.Repeat("K", 17)}, "prefix", "at most 16")
}

func BenchmarkRandom(b *testing.B) {
	for b.Loop() {
		if _, err := (Random{}).Generate(b.Context(), Request{Quantity: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "codes/s")
}

func TestRandomJudgesOnlyItsOwnShape(t *testing.T) {
	for _, code := range []string{"", "NO-SUCH-CODE", strings.Repeat("A", 24), strings.Repeat("A", 26), "ÄAAAA-AAAAA-AAAAA-AAAAA-AAAAA", "AAAAA_AAAAA_AAAAA_AAAAA_AAAA"} {
		if (Random{}).Malformed(code) {
			t.Errorf("%q is called malformed: only a code of our shape may be", code)
		}
	}
}
