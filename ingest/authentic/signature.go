package authentic

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const signatureName = "dkim-signature"

// tags is a tag list (RFC 6376, 3.2).
type tags struct {
	values     map[string]string // trimmed; folds are within
	first      string            // the tag that stands first
	start, end int               // where in the list the value of b= is, blanks and all
}

var errTags = errors.New("it is no tag list (name=value; …)")

// readTags reads a tag list. A tag that is there twice makes it void, so that
// no two readers can take two different ones; tags that nobody knows are left
// alone.
func readTags(list string) (tags, error) {
	t := tags{values: map[string]string{}}
	at := 0
	specs := strings.Split(list, ";")
	for i, spec := range specs {
		name, value, ok := strings.Cut(spec, "=")
		start, end := at+len(name)+1, at+len(spec)
		at = end + 1
		name = trimFold(name)
		if !ok && name == "" && i == len(specs)-1 && i > 0 {
			break // a semicolon at the end
		}
		if !ok || !tagName(name) {
			return t, errTags
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f }) {
			return t, fmt.Errorf("its %s= has a control character", name)
		}
		if _, twice := t.values[name]; twice {
			return t, fmt.Errorf("its %s= appears twice", shown(name))
		}
		if i == 0 {
			t.first = name
		}
		t.values[name] = trimFold(value)
		if name == "b" {
			t.start, t.end = start, end
		}
	}
	return t, nil
}

// RFC 6376, 3.2: tag-name = ALPHA *ALNUMPUNC.
func tagName(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

const foldSpace = " \t\r\n"

func trimFold(s string) string { return strings.Trim(s, foldSpace) }

// noFold takes all blanks out, where RFC 6376 says that they are to be ignored.
func noFold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(foldSpace, r) {
			return -1
		}
		return r
	}, s)
}

// A signatureField is a DKIM-Signature as far as it tells signatures apart.
type signatureField struct {
	at       int // its index in the header
	tags     tags
	broken   error  // why it cannot be read; whose it is, is not known then
	domain   string // d= in one form
	selector string // s= in one form; "" when it is none
	sum      string // b= without blanks
}

// signatures are all there are, from the top.
func (l letter) signatures() (all []signatureField) {
	for i, f := range l.fields {
		if f.name != signatureName {
			continue
		}
		s := signatureField{at: i}
		if s.tags, s.broken = readTags(signatureList(f.raw)); s.broken == nil {
			s.domain, s.broken = domain(s.tags.values["d"])
		}
		if s.broken == nil {
			s.selector, _ = domain(s.tags.values["s"])
			s.sum = noFold(s.tags.values["b"])
		}
		all = append(all, s)
	}
	return all
}

// candidates are the signatures of domains that are trusted. The others are
// no matter: a mail may carry any number of them, and anybody can add one.
func (p Policy) candidates(all []signatureField) ([]signatureField, error) {
	var found []signatureField
	var others []string
	for _, s := range all {
		switch {
		case s.broken != nil:
		case len(p.servers(s.domain)) > 0:
			found = append(found, s)
		default:
			others = append(others, s.domain)
		}
	}
	switch {
	case len(found) > maxSignatures:
		return nil, refuse(TooLarge, "it has %d signatures of trusted domains; at most %d are checked", len(found), maxSignatures)
	case len(found) > 0:
		return found, nil
	case len(others) > 0:
		return nil, refuse(OtherDomain, "it is signed by %s, which trust does not name", strings.Join(others[:min(len(others), 3)], ", "))
	case len(all) > 0:
		return nil, refuse(BadSignature, "its DKIM-Signature cannot be read: %s", all[0].broken)
	}
	return nil, refuse(NoSignature, "it has no DKIM-Signature")
}

// signatureList is the tag list of a DKIM-Signature field.
func signatureList(raw []byte) string {
	_, list, _ := bytes.Cut(raw, []byte(":"))
	return string(list)
}

// A signature is what a DKIM-Signature field says (RFC 6376, 3.5).
type signature struct {
	algorithm    string // "rsa" or "ed25519"; the hash is SHA-256
	header, text canonical
	fields       []string // h=, lower case
	bodyHash     []byte
	sum          []byte
	signed       time.Time // t=; zero when it is not said
	expires      time.Time // x=; zero when it does not
	agent        string    // the domain of i=
}

