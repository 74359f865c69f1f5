package keygen

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A template is a text with words in braces, {name}, that an order fills.
type template string

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// orderWords are those that each order has; see [Request.words].
var orderWords = []string{"product", "name", "email", "order", "type", "quantity"}

// check tells what is wrong with a template that may have these words.
func (t template) check(words []string) error {
	for _, w := range t.words() {
		if !slices.Contains(words, w) {
			return errors.New("{" + strings.Map(printable, w) + "} is none of {" + strings.Join(words, "}, {") + "}")
		}
	}
	switch rest := placeholder.ReplaceAllString(string(t), ""); {
	case strings.ContainsAny(rest, "{}"):
		return errors.New("a brace stands alone")
	case !utf8.ValidString(rest) || strings.ContainsFunc(rest, notXML):
		return errors.New("it must be on one line, without control characters")
	}
	return nil
}

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func (t template) words() (list []string) {
	for _, m := range placeholder.FindAllStringSubmatch(string(t), -1) {
		list = append(list, m[1])
	}
	return list
}

// fill puts values in the words' places, once: a value with braces stays.
func (t template) fill(values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(string(t), func(m string) string { return values[m[1:len(m)-1]] })
}

// words are what an order puts into a template. Its quantity is 1, whatever was
// bought: each copy has a code of its own, also one that is replaced later.
func (q Request) words(product string) map[string]string {
	return map[string]string{
		"product": product, "name": q.Name, "email": q.Email, "order": q.Transaction, "type": q.LicenseType, "quantity": "1",
	}
}

// lacking is what an order has not, by the words for it.
var lacking = map[string]string{
	"name": "the licensee has no name", "email": "the licensee has no e-mail address", "order": "the store gave no transaction id",
	"type": "the order has no license type",
}

// notXML: control characters can neither be typed in nor stand in XML, and two
// code points that are no characters (XML 1.0, 2.2) cannot either.
func notXML(r rune) bool {
	return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF
}

// checkWord tells why what an order has for a word cannot be signed.
func checkWord(word, value string) error {
	if !utf8.ValidString(value) {
		return errors.New("the " + word + " is not UTF-8")
	}
	if strings.ContainsFunc(value, notXML) {
		return errors.New("the " + word + " has a control character")
	}
	return nil
}
