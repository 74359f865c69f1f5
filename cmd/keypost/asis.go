package main

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// asIs is where to print what somebody else wrote and what must stay byte by byte:
// the writer itself or, where that is a terminal, one that prints it so that nothing
// in it can move the cursor, ring the bell, hide, or type (see [safe]).
func asIs(w io.Writer) io.Writer {
	if !device(w) {
		return w
	}
	return &onTerminal{w: w}
}

type onTerminal struct {
	w    io.Writer
	rest []byte // of a letter, or of a line's end, that is not whole yet
}

func (t *onTerminal) Write(b []byte) (int, error) {
	text := append(t.rest, b...)
	var out strings.Builder
	for utf8.FullRune(text) && !bytes.Equal(text, []byte("\r")) {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n' || r == '\t':
			out.WriteRune(r)
		case !bytes.HasPrefix(text, []byte("\r\n")):
			out.WriteString(safe(string(text[:size])))
		}
		text = text[size:]
	}
	t.rest = bytes.Clone(text)
	if _, err := io.WriteString(t.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}
