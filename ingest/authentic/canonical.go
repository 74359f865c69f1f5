package authentic

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// A canonical is one of the forms in which text is signed.
type canonical bool

// RFC 6376, 3.4.
const (
	simple  canonical = false
	relaxed canonical = true
)

func (c canonical) String() string {
	if c == relaxed {
		return "relaxed"
	}
	return "simple"
}

// field is a header field in canonical form, with its CRLF (RFC 6376, 3.4.1
// and 3.4.2).
func (c canonical) field(raw []byte) []byte {
	if c == simple {
		return raw
	}
	return appendField(make([]byte, 0, len(raw)+3), raw)
}

// appendField appends a header field in relaxed form.
func appendField(out, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte(":"))
	for _, c := range bytes.TrimRight(name, " \t") {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	out = append(out, ':')
	if value = bytes.Trim(value, " \t\r\n"); bytes.IndexByte(value, '\n') >= 0 { // folded
		value = bytes.ReplaceAll(value, []byte("\r\n"), nil)
	}
	return append(appendRelaxed(out, value), "\r\n"...)
}

// bodyHash is SHA-256 of the body in canonical form.
func (l letter) bodyHash(c canonical) (sum [sha256.Size]byte) {
	h := sha256.New()
	if c == relaxed {
		writeRelaxed(h, l.body)
	} else {
		writeSimple(h, l.body)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// RFC 6376, 3.4.3: no empty lines at the end, and one CRLF, even alone.
func writeSimple(w io.Writer, body []byte) {
	for bytes.HasSuffix(body, []byte("\r\n")) {
		body = body[:len(body)-2]
	}
	write(w, body)
	write(w, []byte("\r\n"))
}

// RFC 6376, 3.4.4: no blanks at a line's end, one space for each run of them,
// no empty lines at the end; an empty body is empty.
func writeRelaxed(w io.Writer, body []byte) {
	empty := 0 // lines that may be the last ones
	var out []byte
	for line := range bytes.SplitSeq(body, []byte("\r\n")) {
		if line = bytes.TrimRight(line, " \t"); len(line) == 0 {
			empty++
			continue
		}
		for ; empty > 0; empty-- {
			out = append(out, "\r\n"...)
		}
		out = append(appendRelaxed(out, line), "\r\n"...)
		write(w, out)
		out = out[:0]
	}
}

// appendRelaxed appends a text with one space for each run of blanks.
func appendRelaxed(out, text []byte) []byte {
	for i, b := range text {
		switch {
		case b != ' ' && b != '\t':
			out = append(out, b)
		case i == 0 || text[i-1] != ' ' && text[i-1] != '\t':
			out = append(out, ' ')
		}
	}
	return out
}

// write writes to a hash or a buffer, which do not fail.
func write(w io.Writer, b []byte) { _, _ = w.Write(b) }

// Relaxed is a message in the form that all copies of it share which a signature
// cannot tell apart: its header and body in relaxed canonical form, its lines ending
// in CRLF. What is read of a mail must be read of this, whatever form the signature
// was made in: somebody who has a signed mail can make each of those copies. Header
// lines that are no fields stay as they are; [Policy.Judge] refuses them.
func Relaxed(raw []byte) []byte {
	raw = withCRLF(raw)
	header, body := raw, []byte(nil)
	if end := bytes.Index(raw, []byte("\r\n\r\n")); end >= 0 {
		header, body = raw[:end+2], raw[end+4:]
	}
	out := bytes.NewBuffer(make([]byte, 0, len(raw)+2))
	for len(header) > 0 {
		n := fieldLength(header)
		if f := header[:n]; bytes.IndexByte(f, ':') > 0 {
			out.Write(appendField(out.AvailableBuffer(), f))
		} else {
			out.Write(withEnd(f))
		}
		header = header[n:]
	}
	out.WriteString("\r\n")
	writeRelaxed(out, body)
	return out.Bytes()
}

// fieldLength is how many bytes the first line of a header has, with those that
// continue it (RFC 5322, 2.2.3).
func fieldLength(header []byte) int {
	for at := 0; ; {
		end := bytes.IndexByte(header[at:], '\n')
		if end < 0 {
			return len(header)
		}
		if at += end + 1; at == len(header) || header[at] != ' ' && header[at] != '\t' {
			return at
		}
	}
}
