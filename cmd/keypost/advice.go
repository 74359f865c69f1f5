package main

import (
	"cmp"
	"strings"

	"github.com/keypost/keypost/ingest"
)

// options are how an operation's needs are typed.
var options = map[string]string{
	"product": "--product PRODUCT", "quantity": "--quantity COPIES", "name": "--name NAME", "email": "--email ADDRESS", "amount": "--amount AMOUNT", "all": "--all",
}

// command words an operation as what a person types.
func command(op ingest.Operation) string {
	typed := append([]string{"keypost", strings.ReplaceAll(op.Name, ".", " ")}, op.Of...)
	for _, need := range op.Needs {
		typed = append(typed, cmp.Or(options[need], "--"+need))
	}
	return strings.Join(typed, " ")
}

// advised is an advice with the commands that it speaks of.
func advised(a ingest.Advice) string {
	if len(a.Operations) == 0 {
		return a.Text
	}
	var list []string
	for _, op := range a.Operations {
		list = append(list, command(op))
	}
	text, ended := strings.CutSuffix(a.Text, ".")
	text += " (" + strings.Join(list, ", ") + ")"
	if ended {
		text += "."
	}
	return text
}
