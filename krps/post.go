package krps

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// MaxBody is the longest post that is taken, in bytes.
const MaxBody = 64 << 10

// A Bad is why a post is answered BAD: a sentence that names the field and the
// mend. It never quotes what was posted.
type Bad string

func (b Bad) Error() string { return string(b) }

func badf(format string, args ...any) error { return Bad(fmt.Sprintf(format, args...)) }

// A Post is one decoded call.
type Post struct {
	posted            map[string]string // by name, as posted
	Test              bool              // KRPS 2.0, "Test Flag"
	EncodingPreserved bool              // KRPS 2.0, "EncodingPreserved"
	Information       bool              // ACG:Request asks for information, not for codes
	raw               []byte
}

// Decode reads a form and holds it against Table 4. Its errors are [Bad].
func Decode(body []byte) (Post, error) {
	p := Post{posted: map[string]string{}, raw: body}
	if len(body) > MaxBody {
		return p, badf("The post is longer than %d bytes.", MaxBody)
	}
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		// Decoded once: twice would turn a+b@x into "a b@x".
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return p, badf("The post is not a form: a field's name has a broken %%-escape.")
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			if _, ok := parameters[name]; ok {
				return p, badf("%s has a broken %%-escape.", name)
			}
			return p, badf("A field has a broken %%-escape.")
		}
		if _, twice := p.posted[name]; twice && strings.HasPrefix(name, "ACG:") {
			if _, ok := parameters[name]; ok {
				return p, badf("%s appears twice.", name)
			}
			return p, Bad("An ACG: field appears twice.")
		}
		p.posted[name] = value
	}
	for _, name := range Parameters {
		if row := parameters[name]; !row.cut && len(p.posted[name]) > row.max {
			return p, badf("%s is longer than %d bytes.", name, row.max)
		}
	}
	p.Test = p.flag("Test")
	p.EncodingPreserved = p.flag("EncodingPreserved")
	if err := p.checkVersion(); err != nil {
		return p, err
	}
	return p, p.checkRequest()
}

// KRPS 2.0, "ACG:Flags": key=value pairs; a key that is missing is 0.
func (p Post) flag(key string) bool {
	for pair := range strings.SplitSeq(p.posted["ACG:Flags"], ",") {
		k, v, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(k), key) && strings.TrimSpace(v) == "1" {
			return true
		}
	}
	return false
}

