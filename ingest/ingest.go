// Package ingest is the order desk. Every channel, whatever its protocol, ends in
// [Desk.Accept] with what it claims of an order. The desk finds out whether the
// order is new, judges it, generates its codes and stores all of it, exactly once.
// What a channel answers is rendered from the order that comes back, and from
// nothing else.
//
// names.go has the keys by which an order is known, claim.go how they are claimed,
// difference.go how a repeat differs, and bounds.go how many such repeats are kept.
// judge.go says what a person must look at, and advice.go what can be done about
// it. finish.go generates codes though a crash may come between any two
// instructions; approve.go is what a person decides.
package ingest

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// Manual is the store and channel of what the vendor issues by hand.
const Manual = "manual"

// An Order is what a channel claims, unjudged. The channel has authenticated
// it. Fields are as posted; the desk folds, cuts and judges.
type Order struct {
	Channel, Store  string
	Transaction     string   // the store's id of the sale
	StoreProduct    string   // the store's name or id of the product
	StoreLine       string   // the store's id of the line; "" where it has none
	Also            []string // other names of the same order, each of which is its alone
	LicenseType     string
	Name, Email     string
	Language        string   // the buyer's (RFC 5646: de, pt-BR); "" where the channel does not know
	Price, Currency string   // of one copy, decimal text; "" where the channel does not know
	Seeds           []string // nil where the channel does not know
	OEMSeed         string
	Quantity        int
	ExpiresAt       *time.Time // when the licenses end; nil: never
	Test            bool
	EightBit        bool // see [store.Order]
	Message         store.Message
	Actor           string // who issues it by hand; "": a store's
	Copy            int    // for the desk alone: which copy, where an order comes copy by copy; 0: the first

	// Of a sale that may come by a notification mail too; see names.go.
	ByMail          bool       // it was read out of a mail; its channel must be one with ByMail
	QuantityUnknown bool       // Quantity is 1 because the mail does not say
	Sequences       []Sequence // the numbers that the store gave the sale
	Beside          []string   // the other products of the same mail, as StoreProduct
}

// A Product is what the desk needs to know of one.
type Product struct {
	ID      string
	Aliases []string       // what stores call it; the id is one too
	Limit   int            // machines a code; 0: no limit
	Limits  map[string]int // the same by license type, folded; a type that is not here has Limit
	Floor   Floor
	Upgrade *Upgrade // nil: it is sold to anybody
	Gives   []string // ids of the products that it is a bundle of, in whose place it has codes; nil: it is none
	Codes   Codes    // how they are made; not of a bundle

	Language string // of mails to buyers whose language is not known; "": the general one
}

// LimitOf is how many machines a code of a license type is for.
func (p Product) LimitOf(licenseType string) int {
	if n, ok := p.Limits[Fold(licenseType)]; ok {
		return n
	}
	return p.Limit
}

// A Channel is what the desk needs to know of one.
type Channel struct {
	Name        string
	HeldMessage string // what a held order's buyer reads; "": DefaultHeldMessage or HeldMessageWithoutMail
	MaxQuantity int    // more are held; 0: any
	StatusOnly  bool   // the store takes no codes in a reply: they go by mail
	Plain       bool   // its replies carry codes of printable ASCII alone, but those to an EightBit order
	ByMail      bool   // orders are read out of notification mails
	MailCodes   bool   // codes go by mail too, though a reply carried them
	Language    string // likewise, and before the product's
	Unit        Unit
}

// Unit is how a store is understood that posts an order once for each copy,
// with nothing to tell the posts apart (KRPS 2.0, "Unit or line quantity").
type Unit struct {
	Max    int           // copies of one order; 0: orders come by the line
	Window time.Duration // from the first post: what comes later is a repeat
}

// DefaultHeldMessage is short and plain: it is printed where a code would be.
// HeldMessageWithoutMail is for a buyer whom no mail can reach.
const (
	DefaultHeldMessage     = "Your order is being checked by a person. Your activation code will follow by e-mail."
	HeldMessageWithoutMail = "Your order is being checked by a person. The seller will send you your activation code."
)

// A Catalog is what is sold, and by which channels; see [Desk.Configure].
type Catalog struct {
	Products []Product
	Channels map[string]Channel
	Mail     bool // there is a mail server: buyers and the vendor can be reached
}

// heldMessage is what the buyer of a held order reads in the place of a code.
func (c *Catalog) heldMessage(o Order) string {
	switch own := c.Channels[o.Channel].HeldMessage; {
	case own != "":
		return own
	case c.Mail && o.Email != "":
		return DefaultHeldMessage
	}
	return HeldMessageWithoutMail
}

// Product finds a product by a name that a store uses for it.
func (c Catalog) Product(alias string) (Product, bool) {
	alias = FoldAlias(alias)
	for _, p := range c.Products {
		if FoldAlias(p.ID) == alias {
			return p, true
		}
		for _, a := range p.Aliases {
			if FoldAlias(a) == alias {
				return p, true
			}
		}
	}
	return Product{}, false
}

func (c Catalog) byID(id string) (Product, bool) {
	for _, p := range c.Products {
		if p.ID == id {
			return p, true
		}
	}
	return Product{}, false
}

// FoldAlias is the one form of a product's name: people write it in any case,
// and so do stores.
func FoldAlias(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

var amountShape = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,3})?) ([A-Z]{3})$`)

// ParseAmount reads an amount with its currency, "10.00 USD"; "" is none.
func ParseAmount(s string) (f Floor, err error) {
	if s == "" {
		return f, nil
	}
	m := amountShape.FindStringSubmatch(s)
	if m == nil {
		return f, fmt.Errorf(`%q is not an amount with its currency, like "10.00 USD"`, s)
	}
	f.Amount, _ = new(big.Rat).SetString(m[1])
	f.Currency = m[2]
	return f, nil
}
