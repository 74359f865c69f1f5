package admin

import (
	"strings"
	"testing"
)

// plainCell undoes safeCell, and what is safe stays so.
func FuzzSafeCell(f *testing.F) {
	for _, cell := range []string{"", "'", "=", "'=", "a;=b", "a\r\n\t=b", "＝", "a;\"'=", "\x80=", ";;'=;'"} {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		safe := safeCell(cell)
		if got := plainCell(safe); got != cell {
			t.Errorf("%q became %q and then %q", cell, safe, got)
		}
		for _, part := range strings.FieldsFunc(safe, func(r rune) bool { return strings.ContainsRune(partEnds, r) }) {
			if formula.MatchString(part) && part[0] != '\'' {
				t.Errorf("%q has %q", safe, part)
			}
		}
	})
}