// readSignature holds a signature field against RFC 6376, 3.5, and what
// RFC 8301 and 8463 made of it.
func readSignature(f signatureField) (s signature, err error) {
	v := f.tags.values
	for _, name := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if v[name] == "" {
			return s, refuse(BadSignature, "the DKIM-Signature lacks %s=", name)
		}
	}
	if v["v"] != "1" {
		return s, refuse(BadSignature, "the DKIM-Signature has the version %s; only 1 is supported", shown(v["v"]))
	}
	if _, ok := v["l"]; ok {
		return s, refuse(BodyLength, "the DKIM-Signature has l=%s: anyone may append text to this mail", shown(v["l"]))
	}
	if s.algorithm, err = readAlgorithm(v["a"]); err != nil {
		return s, err
	}
	if q, ok := v["q"]; ok && !slices.Contains(strings.Split(noFold(q), ":"), "dns/txt") {
		return s, refuse(BadSignature, "the DKIM-Signature asks for its key with q=%s; only dns/txt is supported", shown(q))
	}
	if f.selector == "" {
		return s, refuse(BadSignature, "the DKIM-Signature's selector is not a name: s=%s", shown(v["s"]))
	}
	if s.agent, err = readAgent(v, f.domain); err != nil {
		return s, err
	}
	if s.header, s.text, err = readCanonical(v); err != nil {
		return s, err
	}
	if s.fields, err = readFieldNames(v["h"]); err != nil {
		return s, err
	}
	if s.bodyHash, err = base64.StdEncoding.DecodeString(noFold(v["bh"])); err != nil || len(s.bodyHash) != 32 {
		return s, refuse(BadSignature, "the DKIM-Signature's bh= is not a SHA-256 in base64")
	}
	if s.sum, err = base64.StdEncoding.DecodeString(noFold(v["b"])); err != nil {
		return s, refuse(BadSignature, "the DKIM-Signature's b= is not base64")
	}
	return s, s.readTimes(v)
}

// RFC 8301, 3.1: rsa-sha1 MUST NOT be verified.
func readAlgorithm(a string) (string, error) {
	switch a {
	case "rsa-sha256":
		return "rsa", nil
	case "ed25519-sha256":
		return "ed25519", nil
	}
	return "", refuse(WeakSignature, "the DKIM-Signature uses a=%s; rsa-sha256 and ed25519-sha256 are accepted", shown(a))
}

// RFC 6376, 3.5, i=: its domain is d= or below it.
func readAgent(v map[string]string, signer string) (string, error) {
	i, ok := v["i"]
	if !ok {
		return signer, nil
	}
	at := strings.LastIndexByte(i, '@')
	d, err := domain(i[at+1:])
	if at < 0 || err != nil || !within(d, signer) {
		return "", refuse(BadSignature, "the DKIM-Signature's i=%s is not within its d=", shown(i))
	}
	return d, nil
}

// RFC 6376, 3.5, c=: simple where it says nothing.
func readCanonical(v map[string]string) (header, text canonical, err error) {
	c, ok := v["c"]
	if !ok {
		return simple, simple, nil
	}
	h, b, two := strings.Cut(c, "/")
	if !two {
		b = "simple"
	}
	known := func(s string) bool { return s == "simple" || s == "relaxed" }
	if !known(h) || !known(b) {
		return simple, simple, refuse(BadSignature, "the DKIM-Signature has an unknown canonicalization: c=%s", shown(c))
	}
	return h == "relaxed", b == "relaxed", nil
}

// RFC 6376, 3.5, h=: names with colons between.
func readFieldNames(h string) (list []string, err error) {
	for name := range strings.SplitSeq(h, ":") {
		lower, ok := fieldName([]byte(trimFold(name) + ":"))
		if !ok {
			return nil, refuse(BadSignature, "the DKIM-Signature's h= is not a list of field names")
		}
		list = append(list, lower)
	}
	if len(list) > maxFields {
		return nil, refuse(TooLarge, "the DKIM-Signature names more than %d fields", maxFields)
	}
	return list, nil
}

// RFC 6376, 3.5, t= and x=: seconds since 1970; x= must be the greater.
func (s *signature) readTimes(v map[string]string) error {
	for name, to := range map[string]*time.Time{"t": &s.signed, "x": &s.expires} {
		text, ok := v[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || len(text) > 12 {
			return refuse(BadSignature, "the DKIM-Signature's %s=%s is not a time", name, shown(text))
		}
		*to = time.Unix(int64(n), 0).UTC()
	}
	if !s.signed.IsZero() && !s.expires.IsZero() && !s.expires.After(s.signed) {
		return refuse(BadSignature, "the DKIM-Signature expires (x=) before it was made (t=)")
	}
	return nil
}

// signedText is what the signature was made over (RFC 6376, 3.7): the fields
// of h=, of several by one name the lowest first, and this field with nothing
// in its b=.
func (t *trial) signedText() []byte {
	left := map[string][]int{} // fields that are not used up, from the top
	for i, f := range t.letter.fields {
		if i != t.field.at { // 3.5, h=: never the field itself
			left[f.name] = append(left[f.name], i)
		}
	}
	var text []byte
	for _, name := range t.sig.fields {
		if n := len(left[name]); n > 0 { // 5.4.2: a field that is not there is nothing
			text = append(text, t.sig.header.field(t.letter.fields[left[name][n-1]].raw)...)
			left[name] = left[name][:n-1]
		}
	}
	raw := t.letter.fields[t.field.at].raw
	list := len(raw) - len(signatureList(raw))
	bare := slices.Concat(raw[:list+t.field.tags.start], raw[list+t.field.tags.end:])
	return append(text, bytes.TrimSuffix(t.sig.header.field(withEnd(bare)), []byte("\r\n"))...)
}

// withEnd is a field with its CRLF, which goes with a b= that stood last.
func withEnd(raw []byte) []byte {
	if bytes.HasSuffix(raw, []byte("\r\n")) {
		return raw
	}
	return append(raw, "\r\n"...)
}
