package tfyp

import (
	"slices"
	"strings"
)

// answers tells whether what stands behind a label is what the buyer typed.
func answers(mark string) bool { return mark == "email" || wraps(mark) }

// wraps tells whether it is free text, too, which may hold line breaks or be
// wrapped onto the lines below it. An address has neither.
func wraps(mark string) bool { return mark == "name" || strings.HasPrefix(mark, markKeyword) }

// own tells whether a label says no more than what the buyer may say anyway: an
// answer of the buyer's, the language, a code, which issues nothing.
func own(mark string) bool { return answers(mark) || mark == "language" || mark == markCode }

// typed holds a mail with a label or a number that the buyer may have typed: in an
// answer's own line or, since an answer may hold line breaks or be wrapped, below
// it in its paragraph. A label that each mail has is none of those: beside one that
// was typed, it is there twice. Buyers' own labels may stand directly below each
// other.
func (r *reader) typed() {
	for _, f := range r.scan.findings {
		ownLine := f.below == f.line
		switch {
		case f.below == 0 || !ownLine && !r.m.wraps || f.mark == markCommentEnd:
		case !ownLine && (r.p.always[f.mark] || own(f.mark) && !f.beyond):
		case r.scan.inComment(f.line) && !(f.line == r.scan.begin && r.scan.hides()): // it was said already
		case ownLine:
			r.hold(HeldAmbiguous, "%q in line %d is inside the buyer's answer: the buyer may have typed it", f.mark, f.line)
		default:
			hint := ""
			if f.mark != markCode && f.mark != markTest && f.mark != markComment && !strings.HasPrefix(f.mark, markKeyword) {
				hint = "; if every mail has it, add it to always in the profile"
			}
			r.hold(HeldAmbiguous, "%q in line %d may have been typed by the buyer in line %d: an empty line would separate them%s", f.mark, f.line, f.below, hint)
		}
	}
	sure := func(f finding) bool {
		return !r.scan.inComment(f.line) && (f.below == 0 || f.below != f.line && !r.m.wraps)
	}
	// Without texts it is known by what a forwarded mail quotes, which holds it.
	if !r.bySubject && len(r.scan.texts) > 0 && !slices.ContainsFunc(r.scan.texts, sure) {
		r.hold(HeldAmbiguous, "line %d, by which the profile recognises the mail, may have been typed by the buyer", r.scan.texts[0].line)
	}
	for _, n := range r.scan.numbers {
		if n.below > 0 && r.m.wraps && !r.scan.inComment(n.line) {
			r.hold(HeldAmbiguous, "the blurb's number in line %d may have been typed by the buyer in line %d: an empty line would separate them", n.line, n.below)
		}
	}
}

// hides tells whether something of the store's stands in the buyer's comment: a
// price, say, which would count if the comment did not begin above it.
func (s *scan) hides() bool {
	return slices.ContainsFunc(s.findings, func(f finding) bool {
		return s.inComment(f.line) && f.line > s.begin && f.mark != markComment && f.mark != markCommentEnd && (!own(f.mark) || f.mark == markCode)
	}) || slices.ContainsFunc(s.numbers, func(n number) bool { return s.inComment(n.line) })
}

// cutShort holds a mail of which a line may go on in the next one: with
// format=flowed (RFC 3676, 4) a blank at its end says so, which no signature covers
// in relaxed form (RFC 6376, 3.4.4).
func (r *reader) cutShort() {
	if !r.m.flowed {
		return
	}
	lines := make([]int, 0, len(r.found)+len(r.scan.items))
	for _, f := range r.found {
		if wraps(f.mark) || f.mark == "product" || f.mark == "license_type" {
			lines = append(lines, f.line)
		}
	}
	for _, it := range r.scan.items {
		lines = append(lines, it.line)
	}
	for _, line := range lines {
		if slices.Contains(r.scan.followed, line) {
			r.hold(HeldAmbiguous, "line %d may continue in line %d: the text is format=flowed, where only a space at the end of a line says so, and a signature may not cover it", line, line+1)
		}
	}
}

// typedItems holds a mail with a product's line that the buyer may have typed: in the
// paragraph of an answer, which may wrap, or parted from another one by an answer,
// for a store writes its products one after the other.
func (r *reader) typedItems() {
	items := r.scan.items
	for i, it := range items {
		if r.scan.inComment(it.line) {
			continue // it was said already
		}
		if it.below > 0 && r.m.wraps {
			r.hold(HeldAmbiguous, "line %d looks like a product line, but may have been typed by the buyer in line %d: an empty line would separate them", it.line, it.below)
		}
		if i == 0 {
			continue
		}
		between := slices.IndexFunc(r.scan.findings, func(f finding) bool {
			return answers(f.mark) && f.line > items[i-1].line && f.line < it.line
		})
		if between >= 0 {
			r.hold(HeldAmbiguous, "the buyer's answer in line %d is between two lines that look like product lines, %d and %d", r.scan.findings[between].line, items[i-1].line, it.line)
		}
	}
}

// Warnings tell what a profile leaves open, in words.
func (p *Profile) Warnings() (list []string) {
	if len(p.file.Items) > 0 && len(p.file.Comment) == 0 && p.file.CommentFlag == "" {
		list = append(list, "it has items, but neither comment nor comment_flag. A line that a buyer types into a comment can look like a product line: say where comments begin (comment)")
	}
	return list
}
