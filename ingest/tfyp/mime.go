package tfyp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // teaches go-message the charsets there are

	"github.com/keypost/keypost/ingest/authentic"
)

// Limits on one mail.
const (
	MaxMail     = 8 << 20  // bytes as it came
	maxHeader   = 64 << 10 // bytes of header, of the mail and of each part
	maxText     = 1 << 20  // bytes of text
	maxLines    = 20_000
	maxLine     = 8 << 10 // bytes
	maxParts    = 100
	maxDepth    = 10 // multiparts in each other, and mails attached to each other
	maxAttached = 20 // mails
)

// ErrMail is what [Open] answers for bytes that are no mail.
var ErrMail = errors.New("it is no e-mail message")

// A Mail is one that was taken apart, with the one text in it that is read:
// the plain one, or where there is none the HTML.
type Mail struct {
	Subject, From, To string
	MessageID         string
	Date              time.Time // zero: none that can be read
	Text              string    // UTF-8, lines end in \n, one space for each run of blanks
	HTML              bool      // Text was made of HTML
	Attached          int       // how many messages are attached to it: [Attached] has them

	from, to string   // as they are encoded
	wraps    bool     // an answer may go on in the next line: not where HTML makes the lines
	flowed   bool     // and any line may, for which blank is at its end no signature tells
	attached [][]byte // message/rfc822
	guessed  bool     // the charset that was declared is wrong: letters beyond ASCII are as in Windows
	broken   bool     // it could not be read to its end
	doubled  string   // a header that must be there once
	problems []string // for people
	parts    int
	size     int // bytes as it came
}

// Open takes a mail apart, in the form that all copies of it share which a
// signature cannot tell apart ([authentic.Relaxed]): each of them reads the same.
// What is wrong with it is told by its reading; only bytes that have no header at
// all are ErrMail.
func Open(raw []byte) (Mail, error) {
	if len(raw) <= MaxMail {
		raw = authentic.Relaxed(raw)
	}
	m, err := openAsIs(raw)
	m.attached = nil // for they are changed
	return m, err
}

// openAsIs takes a mail apart as it is.
func openAsIs(raw []byte) (Mail, error) {
	m := Mail{size: len(raw)}
	if len(raw) > MaxMail {
		m.brokenBy("it is longer than %d bytes", MaxMail)
		raw = raw[:maxHeader]
	}
	e, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil {
		return m, fmt.Errorf("%w: %s", ErrMail, strings.TrimSpace(err.Error()))
	}
	if e.Header.Len() == 0 {
		return m, ErrMail
	}
	m.header(e.Header)
	m.Text, m.HTML = m.body(e, err, 0, false)
	m.Text = oneBlank(m.Text)
	if len(m.Text) > maxText {
		m.brokenBy("its text is longer than %d bytes", maxText)
		m.Text = m.Text[:maxText]
	}
	return m, nil
}

// Attached are the messages attached to a mail, and to those, as they are:
// each is to be judged by its own bytes. Their number and depth are bounded.
func Attached(raw []byte) [][]byte {
	if index(string(raw), "rfc822") < 0 { // none can be declared
		return nil
	}
	var all [][]byte
	var collect func(raw []byte, depth int)
	collect = func(raw []byte, depth int) {
		m, err := openAsIs(raw)
		if err != nil {
			return
		}
		for _, a := range m.attached {
			if len(all) == maxAttached {
				return
			}
			all = append(all, a)
			if depth < maxDepth {
				collect(a, depth+1)
			}
		}
	}
	collect(raw, 1)
	return all
}

func (m *Mail) problem(format string, args ...any) {
	m.problems = append(m.problems, fmt.Sprintf(format, args...))
}

func (m *Mail) brokenBy(format string, args ...any) {
	m.broken = true
	m.problem(format, args...)
}

// once are the fields that a mail is read by. RFC 5322, 3.6, and RFC 2045: at most
// one of each, and programs differ in which of two they show. No other field of its
// header is looked at (but for the Message-ID, which is noted): only these must be
// signed (package authentic), and anybody can add others to a signed mail.
var once = [...]string{"Subject", "Date", "From", "To", "Content-Type", "Content-Transfer-Encoding"}

func (m *Mail) header(h message.Header) {
	var seen [len(once)]bool
	for f := h.Fields(); f.Next(); {
		if i := slices.Index(once[:], f.Key()); i >= 0 {
			if seen[i] {
				m.doubled = once[i]
			}
			seen[i] = true
		}
		switch f.Key() {
		case "Subject":
			m.Subject = m.decoded(f)
		case "Date":
			m.Date = parseDate(f.Value())
		case "From":
			m.From, m.from = m.decoded(f), f.Value()
		case "To":
			m.To, m.to = m.decoded(f), f.Value()
		case "Message-Id":
			m.MessageID = strings.TrimSpace(f.Value())
		}
	}
}

