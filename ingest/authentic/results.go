package authentic

import (
	"errors"
	"slices"
	"strings"
)

const (
	resultsName = "authentication-results"
	maxResults  = 100 // of one field
)

// A serverWord is what the vendor's own mail server said about a signature.
type serverWord int

const (
	wordNone serverWord = iota
	wordPass
	wordFail
)

// above are the fields that a mail server puts on top of a mail that it takes,
// and X-… is another. Any other field above an Authentication-Results came
// with the mail, and so may the results have come.
var above = []string{
	"return-path", "received", "received-spf", "delivered-to", "original-recipient", "envelope-to", "envelope-from", "delivery-date",
	"arc-seal", "arc-message-signature", "arc-authentication-results", "dkim-filter", "dmarc-filter",
	"authentication-results-original", "original-authentication-results",
}

// serverWord finds the mail server's word about the signature on trial; the
// error says why there is none that counts.
//
// What a stranger mails in stands below what the server adds. The server must
// remove what claims to be its own (RFC 8601, 5); that it does cannot be seen
// from here, which is why the first such field alone counts, above everything
// that a writer writes, and why the signature is verified as well wherever the
// key still is in the DNS.
func (t *trial) serverWord() (serverWord, error) {
	at := slices.IndexFunc(t.letter.fields, func(f field) bool { return f.name == resultsName })
	if at < 0 {
		return wordNone, refuse(ServerSilent, "the mail has no Authentication-Results")
	}
	id, results, err := readResults(t.letter.fields[at].value())
	if err != nil {
		return wordNone, refuse(ServerMalformed, "the topmost Authentication-Results cannot be read: %s", err)
	}
	if id == "" || !slices.Contains(t.policy.servers(t.field.domain), foldID(id)) {
		return wordNone, refuse(ServerOther, "the topmost Authentication-Results is from %s, which trust does not name", shown(id))
	}
	for _, f := range t.letter.fields[:at] {
		if !slices.Contains(above, f.name) && !strings.HasPrefix(f.name, "x-") {
			return wordNone, refuse(ServerMisplaced, "%s is above the topmost Authentication-Results, which may therefore have come with the mail", shown(title(f.name)))
		}
	}
	return t.about(results)
}

// about picks the results of this signature.
func (t *trial) about(results []result) (serverWord, error) {
	var mine []result
	nameless := false
	for _, r := range results {
		if r.method != "dkim" {
			continue
		}
		nameless = nameless || r.domain == "" && r.value == "pass"
		if r.speaksOf(t.field) {
			mine = append(mine, r)
		}
	}
	for _, r := range mine {
		// RFC 8601, 2.7.1: fail, and policy, are verdicts on the signature;
		// none, neutral and the errors are not.
		if r.value == "fail" || r.value == "policy" {
			return wordFail, refuse(ServerFailed, "the mail server says dkim=%s", r.value)
		}
	}
	for _, r := range mine {
		if r.value != "pass" {
			return wordNone, refuse(ServerSilent, "the mail server says dkim=%s", shown(r.value))
		}
		if !t.alone(r) {
			return wordNone, refuse(ServerAmbiguous, "the mail server's dkim=pass may be about another signature of %s: it does not say header.b", t.field.domain)
		}
	}
	switch {
	case len(mine) > 0:
		return wordPass, nil
	case nameless:
		return wordNone, refuse(ServerNoDomain, "the mail server says dkim=pass, but not for which domain (header.d)")
	}
	return wordNone, refuse(ServerSilent, "the mail server says nothing about a signature by %s", t.field.domain)
}

// alone tells whether a result can be about one signature of the mail only. A
// signature that cannot be read may be the one as well: the server may read
// what is not read here.
func (t *trial) alone(r result) bool {
	n := 0
	for _, s := range t.all {
		if s.broken != nil || r.speaksOf(s) {
			n++
		}
	}
	return n == 1
}

// A result is one method's, as far as it matters here (RFC 8601, 2.2).
type result struct {
	method, value string // lower case
	domain        string // header.d, folded; "" when it is not said
	selector      string // header.s
	start         string // header.b: how b= begins (RFC 6008); at least 8 characters
}

// speaksOf tells whether a result can be about a signature that can be read.
func (r result) speaksOf(s signatureField) bool {
	return r.domain == s.domain && (r.selector == "" || r.selector == s.selector) && strings.HasPrefix(s.sum, r.start)
}

