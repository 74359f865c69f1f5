package admin

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/ingest/tfyp"
)

// What is in an mbox, mail by mail.
func TestMbox(t *testing.T) {
	long := strings.Repeat("x", tfyp.MaxMail+100)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"two":                  {"From a\nA: 1\n\none\n\nFrom b\nB: 2\n\ntwo\n", []string{"A: 1\n\none\n", "B: 2\n\ntwo\n"}},
		"no end of line":       {"From a\nA: 1\n\none", []string{"A: 1\n\none"}},
		"From within a text":   {"From a\nA: 1\n\none\nFrom here\n", []string{"A: 1\n\none\nFrom here\n"}},
		"quoted":               {"From a\nA: 1\n\n>From here\n>>From there\n", []string{"A: 1\n\nFrom here\n>From there\n"}},
		"CR LF":                {"From a\r\nA: 1\r\n\r\none\r\n\r\nFrom b\r\nB: 2\r\n", []string{"A: 1\r\n\r\none\r\n", "B: 2\r\n"}},
		"a mail of no lines":   {"From a\n", []string{""}},
		"one that is too long": {"From a\n" + long + "\n\nFrom b\nB: 2\n", []string{long[:tfyp.MaxMail+1], "B: 2\n"}},
	} {
		var got []string
		read, err := mbox(bufio.NewReaderSize(strings.NewReader(test.text), 16), func(_ int, raw []byte, _ int64) error {
			got = append(got, string(raw))
			return nil
		})
		if err != nil || read != int64(len(test.text)) {
			t.Errorf("%s: read %d of %d, %v", name, read, len(test.text), err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %d mails, lengths differ or texts do: %.60q", name, len(got), got)
		}
	}
}
