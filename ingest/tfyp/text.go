package tfyp

import (
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
	m.problem("it declares the charset %q, which it is not in, or which is unknown: letters beyond ASCII are shown as Windows-1252", charset)
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

// unflow joins the lines of a text that a mail program has wrapped.
// RFC 3676, 4: a line that ends in a space goes on in the next one of the same
// depth of quotation; a space at a line's beginning is stuffing; "-- " is a
// signature's own line.
func unflow(text string, delsp bool) string {
	var b strings.Builder
	b.Grow(len(text))
	depth, open := 0, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		quotes := len(line) - len(strings.TrimLeft(line, ">"))
		line = strings.TrimPrefix(line[quotes:], " ")
		flowed := strings.HasSuffix(line, " ") && line != "-- "
		if open && (quotes != depth || line == "-- ") {
			b.WriteByte('\n')
			open = false
		}
		if !open && quotes > 0 {
			b.WriteString(strings.Repeat(">", quotes) + " ")
		}
		if flowed && delsp {
			line = line[:len(line)-1]
		}
		b.WriteString(line)
		if !flowed {
			b.WriteByte('\n')
		}
		depth, open = quotes, flowed
	}
	return b.String()
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
