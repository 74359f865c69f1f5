package authentic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A Policy is what a mailbox's vendor trusts.
type Policy struct {
	Trust []Trust

	// Recipients are the vendor's addresses at which the store's mails arrive.
	// One of them must be in the signed To or Cc, or the mark in the body: a
	// store's genuine mail to another vendor is not ours.
	Recipients []string

	// Merchant is text that the store writes into each mail to this vendor and
	// into no other; "": none. It is the weaker of the two: whoever buys from
	// another vendor of the store may be able to type it.
	Merchant string
}

// Trust is one domain whose signatures are taken.
type Trust struct {
	DKIM string // the signature's d=, exactly

	// AuthservID is the name under which the vendor's own mail server writes
	// Authentication-Results. With it, the server's word is taken; without
	// it, the signature is verified here. A domain may have both.
	AuthservID string
}

// Validate says what is wrong with a policy, in words for its config file.
func (p Policy) Validate() error {
	if len(p.Trust) == 0 {
		return errors.New("trust is empty: without a domain to trust, no mail could be taken")
	}
	for _, t := range p.Trust {
		d, err := domain(t.DKIM)
		if err != nil || !strings.Contains(d, ".") {
			return fmt.Errorf("trust: dkim = %s is not a domain: write the d= of the store's DKIM-Signature, such as store.example", shown(t.DKIM))
		}
		if t.AuthservID != strings.TrimSpace(t.AuthservID) || strings.ContainsAny(t.AuthservID, ";\"()\r\n") {
			return fmt.Errorf("trust: authserv_id = %s is not a server's name: write the first word of your mail server's Authentication-Results", shown(t.AuthservID))
		}
	}
	if len(p.Recipients) == 0 && strings.TrimSpace(p.Merchant) == "" {
		return errors.New("recipients and merchant are both empty: a mail of the store to another vendor would be taken for yours")
	}
	for _, r := range p.Recipients {
		if _, err := Address(r); err != nil {
			return fmt.Errorf("recipients: %s is not an address: write only the address, such as shop@example.com", shown(r))
		}
	}
	if n := len(strings.TrimSpace(p.Merchant)); n > 0 && n < 4 {
		return errors.New("merchant is shorter than 4 characters: it would be found in any text")
	}
	return nil
}

// Attached is the policy for a message that came within another one. What it
// says of a mail server was written by whoever attached it, so the same domains
// are trusted by a verification here alone.
func (p Policy) Attached() Policy {
	inner := p
	inner.Trust = make([]Trust, len(p.Trust))
	for i, t := range p.Trust {
		inner.Trust[i] = Trust{DKIM: t.DKIM}
	}
	return inner
}

// verifiesHere tells whether a domain's signatures are good without a word of
// the mail server.
func (p Policy) verifiesHere(signer string) bool {
	return slices.Contains(p.servers(signer), "")
}

// servers are the authserv-ids whose word about a domain is taken, folded;
// "" stands for a verification here. A domain without any is not trusted.
func (p Policy) servers(signer string) (ids []string) {
	for _, t := range p.Trust {
		if d, err := domain(t.DKIM); err == nil && d == signer {
			ids = append(ids, foldID(t.AuthservID))
		}
	}
	return ids
}

// foldID is the form in which authserv-ids are compared: they are host names
// by custom (RFC 8601, 2.5), and those have no case.
func foldID(id string) string { return strings.ToLower(id) }

// Names in mails may have underscores; what else a label may hold is checked below.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// domain is the one form of a domain: lower case, punycode, no dot at its end
// (RFC 6376, 3.5, d=, as RFC 8616, 4 has it).
func domain(s string) (string, error) {
	bad := fmt.Errorf("%s is not a domain", shown(s))
	if len(s) > 1000 || !utf8.ValidString(s) {
		return "", bad
	}
	d, err := names.ToASCII(s)
	if err != nil || d == "" || len(d) > 253 {
		return "", bad
	}
	if again, err := names.ToASCII(d); err != nil || again != d {
		return "", bad // names that are equal only to some
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", bad
		}
	}
	return d, nil
}

// within tells whether a domain is another, or below it.
func within(d, parent string) bool {
	return d == parent || strings.HasSuffix(d, "."+parent)
}
