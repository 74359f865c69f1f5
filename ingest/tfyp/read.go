package tfyp

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
)

// Read finds in a mail what the profile says of it.
func (p *Profile) Read(m Mail) Reading {
	r := &reader{p: p, m: &m}
	if len(p.file.From) > 0 && !m.sentBy(p.file.From) {
		return r.out
	}
	subject, forwarded := answered(m.Subject)
	known := slices.ContainsFunc(p.subjects, func(s string) bool { return begins(subject, s) || foreignPrefix(subject, s) > 0 })
	r.scan = p.scan(m.Text)
	if !known && !r.scan.text {
		return r.out
	}
	if forwarded && m.Attached > 0 && !r.scan.text && len(r.scan.findings)+len(r.scan.items) == 0 {
		return r.out // the attached mail is judged by its own bytes
	}
	r.out.Recognised, r.bySubject = true, known
	r.out.Problems = m.problems
	r.whole(forwarded)
	r.flag(subject)
	r.fields()
	r.typed()
	r.cutShort()
	if p.Kind == kindRefund {
		r.refund()
	} else {
		r.orders()
	}
	return r.out
}

// answered takes "Fwd: " and the like off a subject.
func answered(subject string) (rest string, was bool) {
	rest = trim(subject)
	for {
		prefix, after, ok := strings.Cut(rest, ":")
		if !ok || !slices.Contains([]string{"fwd", "fw", "re", "wg", "aw", "tr", "rv"}, fold(trim(prefix))) {
			return rest, was
		}
		rest, was = trim(after), true
	}
}

// reader judges one mail.
type reader struct {
	p     *Profile
	m     *Mail
	scan  *scan
	found []finding // those that count, one of each name

	bySubject bool // it is known by its subject
	out       Reading
}

// hold notes why the mail is held; the first reason stays.
func (r *reader) hold(reason, format string, args ...any) {
	if r.out.Held == "" {
		r.out.Held = reason
	}
	r.tell(format, args...)
}

func (r *reader) tell(format string, args ...any) {
	r.out.Problems = append(r.out.Problems, fmt.Sprintf(format, args...))
}

// whole judges the mail as a mail.
func (r *reader) whole(forwarded bool) {
	switch {
	case r.m.broken:
		r.hold(HeldUnreadable, "it cannot be read to its end")
	case r.scan.tooMuch != "":
		r.hold(HeldUnreadable, "%s", r.scan.tooMuch)
	case r.scan.forwarded > 0:
		r.hold(HeldForwarded, "line %d shows that it quotes another mail", r.scan.forwarded)
	case forwarded:
		r.hold(HeldForwarded, "its subject says that it forwards another mail, or answers one")
	case r.m.doubled != "":
		r.hold(HeldAmbiguous, "its header has %s twice", r.m.doubled)
	}
}

// flag reads what Kagi appends to a subject.
func (r *reader) flag(subject string) {
	f := r.p.file.CommentFlag
	if f == "" {
		return
	}
	tail := subject[len(strings.TrimRight(subject, " *!@")):]
	for _, s := range []struct{ mark, says string }{
		{f, "the buyer left comments"}, {"!", "the buyer cannot be reached"}, {"@", "the buyer has no e-mail"},
	} {
		if strings.Contains(tail, s.mark) {
			r.show("flag", s.mark+" "+s.says, 0)
		}
	}
	email := slices.IndexFunc(r.scan.findings, func(f finding) bool { return f.mark == "email" && !r.scan.inComment(f.line) })
	if strings.Contains(tail, "@") && email >= 0 {
		r.hold(HeldAmbiguous, "the subject's @ says that the buyer has no e-mail, but line %d has one: the buyer may have typed it", r.scan.findings[email].line)
	}
	if strings.Contains(tail, f) && r.scan.begin == 0 {
		r.hold(HeldComment, "the subject's %s says that the buyer left comments, but no line starts them", f)
	}
}

func (r *reader) show(name, value string, line int) {
	r.out.Fields = append(r.out.Fields, Field{name, value, line})
}

