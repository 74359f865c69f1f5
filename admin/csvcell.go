package admin

import (
	"regexp"
	"strings"
)

// A buyer may type a formula for a name, and a spreadsheet that opens the export
// would run it. So what a spreadsheet could take for the beginning of a formula
// gets an apostrophe before it. Nobody knows at what a spreadsheet splits a line:
// one that splits at semicolons does so in the midst of our quoted cells, and one
// that splits at tabs, too. Hence each part of a cell between such characters, or
// line ends, is looked at like a cell.

// partEnds are what some spreadsheet may split a cell at.
const partEnds = ",;\t\r\n"

// formula is the beginning of a part that may be taken for a formula: also behind
// quotes, spaces and what is not seen, and by its full-width forms.
var formula = regexp.MustCompile(`^['"\p{Z}\p{Cc}\p{Cf}]*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]`)

// safeCell makes a cell fit for any spreadsheet. [plainCell] gives every cell
// back as it was: what begins with an apostrophe and a formula gets one more.
func safeCell(cell string) string {
	return eachPart(cell, func(part string) string {
		if formula.MatchString(part) {
			return "'" + part
		}
		return part
	})
}

// plainCell takes away what safeCell put into a cell.
func plainCell(cell string) string {
	return eachPart(cell, func(part string) string {
		if rest, ok := strings.CutPrefix(part, "'"); ok && formula.MatchString(rest) {
			return rest
		}
		return part
	})
}

func eachPart(cell string, change func(part string) string) string {
	var out strings.Builder
	for {
		i := strings.IndexAny(cell, partEnds)
		if i < 0 {
			out.WriteString(change(cell))
			return out.String()
		}
		out.WriteString(change(cell[:i]))
		out.WriteByte(cell[i])
		cell = cell[i+1:]
	}
}
