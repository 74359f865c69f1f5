package authentic

import (
	"bytes"
	"fmt"
	"strings"
)

// The limits of one message. Whoever can write a mail can make it large.
const (
	maxMessage    = 25 << 20  // bytes
	maxHeader     = 256 << 10 // bytes of all fields
	maxFields     = 1000
	maxSignatures = 8 // of trusted domains; each may cost a question to the DNS
)

// A letter is a message cut into fields and body, its lines ending in CRLF.
type letter struct {
	fields []field
	body   []byte
}

// A field of the header, as it stands.
type field struct {
	name string // lower case
	raw  []byte // name, colon, value, folds, and the CRLF at its end
}

// value is what is behind the colon, in relaxed form whatever the signature's:
// no copy that it covers has another one.
func (f field) value() string {
	_, v, _ := bytes.Cut(relaxed.field(f.raw), []byte(":"))
	return string(bytes.TrimSuffix(v, []byte("\r\n")))
}

// readLetter takes a message apart. Where readers of mail differ (a line that
// is no field, a bare CR, a line of blanks in the header), it refuses: what is
// verified here must be what an order is read from later. Lines that end in LF
// alone, as in files, are taken as if they ended in CRLF.
func readLetter(raw []byte) (letter, error) {
	if len(raw) > maxMessage {
		return letter{}, refuse(TooLarge, "the message has %d bytes; at most %d are read", len(raw), maxMessage)
	}
	raw = withCRLF(raw)
	header, body := raw, []byte(nil)
	if end := bytes.Index(raw, []byte("\r\n\r\n")); end >= 0 {
		header, body = raw[:end+2], raw[end+4:]
	}
	if len(header) > maxHeader {
		return letter{}, refuse(TooLarge, "the header has %d bytes; at most %d are read", len(header), maxHeader)
	}
	fields, err := readFields(header)
	return letter{fields, body}, err
}

func readFields(header []byte) (fields []field, err error) {
	start := 0 // of the field that the last line belongs to
	at := 0
	for line := range bytes.Lines(header) {
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		switch {
		case bytes.ContainsAny(text, "\r\n\x00"):
			return nil, refuse(Malformed, "a header line has a control character")
		case len(bytes.Trim(text, " \t")) == 0:
			return nil, refuse(Malformed, "a header line is blank: what follows may be header or body")
		case text[0] == ' ' || text[0] == '\t':
			if len(fields) == 0 {
				return nil, refuse(Malformed, "the message begins with a blank: it has no header")
			}
			fields[len(fields)-1].raw = header[start : at+len(line)]
		default:
			name, ok := fieldName(text)
			if !ok {
				return nil, refuse(Malformed, "a header line is not a field: %s", shown(string(text)))
			}
			if len(fields) == maxFields {
				return nil, refuse(TooLarge, "the header has more than %d fields", maxFields)
			}
			start = at
			fields = append(fields, field{name, line})
		}
		at += len(line)
	}
	if len(fields) == 0 {
		return nil, refuse(Malformed, "the message is empty")
	}
	if last := &fields[len(fields)-1]; !bytes.HasSuffix(last.raw, []byte("\r\n")) {
		last.raw = append(bytes.Clone(last.raw), "\r\n"...)
	}
	return fields, nil
}

// RFC 5322, 3.6.8: ftext; 4.5.8 allows blanks before the colon.
func fieldName(line []byte) (string, bool) {
	name, _, colon := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return strings.ToLower(string(name)), colon && len(name) > 0
}

// withCRLF is a text with each bare LF made CRLF.
func withCRLF(text []byte) []byte {
	if bytes.Count(text, []byte("\n")) == bytes.Count(text, []byte("\r\n")) {
		return text
	}
	out := make([]byte, 0, len(text)+len(text)/32)
	for line := range bytes.Lines(text) {
		if cut, ok := bytes.CutSuffix(line, []byte("\n")); ok {
			out = append(out, bytes.TrimSuffix(cut, []byte("\r"))...)
			out = append(out, "\r\n"...)
			continue
		}
		out = append(out, line...)
	}
	return out
}

// named are the fields of a name, which is in lower case.
func (l letter) named(name string) (found []field) {
	for _, f := range l.fields {
		if f.name == name {
			found = append(found, f)
		}
	}
	return found
}

// only is the value of a field that is there once; "" when it is not.
func (l letter) only(name string) string {
	if found := l.named(name); len(found) == 1 {
		return found[0].value()
	}
	return ""
}

func (l letter) told() string {
	return fmt.Sprintf("%d header fields, %d bytes of body", len(l.fields), len(l.body))
}
