package krps

import (
	"fmt"
	"net/url"
	"strings"
)

// ExampleSecret is that of the specification: everybody knows it.
const ExampleSecret = "MyTestPassword"

// Example is the live order of the specification's test page (KRPS 2.0,
// Appendix B), without its password.
func Example() map[string]string {
	return map[string]string{
		"ACG:Flags": "", "ACG:CustomerSeed": "Keyword: mykey - value, hardwareFingerprint=E96D-6CEE, userPreferredName=Softedge,, Inc.",
		"ACG:OEMSeed": "Clear-Text=Password", "ACG:DebugFlag": "0", "ACG:InputVersion": "0202", "ACG:Request": "Generate",
		"ACG:CardName": "Card Name Here", "ACG:CardName-8bit": "CARD NAME HERE",
		"ACG:PurchaserName": "Fred Fragola", "ACG:PurchaserName-8bit": "Fred Fragola", "ACG:PurchaserEmail": "email@domain.com",
		"ACG:SQNM": "9999", "ACG:QuantityOrdered": "1", "ACG:LicenseType": "single", "ACG:UnitPayment": "149.000",
		"ACG:TransactionID": "CH0123456789",
		"ACG:Postal-8bit":   "POSTAL-8BIT 12134 Center St. Boston CA 87654", "ACG:Postal": "Postal 12134 Center St. Boston CA 87654",
		"ACG:ProductName-8bit": "PRODUCT_NAME", "ACG:ProductName": "Product_Name",
		"ACG:UserPurchaseDate": "2000-12-31", "ACG:DateProcessed": "2000-12-31", "ACG:TimeStamp": "49388234823",
	}
}

// Sign adds the password to a post's fields, as Kagi does.
func (d Digest) Sign(fields map[string]string, secret string) {
	fields["ACG:Password"] = d.Password(secret, func(name string) string { return fields[name] })
}

// Encode writes a post's fields as a form, in the order of Table 4.
func Encode(fields map[string]string) string {
	var b strings.Builder
	for _, name := range Parameters {
		if v, ok := fields[name]; ok {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(v))
		}
	}
	return b.String()
}

// An Answer is a reply as Kagi reads it.
type Answer struct {
	Good    bool
	Message string
	Lines   []Line
}

// A Line is one code of an answer.
type Line struct{ UserName, RegNumber string }

// ParseReply reads an answer the way Kagi does: lines that end in CR LF CR LF,
// in each key=value pairs of CSV values.
func ParseReply(body []byte) (Answer, error) {
	var a Answer
	for i, line := range strings.Split(strings.TrimSuffix(string(body), "\r\n\r\n"), "\r\n\r\n") {
		pairs, err := parseLine(line)
		if err != nil {
			return a, fmt.Errorf("line %d: %w", i+1, err)
		}
		if i > 0 {
			a.Lines = append(a.Lines, Line{pairs["username"], pairs["regnumber"]})
			continue
		}
		switch pairs["kagiremotepoststatus"] {
		case "GOOD":
			a.Good = true
		case "BAD":
		default:
			return a, fmt.Errorf("line 1 has no kagiRemotePostStatus=GOOD or BAD")
		}
		a.Message = pairs["message"]
	}
	return a, nil
}

// parseLine reads key=value pairs; keys come back in lower case, since they
// are written in several ways.
func parseLine(line string) (map[string]string, error) {
	pairs := map[string]string{}
	for rest := line; rest != ""; {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("no = after %q", rest)
		}
		value, more, err := parseValue(after)
		if err != nil {
			return nil, err
		}
		pairs[lower(strings.TrimSpace(key))] = value
		rest = strings.TrimLeft(more, " ")
	}
	return pairs, nil
}

// parseValue reads one value up to its comma, which it drops.
func parseValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return value, rest, nil
	}
	var b strings.Builder
	for s = s[1:]; ; {
		part, after, ok := strings.Cut(s, `"`)
		if !ok {
			return "", "", fmt.Errorf("a quote is not closed")
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, `"`) {
			_, rest, _ = strings.Cut(after, ",")
			return b.String(), rest, nil
		}
		b.WriteByte('"')
		s = after[1:]
	}
}
