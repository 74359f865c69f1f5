package tfyp

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// A Profile says how the mails of one kind are written. It can be used by
// several goroutines at once.
type Profile struct {
	Name, Kind, Store string

	file     file
	labels   [256][]label // those that begin a line, by their first letter, in lower case
	anywhere []label
	foreign  []label  // those that begin a line and have letters beyond ASCII, the longest first
	within   []label  // those of them that may stand anywhere
	subjects []string // in lower case
	items    []pattern
	sequence []pattern
	types    []licenseType
	always   map[string]bool // fields that each mail has, or else it is held

	starting [256][]*pattern // of items and sequence, by the byte that they begin with
	floating []*pattern      // those that begin with a value
}

// file is a profile as it is written (docs/mail-profiles.md).
type file struct {
	Kind        string            `toml:"kind"`
	Store       string            `toml:"store"`
	From        []string          `toml:"from"`
	Subject     []string          `toml:"subject"`
	Text        []string          `toml:"text"`
	Test        []string          `toml:"test"`
	TestTo      bool              `toml:"test_unless_to_buyer"`
	Comment     []string          `toml:"comment"`
	CommentEnd  []string          `toml:"comment_end"`
	CommentFlag string            `toml:"comment_flag"`
	Items       []string          `toml:"items"`
	Price       string            `toml:"price"`
	Sequence    []string          `toml:"sequence"`
	Keywords    []string          `toml:"keywords"`
	Always      []string          `toml:"always"`
	Types       map[string]string `toml:"types"`
	Fields      fieldLabels       `toml:"fields"`
}

type fieldLabels struct {
	Name        []string `toml:"name"`
	Email       []string `toml:"email"`
	Product     []string `toml:"product"`
	Quantity    []string `toml:"quantity"`
	Price       []string `toml:"price"`
	Currency    []string `toml:"currency"`
	LicenseType []string `toml:"license_type"`
	Transaction []string `toml:"transaction"`
	Reference   []string `toml:"reference"`
	Amount      []string `toml:"amount"`
	Language    []string `toml:"language"`
	Code        []string `toml:"code"`
}

// Kinds of profile.
const (
	kindOrder  = "order"
	kindRefund = "refund"
)

// What a label stands for beside a field: its name in [Field], or one of these.
const (
	markCode       = "code"        // may be there once for each copy
	markText       = "text"        // recognises the mail
	markTest       = "test"        // tells a test order
	markComment    = "comment"     // begins the buyer's comments
	markCommentEnd = "comment end" // ends them
	markKeyword    = "keyword "    // with the keyword's name behind it
	markAnyKeyword = "keyword"     // "Keyword: NAME - value"
)

type label struct {
	text string // in lower case
	mark string
}

type licenseType struct{ text, name string }

//go:embed profiles/*.toml
var builtin embed.FS

// Builtin is a profile that comes with Keypost.
func Builtin(name string) (*Profile, bool) {
	text, ok := BuiltinText(name)
	if !ok {
		return nil, false
	}
	p, err := ParseProfile(name, text)
	return p, err == nil // a test reads them all
}

// BuiltinText is a built-in profile as it is written, to start one's own from.
func BuiltinText(name string) ([]byte, bool) {
	text, err := builtin.ReadFile("profiles/" + name + ".toml")
	return text, err == nil
}

// Builtins are the names of the built-in profiles.
func Builtins() (names []string) {
	files, _ := builtin.ReadDir("profiles") // embedded
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return names
}

