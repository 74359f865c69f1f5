package ingest

import "strings"

// An Operation is one thing that a vendor can do, by its stable name: a thing and
// a verb. The command line words it as a command, a web page as a link or a form.
type Operation struct {
	Name  string   // "order.approve"
	Of    []string // what it is done to: an order's store, transaction and line, say; nil: the reader knows
	Needs []string // what else a person must say: "product", "email"
}

// Advice says what is wrong and what to do about it.
type Advice struct {
	Text       string      // in plain English; "": there is nothing to say
	Operations []Operation // that Text speaks of, in its order
}

// Advise is text that speaks of the operations of these names.
func Advise(text string, operations ...string) Advice {
	a := Advice{Text: text}
	for _, name := range operations {
		a.Operations = append(a.Operations, Operation{Name: name})
	}
	return a
}

// Sentence is the text with its operations in brackets, each as word has it.
func (a Advice) Sentence(word func(Operation) string) string {
	if len(a.Operations) == 0 {
		return a.Text
	}
	var list []string
	for _, op := range a.Operations {
		list = append(list, word(op))
	}
	text, ended := strings.CutSuffix(a.Text, ".")
	text += " (" + strings.Join(list, ", ") + ")"
	if ended {
		text += "."
	}
	return text
}
