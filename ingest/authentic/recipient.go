package authentic

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // marks in other encodings than UTF-8
)

// The limits of unpacking a body in search of the mark.
const (
	maxDepth = 8       // of parts in parts
	maxParts = 100     // in all
	maxText  = 1 << 20 // bytes of one part
)

// recipient: the mail is for this vendor, by an address or by the mark. Bcc
// does not count, nor does an envelope: nobody signs them.
func (t *trial) recipient(context.Context) (string, error) {
	var seen []string
	for _, name := range []string{"to", "cc"} {
		if !slices.Contains(t.sig.fields, name) {
			continue // Cc may be unsigned, and is nothing then
		}
		list, err := Addresses(t.letter.only(name))
		if err != nil {
			continue
		}
		for _, a := range list {
			if t.policy.isRecipient(a) {
				return title(name) + " is " + shown(a), nil
			}
		}
		seen = append(seen, list...)
	}
	if mark := oneLine(t.policy.Merchant); mark != "" {
		if t.letter.says(mark) {
			return "the merchant's mark is in the body", nil
		}
		return "", refuse(NotOurs, "it is addressed to %s, and the merchant's mark is not in its text", toldList(seen))
	}
	return "", refuse(NotOurs, "it is addressed to %s, which is not among the recipients", toldList(seen))
}

func (p Policy) isRecipient(a string) bool {
	return slices.ContainsFunc(p.Recipients, func(r string) bool {
		ours, err := Address(r)
		return err == nil && ours == a
	})
}

func toldList(list []string) string {
	if len(list) == 0 {
		return "no signed recipient"
	}
	return shown(strings.Join(list[:min(len(list), 3)], ", "))
}

// Addresses reads a list of addresses as a header field has it, groups and all (RFC
// 5322, 3.4), each in one form. Display names and comments are no addresses.
func Addresses(list string) ([]string, error) {
	anyCharset := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	parser := mail.AddressParser{WordDecoder: &anyCharset}
	parsed, err := parser.ParseList(list)
	if err != nil {
		return nil, err
	}
	found := make([]string, len(parsed))
	for i, a := range parsed {
		if found[i], err = Address(a.Address); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Address is the one form of an address, in which addresses are compared: its domain in punycode, all of it in
// lower case. RFC 5321, 2.4 lets a host tell Shop@ from shop@; none does, and
// stores print what was typed once. shop+x@ is another address than shop@.
func Address(a string) (string, error) {
	at := strings.LastIndexByte(a, '@')
	if at < 1 || strings.ContainsAny(a[:at], "@ \t\r\n<>,;") {
		return "", errors.New("it is no address")
	}
	d, err := domain(a[at+1:])
	return strings.ToLower(a[:at]) + "@" + d, err
}

// says tells whether a text part of the body has the mark, as words of their
// own, however the part is encoded and its lines are broken. What is attached
// is not looked at: the mark in somebody's attachment says nothing.
func (l letter) says(mark string) bool {
	var head bytes.Buffer
	for _, name := range []string{"content-type", "content-transfer-encoding"} {
		for _, f := range l.named(name) {
			head.Write(relaxed.field(f.raw))
		}
	}
	head.WriteString("\r\n")
	writeRelaxed(&head, l.body)
	e, err := message.Read(&head)
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return false
	}
	parts := 0
	return partSays(e, mark, 0, &parts)
}

func partSays(e *message.Entity, mark string, depth int, parts *int) bool {
	if *parts++; *parts > maxParts || depth > maxDepth {
		return false
	}
	kind, _, err := e.Header.ContentType()
	if disposition, _, err := e.Header.ContentDisposition(); err == nil && disposition == "attachment" {
		return false
	}
	if several := e.MultipartReader(); several != nil {
		for *parts <= maxParts {
			part, err := several.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return false
			}
			if partSays(part, mark, depth+1, parts) {
				return true
			}
		}
		return false
	}
	if err != nil || !strings.HasPrefix(kind, "text/") {
		return false
	}
	text, _ := io.ReadAll(io.LimitReader(e.Body, maxText))
	if kind == "text/html" {
		text = []byte(html.UnescapeString(markup.ReplaceAllString(string(text), " ")))
	}
	return hasWords(oneLine(string(text)), mark)
}

// markup is what a reader does not see of HTML.
var markup = regexp.MustCompile(`(?is)<!--.*?-->|<style\b.*?</style>|<script\b.*?</script>|<[^>]*>`)

// oneLine is a text with a space for each run of blanks and line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// What makes words longer than they are: a letter or a digit, or what joins one.
var (
	longerBefore = regexp.MustCompile(`[\pL\pM\pN][-._@+]?$`)
	longerAfter  = regexp.MustCompile(`^[-._@+]?[\pL\pM\pN]`)
)

// hasWords tells whether words are in a text, not within longer words: "Seller 47" is
// not in "Seller 471" and not in "Seller 47-1", me@a.co not in me@a.co.example.
func hasWords(text, words string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], words)
		if at < 0 {
			return false
		}
		at += from
		if !longerBefore.MatchString(text[max(0, at-2*utf8.UTFMax):at]) && !longerAfter.MatchString(text[at+len(words):]) {
			return true
		}
		from = at + 1
	}
}
