package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// Spreadsheets save tables in many ways: as UTF-8 or UTF-16 with a byte order
// mark, in the code page of an old Windows, with semicolons where the country
// writes a decimal comma. What can be recognised for certain is read; for the
// rest the person is told what to do.

// A csvText is a table's text, made UTF-8 with lines that end in LF or CRLF.
type csvText struct {
	text      []byte
	encoding  string // as it was recognised
	delimiter rune
}

// delimiters by their names; the first is where a table has one column.
var delimiters = []struct {
	char rune
	name string
}{{',', "commas"}, {';', "semicolons"}, {'\t', "tabs"}}

func delimiterName(delimiter string) string {
	for _, d := range delimiters {
		if string(d.char) == delimiter {
			return d.name
		}
	}
	return ""
}

const (
	utf8Mark    = "\xef\xbb\xbf"
	utf16LEMark = "\xff\xfe"
	utf16BEMark = "\xfe\xff"
)

// readCSVText reads a table's text. said is the encoding that a person named,
// in the words of the WHATWG's Encoding Standard, or "". As there, a byte order
// mark outweighs it.
func readCSVText(r io.Reader, said string) (c csvText, err error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return c, err
	}
	if c.text, c.encoding, err = decodeText(b, said); err != nil {
		return c, err
	}
	if !bytes.ContainsRune(c.text, '\n') { // an old Macintosh's line ends
		c.text = bytes.ReplaceAll(c.text, []byte("\r"), []byte("\n"))
	}
	c.delimiter = c.findDelimiter()
	return c, nil
}

func decodeText(b []byte, said string) (text []byte, name string, err error) {
	utf16 := func(e unicode.Endianness, name string) ([]byte, string, error) {
		text, err := decoded(b, unicode.UTF16(e, unicode.UseBOM), name)
		return text, name, err
	}
	switch mark := string(b[:min(len(b), 3)]); {
	case mark == utf8Mark:
		b, name = b[3:], "UTF-8 with a byte order mark"
	case strings.HasPrefix(mark, utf16LEMark):
		return utf16(unicode.LittleEndian, "UTF-16LE")
	case strings.HasPrefix(mark, utf16BEMark):
		return utf16(unicode.BigEndian, "UTF-16BE")
	case said != "":
		return decodeAs(b, said)
	default:
		name = "UTF-8"
	}
	if line := badLine(b); line > 0 {
		return nil, "", fmt.Errorf("line %d is not UTF-8: save the table again as \"CSV UTF-8\", or name its encoding: \"CSV\" from a spreadsheet on Windows in Western Europe or America needs --encoding windows-1252", line)
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return nil, "", fmt.Errorf("line %d has a NUL byte, so it may be UTF-16 without a byte order mark: save the table again as \"CSV UTF-8\", or try --encoding utf-16le", 1+bytes.Count(b[:i], []byte("\n")))
	}
	return b, name, nil
}

// badLine is the first line with bytes that are not UTF-8; 0: there is none.
func badLine(b []byte) int {
	n := 0
	for line := range bytes.Lines(b) {
		if n++; !utf8.Valid(line) {
			return n
		}
	}
	return 0
}

// decodeAs decodes what a person says it is.
func decodeAs(b []byte, said string) (text []byte, name string, err error) {
	e, err := htmlindex.Get(said)
	if err != nil {
		return nil, "", invalid("--encoding %s is unknown: use a name like utf-8, windows-1252, iso-8859-15, macintosh or utf-16le", said)
	}
	if name, err = htmlindex.Name(e); err != nil {
		return nil, "", err
	}
	switch {
	case name == "utf-8":
		return decodeText(b, "")
	case !strings.HasPrefix(name, "utf-16") && utf8.Valid(b) && bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }):
		return nil, "", fmt.Errorf("the file is UTF-8, not %s: leave out --encoding, or names would be garbled", name)
	}
	text, err = decoded(b, e, name)
	return text, name, err
}

// decoded decodes all of it, or refuses the line that cannot be.
func decoded(b []byte, e encoding.Encoding, name string) ([]byte, error) {
	text, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return nil, err
	}
	// Decoders put U+FFFD in the place of what they cannot read.
	if head, _, bad := bytes.Cut(text, []byte("\ufffd")); bad {
		line := 1 + bytes.Count(head, []byte("\n"))
		return nil, fmt.Errorf("line %d has a character that does not exist in %s: name the table's real encoding with --encoding, or save it again as \"CSV UTF-8\"", line, name)
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("the file has NUL characters, so it is not " + name)
	}
	return text, nil
}

// findDelimiter finds what separates the names in the first line, and takes away
// the line that Excel may put before it ("sep=;").
func (c *csvText) findDelimiter() rune {
	head, _, _ := bytes.Cut(c.text, []byte("\n"))
	line := strings.TrimRight(string(head), "\r")
	if rest, ok := strings.CutPrefix(line, "sep="); ok {
		for _, d := range delimiters {
			if rest == string(d.char) {
				c.text = c.text[len(line):] // the empty line stays: lines keep their numbers
				return d.char
			}
		}
	}
	best, most := ',', 0
	for _, d := range delimiters {
		names := 0
		for cell := range strings.SplitSeq(line, string(d.char)) {
			if slices.Contains(csvColumns, columnName(strings.Trim(cell, `"`))) {
				names++
			}
		}
		if names > most {
			best, most = d.char, names
		}
	}
	return best
}

func columnName(cell string) string { return strings.ToLower(strings.TrimSpace(cell)) }
