package admin

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/store"
)

// recognise reads what was kept of a mail by its channel's profiles as they are
// now.
func (c Config) recognise(m store.Mail) intake.Finding {
	ch, ok := c.channel(m.Channel)
	if !ok { // it was taken out of the config since
		return intake.Finding{}
	}
	mails, ok := ch.Settings.(*intake.Settings)
	if !ok {
		return intake.Finding{}
	}
	return mails.Recognise(m.Raw)
}

// ReadSale is what the vendor is told of a mail that is held.
func (c Config) ReadSale(m store.Mail) delivery.SaleMail {
	s := c.recognise(m).Summary(m)
	out := delivery.SaleMail{Subject: s.Subject, From: s.From, Date: s.Date, Refund: s.Refund, Sale: s.Sale, Product: s.Product, Needs: s.Needs}
	for _, field := range s.Fields {
		out.Fields = append(out.Fields, delivery.Field{Name: field.Name, Value: field.Value})
	}
	return out
}

// wants are what a correction must say, as flags of the command line.
var wants = map[string]string{
	"product": "--product PRODUCT", "quantity": "--quantity COPIES", "email": "--email ADDRESS", "name": "--name NAME", "amount": "--amount AMOUNT", "all": "--all",
}

// advised is an advice with its operations in braces; see [Word].
func advised(a ingest.Advice) string { return a.Sentence(operation) }

// operation is an operation in braces, with what it is done to and what else must
// be said.
func operation(op ingest.Operation) string {
	words := []string{strings.ReplaceAll(op.Name, ".", " ")}
	for _, of := range op.Of {
		words = append(words, quoted(of))
	}
	for _, need := range op.Needs {
		words = append(words, cmp.Or(wants[need], "--"+need))
	}
	return "{" + strings.Join(words, " ") + "}"
}

var shellWord = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_][A-Za-z0-9@%+=:,./_-]*$`)

// quoted makes a text one word for a shell: the vendor pastes commands of ours that
// hold what a stranger wrote.
func quoted(text string) string {
	if shellWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// command is an operation as a command line, for the mails to the vendor.
func command(name string, of []string, needs ...string) string {
	return "keypost " + strings.Trim(operation(ingest.Operation{Name: name, Of: of, Needs: needs}), "{}")
}

func explainOrder(reason string) string { return advised(ingest.Explain(reason)) }

func explainMail(reason string, refund bool) string { return advised(intake.Explain(reason, refund)) }

// asCommand is the form of operations in the mails to the vendor.
func asCommand(sentence string) string {
	return Word(sentence, func(operation string) string { return "keypost " + operation })
}
