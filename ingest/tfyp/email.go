package tfyp

import "strings"

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
				r.tell("it has %d e-mail addresses: the first that can be one counts", len(list))
			}
			return a
		}
	}
	r.hold(HeldMalformed, "the e-mail is no address")
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
