// Package keygen makes activation codes: from a request, what the store told
// of the order, to as many codes as were bought. A generator only computes; it
// knows no database and no network, and whether a code is taken is the store's
// to say: the desk draws another one then.
package keygen

import (
	"context"
	"errors"
	"time"
)

// A Request is what a generator may know of an order.
type Request struct {
	OrderID     string    // the same for every try: an idempotency key
	Transaction string    // the store's id of the sale
	At          time.Time // when the order came; zero while it is not stored
	Product     string
	LicenseType string
	Name, Email string   // the licensee; either may be empty
	Seeds       []string // what the buyer was asked for, item by item
	OEMSeed     string   // what the vendor set at the store, as posted
	Quantity    int      // how many codes are wanted, at least 1
	Limit       int      // machines a code; 0: no limit
	ExpiresAt   *time.Time
}

// ErrRequest is what a generator answers, with more words, where the order
// lacks what its code is made of, a name or a machine's number, or has it in a
// wrong shape: another try is no use, a person must mend the order.
var ErrRequest = errors.New("the order lacks what its code is made of")

// A Generator makes codes of 1-255 characters, exactly Request.Quantity of
// them. It may be called from several goroutines at once.
type Generator interface {
	Generate(context.Context, Request) ([]string, error)
}

// A Fixed generator makes the same code again for an order that is alike: a
// code that is taken stays taken, however often it is asked.
type Fixed interface {
	Generator
	Fixed()
}

// A Verifier can tell by a code alone that it is one of its own, made for this
// product: what a license that has no row may be trusted for.
type Verifier interface {
	Generator
	Verify(product, code string) (Claims, bool)
}

// Claims are what a code says of its license; what it does not say is zero.
type Claims struct {
	LicenseType, Name string
	Limit             int
	ExpiresAt         *time.Time // where it says a day: the last second of it, UTC
}

// A File goes to the buyer as an attachment.
type File struct {
	Name, Type string // Type: a media type
	Content    []byte
}

// A Filer makes a file for each code that it has made, of the order and the
// code alone: the same again at any time, and never stored. Its Generate answers
// ErrRequest to an order whose file File would refuse, so that such an order is
// held before a code is out.
type Filer interface {
	Generator
	File(q Request, code string) (File, error)
}