// parseDate reads a Date; net/mail knows all forms of RFC 5322, 3.3 and 4.3,
// and takes its time over the usual one.
func parseDate(v string) time.Time {
	plain, _, _ := strings.Cut(v, " (") // (PDT)
	t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", plain)
	if err != nil {
		t, _ = mail.ParseDate(v)
	}
	return t
}

func (m *Mail) decoded(f message.HeaderFields) string {
	if !strings.Contains(f.Value(), "=?") { // RFC 2047
		return oneBlank(strings.ToValidUTF8(f.Value(), "\uFFFD"))
	}
	v, err := f.Text()
	if err != nil {
		m.problem("its %s is in an unknown character set", f.Key())
	}
	return oneBlank(strings.ToValidUTF8(v, "\uFFFD"))
}

// body is the text of a part: of alternatives the plain one, else that of all
// parts, one after the other. noHTML: the plain one is there already.
func (m *Mail) body(e *message.Entity, err error, depth int, noHTML bool) (text string, html bool) {
	m.parts++
	if depth > maxDepth {
		m.brokenBy("its parts are nested more than %d deep", maxDepth)
		return "", false
	}
	kind := mediaType(e)
	if r := e.MultipartReader(); r != nil {
		if _, params, _ := e.Header.ContentType(); strings.ContainsAny(params["boundary"], " \t") {
			m.brokenBy("a boundary between its parts has a blank, of which a signature does not tell how wide it is")
		}
		return m.multipart(r, kind == "multipart/alternative", depth, noHTML)
	}
	switch {
	case kind == "message/rfc822":
		m.attach(e)
		return "", false
	case depth > 0 && attachment(e) || kind == "text/html" && noHTML || kind != "text/plain" && kind != "text/html" && kind != "":
		return "", false
	}
	text = m.text(e, err)
	m.wraps = m.wraps || kind != "text/html" || index(text, "<pre") >= 0
	if kind == "text/html" {
		return plain(text), true
	}
	if index(e.Header.Get("Content-Type"), "flowed") >= 0 {
		_, params, _ := e.Header.ContentType()
		m.flowed = m.flowed || strings.EqualFold(params["format"], "flowed")
	}
	return text, false
}

// mediaType is a part's, in lower case, without parameters.
func mediaType(e *message.Entity) string {
	kind, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	return fold(strings.TrimSpace(kind))
}

func (m *Mail) multipart(r message.MultipartReader, alternative bool, depth int, noHTML bool) (text string, html bool) {
	for {
		part, err := r.NextPart()
		if part == nil {
			if err != io.EOF {
				m.brokenBy("one of its parts is truncated")
			}
			return text, html
		}
		if m.parts >= maxParts {
			m.brokenBy("it has more than %d parts", maxParts)
			return text, html
		}
		t, h := m.body(part, err, depth+1, noHTML || alternative && !html && strings.TrimSpace(text) != "")
		switch {
		case strings.TrimSpace(t) == "":
		case text == "" || alternative && html && !h:
			text, html = t, h
		case alternative:
		default:
			text, html = text+"\n"+t, html && h
		}
	}
}

func attachment(e *message.Entity) bool {
	v := e.Header.Get("Content-Disposition")
	return len(v) >= len("attachment") && strings.EqualFold(v[:len("attachment")], "attachment")
}

func (m *Mail) attach(e *message.Entity) {
	if m.Attached == maxAttached {
		m.problem("it has more than %d attached messages: the others are ignored", maxAttached)
		return
	}
	if raw, err := io.ReadAll(io.LimitReader(e.Body, MaxMail)); err == nil {
		m.attached = append(m.attached, raw)
		m.Attached++
	}
}

// text reads a part's text. err is what go-message said of its charset and
// encoding.
func (m *Mail) text(e *message.Entity, err error) string {
	if message.IsUnknownEncoding(err) {
		m.brokenBy("a part has an unknown encoding")
		return ""
	}
	raw := bytes.NewBuffer(make([]byte, 0, min(m.size, 8<<10)+bytes.MinRead))
	if _, err := raw.ReadFrom(io.LimitReader(e.Body, maxText+1)); err != nil {
		m.brokenBy("a part is wrongly encoded or truncated")
	}
	if utf8.Valid(raw.Bytes()) && !beyondASCII(raw.String()) {
		return raw.String()
	}
	_, params, _ := e.Header.ContentType()
	charset := params["charset"]
	switch unknown := message.IsUnknownCharset(err); {
	case unknown, !utf8.Valid(raw.Bytes()):
		return m.guess(raw.Bytes(), charset)
	case strings.EqualFold(charset, "us-ascii") || strings.EqualFold(charset, "ascii"):
		m.guessed = true // short texts of other charsets can look like UTF-8
		m.problem("it declares the charset %q, but has other letters: they are shown as UTF-8", charset)
	}
	return raw.String()
}