// ParseProfile reads a profile; name is what its errors and readings call it.
// Unknown keys are errors; errors about a key of the file's form name the line.
func ParseProfile(name string, text []byte) (*Profile, error) {
	p := &Profile{Name: name}
	d := toml.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	err := d.Decode(&p.file)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range strict.Errors {
			row, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: unknown key %s", name, row, strings.Join(e.Key(), ".")))
		}
		return nil, errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return nil, fmt.Errorf("%s:%d:%d: %s", name, row, column, strings.TrimPrefix(e.Error(), "toml: "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.compile(); err != nil {
		key, what, _ := strings.Cut(err.Error(), ": ")
		return nil, fmt.Errorf("%s:%d: %s: %s", name, lineOf(text, key), key, what)
	}
	return p, nil
}

// lineOf is the line on which a key is written, or the first one.
func lineOf(text []byte, key string) int {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		name, _, ok := strings.Cut(line, "=")
		if name = strings.Trim(name, " \t\"'"); ok && name == key || strings.TrimSpace(line) == "["+key+"]" {
			return n
		}
	}
	return 1
}

// compile checks the file and makes the tables that scanning uses. Its errors
// begin with the key.
func (p *Profile) compile() error {
	f := &p.file
	if f.Kind == "" {
		f.Kind = kindOrder
	}
	p.Kind, p.Store = f.Kind, f.Store
	f.oneBlank()
	switch {
	case f.Kind != kindOrder && f.Kind != kindRefund:
		return fmt.Errorf("kind: %q: it must be order or refund", f.Kind)
	case len(f.Subject)+len(f.Text) == 0:
		return errors.New("subject: nothing says which mails the profile is for: set subject or text")
	case !slices.Contains([]string{"", "copy", "line"}, f.Price):
		return fmt.Errorf(`price: %q: it must be copy, line or ""`, f.Price)
	case len(f.CommentFlag) > 1:
		return fmt.Errorf("comment_flag: %q: it must be one character at the end of the subject", f.CommentFlag)
	case f.Kind == kindOrder && len(f.Items)+len(f.Fields.Product) == 0:
		return errors.New("items: nothing says how a product is written: set items or fields.product")
	case f.Kind == kindOrder && len(f.Fields.Name)+len(f.Fields.Email) == 0:
		return errors.New("fields: nothing says who bought: set name or email")
	case len(f.Fields.Transaction)+len(f.Sequence) == 0:
		return errors.New("sequence: nothing names the sale: set fields.transaction or sequence")
	case f.Kind == kindRefund && len(f.Fields.Amount) > 0 && len(f.Fields.Reference) == 0:
		return errors.New("reference: a part of the money that goes back needs a name of its own, or the same mail twice would count twice")
	}
	for _, s := range f.Subject {
		p.subjects = append(p.subjects, foldLabel(s))
	}
	if err := p.compileLabels(); err != nil {
		return err
	}
	if err := p.compileAlways(); err != nil {
		return err
	}
	if err := p.compilePatterns(); err != nil {
		return err
	}
	for _, list := range [][]pattern{p.items, p.sequence} {
		for i := range list {
			if text := list[i].texts[0]; text != "" {
				p.starting[text[0]] = append(p.starting[text[0]], &list[i])
			} else {
				p.floating = append(p.floating, &list[i])
			}
		}
	}
	return nil
}

// oneBlank has one space for each run of blanks in what mails are held against, for
// so it is in them. One at an end stays: it ends a word.
func (f *file) oneBlank() {
	one := func(s string) string { return strings.TrimSuffix(oneBlank(s+"\x00"), "\x00") }
	for _, list := range [][]string{
		f.Subject, f.Text, f.Test, f.Comment, f.CommentEnd, f.Items, f.Sequence, f.Keywords, f.Fields.Name, f.Fields.Email, f.Fields.Product, f.Fields.Quantity,
		f.Fields.Price, f.Fields.Currency, f.Fields.LicenseType, f.Fields.Transaction, f.Fields.Reference, f.Fields.Amount, f.Fields.Language, f.Fields.Code,
	} {
		for i := range list {
			list[i] = one(list[i])
		}
	}
	types := map[string]string{}
	for text, name := range f.Types {
		types[one(text)] = name
	}
	f.Types = types
}

func (p *Profile) compileLabels() error {
	f := &p.file
	taken := map[string]string{}
	for _, group := range []struct {
		key, mark string
		labels    []string
	}{
		{"name", "name", f.Fields.Name},
		{"email", "email", f.Fields.Email},
		{"product", "product", f.Fields.Product},
		{"quantity", "quantity", f.Fields.Quantity},
		{"price", "price", f.Fields.Price},
		{"currency", "currency", f.Fields.Currency},
		{"license_type", "license_type", f.Fields.LicenseType},
		{"transaction", "transaction", f.Fields.Transaction},
		{"reference", "reference", f.Fields.Reference},
		{"amount", "amount", f.Fields.Amount},
		{"language", "language", f.Fields.Language},
		{"code", "code", f.Fields.Code},
		{"comment", markComment, f.Comment},
		{"comment_end", markCommentEnd, f.CommentEnd},
		{"test", markTest, f.Test},
		{"text", markText, f.Text},
	} {
		for _, text := range group.labels {
			if err := p.addLabel(text, group.mark); err != nil {
				return fmt.Errorf("%s: %w", group.key, err)
			}
			if other, ok := taken[foldLabel(text)]; ok && group.mark != markText {
				return fmt.Errorf("%s: %q is also a label of %s", group.key, text, other)
			}
			taken[foldLabel(text)] = group.key
		}
	}
	for _, k := range f.Keywords {
		if err := p.addLabel(k+":", markKeyword+k); err != nil || strings.TrimSpace(k) == "" {
			return fmt.Errorf("keywords: %q cannot be a keyword", k)
		}
	}
	if f.Kind == kindOrder {
		return p.addLabel("Keyword:", markAnyKeyword)
	}
	return nil
}

// compileAlways finds out which fields each mail has: a mail without one is held, by
// [reader.orders] and [reader.refund] those that an order or a refund needs.
func (p *Profile) compileAlways() error {
	f, l := &p.file, &p.file.Fields
	labels := map[string][]string{
		"name": l.Name, "email": l.Email, "product": l.Product, "quantity": l.Quantity, "price": l.Price, "currency": l.Currency, "license_type": l.LicenseType,
		"transaction": l.Transaction, "reference": l.Reference, "amount": l.Amount, "language": l.Language, "code": l.Code,
	}
	order := f.Kind == kindOrder
	p.always = map[string]bool{
		"product":     len(f.Items) == 0 && (order || len(l.Amount) == 0),
		"transaction": len(f.Sequence) == 0,
		"name":        order && len(l.Email) == 0,
		"email":       order && len(l.Name) == 0,
		"amount":      !order,
		"reference":   !order,
	}
	for _, field := range f.Always {
		switch {
		case len(labels[field]) == 0:
			return fmt.Errorf("always: the field %q has no label in this profile", field)
		case field == markCode:
			return fmt.Errorf("always: %q is not allowed here: there may be several", field)
		}
		p.always[field] = true
	}
	return nil
}

// addLabel keeps a label by its first letter; dots say that it may stand
// anywhere in a line.
func (p *Profile) addLabel(text, mark string) error {
	within, anywhere := strings.CutPrefix(text, "...")
	l := label{foldLabel(within), mark}
	if strings.TrimSpace(l.text) == "" || !utf8.ValidString(text) || len(l.text) > 200 {
		return fmt.Errorf("%q cannot be a label: it must have 1-200 bytes of UTF-8", text)
	}
	if beyondASCII(l.text) {
		p.addForeign(l, anywhere)
		return nil
	}
	if anywhere {
		p.anywhere = append(p.anywhere, l)
		return nil
	}
	l.text = strings.TrimLeft(l.text, " ")
	at := l.text[0]
	p.labels[at] = append(p.labels[at], l)
	// The longest first: "E-mail (private):" before "E-mail".
	slices.SortStableFunc(p.labels[at], func(a, b label) int { return len(b.text) - len(a.text) })
	return nil
}

func (p *Profile) compilePatterns() (err error) {
	for text, name := range p.file.Types {
		if strings.TrimSpace(text) == "" || strings.TrimSpace(name) == "" {
			return errors.New("types: one of them is empty")
		}
		p.types = append(p.types, licenseType{strings.TrimSpace(text) + " ", name})
	}
	// The longest first: "Site license upgrade for" before "Site license".
	slices.SortFunc(p.types, func(a, b licenseType) int { return cmp.Or(len(b.text)-len(a.text), strings.Compare(a.text, b.text)) })
	for i, text := range p.file.Items {
		if err := p.addItem(i, text); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	for _, text := range p.file.Sequence {
		if p.sequence, err = addPattern(p.sequence, text, "blurb", "number"); err != nil {
			return fmt.Errorf("sequence: %w", err)
		}
	}
	return nil
}

// addItem adds the forms of an item's line: with each license type in front of
// the product, and without.
func (p *Profile) addItem(i int, text string) error {
	forms := []licenseType{{}}
	for _, t := range p.types {
		if strings.HasPrefix(text, t.text) {
			forms = []licenseType{{"", t.name}}
			break
		}
		forms = append(forms, t)
	}
	slices.SortStableFunc(forms, func(a, b licenseType) int { return len(b.text) - len(a.text) })
	for _, f := range forms {
		list, err := addPattern(p.items, strings.Replace(text, "{product", f.text+"{product", 1), "product", "currency", "price", "quantity", "product name")
		if err != nil {
			return err
		}
		p.items = list
		added := &p.items[len(p.items)-1]
		added.of, added.licenseType = i, f.name
	}
	return nil
}

// fold is lower case of ASCII alone: it changes no length.
func fold(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' }); i < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// index is where a text that is folded already begins in s; -1: nowhere.
func index(s, folded string) int {
	small, big := folded[0], folded[0]
	if small >= 'a' && small <= 'z' {
		big -= 'a' - 'A'
	}
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], small)
		if j := strings.IndexByte(s[at:], big); i < 0 || j >= 0 && j < i {
			i = j
		}
		if at += i; i < 0 {
			return -1
		}
		if begins(s[at:], folded) {
			return at
		}
	}
}

// begins tells whether s begins with a text that is folded already.
func begins(s, folded string) bool {
	if len(s) < len(folded) {
		return false
	}
	for i := range len(folded) {
		if lower(s[i]) != folded[i] {
			return false
		}
	}
	return true
}
