package admin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/keypost/keypost/store"
)

// A Code says in a word why an operation was not done. Codes are stable.
type Code string

// The codes.
const (
	Invalid     Code = "invalid"     // what was asked for makes no sense
	Ambiguous   Code = "ambiguous"   // what was named is several things
	NotFound    Code = "not_found"   // there is no such thing
	State       Code = "state"       // it is not in a state for that
	Exists      Code = "exists"      // it is there already and stays as it is
	Conflict    Code = "conflict"    // somebody else changed it at this moment
	Broken      Code = "broken"      // a check found what does not hold
	Partly      Code = "partly"      // some of it was not done
	Unavailable Code = "unavailable" // the database, or a server, does not answer
	Internal    Code = "internal"    // none of these
)

// An Error is why an operation was not done.
//
// What to do may name operations in braces: "{order list}", "{order approve
// kagi T1}". The words are those of the command line; [Word] puts them in the
// caller's own form.
type Error struct {
	Code    Code
	Problem string // what is wrong
	Do      string // what to do; "": nothing can be
	Err     error  // the cause; nil: there is none beyond Problem
}

func (e *Error) Error() string {
	switch {
	case e.Do == "":
		return e.Problem
	case strings.HasPrefix(e.Do, "see "):
		return e.Problem + " (" + e.Do + ")"
	}
	return e.Problem + ": " + e.Do
}

func (e *Error) Unwrap() error { return e.Err }

// operations are those that a sentence may name in braces; what else stands in
// braces is somebody's text and stays as it is.
var operations = []string{
	"init", "check", "serve", "order list", "order show", "order approve", "order reject", "order resend", "order refund", "license list",
	"license show", "license issue", "license replace", "license revoke", "license restore", "license release", "customer show", "customer edit",
	"customer forget", "mail list", "mail show", "mail approve", "mail dismiss", "mail test", "pool load", "pool show", "import csv", "import mbox",
	"import maildir", "keys list", "audit verify", "outbox list", "outbox retry", "db create", "db migrate", "db verify", "db copy", "db backup", "db restore",
}

// Operations are all that [Word] may word.
func Operations() []string { return slices.Clone(operations) }

var inBraces = regexp.MustCompile(`\{([a-z][^{}]*)\}`)

// Word puts the operations that a sentence names in braces in the caller's own
// form.
func Word(sentence string, operation func(string) string) string {
	return inBraces.ReplaceAllStringFunc(sentence, func(s string) string {
		named := strings.Trim(s, "{}")
		for _, o := range operations {
			if named == o || strings.HasPrefix(named, o+" ") {
				return operation(named)
			}
		}
		return s
	})
}

// storeHelp are the operations that help against an error of the store.
var storeHelp = []struct {
	err       error
	operation string
}{{store.ErrOlder, "{db migrate}"}, {store.ErrUnfinished, "{db copy}"}, {store.ErrUnfinished, "{db restore}"}, {store.ErrNetworkFolder, "{db copy}"}}

// Helped is an error with the operations that help against it, in braces.
func Helped(err error) error {
	var list []string
	for _, h := range storeHelp {
		if errors.Is(err, h.err) {
			list = append(list, h.operation)
		}
	}
	if len(list) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(list, ", "))
}

// CodeOf is an error's code.
func CodeOf(err error) Code {
	e, ours := errors.AsType[*Error](err)
	switch {
	case ours:
		return e.Code
	case errors.Is(err, store.ErrNotFound):
		return NotFound
	case errors.Is(err, store.ErrStale):
		return Conflict
	case errors.Is(err, store.ErrUnavailable):
		return Unavailable
	}
	return Internal
}

// fail makes an [Error].
func fail(code Code, do, format string, args ...any) *Error {
	return &Error{Code: code, Problem: fmt.Sprintf(format, args...), Do: do}
}

// because is an error with a cause that is said.
func because(code Code, err error, do, format string, args ...any) *Error {
	return &Error{Code: code, Problem: fmt.Sprintf(format, args...) + ": " + err.Error(), Do: do, Err: err}
}

func notFound(format string, args ...any) *Error { return fail(NotFound, "", format, args...) }

func invalid(format string, args ...any) *Error { return fail(Invalid, "", format, args...) }
