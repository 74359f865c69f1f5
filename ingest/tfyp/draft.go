package tfyp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// words are by which a label is taken for a field's, in the order of trying.
var words = []struct {
	field string
	any   []string
}{
	{"email", []string{"e-mail", "email", "mail address"}},
	{"transaction", []string{"transaction", "order no", "order number", "order id", "invoice", "receipt", "payment id", "order #"}},
	{"quantity", []string{"quantity", "copies", "qty", "number of"}},
	{"price", []string{"price", "total", "amount", "payment"}},
	{"code", []string{"registration-code", "registration code", "serial", "activation", "license key", "license code"}},
	{"product", []string{"product", "item", "article"}},
	{"name", []string{"registered-to", "registered to", "licensee", "customer", "buyer", "name"}},
	{"language", []string{"language"}},
}

// Draft proposes a profile by a sample. It goes by words, so it is for a person
// to mend, and to try on other mails; no value of the sample is in it.
func Draft(m Mail) []byte {
	d := draft{m: m, fields: map[string][]string{}}
	for line := range strings.Lines(m.Text) {
		d.line(trim(strings.TrimRight(line, "\r\n")))
	}
	return d.write()
}

type draft struct {
	m        Mail
	fields   map[string][]string
	keywords []string
	comment  []string
	sequence bool
	items    []string
}

func (d *draft) line(line string) {
	var values [maxPlaces]string
	if line == "" || sqnm.match(line, &values) {
		d.sequence = d.sequence || line != ""
		return
	}
	if form, ok := itemForm(line); ok {
		if !slices.Contains(d.items, form) {
			d.items = append(d.items, form)
		}
		return
	}
	name, _, ok := strings.Cut(line, ":")
	if !ok || len(name) > 40 || len(strings.Fields(name)) > 4 || beyondASCII(name) || strings.ContainsAny(name, "<>@/\"'\\{}") || name == "Keyword" || strings.TrimSpace(name) == "" {
		return
	}
	folded := fold(name)
	if strings.Contains(folded, "comment") || strings.Contains(folded, "message") {
		d.comment = append(d.comment, name+":")
		return
	}
	for _, w := range words {
		if slices.ContainsFunc(w.any, func(s string) bool { return strings.Contains(folded, s) }) {
			if d.fields[w.field] == nil {
				d.fields[w.field] = []string{name + ":"}
			}
			return
		}
	}
	if !slices.Contains(d.keywords, name) && len(d.keywords) < maxItems {
		d.keywords = append(d.keywords, name)
	}
}

// sqnm is Kagi's line at the end of a blurb.
var sqnm = known(sqnmForm, "blurb", "number")

const sqnmForm = `SQNM-"{blurb}" {number}`

// itemForms are the lines of products that are known.
var itemForms = []string{"{currency} {price} - {quantity} * {product}", "Payment for {product}", "{quantity} x {product name}"}

// known is a pattern that is known to be good.
func known(form string, places ...string) *pattern {
	list, _ := addPattern(nil, form, places...)
	return &list[0]
}

// itemForm is the pattern of a line that looks like one of those that are known.
func itemForm(line string) (string, bool) {
	var values [maxPlaces]string
	for _, form := range itemForms {
		if known(form, "product", "currency", "price", "quantity", "product name").match(line, &values) {
			return form, true
		}
	}
	return "", false
}

func (d *draft) write() []byte {
	var b strings.Builder
	subject, _ := answered(d.m.Subject)
	subject = strings.TrimRight(subject, " *!@#0123456789")
	b.WriteString("# A draft by one sample: go through every line, then try it on your old mails:\n#\n#   keypost profile test THIS-FILE FOLDER\n#\n")
	b.WriteString("# docs/mail-profiles.md tells what each key is.\n\nkind = \"order\"\n")
	fmt.Fprintf(&b, "store = \"shop\"                  # the store's name in keypost.toml\n")
	fmt.Fprintf(&b, "\n# By what the mail is known: the beginning of its subject.\nsubject = %s\n", list([]string{subject}))
	if len(d.items) > 0 {
		fmt.Fprintf(&b, "\n# How a product's line looks.\nitems = %s\n", list(d.items))
		b.WriteString("price = \"\"                      # \"copy\" or \"line\": what the price of several copies is for\n")
	}
	if d.sequence {
		fmt.Fprintf(&b, "\n# The number that the store gives the mail.\nsequence = [%s]\n", quote(sqnmForm))
	} else if d.fields["transaction"] == nil {
		b.WriteString("\n# Nothing names the sale: without a transaction id or a number each mail is held.\nsequence = ['SQNM-\"{blurb}\" {number}']\n")
	}
	if len(d.comment) > 0 {
		fmt.Fprintf(&b, "\n# Where the buyer's own text begins. Say where it ends, or nothing behind it is read.\ncomment = %s\ncomment_end = []\n", list(d.comment))
	}
	if len(d.keywords) > 0 {
		fmt.Fprintf(&b, "\n# Other labels: keep those whose answers your codes are made of, and delete the rest.\nkeywords = %s\n", list(d.keywords))
	}
	b.WriteString("\n[fields]\n")
	for _, w := range words {
		if labels := d.fields[w.field]; labels != nil {
			fmt.Fprintf(&b, "%s = %s\n", w.field, list(labels))
		}
	}
	if d.fields["name"] == nil && d.fields["email"] == nil {
		b.WriteString("email = [\"Email:\"]             # none was found: an order needs the buyer's name or e-mail\n")
	}
	if len(d.items) == 0 && d.fields["product"] == nil {
		b.WriteString("product = [\"Product:\"]         # none was found: an order needs its product\n")
	}
	return []byte(b.String())
}

func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote is a TOML text: what Go escapes of ASCII, TOML reads; other letters stay.
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
