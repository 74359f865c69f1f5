// Package keygen makes activation codes: from a request, what the store told
// of the order, to as many codes as were bought. A generator only computes; it
// knows no database and no network, and whether a code is taken is the store's
// to say: the desk draws another one then.
package keygen

import "context"

// A Request is what a generator may know of an order.
type Request struct {
	OrderID     string // the same for every try: an idempotency key
	Product     string
	LicenseType string
	Name, Email string   // the licensee; either may be empty
	Seeds       []string // what the buyer was asked for, item by item
	OEMSeed     string   // what the vendor set at the store, as posted
	Quantity    int      // how many codes are wanted, at least 1
}

// A Generator makes codes of 1-255 characters, exactly Request.Quantity of
// them. It may be called from several goroutines at once.
type Generator interface {
	Generate(context.Context, Request) ([]string, error)
}
