package tfyp

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/text/encoding/charmap"
)

// guess is the text of a part whose declared charset is unknown, or is not what
// it is in: Windows-1252 is taken, for people to read. A field that has such a
// letter is held.
func (m *Mail) guess(raw []byte, charset string) string {
	if charset == "" {
		charset = "us-ascii"
	}
	if len(charset) > 40 {
		charset = charset[:40]
	}
	m.guessed = true
	m.problem("it declares the charset %q, which is unknown or wrong: letters beyond ASCII are shown as Windows-1252", charset)
	b, err := charmap.Windows1252.NewDecoder().Bytes(raw)
	if err != nil {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return string(b)
}

func beyondASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// oneBlank is a text with one space for each run of spaces and tabs, and none at a
// line's end. What is signed is so already ([authentic.Relaxed]); what comes out of
// an encoding is not, and is read in the same way.
func oneBlank(text string) string {
	if !uneven(text) {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			b = append(bytes.TrimRight(b, " \r"), c)
		case c != ' ' && c != '\t':
			b = append(b, c)
		case len(b) == 0 || b[len(b)-1] != ' ':
			b = append(b, ' ')
		}
	}
	return string(bytes.TrimRight(b, " \r"))
}

// uneven tells whether oneBlank changes a text.
func uneven(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '\t', '\r':
			return true
		case ' ':
			if i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n' {
				return true
			}
		}
	}
	return false
}

// plain is the text of HTML as a person would read it line by line: blocks and
// rows are lines, cells are words.
func plain(text string) string {
	z := html.NewTokenizer(strings.NewReader(text))
	var b strings.Builder
	hidden, pre := 0, 0 // depth of elements that are not shown, and whose line breaks are
	space, lineStart := false, true
	newline := func() {
		if !lineStart {
			b.WriteByte('\n')
		}
		space, lineStart = false, true
	}
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken: // the end; readers of strings have no other
			return b.String()
		case html.TextToken:
			if hidden > 0 {
				continue
			}
			for _, r := range string(z.Text()) {
				if r == '\n' && pre > 0 {
					newline()
					continue
				}
				if r == ' ' || r == '\u00a0' || r == '\t' || r == '\n' || r == '\r' {
					space = true
					continue
				}
				if space && !lineStart {
					b.WriteByte(' ')
				}
				space, lineStart = false, false
				b.WriteRune(r)
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			switch a := atom.Lookup(name); {
			case a == atom.Script || a == atom.Style || a == atom.Title || a == atom.Template:
				if kind == html.StartTagToken {
					hidden++
				} else if kind == html.EndTagToken && hidden > 0 {
					hidden--
				}
			case a == atom.Br:
				newline()
			case a == atom.Td || a == atom.Th:
				space = true
			case block[a]:
				newline()
				if a == atom.Pre && kind == html.StartTagToken {
					pre++
				} else if a == atom.Pre && kind == html.EndTagToken && pre > 0 {
					pre--
				}
			}
		}
	}
}

// block are the elements that begin a line and end it.
var block = map[atom.Atom]bool{
	atom.P: true, atom.Div: true, atom.Tr: true, atom.Table: true, atom.Li: true, atom.Ul: true, atom.Ol: true, atom.Dl: true, atom.Dt: true, atom.Dd: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Hr: true, atom.Pre: true, atom.Blockquote: true,
	atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Body: true, atom.Html: true, atom.Head: true, atom.Tbody: true,
	atom.Thead: true, atom.Center: true, atom.Form: true, atom.Address: true,
}
