package tfyp

import (
	"slices"
	"strings"

	"github.com/keypost/keypost/ingest/authentic"
)

// sentTo tells whether an address is one that the mail was sent to.
func (m *Mail) sentTo(address string) bool {
	a, err := authentic.Address(address)
	return err == nil && slices.Contains(inField(m.to), a)
}

// sentBy tells whether a mail is from one of a profile's senders: an address, an @ and
// a domain, a domain with those below it, or any other text, which is in From.
func (m *Mail) sentBy(senders []string) bool {
	return slices.ContainsFunc(senders, func(sender string) bool {
		user, host, isAddress := strings.Cut(bare(fold(sender)), "@")
		if !isAddress {
			user, host = "", user
		}
		whole, err := authentic.Address("x@" + host)
		if err != nil || !strings.Contains(host, ".") {
			return strings.Contains(fold(m.From), fold(sender))
		}
		domain := strings.TrimPrefix(whole, "x@")
		return slices.ContainsFunc(inField(m.from), func(from string) bool {
			name, of, _ := strings.Cut(from, "@")
			return (of == domain || !isAddress && strings.HasSuffix(of, "."+domain)) && (user == "" || user == name)
		})
	})
}

// inField are the addresses of a header field in the form in which they are compared.
// One that breaks the rules is read as far as it can be: it proves nothing.
func inField(value string) (list []string) {
	list, err := authentic.Addresses(value)
	if err == nil {
		return list
	}
	for _, v := range addresses(value) {
		if a, err := authentic.Address(bare(v)); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// email is the buyer's address. Of several the first that can be one counts.
func (r *reader) email() string {
	v := r.value("email")
	if v == "" {
		return ""
	}
	list := addresses(v)
	for _, a := range list {
		if a = bare(a); isAddress(a) {
			if len(list) > 1 {
				r.tell("it has %d e-mail addresses: the first valid one is used", len(list))
			}
			return a
		}
	}
	r.hold(HeldMalformed, "the e-mail is not a valid address")
	return ""
}

// addresses are the members of a list, as they are written.
// RFC 5322, 3.4: commas part them, but for those in a quoted name.
func addresses(v string) (list []string) {
	quoted, begin := false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ',' || c == ';') && !quoted:
			list, begin = append(list, v[begin:i]), i+1
		}
	}
	return append(list, v[begin:])
}

// bare is the address of a member, without a name: Ada <ada@example.com>.
func bare(v string) string {
	v = trim(v)
	if i := strings.LastIndexByte(v, '<'); i >= 0 && strings.HasSuffix(v, ">") {
		return trim(v[i+1 : len(v)-1])
	}
	return v
}

// isAddress tells whether a text can be an address that codes are mailed to.
func isAddress(v string) bool {
	user, host, _ := strings.Cut(v, "@")
	return user != "" && host != "" && !strings.Contains(host, "@") && !strings.ContainsAny(v, " \t,;<>()\"")
}
