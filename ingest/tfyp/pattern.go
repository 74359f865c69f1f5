package tfyp

import (
	"fmt"
	"slices"
	"strings"
)

// maxPlaces is how many different places there are.
const maxPlaces = 5

// A pattern is how a line looks: texts that stand there, and between them
// places for values, "{currency} {price} - {quantity} * {product}". It is for
// whole lines.
type pattern struct {
	texts  []string // one more than places; the first and the last may be ""
	places []string
	needle string // the longest of texts: a line without it does not match
	rare   byte   // a byte of them, not a letter if there is one: the same, and soon found out

	of          int    // which of the profile's items it is a form of
	licenseType string // what the form says; "": nothing
}

// addPattern reads a pattern; places are those that it may have.
func addPattern(list []pattern, text string, places ...string) ([]pattern, error) {
	var p pattern
	rest := text
	for {
		before, after, ok := strings.Cut(rest, "{")
		p.texts = append(p.texts, before)
		if !ok {
			break
		}
		place, after, ok := strings.Cut(after, "}")
		if !ok || !slices.Contains(places, place) {
			return list, fmt.Errorf("%q: in braces there may be %s", text, strings.Join(places, ", "))
		}
		if slices.Contains(p.places, place) {
			return list, fmt.Errorf("%q: {%s} appears twice", text, place)
		}
		if len(p.places) > 0 && before == "" {
			return list, fmt.Errorf("%q: there must be some text between {%s} and {%s}", text, p.places[len(p.places)-1], place)
		}
		p.places = append(p.places, place)
		rest = after
	}
	for i, text := range p.texts {
		if i == len(p.texts)-1 {
			text = strings.TrimRight(text, " ") // lines are trimmed
		}
		if len(strings.TrimSpace(text)) > len(strings.TrimSpace(p.needle)) {
			p.needle = text
		}
	}
	for _, text := range p.texts {
		for _, c := range []byte(text) {
			if p.rare == 0 && c != ' ' || c != ' ' && !word(c) {
				p.rare = c
			}
		}
	}
	want := places[0]
	if want == "blurb" && !(slices.Contains(p.places, "blurb") && slices.Contains(p.places, "number")) {
		return list, fmt.Errorf("%q: it needs {blurb} and {number}", text)
	}
	if want == "product" && !slices.ContainsFunc(p.places, func(s string) bool { return strings.HasPrefix(s, "product") }) {
		return list, fmt.Errorf("%q: it needs {product}, which is one word, or {product name}", text)
	}
	if p.needle == "" {
		return list, fmt.Errorf("%q: it needs some text of its own", text)
	}
	return append(list, p), nil
}

// match holds a line, trimmed, against a pattern and sets the values, one for
// each of its places. Values that cannot be in their places do not match.
func (p *pattern) match(line string, values *[maxPlaces]string) bool {
	if !strings.HasPrefix(line, p.texts[0]) || strings.IndexByte(line, p.rare) < 0 || !strings.Contains(line, p.needle) {
		return false
	}
	rest, ok := line[len(p.texts[0]):], true
	for i, place := range p.places {
		text := p.texts[i+1]
		if i == len(p.places)-1 {
			if values[i], ok = strings.CutSuffix(rest, strings.TrimRight(text, " ")); !ok {
				return false
			}
		} else if values[i], rest, ok = strings.Cut(rest, text); !ok {
			return false
		}
		values[i] = strings.TrimSpace(values[i])
		if !may(place, values[i]) {
			return false
		}
	}
	return true
}

// may tells whether a value can stand in a place.
func may(place, v string) bool {
	switch place {
	case "product":
		return v != "" && !strings.ContainsAny(v, " \t")
	case "price":
		_, ok := amount(v)
		return ok
	case "quantity", "number":
		return digits(v) && len(v) <= 4
	case "currency":
		return len(v) > 0 && len(v) <= 4 && !strings.ContainsAny(v, " \t0123456789")
	}
	return v != ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// amount is decimal text, 35.00, of an amount as stores write it: in English
// (35.00, 1,234.50) or with a comma before the cents (35,00, 1.234,50). "1,234" is
// as in English, "1.234" has a decimal point: so they were read always.
func amount(v string) (string, bool) {
	v = english(v)
	whole, cents, point := strings.Cut(v, ".")
	if point && (!digits(cents) || len(cents) > 3) || whole == "" || len(v) > 16 {
		return "", false
	}
	if groups := strings.Split(whole, ","); len(groups) > 1 {
		for i, g := range groups {
			if i > 0 && len(g) != 3 || len(g) > 3 || len(g) == 0 {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	if !digits(whole) {
		return "", false
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point {
		return whole + "." + cents, true
	}
	return whole, true
}

// english is an amount with a point before its cents, if a comma stands there for
// certain: one comma, two digits behind it, and before it at most groups that
// points part.
func english(v string) string {
	whole, cents, comma := strings.Cut(v, ",")
	if !comma || len(cents) != 2 || !digits(cents) {
		return v
	}
	return strings.ReplaceAll(whole, ".", ",") + "." + cents
}

// currency is the code of a currency as Kagi and others write it; "" where it
// could be several.
func currency(v string) string {
	switch v {
	case "US$":
		return "USD"
	case "€":
		return "EUR"
	case "£":
		return "GBP"
	}
	if len(v) != 3 || strings.Trim(strings.ToUpper(v), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return strings.ToUpper(v)
}
