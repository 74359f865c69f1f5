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
			r.hold(HeldAmbiguous, "line %d may go on in line %d: the text is format=flowed, in which only a blank at the end tells, and a signature may not cover it", line, line+1)
		}
	}
}

// typed holds a mail with a product's line that the buyer may have typed: in the
// paragraph of an answer, which may wrap, or parted from another one by an answer,
// for a store writes its products one after the other.
func (r *reader) typed() {
	items := r.scan.items
	for i, it := range items {
		if r.scan.inComment(it.line) {
			continue // it was said already
		}
		if it.below > 0 && r.m.wraps {
			r.hold(HeldAmbiguous, "line %d looks like a product's, and may be what the buyer typed in line %d: an empty line would tell them apart", it.line, it.below)
		}
		if i == 0 {
			continue
		}
		between := slices.IndexFunc(r.scan.findings, func(f finding) bool {
			return answers(f.mark) && f.line > items[i-1].line && f.line < it.line
		})
		if between >= 0 {
			r.hold(HeldAmbiguous, "the buyer's answer in line %d stands between two lines that look like products', %d and %d", r.scan.findings[between].line, items[i-1].line, it.line)
		}
	}
}

// Warnings tell what a profile leaves open, in words.
func (p *Profile) Warnings() (list []string) {
	if len(p.file.Items) > 0 && len(p.file.Comment) == 0 && p.file.CommentFlag == "" {
		list = append(list, "it has items, and neither comment nor comment_flag: a line that a buyer types into a comment can look like a product's; say where comments begin (comment)")
	}
	return list
}
