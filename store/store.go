// Package store keeps everything Keypost must not lose: sales and their
// orders, licenses and the machines activated on them, raw messages, notices
// to send, signing keys and the audit log.
//
// An exported method is one unit of work and owns its transaction. What is
// unique is decided by inserting, never by looking first; the ids that work is
// known by are made before the transaction, so that a retry can tell its own
// from another's. Facts come back as the sentinels below; whatever else goes wrong
// is [ErrUnavailable], and the same call may be made again.
//
// The SQL is written once, for SQLite and MySQL alike (queries/*.sql); what
// differs between the two is behind the dialect, in sqlite.go and mysql.go.
package store

import (
	"errors"
	"time"
)

// Facts that a caller may want to tell apart.
var (
	ErrNotFound    = errors.New("not found")
	ErrCodeTaken   = errors.New("the code exists already")
	ErrUpgradeUsed = errors.New("the license was upgraded before")
	ErrUncarried   = errors.New("the code has a character that the channel's replies cannot carry")
	ErrPoolEmpty   = errors.New("the pool has no code left")
	ErrStale       = errors.New("another process has taken this over")
	ErrLimit       = errors.New("all seats are taken")
	ErrRevoked     = errors.New("the license is revoked")
	ErrSuspended   = errors.New("the license is suspended")
	ErrExpired     = errors.New("the license has expired")
	ErrState       = errors.New("the order's status does not allow this")
	ErrUnavailable = errors.New("the database does not answer")
)

// A Key identifies an order: SHA-256 over what the store calls it.
type Key [32]byte

// Order statuses.
const (
	Reserved = "reserved" // a generator is at work on it
	Issued   = "issued"
	Held     = "held" // a person must judge it
	Rejected = "rejected"
)

// An Order is one line of a sale, and all that a reply is rendered from.
type Order struct {
	ID, Channel, Store string
	Transaction        string // as first received
	Fold               string // Transaction folded; unique per store
	Line               int    // within the sale, from 1 in order of arrival
	StoreProduct       string // what the store calls the product
	Product            string // "" while unknown
	LicenseType        string
	Name, Email        string // the licensee; may be empty
	Language           string // the buyer's (RFC 5646: de, pt-BR); "": unknown
	Price, Currency    string // of one copy, decimal text; "" where the channel does not know
	Seeds              []string
	OEMSeed            string
	Quantity, Limit    int        // Limit: seats a code, 0 none
	ExpiresAt          *time.Time // when its licenses end; nil: never
	Test               bool
	EightBit           bool         // replies may carry bytes beyond ASCII
	StatusOnly         bool         // replies carry a status line alone, and no code
	Forgotten          bool         // the person was erased
	Status, Reason     string       // Reason: why it is held
	Prose              string       // what a held order's buyer reads
	Differs            []Difference // why it is held: what is not as in the order that came before
	ReservedUntil      time.Time
	Tries              int // reservations so far
	Refunded           bool
	CreatedAt          time.Time
	Licenses           []License // those in force, in order
}

// A Difference is a field of a held delivery that is not as in the order that
// came before it. It may tell of the buyer, and goes when the buyer is forgotten.
type Difference struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	Now    string `json:"now"`
}

// License statuses, from best to worst.
const (
	Active    = "active"
	Suspended = "suspended"
	Revoked   = "revoked"
)

// A License is one activation code with its policy.
type License struct {
	ID, OrderID, Product, Code, Type string
	Ordinal                          int // which of its order's codes, from 1
	Status                           string
	Test, Replaced                   bool
	Limit, Used                      int        // seats; Limit 0 is no limit
	ExpiresAt                        *time.Time // nil: never
	CreatedAt                        time.Time
	Order                            OrderRef // filled by [DB.Licenses] alone
	Generation                       int      // 0, and one more for each replacement
	Note                             string   // the vendor's own, at most [MaxNote] characters
}

// MaxNote is how many characters a license's note has at the most.
const MaxNote = 1024

// An OrderRef is an order as a person names it.
type OrderRef struct {
	Store, Transaction string
	Line               int
}

// A Machine is what the software tells of where it runs; each at most 256 bytes.
type Machine struct{ Name, Platform, AppVersion string }

// An Activation is one machine on one license.
type Activation struct {
	ID, License               string
	FPMAC, Salt, FPHash       []byte
	LeaseID                   string
	LeaseIssued, LeaseExpires time.Time // zero: no lease
	Machine                   Machine
	CreatedAt                 time.Time
}

// Verdicts on a message.
const (
	VerdictAccepted  = "accepted"
	VerdictDuplicate = "duplicate"
	VerdictHeld      = "held"
	VerdictRefused   = "refused"
)

// A Message is one raw post or mail as it came, less its secrets.
type Message struct {
	ID, Channel, Verdict, Reason string
	OrderID                      string // "": none
	Raw                          []byte
}

// A NewLicense is a code that a generator made, or that is to be taken out of a
// pool.
type NewLicense struct {
	ID, Code string
	Pool     string // "": Code is there
	Plain    bool   // replies must be able to carry it: it must be printable ASCII
	Share    bool   // where another order has this code, the two share its license
	Past     *Past  // nil: it begins now
	Part     *Part  // nil: it is of the order's own product, with the order's limit
}

// A Part is what one code of a bundle is for.
type Part struct {
	Product string
	Limit   int // seats, 0 none
}

// A Reservation keeps an order for one process while its generator runs.
type Reservation struct {
	Token string
	Until time.Time
}

// An Outcome is what the desk decided on an order: exactly one of Codes, Held
// (a reason) and Reserve is set.
type Outcome struct {
	Codes    []NewLicense
	Held     string
	Prose    string
	Reserve  *Reservation
	Upgrades []string // ids of the licenses that it upgrades, unless it is held
	Approved bool     // a person has decided on the upgrade: one that is used up is no hindrance
	Imported bool     // the codes were sold before, elsewhere: this is no sale of now
	Notices  []Notice
}

// A NewOrder is an order to be added; all ids in it are made by the caller.
type NewOrder struct {
	Order   Order
	Keys    []Key
	Message Message
	Outcome Outcome
	Actor   string // who issues it by hand, for the audit log; "": a store's
}
