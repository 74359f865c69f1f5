// Package admin is what a vendor does: it approves an order, releases a machine,
// loads a pool, backs the database up. Each operation is here once, whether it is
// typed, clicked or called. It takes an actor, which the audit log names, and
// returns a result whose JSON form is the contract of the command line's --json.
//
// An operation fails with an [Error], which has a stable code, says what is
// wrong, and what to do. What to do may name other operations; the command line
// words them as commands.
//
// A file has the operations on one thing: order.go, license.go, customer.go and
// so on. database.go and keys.go have those that need no open store.
package admin

import (
	"context"
	"errors"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// A Config is what the operations need to know; package config makes it.
type Config struct {
	Demo       bool   // there is no config file: this is the demo that anybody may try
	Database   string // the store's URL
	MasterFile string
	AuditFile  string // "": the audit key is derived from the master key

	Catalog     ingest.Catalog
	Products    []Product // those of the catalog, in its order
	Channels    []Channel
	Mail        delivery.MailConfig // without a server where the catalog has no mail
	Webhooks    []delivery.Endpoint
	Subscribers []store.Subscriber                      // of the webhooks
	Outages     func(time.Time) []string                // sentences about channels that a daemon cannot watch; nil: none are known
	Now         func() time.Time                        // the clock; nil: time.Now
	Settings    func() []channel.Finding                // of the config itself
	Checks      func(context.Context) []channel.Finding // of channels, mail and webhooks, and what they connect to
}

// A Product is one of the catalog, with what its vendor wants to see of it.
type Product struct {
	ingest.Product
	Name      string
	Generator string // its kind
	Lease     time.Duration
	Pool      *ProductPool // nil: its codes come from none
	Seeds     []string     // what a made-up order needs for a code
}

// A ProductPool is where a product's codes come from when they were made
// elsewhere.
type ProductPool struct {
	Name string
	File string // loaded at each start; "": none
	Low  int    // fewer codes than this are worth a warning
}

// DefaultLow is how few codes left in a pool are worth a warning.
const DefaultLow = 20

// A Channel is a way in.
type Channel struct {
	channel.Common
	channel.Settings
}

// An Admin does the operations on one store. Its methods may be called from
// several goroutines at once.
type Admin struct {
	Config
	db   *store.DB
	desk *ingest.Desk
	now  func() time.Time
}

// New makes the operations on a store that is open, by the desk of the daemon.
func New(db *store.DB, desk *ingest.Desk, c Config) *Admin {
	a := &Admin{Config: c, db: db, desk: desk, now: c.Now}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Open opens the config's store, which must be there, for one command.
func Open(ctx context.Context, c Config) (*Admin, error) {
	db, err := store.Open(ctx, c.Database, store.Options{Sure: true})
	if err != nil {
		return nil, c.notMade(err)
	}
	db.Subscribe(c.Subscribers)
	return New(db, ingest.New(db, c.Catalog), c), nil
}

// Close closes the store.
func (a *Admin) Close() error { return a.db.Close() }

// product finds a product by its id.
func (c Config) product(id string) (Product, error) {
	for _, p := range c.Products {
		if p.ID == id {
			return p, nil
		}
	}
	return Product{}, notFound("product %s is not in the config", id)
}

// channel finds a channel by its name.
func (c Config) channel(name string) (Channel, bool) {
	for _, ch := range c.Channels {
		if ch.Name == name {
			return ch, true
		}
	}
	return Channel{}, false
}

// orNull is a text that JSON has as null where it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// all joins what is a list in JSON, never null.
func all[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// isNotFound tells whether the store has no such row.
func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
