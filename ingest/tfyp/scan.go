package tfyp

import (
	"math"
	"slices"
	"strings"
)

// Limits on what is kept of one mail's text.
const (
	maxFindings = 200
	maxItems    = 50
	maxValue    = 1024 // bytes
)

// A finding is a label with the value behind it.
type finding struct {
	mark, value string
	line        int
	below       int  // the line of a buyer's answer that may wrap onto it; 0: none; its own line: it stands in one
	beyond      bool // a line without a label is between the two: the answer does go on
}

// An item is a line about a product.
type item struct {
	product, currency, price, quantity, licenseType string
	pattern, line                                   int
	below                                           int // the line of a buyer's answer that may wrap onto it; 0: none
}

// A number is a blurb's last line.
type number struct {
	blurb, number string
	line, below   int
}

// scan is what stands in a mail's text, nothing judged yet.
type scan struct {
	findings  []finding
	items     []item
	numbers   []number
	text      bool // a line of the profile's text
	texts     []finding
	forwarded int // the line that shows it; 0: none
	tooMuch   string
	// The buyer's comment, from the line after begin up to end.
	begin, end int
	// The line of the buyer's answer whose paragraph is being read; 0: of none. And
	// whether a line of it had no label.
	answer int
	beyond bool
	// The last line with a label or a product, and those that one without follows.
	known    int
	followed []int

	first struct { // room for an ordinary mail
		findings [12]finding
		items    [3]item
		numbers  [2]number
	}
}

// inComment tells whether a line is the buyer's, or may be.
func (s *scan) inComment(line int) bool { return s.begin > 0 && line >= s.begin && line < s.end }

// scan goes through the text once.
func (p *Profile) scan(text string) *scan {
	s := &scan{}
	s.findings, s.items, s.numbers = s.first.findings[:0], s.first.items[:0], s.first.numbers[:0]
	for n := 1; text != ""; n++ {
		line, rest := text, ""
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, rest = text[:i], text[i+1:]
		}
		text = rest
		if len(line) > maxLine {
			s.tooMuch = "a line of it is too long"
			continue
		}
		if n > maxLines || len(s.findings) > maxFindings || len(s.items) > maxItems || len(s.numbers) > maxItems {
			s.tooMuch = "it has too many lines, or too many labels"
			break
		}
		if line = trim(line); line != "" {
			p.line(s, line, n)
		} else {
			s.answer, s.beyond = 0, false
		}
	}
	if s.begin > 0 && s.end <= s.begin {
		s.end = math.MaxInt
	}
	return s
}

// trim takes the spaces off both ends of a line.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}

func (p *Profile) line(s *scan, line string, n int) {
	if line[0] == '>' {
		p.quoted(s, line, n)
		return
	}
	if forwards(line) && s.forwarded == 0 {
		s.forwarded = n
	}
	if p.label(s, line, n) {
		return
	}
	for _, list := range [2][]*pattern{p.starting[line[0]], p.floating} {
		for _, pattern := range list {
			var values [maxPlaces]string
			if pattern.match(line, &values) {
				s.matched(pattern, values, n)
				return
			}
		}
	}
	s.beyond = s.answer > 0
	if s.known > 0 && s.known == n-1 {
		s.followed = append(s.followed, s.known)
	}
}

// matched keeps what a line tells that matches a pattern.
func (s *scan) matched(p *pattern, values [maxPlaces]string, n int) {
	s.known = n
	if slices.Contains(p.places, "number") {
		s.number(p, values, n)
	} else {
		s.item(p, values, n)
	}
}

func (s *scan) item(p *pattern, values [maxPlaces]string, n int) {
	it := item{pattern: p.of, licenseType: p.licenseType, line: n, below: s.answer}
	for i, place := range p.places {
		switch place {
		case "currency":
			it.currency = values[i]
		case "price":
			it.price = values[i]
		case "quantity":
			it.quantity = values[i]
		default:
			it.product = values[i]
		}
	}
	s.items = append(s.items, it)
}

