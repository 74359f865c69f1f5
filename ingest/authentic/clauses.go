package authentic

import (
	"bytes"
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
)

const (
	maxAge  = 14 * 24 * time.Hour // from the signed Date to the arrival
	maxSkew = time.Hour           // by which a clock may be ahead of the mail server's
)

// mustSign are the fields that say what a mail is: whoever could add or change
// one could make another order of it.
var mustSign = []string{"from", "to", "subject", "date", "content-type", "content-transfer-encoding"}

func (t *trial) readable(context.Context) (string, error) {
	sig, err := readSignature(t.field)
	if err != nil {
		return "", err
	}
	t.sig = sig
	return fmt.Sprintf("by %s with %s, %s/%s", t.field.domain, sig.algorithm, sig.header, sig.text), nil
}

// covered: each of mustSign is there once at most, and signed where it is. (A
// field that is there twice is signed from below, and shown from above.)
func (t *trial) covered(context.Context) (string, error) {
	for _, name := range mustSign {
		switch n := len(t.letter.named(name)); {
		case n > 1:
			return "", refuse(FieldTwice, "%s appears %d times", title(name), n)
		case n == 1 && !slices.Contains(t.sig.fields, name):
			return "", refuse(FieldUnsigned, "%s is not signed (h=): anyone may have written it", title(name))
		}
	}
	return "From, To, Subject, Date and the content type are signed", nil
}

// title writes a field's name as people do.
func title(name string) string {
	b := []byte(name)
	for i := range b {
		if (i == 0 || b[i-1] == '-') && b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// sender: From is one address, in the signing domain or below it. This is
// narrower than DMARC's relaxed alignment (RFC 7489, 3.1.1), which needs a list
// of what the public registers under; a display name is no address.
func (t *trial) sender(context.Context) (string, error) {
	from := t.letter.only("from")
	list, err := Addresses(from)
	if err != nil {
		return "", refuse(Sender, "From cannot be read: %s", shown(from))
	}
	if len(list) != 1 {
		return "", refuse(Sender, "From has %d addresses; it must have one", len(list))
	}
	_, d, _ := strings.Cut(list[0], "@")
	if !within(d, t.field.domain) {
		return "", refuse(Sender, "From is in %s, but the signature is from %s", shown(d), t.field.domain)
	}
	return shown(list[0]), nil
}

// dates are held against the arrival, so that a mail that is judged again has
// the same judgement.
func (t *trial) dates(context.Context) (string, error) {
	text := t.letter.only("date")
	date, err := mail.ParseDate(text)
	if err != nil {
		return "", refuse(DateUnreadable, "there is no readable Date: %s", shown(text))
	}
	arrived := "arrived " + stamp(t.arrived)
	switch {
	case t.arrived.Sub(date) > maxAge:
		return "", refuse(DateOld, "it was written %s and %s: more than 14 days", stamp(date), arrived)
	case date.Sub(t.arrived) > maxSkew:
		return "", refuse(DateFuture, "it claims to be written %s, but %s", stamp(date), arrived)
	case t.sig.signed.Sub(t.arrived) > maxSkew:
		return "", refuse(DateFuture, "it claims to be signed %s, but %s", stamp(t.sig.signed), arrived)
	case !t.sig.expires.IsZero() && t.arrived.After(t.sig.expires):
		return "", refuse(SignatureExpired, "its signature was valid until %s, but it %s", stamp(t.sig.expires), arrived)
	}
	return "written " + stamp(date) + ", " + arrived, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (t *trial) body(context.Context) (string, error) {
	if hash := t.letter.bodyHash(t.sig.text); !bytes.Equal(hash[:], t.sig.bodyHash) {
		return "", refuse(BodyChanged, "the body is not the one that was signed")
	}
	return "the body is unchanged since it was signed", nil
}

// verified: by the key, by the mail server's word, and never against one of
// them.
func (t *trial) verified(context.Context) (string, error) {
	word, whyNot := t.serverWord()
	if t.key.key == nil {
		if word == wordPass {
			return "by the mail server", nil
		}
		if t.policy.verifiesHere(t.field.domain) {
			return "", refuse(NoKey, "%s", t.key.none)
		}
		return "", whyNot
	}
	made := t.key.key.made(t.sig.sum, t.signedText())
	switch {
	case made && word == wordFail:
		return "", refuse(ServerContradicts, "the signature is valid here, but the mail server says that it is not")
	case !made && word == wordPass:
		return "", refuse(ServerContradicts, "the mail server says that the signature is valid, but it was not made by the key in the DNS")
	case !made:
		return "", refuse(SignatureWrong, "the signature was not made by the key in the DNS: the header was changed, or the signature is forged")
	case word == wordPass:
		return "here and by the mail server", nil
	case t.policy.verifiesHere(t.field.domain):
		return "here", nil
	}
	return "", whyNot
}
