package delivery

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/keypost/keypost/store"
)

const (
	maxBounce      = 1 << 20 // of a bounce that is looked at, in bytes
	maxBounceParts = 20
)

// ReadBounce reads a mail that tells that another one did not arrive, and never
// will: the id of the notice that was sent, and why. ok is false for any other
// mail: a delay, an answer, a bounce of what no notice was.
//
// RFC 3462 and RFC 3464: multipart/report with a part message/delivery-status
// and one with the original, or its header alone.
func ReadBounce(raw []byte) (noticeID, why string, ok bool) {
	m, err := mail.ReadMessage(bytes.NewReader(raw[:min(len(raw), maxBounce)]))
	if err != nil {
		return "", "", false
	}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || !strings.EqualFold(parameters["report-type"], "delivery-status") {
		return "", "", false
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	failed := false
	for range maxBounceParts {
		p, err := parts.NextRawPart()
		if err != nil {
			break
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		content := decoded(p.Header.Get("Content-Transfer-Encoding"), p)
		switch strings.ToLower(kind) {
		case "message/delivery-status", "message/global-delivery-status": // RFC 6533, 3
			why, failed = readStatus(content)
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			noticeID = originalID(content)
		}
	}
	return noticeID, why, failed && noticeID != ""
}

// decoded is a part's content without its transfer encoding.
func decoded(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}

var permanent = regexp.MustCompile(`^5\.\d{1,3}\.\d{1,3}\b`)

// readStatus reads a delivery status: fields of the message, then those of
// each recipient, with empty lines between.
//
// RFC 3464, 2.3.3: Action failed is final; 2.3.4: so is a status of class 5. A
// mail of ours has one recipient.
func readStatus(r io.Reader) (why string, failed bool) {
	lines := textproto.NewReader(bufio.NewReader(r))
	for range maxBounceParts {
		fields, err := lines.ReadMIMEHeader()
		if strings.EqualFold(firstWord(fields.Get("Action")), "failed") && permanent.MatchString(strings.TrimSpace(fields.Get("Status"))) {
			why = "status " + strings.TrimSpace(fields.Get("Status")) // Exim says no more of what it refuses itself
			// RFC 3464, 2.3.6: the kind of code, a semicolon, and what the server said.
			if _, said, ok := strings.Cut(fields.Get("Diagnostic-Code"), ";"); ok {
				why = said
			}
			return "it came back: " + rootOf(errors.New(why)), true
		}
		if err != nil {
			break
		}
	}
	return "", false
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return word
}

// originalID is the notice that a mail of ours was made of, by its Message-ID.
func originalID(r io.Reader) string {
	fields, _ := textproto.NewReader(bufio.NewReader(r)).ReadMIMEHeader() // it may be cut off
	id, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(fields.Get("Message-Id")), "<"), "@")
	if !ok || store.MadeAt(id).IsZero() {
		return ""
	}
	return id
}