// fields keeps what stands once, and in the open.
func (r *reader) fields() {
	all := r.scan.findings
	r.found = make([]finding, 0, len(all))
	r.out.Fields = slices.Grow(r.out.Fields, len(all)+len(r.scan.items)+len(r.scan.numbers))
	for i, f := range all {
		// Their number is bounded, and small.
		first := slices.IndexFunc(all[:i], func(o finding) bool { return strings.EqualFold(o.mark, f.mark) })
		switch {
		case f.mark == markCommentEnd:
		case f.mark == markComment:
			if first < 0 {
				r.show(f.mark, cut(f.value), f.line)
			}
		case first >= 0 && f.mark != markTest && f.mark != markCode:
			r.hold(HeldAmbiguous, "%q is in line %d and in line %d", f.mark, all[first].line, f.line)
		case r.scan.inComment(f.line):
			r.tell("%q in line %d is in the buyer's comment or after it: it is ignored", f.mark, f.line)
		default:
			r.found = append(r.found, f)
			r.show(f.mark, cut(f.value), f.line)
			r.letters(f.mark, f.value)
		}
	}
	for _, mark := range r.p.file.Always {
		if _, ok := r.find(mark); !ok {
			r.hold(HeldIncomplete, "it lacks %q, which every mail must have (always)", mark)
		}
	}
	for _, it := range r.scan.items {
		r.show("item", strings.TrimSpace(strings.Join([]string{it.quantity, it.licenseType, it.product, it.currency, it.price}, " ")), it.line)
		r.letters("item", it.product)
		if r.scan.inComment(it.line) {
			r.hold(HeldAmbiguous, "line %d looks like a product line, but is in the buyer's comment or after it", it.line)
		}
	}
	for _, n := range r.scan.numbers {
		r.show("sequence", n.blurb+" "+n.number, n.line)
		if r.scan.inComment(n.line) {
			r.tell("the blurb's number in line %d is in the buyer's comment or after it: it is ignored", n.line)
		}
	}
}

func cut(v string) string { return strings.ToValidUTF8(v[:min(len(v), maxValue)], "") }

// letters holds a mail with a field whose letters were lost or guessed: a code
// may be made of it.
func (r *reader) letters(name, value string) {
	switch {
	case name == "language" || name == "code":
	case strings.ContainsRune(value, '\uFFFD'), r.m.guessed && beyondASCII(value):
		r.hold(HeldCharset, "%q has a letter that is not certain", name)
	case len(value) > maxValue:
		r.hold(HeldMalformed, "%q is longer than %d bytes", name, maxValue)
	}
}

// languages are tags (RFC 5646) by the English names that Kagi wrote, and their own.
var languages = map[string]string{
	"english": "en", "german": "de", "deutsch": "de", "french": "fr", "français": "fr", "spanish": "es", "español": "es", "italian": "it",
	"italiano": "it", "dutch": "nl", "nederlands": "nl", "portuguese": "pt", "português": "pt", "swedish": "sv", "japanese": "ja", "chinese": "zh",
}

// language is a tag; a word that is no known name may be one already.
func language(name string) string {
	if tag, ok := languages[fold(name)]; ok {
		return tag
	}
	return name
}

// value is a field's value, "" where it is not there.
func (r *reader) value(name string) string {
	f, _ := r.find(name)
	return f.value
}

func (r *reader) find(name string) (finding, bool) {
	for _, f := range r.found {
		if f.mark == name {
			return f, true
		}
	}
	return finding{}, false
}

// twice tells whether a field's label was there more than once.
func (r *reader) twice(name string) bool {
	n := 0
	for _, f := range r.scan.findings {
		if f.mark == name {
			n++
		}
	}
	return n > 1
}

// transaction is the store's id of the sale, "" where the mail has none.
func (r *reader) transaction() string {
	v := r.value("transaction")
	for i := range len(v) {
		if v[i] <= ' ' || v[i] > '~' || v[i] == '"' || len(v) > 64 {
			r.hold(HeldMalformed, "the transaction id has spaces or quotation marks, or more than 64 characters")
			return ""
		}
	}
	return v
}

