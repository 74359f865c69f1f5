package tfyp

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// foldLabel is a label as it is compared: in lower case and, where it has letters
// beyond ASCII, composed (UAX 15, NFC), for one mail writes "ä" as one character
// and another as two.
func foldLabel(s string) string {
	if !beyondASCII(s) {
		return fold(s)
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

// addForeign keeps a label that has letters beyond ASCII.
func (p *Profile) addForeign(l label, anywhere bool) {
	if anywhere {
		p.within = append(p.within, l)
		return
	}
	l.text = strings.TrimLeft(l.text, " ")
	p.foreign = append(p.foreign, l)
	slices.SortStableFunc(p.foreign, func(a, b label) int { return len(b.text) - len(a.text) })
}

// foreignLabel is firstLabel for those labels.
func (p *Profile) foreignLabel(s *scan, line string, n int) string {
	for _, l := range p.foreign {
		if i := foreignPrefix(line, l.text); i > 0 && endsHere(line, i) {
			s.begins(l.mark, trim(line[i:]), n)
			return l.mark
		}
	}
	return ""
}

// foreignWithin finds those that may stand anywhere in a line, which begins with
// another one, of, or with none.
func (p *Profile) foreignWithin(s *scan, line string, n int, of string) {
	for _, l := range p.within {
		for at := range line {
			if i := foreignPrefix(line[at:], l.text); i > 0 {
				s.add(l.mark, trim(line[at+i:]), n, of)
				break
			}
		}
	}
}

// foreignPrefix is how many bytes of a line a label with letters beyond ASCII
// takes, which is folded already; 0: the line does not begin with it.
func foreignPrefix(line, folded string) int {
	if line == "" || !beyondASCII(folded) || folded[0] < utf8.RuneSelf && line[0] < utf8.RuneSelf && lower(line[0]) != folded[0] {
		return 0
	}
	for i := 0; i < len(line) && i <= 3*len(folded); {
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
		begun := foldLabel(line[:i])
		if begun == folded {
			return i
		}
		// The last letter may get an accent yet.
		if _, last := utf8.DecodeLastRuneInString(begun); !strings.HasPrefix(folded, begun[:len(begun)-last]) {
			return 0
		}
	}
	return 0
}

// endsHere is ends for letters beyond ASCII.
func endsHere(line string, i int) bool {
	before, _ := utf8.DecodeLastRuneInString(line[:i])
	after, size := utf8.DecodeRuneInString(line[i:])
	return size == 0 || !letter(before) || !letter(after)
}

func letter(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) || unicode.IsDigit(r) || r == '_' || r == '-'
}