// KRPS 2.0, Table 4, ACG:InputVersion: four decimal digits, 0200 to 0299; may
// be ignored, so its absence is no fault.
func (p Post) checkVersion() error {
	v := p.posted["ACG:InputVersion"]
	if v == "" {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || len(v) != 4 || n < 200 || n > 299 {
		return Bad("ACG:InputVersion is not from 0200 to 0299: this is KRPS version 2.")
	}
	return nil
}

// KRPS 2.0, Table 4, ACG:Request; NULL is what Appendix B's test page sends.
func (p *Post) checkRequest() error {
	switch strings.ToLower(p.posted["ACG:Request"]) {
	case "", "null", "generate":
	case "information":
		p.Information = true
	default:
		return Bad("ACG:Request is none of Generate, Information and NULL.")
	}
	return nil
}

// Posted is a field's value as it was posted: what the digest and the order's
// identity are made of.
func (p Post) Posted(name string) string { return p.posted[name] }

// Has tells whether a field was posted.
func (p Post) Has(name string) bool { _, ok := p.posted[name]; return ok }

// Value is a field's value for use: cut to its length where footnote 4 says
// so, and valid UTF-8. A byte that the field cannot hold (KRPS 2.0, "CSV Safe
// Definition" 1) is a question mark, unless the encoding was preserved.
func (p Post) Value(name string) string {
	v := p.posted[name]
	if row, ok := parameters[name]; ok && row.cut && len(v) > row.max {
		v = v[:row.max]
		for p.EncodingPreserved && len(v) > row.max-utf8.UTFMax && !utf8.ValidString(v) {
			v = v[:len(v)-1] // not through the middle of a character
		}
	}
	return plain(v, p.EncodingPreserved)
}

// plain replaces each byte outside of "CSV Safe Definition" 1 with a question
// mark; with eightBit, valid UTF-8 beyond ASCII stays.
func plain(v string, eightBit bool) string {
	eightBit = eightBit && utf8.ValidString(v)
	safe := func(c byte) bool {
		return c == '\t' || c == '\n' || c == '\r' || c >= ' ' && c <= '~' || c >= 0x80 && eightBit
	}
	b := []byte(v)
	for i, c := range b {
		if !safe(c) {
			b[i] = '?'
		}
	}
	return string(b)
}

// name is a field's value, from its -8bit twin where that one is valid and
// will be preserved (KRPS 2.0, "-8bit").
func (p Post) name(field string) string {
	if p.EncodingPreserved {
		if v := p.posted[field+"-8bit"]; utf8.ValidString(v) && strings.TrimSpace(v) != "" {
			return p.Value(field + "-8bit")
		}
	}
	return p.Value(field)
}

// Licensee is the name to license (KRPS 2.0, Table 4, footnote 2): the
// purchaser's, the card's, or the e-mail address.
func (p Post) Licensee() string {
	for _, name := range []string{p.name("ACG:PurchaserName"), p.name("ACG:CardName"), p.Email()} {
		if strings.TrimSpace(name) != "" {
			return name
		}
	}
	return ""
}

// Email is the buyer's address, the first where there are several.
func (p Post) Email() string {
	first, _, _ := strings.Cut(p.Value("ACG:PurchaserEmail"), ",")
	return strings.TrimSpace(first)
}

// Raw is the body as it came, less the password: what is kept.
func (p Post) Raw() []byte {
	pairs := bytes.Split(p.raw, []byte("&"))
	for i, pair := range pairs {
		rawName, _, _ := bytes.Cut(pair, []byte("="))
		name, err := url.QueryUnescape(string(rawName))
		if err != nil || strings.EqualFold(strings.TrimSpace(name), "ACG:Password") {
			pairs[i] = append(bytes.Clone(rawName), "=***"...)
		}
	}
	raw := bytes.Join(pairs, []byte("&"))
	return raw[:min(len(raw), MaxBody)]
}

// Order is what the post claims, for the desk to judge. The post must have
// been authenticated.
func (c Channel) Order(p Post) ingest.Order {
	quantity, _ := strconv.Atoi(p.posted["ACG:QuantityOrdered"]) // its shape was checked
	return ingest.Order{
		Channel: c.Name, Store: c.Store, Transaction: p.posted["ACG:TransactionID"], StoreProduct: p.posted["ACG:ProductName"],
		LicenseType: p.Value("ACG:LicenseType"), Name: p.Licensee(), Email: p.Email(),
		// KRPS 2.0, Table 4, ACG:UnitPayment: normalized to U.S. Dollars.
		Price: p.posted["ACG:UnitPayment"], Currency: "USD",
		// One password is for one order, live or test: fields that touch in its
		// message (ProductName and UnitPayment, say) cannot be cut in two ways,
		// and a captured test post without its flag is no live order. So a test
		// order and a live one need two transactions, as Kagi's have. The
		// specification's samples are one order: Appendix B's form posts as a test
		// what Appendix C signs, and whichever of the two comes second is held.
		Also:  []string{"password " + message("", p.Posted)},
		Seeds: Seeds(p.Value("ACG:CustomerSeed")), OEMSeed: p.Value("ACG:OEMSeed"),
		Quantity: quantity, Test: p.Test, EightBit: p.EncodingPreserved,
		Sequences: c.sequences(p),
		Message:   store.Message{Channel: c.Name, Raw: c.raw(p)},
	}
}

// sequences is what the sale's mail is known by: the mail has no transaction id
// (KRPS 2.0, Table 4, ACG:SQNM: "the sequence number for the blurb sent out with
// the product"). Which blurb, a post does not say.
func (c Channel) sequences(p Post) []ingest.Sequence {
	date, err := time.Parse(time.DateOnly, p.posted["ACG:DateProcessed"])
	n, numErr := strconv.ParseUint(p.posted["ACG:SQNM"], 10, 16)
	if c.Blurb == "" || err != nil || numErr != nil || n > 9999 {
		return nil
	}
	return []ingest.Sequence{{Name: c.Blurb, Number: int(n), Date: date}}
}

// raw is what is kept of a post: wherever the secret stands, it goes.
func (c Channel) raw(p Post) []byte {
	raw := p.Raw()
	for _, secret := range c.Secrets {
		for _, s := range []string{secret, url.QueryEscape(secret)} {
			raw = bytes.ReplaceAll(raw, []byte(s), []byte("***"))
		}
	}
	return raw
}