func (s *scan) number(p *pattern, values [maxPlaces]string, n int) {
	num := number{line: n, below: s.answer}
	for i, place := range p.places {
		if place == "blurb" {
			num.blurb = values[i]
		} else {
			num.number = values[i]
		}
	}
	s.numbers = append(s.numbers, num)
}

// label finds the label that a line begins with, and those that may stand
// anywhere; true: the line is done with.
func (p *Profile) label(s *scan, line string, n int) (done bool) {
	mark, foreign := "", len(p.foreign)+len(p.within) > 0 && beyondASCII(line)
	if foreign {
		mark = p.foreignLabel(s, line, n)
	}
	if mark == "" { // or else a shorter one, which is the foreign one's beginning
		mark = p.firstLabel(s, line, n)
	}
	for _, l := range p.anywhere {
		if i := index(line, l.text); i >= 0 {
			s.add(l.mark, trim(line[i+len(l.text):]), n, mark)
		}
	}
	if foreign {
		p.foreignWithin(s, line, n, mark)
	}
	return mark != "" && mark != markText
}

// firstLabel is the mark of the label of ASCII that a line begins with, which is
// kept; "": it begins with none.
func (p *Profile) firstLabel(s *scan, line string, n int) string {
	for i := range p.labels[lower(line[0])] {
		l := &p.labels[lower(line[0])][i]
		if begins(line, l.text) && ends(l.text, line) {
			s.begins(l.mark, trim(line[len(l.text):]), n)
			return l.mark
		}
	}
	return ""
}

// ends tells whether a label ends where a word does: "Item" is not in "Items".
func ends(label, line string) bool {
	return len(line) == len(label) || !word(label[len(label)-1]) || !word(line[len(label)])
}

func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// begins keeps a label that a line begins with. It ends the answer above it, and
// may begin another.
func (s *scan) begins(mark, value string, n int) {
	if s.keep(finding{mark: mark, value: value, line: n, below: s.answer, beyond: s.beyond}) {
		s.answer, s.beyond, s.known = 0, false, n
		if wraps(s.findings[len(s.findings)-1].mark) {
			s.answer = n
		}
	}
}

// add keeps a label within a line that begins with another one, of, or with none:
// in a buyer's answer, the buyer may have typed it.
func (s *scan) add(mark, value string, n int, of string) {
	f := finding{mark: mark, value: value, line: n}
	switch {
	case answers(of) || of == markAnyKeyword:
		f.below, f.beyond = n, true
	case of == "":
		f.below, f.beyond = s.answer, true
	}
	s.keep(f)
}

// keep keeps what was found; false: it is no field.
func (s *scan) keep(f finding) bool {
	switch f.mark {
	case markText:
		if s.text = true; len(s.texts) < maxFindings {
			s.texts = append(s.texts, f)
		}
		return false
	case markComment:
		if s.begin == 0 {
			s.begin = f.line
		}
	case markCommentEnd:
		s.end = f.line
	case markAnyKeyword:
		// Kagi: "Keyword: Name - value"; a value may hold " - " itself.
		name, v, ok := strings.Cut(f.value, " - ")
		if !ok {
			return false
		}
		f.mark, f.value = markKeyword+trim(name), trim(v)
	}
	s.findings = append(s.findings, f)
	return true
}

// quoted: what is marked as another mail's text is no field, but shows that
// there was another mail.
func (p *Profile) quoted(s *scan, line string, n int) {
	inner := trim(strings.TrimLeft(line, "> \t"))
	if inner == "" {
		return
	}
	var q scan
	p.line(&q, inner, n)
	s.text = s.text || q.text
	if s.forwarded == 0 && (len(q.findings)+len(q.items)+len(q.numbers) > 0 || q.text || q.forwarded > 0) {
		s.forwarded = n
	}
}

// forwards are the lines by which mail programs begin a mail in a mail.
func forwards(line string) bool {
	switch lower(line[0]) {
	case '-':
		line = strings.TrimLeft(line, "- ")
		return begins(line, "original message") || begins(line, "forwarded message") || begins(line, "forwarded by") ||
			begins(line, "weitergeleitete") || begins(line, "ursprüngliche nachricht") || begins(line, "message transféré")
	case 'b':
		return begins(line, "begin forwarded message")
	}
	return false
}