// sequences are the blurbs' numbers. Which product's blurb is which, a mail does
// not say, so they are names of each.
func (r *reader) sequences() (list []ingest.Sequence) {
	for _, n := range r.scan.numbers {
		if r.scan.inComment(n.line) {
			continue
		}
		if len(n.blurb) > 128 {
			r.hold(HeldMalformed, "a blurb's name is longer than 128 bytes")
			continue
		}
		if r.letters("sequence", n.blurb); r.m.Date.IsZero() {
			continue
		}
		s := ingest.Sequence{Name: n.blurb, Date: r.m.Date}
		s.Number, _ = strconv.Atoi(n.number) // up to four digits
		i := slices.IndexFunc(list, func(have ingest.Sequence) bool { return ingest.Fold(have.Name) == ingest.Fold(s.Name) })
		switch {
		case i < 0:
			list = append(list, s)
		case list[i].Number != s.Number:
			r.hold(HeldAmbiguous, "the blurb %s has two numbers", strconv.Quote(n.blurb))
		}
	}
	return list
}

// sale names the sale: by its transaction id or, for want of one, by the first
// blurb's number.
func (r *reader) sale() (transaction string, list []ingest.Sequence) {
	transaction, list = r.transaction(), r.sequences()
	if len(r.scan.numbers) > 0 && r.m.Date.IsZero() {
		r.tell("it has no readable Date. Its blurb numbers are ignored, because they start again from 0000 at times")
	}
	if transaction == "" && len(list) == 0 {
		r.hold(HeldIncomplete, "it has neither a transaction id nor a blurb's number")
	}
	return transaction, list
}

func (r *reader) orders() {
	items := r.items()
	o := ingest.Order{
		Store: r.p.Store, ByMail: true, Name: r.value("name"), Email: r.email(), LicenseType: r.value("license_type"), Seeds: r.seeds(),
		Language: language(r.value("language")),
	}
	o.Transaction, o.Sequences = r.sale()
	if o.Transaction == "" && len(o.Sequences) > 0 {
		o.Transaction = o.Sequences[0].Transaction()
	}
	if o.Name == "" && o.Email == "" {
		r.hold(HeldIncomplete, "it has neither the buyer's name nor the e-mail")
	}
	if o.Name == "" { // as Kagi does: KRPS 2.0, Table 4, footnote 2
		o.Name = o.Email
	}
	_, o.Test = r.find(markTest)
	if r.p.file.TestTo && o.Email != "" && !r.m.sentTo(o.Email) {
		o.Test = true
		r.tell("it was not sent to the buyer: a test order")
	}
	if r.codes(); len(r.out.Codes) > 0 {
		r.tell("it already contains a code: the store got it, perhaps from a post")
	}
	r.out.Sale = o
	for i, it := range items {
		o := o
		o.StoreProduct = it.product
		if it.licenseType != "" {
			o.LicenseType = it.licenseType
		}
		r.count(&o, it)
		for j, other := range items {
			if j != i {
				o.Beside = append(o.Beside, other.product)
			}
		}
		r.out.Orders = append(r.out.Orders, o)
	}
	r.eachCopy()
}

// count fills in how many copies and for what price. A quantity that cannot be
// is 0: no order can be made of it.
func (r *reader) count(o *ingest.Order, it item) {
	o.Quantity, o.QuantityUnknown = 1, it.quantity == ""
	if it.quantity != "" {
		n, err := strconv.Atoi(it.quantity)
		if err != nil || n < 1 || n > MaxCopies {
			r.hold(HeldMalformed, "the quantity %s is not between 1 and %d", strconv.Quote(cut(it.quantity)), MaxCopies)
			n = 0
		}
		o.Quantity = n
	}
	price, ok := amount(it.price)
	if !ok {
		return
	}
	switch {
	case o.Quantity == 0:
		return // the price of nothing is none
	case r.p.file.Price == "copy", o.Quantity == 1 && !o.QuantityUnknown:
	case r.p.file.Price == "line":
		whole, _ := new(big.Rat).SetString(price) // its shape was checked
		price = whole.Quo(whole, big.NewRat(int64(o.Quantity), 1)).FloatString(3)
	default:
		r.tell("the profile does not say whether a price is for one copy or for the line, so prices are not checked")
		return
	}
	o.Price, o.Currency = price, currency(it.currency)
}

// seeds are the keywords' answers, in the order of the mail and in the form in
// which stores post them; nil where it has none.
func (r *reader) seeds() (list []string) {
	for _, f := range r.found {
		if name, ok := strings.CutPrefix(f.mark, markKeyword); ok && f.value != "" {
			list = append(list, "Keyword: "+name+" - "+f.value)
		}
	}
	return list
}

