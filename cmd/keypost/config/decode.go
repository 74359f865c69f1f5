package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/keypost/keypost/ingest/channel"
)

// decodeDocument reads the file's text. What a table's kind has keys for is not
// looked at yet.
func (c *Config) decodeDocument(text []byte) (document, error) {
	d := document{Config: c}
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&d)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range strict.Errors {
			row, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: unknown key %s%s", c.File, row, strings.Join(e.Key(), "."), didYouMean(e.Key(), reflect.TypeFor[document]())))
		}
		return d, errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return d, fmt.Errorf("%s:%d:%d: %s%s", c.File, row, column, keyOf(e), plainTOML(e.Error()))
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", c.File, err)
	}
	c.lines = findLines(text)
	return d, nil
}

// decodeTable reads a table strictly into structs, each of which takes the keys
// that it has; what is left over is an error. whose is whose key it would be: "a
// channel of kind krps".
func (c *Config) decodeTable(at string, table map[string]any, whose string, into ...any) error {
	left := map[string]any{}
	for key, v := range table {
		left[key] = v
	}
	for _, to := range into {
		for _, key := range keysOf(reflect.TypeOf(to)) {
			if v, ok := left[key]; ok {
				if err := c.decodeKey(at+"."+key, key, v, to); err != nil {
					return err
				}
				delete(left, key)
			}
		}
	}
	var strange []error
	for key := range left {
		var known []string
		for _, to := range into {
			known = append(known, keysOf(reflect.TypeOf(to))...)
		}
		strange = append(strange, c.errorf(at+"."+key, "%s has no such key%s", whose, nearest(key, known)))
	}
	slices.SortFunc(strange, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(strange...)
}

// decodeKey reads one key into a struct that has it.
func (c *Config) decodeKey(at, key string, v any, into any) error {
	text, err := toml.Marshal(map[string]any{key: v})
	if err != nil {
		return c.errorf(at, "%v", err)
	}
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // of tables within
	err = decoder.Decode(into)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		within := strict.Errors[0].Key()
		return c.errorf(at, "the key %s is unknown", within[len(within)-1])
	}
	if err != nil {
		return c.errorf(at, "%s", plainTOML(err.Error()))
	}
	return nil
}

// keysOf are the keys of a struct, also of those that are embedded in it.
func keysOf(t reflect.Type) (keys []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("toml")
		switch {
		case f.Anonymous && tag == "":
			keys = append(keys, keysOf(f.Type)...)
		case tag != "" && tag != "-":
			keys = append(keys, tag)
		}
	}
	return keys
}

// didYouMean proposes a key in the place of an unknown one, which is named by the
// tables that it is in.
func didYouMean(path []string, t reflect.Type) string {
	for _, table := range path[:len(path)-1] {
		f, ok := fieldOf(t, table)
		if !ok {
			return ""
		}
		for t = f; t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice; {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return ""
		}
	}
	return nearest(path[len(path)-1], keysOf(t))
}

// fieldOf is the type of a struct's key.
func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("toml") == key {
			return f.Type, true
		}
		if f.Anonymous {
			if within, ok := fieldOf(f.Type, key); ok {
				return within, true
			}
		}
	}
	return nil, false
}

// nearest proposes one of several keys for one that may be a typo of it.
func nearest(key string, known []string) string {
	best, least := "", 1+len(key)/3 // so many letters may be wrong
	for _, k := range known {
		if d := distance(key, k); d <= least {
			best, least = k, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance counts the letters to be put in, taken out, replaced or swapped with
// the next one, until one text is the other: the optimal string alignment
// distance.
func distance(a, b string) int {
	before, last := []int{}, make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func keyOf(e *toml.DecodeError) string {
	if len(e.Key()) == 0 {
		return ""
	}
	return strings.Join(e.Key(), ".") + ": "
}

var wrongType = regexp.MustCompile(`cannot decode TOML ([a-z ]+) into .* of type (\S+)`)

// plainTOML says a decoder's error without Go's names.
func plainTOML(message string) string {
	message = strings.TrimPrefix(message, "toml: ")
	m := wrongType.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	wants := map[string]string{
		"int": "a whole number", "string": "a string, in quotes", "[]string": "a list of strings", "bool": "true or false",
		"channel.Duration": `a duration with its unit, in quotes, like "36h" or "90d"`,
	}
	want, ok := wants[strings.TrimPrefix(m[2], "*")]
	if !ok {
		want = "something else"
	}
	return fmt.Sprintf("it must be %s, but is a %s", want, m[1])
}

// TableKeys are all keys of all tables, but those of generators.
func TableKeys() (keys []string) {
	types := []reflect.Type{
		reflect.TypeFor[Server](), reflect.TypeFor[Database](), reflect.TypeFor[Keys](), reflect.TypeFor[Mail](), reflect.TypeFor[Product](),
		reflect.TypeFor[Webhook](), reflect.TypeFor[channel.Common](),
	}
	for _, kind := range kinds {
		types = append(types, reflect.TypeOf(kind.New()))
	}
	for _, t := range types {
		keys = append(keys, keysOf(t)...)
	}
	return keys
}

// GeneratorKeys are the keys of each kind of generator, beside kind.
func GeneratorKeys() map[string][]string {
	keys := map[string][]string{}
	for kind, make := range generators {
		keys[kind] = keysOf(reflect.TypeOf(make()))
	}
	return keys
}
