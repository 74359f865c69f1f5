package delivery

import (
	"errors"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RFC 5321, 4.5.3.1: the longest local part and path, in octets.
const (
	maxLocal   = 64
	maxAddress = 254
)

var errAddress = errors.New("it is not an e-mail address")

// Address is the e-mail address in a text that a person or a store wrote: of
// a list the first. What it returns can be put into a header and into an SMTP
// command as it is: a local part of dots and atoms, and a domain's name.
func Address(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return "", errAddress
	}
	if a, err := mail.ParseAddress(text); err == nil {
		return checkAddress(a.Address)
	}
	if list, err := mail.ParseAddressList(text); err == nil {
		return checkAddress(list[0].Address)
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
	half := func(part string) bool { return !strings.Contains(part, "@") } // one address, broken in two
	if len(parts) == 0 || slices.ContainsFunc(parts, half) {
		return "", errAddress
	}
	a, err := mail.ParseAddress(parts[0])
	if err != nil {
		return "", errAddress
	}
	return checkAddress(a.Address)
}

// RFC 5321, 4.1.2: Dot-string and Domain; RFC 6531, 3.3: letters of any script.
// Quoted local parts and address literals are not taken: no store sends them,
// and a quoted part may hold what ends an SMTP command.
var (
	localShape  = regexp.MustCompile("^[\\pL\\pM\\pN!#$%&'*+/=?^_`{|}~-]+(\\.[\\pL\\pM\\pN!#$%&'*+/=?^_`{|}~-]+)*$")
	domainShape = regexp.MustCompile(`^[\pL\pM\pN]([\pL\pM\pN-]*[\pL\pM\pN])?(\.[\pL\pM\pN]([\pL\pM\pN-]*[\pL\pM\pN])?)*$`)
)

func checkAddress(a string) (string, error) {
	at := strings.LastIndexByte(a, '@')
	if at < 1 || at > maxLocal || len(a) > maxAddress || !localShape.MatchString(a[:at]) || !domainShape.MatchString(a[at+1:]) {
		return "", errAddress
	}
	return a, nil
}

// ascii tells whether an address can be mailed to without SMTPUTF8.
func ascii(address string) bool {
	return !strings.ContainsFunc(address, func(r rune) bool { return r > unicode.MaxASCII })
}

// mask leaves of an address what a log may show: a…@example.com.
func mask(address string) string {
	_, size := utf8.DecodeRuneInString(address)
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "…"
	}
	return address[:min(size, at)] + "…" + address[at:]
}

var anyAddress = regexp.MustCompile(`[^\s<>()\[\]:;,"']+@[^\s<>()\[\]:;,"']+`)

// maskAll masks the addresses in what a mail server said.
func maskAll(text string) string { return anyAddress.ReplaceAllStringFunc(text, mask) }

// oneLine makes a text that a stranger wrote one line of what can be printed.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