// items are the products, each once.
func (r *reader) items() (list []item) {
	all := r.scan.items
	if f, ok := r.find("product"); ok && f.value != "" {
		it := item{product: f.value, quantity: r.value("quantity"), pattern: -1, line: f.line}
		it.currency, it.price = r.money("price")
		if c := r.value("currency"); c != "" {
			it.currency = c
		}
		for _, t := range r.p.types {
			if rest, ok := strings.CutPrefix(it.product, t.text); ok {
				it.product, it.licenseType = trim(rest), t.name
				break
			}
		}
		all = append(slices.Clone(all), it)
	}
	list = make([]item, 0, len(all))
	detailed, plain := 0, 0
	for _, it := range all {
		if it.quantity != "" {
			detailed++
		} else {
			plain++
		}
		i := slices.IndexFunc(list, func(have item) bool {
			return have.product == it.product || ingest.FoldProduct(have.product) == ingest.FoldProduct(it.product)
		})
		switch {
		case i < 0:
			list = append(list, it)
		case list[i].pattern == it.pattern, !list[i].merge(it):
			r.hold(HeldAmbiguous, "the product of line %d is also in line %d", list[i].line, it.line)
		}
	}
	if len(list) == 0 {
		r.hold(HeldIncomplete, "no line names a product in the form that the profile expects")
	}
	if detailed > 0 && plain > 0 && (detailed != len(list) || plain != len(list)) {
		r.hold(HeldAmbiguous, "the lines that name products disagree")
	}
	r.typedItems()
	return list
}

// merge adds what another line tells of the same product; false: they differ.
// A license type that one of them lacks is a difference: the dearer line may be
// one that the buyer typed.
func (i *item) merge(o item) bool {
	same := i.licenseType == o.licenseType
	for _, f := range []struct {
		have *string
		more string
	}{{&i.quantity, o.quantity}, {&i.price, o.price}, {&i.currency, o.currency}} {
		if *f.have == "" {
			*f.have = f.more
		} else if f.more != "" && f.more != *f.have {
			same = false
		}
	}
	return same
}

// money takes a value like "US$ 35.00" or "35.00 EUR" apart.
func (r *reader) money(name string) (currency, price string) {
	v := r.value(name)
	if v == "" {
		return "", ""
	}
	for _, word := range strings.Fields(v) {
		if _, ok := amount(word); ok && price == "" {
			price = word
		} else {
			currency += word
		}
	}
	if price == "" {
		r.hold(HeldMalformed, "%q is not an amount like 35.00", name)
	}
	return currency, price
}

func (r *reader) refund() {
	f := ingest.Refund{Store: r.p.Store, Product: r.value("product"), Reference: r.value("reference")}
	f.Transaction, f.Sequences = r.sale()
	r.out.Sale = ingest.Order{Store: f.Store, Transaction: f.Transaction, Sequences: f.Sequences, ByMail: true}
	if f.Product == "" && len(r.scan.items) > 0 {
		if items := r.items(); len(items) == 1 {
			f.Product = items[0].product
		} else {
			f.Unread = true // without its product it would be of all of them
			r.hold(HeldAmbiguous, "it names several products")
		}
	}
	if f.Product == "" && len(r.p.file.Fields.Product) > 0 && len(r.p.file.Fields.Amount) == 0 {
		f.Unread = true // or else it would be of all that was sold
		r.hold(HeldIncomplete, "it does not say which product is refunded")
	}
	if r.twice("product") {
		f.Unread = true
	}
	if len(r.p.file.Fields.Amount) > 0 {
		written, price := r.money("amount")
		f.Amount, _ = amount(price)
		f.Currency = currency(written)
		if f.Currency == "" {
			f.Currency = currency(r.value("currency"))
		}
		switch {
		case f.Amount == "": // which is not all of it
			f.Unread = true
			r.hold(HeldIncomplete, "it does not say how much is refunded")
		case r.twice("amount"):
			f.Unread = true
		case f.Currency == "": // it could not be held against a price; a "$" alone is of many countries
			r.hold(HeldIncomplete, "it does not name the currency of the refunded amount")
		}
	}
	if len(r.p.file.Fields.Reference) > 0 && f.Reference == "" {
		r.hold(HeldIncomplete, "it has no reference of its own")
	}
	r.out.Refunds = []ingest.Refund{f}
}
