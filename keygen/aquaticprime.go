package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// AquaticPrime makes the license files of AquaticPrime
// (github.com/bdrister/AquaticPrime), which Mac software checks offline: a
// property list of what was sold, with an RSA signature. Its codes are the
// random ones, for activation and support, and each has a file. Make one with
// NewAquaticPrime.
type AquaticPrime struct {
	Random
	key     *rsa.PrivateKey
	product string
	name    string // of the file
	fields  map[string]template
	signed  []string // the fields' names, in the order in which their values are signed
}

// AquaticPrimeOptions are its options, as the config has them.
type AquaticPrimeOptions struct {
	Key       string            // AquaticPrime Developer's key file, or an RSA private key in PEM
	Product   string            // what {product} stands for, and the file's name
	Extension string            // of the file's name; "": plist
	Fields    map[string]string // what the file says; none: AquaticPrimeFields
}

// AquaticPrimeFields are what the scripts that AquaticPrime has for Kagi and for
// PayPal put into a file, and the code. They made one file for all
// copies; here each copy has its own.
var AquaticPrimeFields = map[string]string{
	"Product": "{product}", "Name": "{name}", "Email": "{email}", "Licenses": "{quantity}", "Timestamp": "{timestamp}",
	"TransactionID": "{order}", "Serial": "{code}",
}

// signatureField is the one that a file has beside its fields.
const signatureField = "Signature"

var (
	extensionShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	fileWords      = append(slices.Clone(orderWords), "code", "date", "timestamp")
)

// NewAquaticPrime returns OptionErrors, which never tell the key.
func NewAquaticPrime(o AquaticPrimeOptions) (*AquaticPrime, error) {
	if o.Extension == "" {
		o.Extension = "plist"
	}
	if !extensionShape.MatchString(o.Extension) {
		return nil, wrong("extension", "%q: it must be 1-32 letters, digits, dashes and underscores, without the dot", o.Extension)
	}
	if len(o.Fields) == 0 {
		o.Fields = AquaticPrimeFields
	}
	g := &AquaticPrime{product: o.Product, name: fileName(o.Product) + "." + o.Extension, fields: map[string]template{}}
	for key, value := range o.Fields {
		if err := checkField(key, template(value)); err != nil {
			return nil, wrong("fields", "%q: %v", key, err)
		}
		g.fields[key] = template(value)
	}
	g.signed = slices.SortedFunc(maps.Keys(o.Fields), func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	for i, key := range g.signed[1:] {
		if strings.EqualFold(key, g.signed[i]) {
			return nil, wrong("fields", "%q and %q are one name in two cases: which of their values is signed first is left open", g.signed[i], key)
		}
	}
	if err := checkWord("product", o.Product); err != nil {
		return nil, wrong("fields", "%v", err)
	}
	key, err := parseAquaticPrimeKey([]byte(o.Key))
	if err != nil {
		return nil, wrong("key_file", "%v", err)
	}
	g.key = key
	return g, nil
}

// checkField: other letters than ASCII's would be sorted by each platform's own
// idea of case.
func checkField(key string, value template) error {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
		return errors.New("a field's name must be of printable ASCII")
	}
	if strings.EqualFold(key, signatureField) {
		return errors.New("the signature has this name: take another")
	}
	return value.check(fileWords)
}

// fileName makes a product's name one that every system takes.
func fileName(product string) string {
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, product)
	if name = strings.Trim(name, ". "); name == "" {
		return "License"
	}
	return name
}

// Generate draws random codes. It answers ErrRequest to an order whose file
// cannot be made.
func (g *AquaticPrime) Generate(ctx context.Context, q Request) ([]string, error) {
	if _, err := g.values(q, ""); err != nil {
		return nil, err
	}
	return g.Random.Generate(ctx, q)
}

// values are the fields of a code's file. A field whose value the order does
// not have is empty, but for the name.
func (g *AquaticPrime) values(q Request, code string) (map[string]string, error) {
	words := q.words(g.product)
	words["code"] = code
	words["date"], words["timestamp"] = q.At.UTC().Format(time.DateOnly), q.At.UTC().Format(time.RFC1123Z)
	values := map[string]string{}
	for key, text := range g.fields {
		for _, word := range text.words() {
			if word == "name" && strings.TrimSpace(q.Name) == "" {
				return nil, fmt.Errorf("%w: %s", ErrRequest, lacking["name"])
			}
			if err := checkWord(word, words[word]); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRequest, err)
			}
		}
		values[key] = text.fill(words)
	}
	return values, nil
}

// File makes a code's license file.
func (g *AquaticPrime) File(q Request, code string) (File, error) {
	values, err := g.values(q, code)
	if err != nil {
		return File{}, err
	}
	signature, err := g.sign(values)
	if err != nil {
		return File{}, fmt.Errorf("signing a license file: %w", err)
	}
	// A mail program shows what it takes for text in place of saving it; AquaticPrime's
	// scripts have this type too.
	return File{Name: g.name, Type: "application/octet-stream", Content: propertyList(values, signature)}, nil
}

// sign signs SHA-1 of the values one after the other, sorted by their fields'
// names whatever the case (AquaticPrime.m, licenseDataForDictionary:). The padding
// is PKCS #1 v1.5's type 1, 00 01 FF … 00 (RFC 8017, 9.2), but around the digest
// alone: no DigestInfo says that it is SHA-1 (RSA_private_encrypt of 20 bytes).
func (g *AquaticPrime) sign(values map[string]string) ([]byte, error) {
	h := sha1.New()
	for _, key := range g.signed {
		h.Write([]byte(values[key]))
	}
	return rsa.SignPKCS1v15(nil, g.key, crypto.Hash(0), h.Sum(nil))
}

// xmlText escapes what a text in XML cannot have as it is (XML 1.0, 2.4).
var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// propertyList writes a file as Apple's own writer does: keys in the order of
// their bytes, data in lines of 68 characters.
func propertyList(values map[string]string, signature []byte) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if signature != nil && key > signatureField {
			writeSignature(&b, signature)
			signature = nil
		}
		fmt.Fprintf(&b, "\t<key>%s</key>\n\t<string>%s</string>\n", xmlText.Replace(key), xmlText.Replace(values[key]))
	}
	if signature != nil {
		writeSignature(&b, signature)
	}
	b.WriteString("</dict>\n</plist>\n")
	return b.Bytes()
}

func writeSignature(b *bytes.Buffer, signature []byte) {
	fmt.Fprintf(b, "\t<key>%s</key>\n\t<data>\n", signatureField)
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(signature)), 68) {
		fmt.Fprintf(b, "\t%s\n", line)
	}
	b.WriteString("\t</data>\n")
}
