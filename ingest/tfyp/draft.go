package tfyp

import (
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
)

// words are by which a label is taken for a field's, in the order of trying:
// English, German, French and Spanish.
var words = []struct {
	field string
	any   []string
}{
	{"email", []string{"e-mail", "email", "mail address", "courriel", "correo"}},
	{"transaction", []string{
		"transaction", "order no", "order number", "order id", "invoice", "receipt", "payment id", "order #",
		"bestellnummer", "bestellnr", "bestell-nr", "bestell-nummer", "auftragsnummer", "auftragsnr", "auftrags-nr", "rechnungsnummer", "rechnungsnr", "rechnungs-nr", "transaktion",
		"numéro de commande", "n° de commande", "no de commande", "commande n", "référence de commande", "facture",
		"número de pedido", "n.º de pedido", "nº de pedido", "pedido n", "factura", "transacción",
	}},
	{"code", []string{
		"registration-code", "registration code", "serial", "activation", "license key", "license code",
		"registrierungscode", "freischaltcode", "aktivierung", "lizenzschlüssel", "lizenzcode", "seriennummer",
		"clé de licence", "numéro de série", "clave de licencia", "código de activación", "número de serie",
	}},
	{"quantity", []string{
		"quantity", "copies", "qty", "number of", "anzahl", "menge", "stückzahl", "quantité", "nombre de licences", "nombre de copies", "nombre d'exemplaires", "cantidad",
	}},
	{"price", []string{"price", "total", "amount", "payment", "betrag", "preis", "summe", "montant", "prix", "importe", "precio"}},
	{"product", []string{"product", "item", "article", "produkt", "artikel", "produit", "artículo"}},
	{"name", []string{
		"registered-to", "registered to", "licensee", "customer", "buyer", "name", "kunde", "käufer", "lizenznehmer", "client", "acheteur", "nom", "comprador",
	}},
	{"language", []string{"language", "sprache", "langue", "idioma"}},
}

// numbers are words of labels that tell a number of the buyer or of a product,
// not its name: "Kundennummer".
var numbers = []string{"number", "nummer", "nr", "no.", "numéro", "número", "n°", "nº", " id"}

// commenting are words of labels at which the buyer's own text begins.
var commenting = []string{"comment", "message", "kommentar", "bemerkung", "anmerkung", "nachricht", "mitteilung", "remarque", "comentario", "observacion", "mensaje"}

func hasAny(s string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
}

// fieldOf is the field that a label, folded, is taken for; "": none.
func fieldOf(folded string) string {
	for _, w := range words {
		if hasAny(folded, w.any) && !((w.field == "name" || w.field == "product") && hasAny(folded, numbers)) {
			return w.field
		}
	}
	return ""
}

// Draft proposes a profile by a sample. It goes by words, so it is for a person
// to mend, and to try on other mails; no value of the sample is in it, and no
// label that the sample lacks: a comment, MISSING, tells what was not found, and
// there the draft cannot be used yet.
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
	if !ok || len(name) > 40 || len(strings.Fields(name)) > 4 || strings.ContainsAny(name, "<>@/\"\\{}") || name == "Keyword" || strings.TrimSpace(name) == "" ||
		beyondASCII(name) && (d.m.guessed || strings.ContainsRune(name, '\uFFFD')) || strings.ContainsFunc(name, unprintable) {
		return
	}
	folded := foldLabel(name)
	if hasAny(folded, commenting) {
		d.comment = append(d.comment, name+":")
		return
	}
	field := fieldOf(folded)
	switch {
	case field != "" && d.fields[field] == nil:
		d.fields[field] = []string{name + ":"}
	case field == "" && !strings.Contains(name, "'") && len(d.keywords) < maxItems && !slices.ContainsFunc(d.keywords, func(k string) bool { return foldLabel(k) == folded }):
		d.keywords = append(d.keywords, name)
	}
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

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
	b.WriteString("# A draft from one sample. Check every line, then test it on your old mails:\n#\n#   keypost profile test THIS-FILE FOLDER\n#\n")
	b.WriteString("# docs/mail-profiles.md explains each key.\n\nkind = \"order\"\n")
	fmt.Fprintf(&b, "store = \"shop\"                  # the store's name in keypost.toml\n")
	d.writeKnown(&b)
	if len(d.items) > 0 {
		fmt.Fprintf(&b, "\n# How a product's line looks.\nitems = %s\n", list(d.items))
		b.WriteString("price = \"\"                      # \"copy\" or \"line\": what the price is for if there are several copies\n")
	}
	if d.sequence {
		fmt.Fprintf(&b, "\n# The number that the store gives each mail.\nsequence = [%s]\n", quote(sqnmForm))
	}
	if len(d.comment) > 0 {
		fmt.Fprintf(&b, "\n# Where the buyer's own text begins. Say where it ends, or nothing after it is read.\ncomment = %s\ncomment_end = []\n", list(d.comment))
	}
	if len(d.keywords) > 0 {
		fmt.Fprintf(&b, "\n# Other labels: keep those that your codes are made from, and delete the rest.\nkeywords = %s\n", list(d.keywords))
	}
	d.writeFields(&b)
	return []byte(b.String())
}

// writeKnown writes by what the mail is known.
func (d *draft) writeKnown(b *strings.Builder) {
	if from, err := mail.ParseAddress(d.m.From); err == nil {
		if _, host, ok := strings.Cut(from.Address, "@"); ok && !strings.ContainsFunc(host, unprintable) {
			fmt.Fprintf(b, "\n# Who sends these mails. This proves nothing: anyone can write it.\nfrom = %s\n", list([]string{"@" + host}))
		}
	}
	if subject := d.subject(); subject != "" {
		fmt.Fprintf(b, "\n# How the mail is recognised: the start of its subject.\nsubject = %s\n", list([]string{subject}))
	} else {
		b.WriteString("\n# MISSING: the mail has no usable subject. Set subject, or set text to the start of one of its lines.\n")
	}
}

// subject is what the next mail's will begin with, too: nothing from the first
// word with a number on, which is this sale's.
func (d *draft) subject() string {
	s, _ := answered(d.m.Subject)
	s = strings.TrimRight(s, " *!@#0123456789")
	begin := s
	if i := strings.IndexAny(s, "0123456789"); i >= 0 {
		begin = strings.TrimRight(s[:max(strings.LastIndexByte(s[:i], ' '), 0)], " #")
	}
	if begin == "" {
		begin = s
	}
	return clean(begin)
}

// writeFields writes the labels, and which of those that an order needs there
// are none of.
func (d *draft) writeFields(b *strings.Builder) {
	b.WriteString("\n[fields]\n")
	for _, w := range words {
		if labels := d.fields[w.field]; labels != nil {
			fmt.Fprintf(b, "%s = %s\n", w.field, list(labels))
		}
	}
	if d.fields["name"] == nil && d.fields["email"] == nil {
		b.WriteString("# MISSING: the buyer. An order needs name or email: the labels before them in the mail.\n")
	}
	if len(d.items) == 0 && d.fields["product"] == nil {
		b.WriteString("# MISSING: the product. An order needs product (the label before it in the mail) or items (the form of its line).\n")
	}
	if !d.sequence && d.fields["transaction"] == nil {
		b.WriteString("# MISSING: the sale's id. An order needs transaction (the label before the store's id of the sale) or sequence (a line with a number).\n")
	}
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
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(s)) + `"`
}

// clean is a text without what nobody sees.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\uFFFD' || unprintable(r) {
			return -1
		}
		return r
	}, s))
}
