package mailbox

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// A literal that is cut off is filled up: go-imap must not see its end before
// it has its size. Words that look like one in a text are none.
func TestCutLiteral(t *testing.T) {
	for _, row := range []struct {
		name, sent string
		filled     int
	}{
		{"within", "* 1 FETCH (BODY[] {10}\r\nabc", 7},
		{"at once", "* 1 FETCH (BODY[] {10}\r\n", 10},
		{"the second", "* 1 FETCH (BODY[] {2}\r\nab UID 7 BODY[HEADER] {4}\r\n\n", 3},
		{"with a space", "* 1 FETCH (BODY[] {3} \r\n", 3},
		{"none", "* 1 FETCH (UID 7)\r\n* 2 FE", 0},
		{"in a text", "* OK see {10}\r\n", 0},
		{"in a tagged text", "T1 NO see {10}\r\n", 0},
		{"in a continuation", "+ {10}\r\n", 0},
		{"after it was whole", "* 1 FETCH (BODY[] {2}\r\nab)\r\n", 0},
	} {
		for _, step := range []int{1, 7, 1000} { // whatever comes at once
			ours, theirs := net.Pipe()
			w := newWire(ours, ours)
			w.begin(limit{time: time.Minute, bytes: 1 << 20, literal: 100})
			go func() {
				for s := row.sent; s != ""; s = s[min(step, len(s)):] {
					_, _ = io.WriteString(theirs, s[:min(step, len(s))])
				}
				_ = theirs.Close()
			}()
			got, err := io.ReadAll(w)
			if len(got) != len(row.sent)+row.filled || err != nil || !errors.Is(w.why(), errCut) {
				t.Errorf("%s: %q, %v, %v", row.name, got, err, w.why())
			}
			w.done()
		}
	}
}

// However an answer is cut into pieces, it is counted alike, and nothing of it
// lets more through than the limit.
func FuzzCount(f *testing.F) {
	f.Add([]byte("* 1 FETCH (BODY[] {3}\r\nabc)\r\n* OK {9}\r\n"), 3)
	f.Add([]byte("* 1 FETCH (BODY[] {0000000000000000000000000000000000003}\r\nabc)\r\n"), 1)
	f.Add([]byte("* 1 FETCH (BODY[] {99999999999999999999}\r\n"), 5)
	f.Fuzz(func(t *testing.T, sent []byte, step int) {
		if step < 1 {
			t.Skip()
		}
		l := limit{bytes: 1000, literal: 50}
		whole, parts := &wire{limit: l, left: l.bytes}, &wire{limit: l, left: l.bytes}
		err := whole.count(bytes.Clone(sent))
		var errParts error
		for rest := sent; len(rest) > 0 && errParts == nil; rest = rest[min(step, len(rest)):] {
			errParts = parts.count(bytes.Clone(rest[:min(step, len(rest))]))
		}
		if (err == nil) != (errParts == nil) || err == nil && whole.literal != parts.literal {
			t.Errorf("at once: %v, %d left; in parts: %v, %d left", err, whole.literal, errParts, parts.literal)
		}
		if parts.literal > l.literal || err == nil && int64(len(sent)) > l.bytes {
			t.Errorf("let through: %d bytes, a literal of %d", len(sent), parts.literal)
		}
	})
}