// readResults reads the value of an Authentication-Results field.
func readResults(s string) (id string, list []result, err error) {
	tokens, err := resultTokens(s)
	if err != nil {
		return "", nil, err
	}
	for i, part := range splitTokens(tokens) {
		if i == 0 {
			if id, err = readID(part); err != nil {
				return "", nil, err
			}
			continue
		}
		if len(list) == maxResults {
			return "", nil, errors.New("it has too many results")
		}
		if len(part) == 0 || len(part) == 1 && part[0].text == "none" {
			continue
		}
		r, err := readResult(part)
		if err != nil {
			return "", nil, err
		}
		list = append(list, r)
	}
	return id, list, nil
}

// RFC 8601, 2.2: authserv-id [ CFWS authres-version ].
func readID(part []token) (string, error) {
	if len(part) == 0 || part[0].text == "" || part[0].text == "=" {
		return "", errors.New("it names no server")
	}
	if len(part) > 2 || len(part) == 2 && part[1].text != "1" {
		return "", errors.New("its version is unknown")
	}
	return part[0].text, nil
}

// readResult reads method=value and the properties behind it.
func readResult(part []token) (r result, err error) {
	seen := map[string]bool{}
	for i := 0; i < len(part); i += 3 {
		if i+2 >= len(part) || part[i+1] != equals || part[i] == equals || part[i+2] == equals {
			return r, errors.New("it is not made of name=value")
		}
		name, value := strings.ToLower(part[i].text), part[i+2].text
		if i == 0 {
			method, version, _ := strings.Cut(name, "/")
			if version != "" && version != "1" {
				return r, errors.New("a method's version is unknown")
			}
			r.method, r.value = method, strings.ToLower(value)
			continue
		}
		if seen[name] && strings.HasPrefix(name, "header.") {
			return r, errors.New("a property appears twice")
		}
		seen[name] = true
		if r.method == "dkim" {
			if err := r.take(name, value); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

func (r *result) take(name, value string) (err error) {
	switch name {
	case "header.d":
		r.domain, err = domain(value)
	case "header.s":
		r.selector, err = domain(value)
	case "header.b":
		r.start = value
		if len(value) < 8 {
			err = errors.New("its header.b is shorter than 8 characters")
		}
	}
	return err
}

// A token is a word, a quoted string without its quotes, or = or ; alone.
type token struct {
	text string
	mark bool // it is = or ;
}

var equals, semicolon = token{"=", true}, token{";", true}

// resultTokens cuts a value into tokens. Comments go, also those in comments: in
// them a server repeats what strangers say.
func resultTokens(s string) (list []token, err error) {
	var word []byte
	open := false
	end := func() {
		if open {
			list = append(list, token{text: string(word)})
		}
		word, open = word[:0], false
	}
	for len(s) > 0 {
		n := 1
		switch c := s[0]; {
		case c == ' ' || c == '\t':
			end()
		case c == '(':
			end()
			if n, err = comment(s); err != nil {
				return nil, err
			}
		case c == ')':
			return nil, errors.New("a parenthesis is not opened")
		case c == ';':
			end()
			list = append(list, semicolon)
		case c == '=' && (!open || len(list) == 0 || list[len(list)-1] != equals): // a value may have = in it (base64)
			end()
			list = append(list, equals)
		case c == '"':
			text := ""
			if text, n, err = quoted(s); err != nil {
				return nil, err
			}
			word, open = append(word, text...), true // "local part"@domain is one
		case c < ' ' || c == 0x7f:
			return nil, errors.New("a control character is in it")
		default:
			word, open = append(word, c), true
		}
		s = s[n:]
	}
	end()
	return list, nil
}

// comment is the length of the comment that a text begins with (RFC 5322, 3.2.2).
func comment(s string) (int, error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, errors.New("a comment does not end")
}

// quoted is the quoted string that a text begins with, and its length (RFC
// 5322, 3.2.4).
func quoted(s string) (text string, n int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			return b.String(), i + 1, nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, errors.New("a quoted string does not end")
}

func splitTokens(tokens []token) [][]token {
	parts := [][]token{nil}
	for _, t := range tokens {
		if t == semicolon {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], t)
	}
	return parts
}
