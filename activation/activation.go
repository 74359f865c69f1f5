// Package activation is what shipped software talks to. A program sends its
// product, the user's code and a fingerprint of the machine; it gets a seat on
// the license and a lease, a signed statement that it can check offline until
// it runs out. The same machine gets its own seat again, as often as it asks,
// with a complete answer: a lost one costs nothing.
//
// handler.go holds the three calls, problem.go all that can go wrong with
// them, lease.go and keyring.go the signing, misses.go the guard against
// guessing, origin.go what browsers ask.
package activation

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/store"
)

// A Product is what the activation of one depends on.
type Product struct {
	ID         string
	Lease      time.Duration // 0: no leases
	AcceptTest bool          // codes of test orders activate
	// Adopt makes a license of a code that is not known and is one of the
	// product's all the same; store.ErrNotFound: it is not. May be nil.
	Adopt     func(ctx context.Context, code string) (store.License, error)
	Malformed func(string) bool // the code has the generator's shape and cannot be one of its codes; may be nil
}

// Config is all that the server is told; see [Server.Configure].
type Config struct {
	Issuer   string // the lease's iss: the daemon's public URL
	Products []Product
	Origins  []string         // of the pages that browsers may call from, see [CheckOrigin]; "*": of all
	Now      func() time.Time // nil: time.Now; read by [New] alone
}

// Store is the part of the license store that activations use.
type Store interface {
	HasLicenses(ctx context.Context, product string) (bool, error)
	// Lags tells whether a code that was not found may be there all the same: see
	// [store.Sure].
	Lags() bool
	FindLicense(ctx context.Context, product, code string) (store.License, error)
	Activate(ctx context.Context, a store.Activation, on store.License) (store.Activation, store.License, error)
	FindSeat(ctx context.Context, product, code string, fpmac []byte) (store.License, store.Activation, error)
	RenewLease(ctx context.Context, a store.Activation, seen string) (store.Activation, error)
	Deactivate(ctx context.Context, licenseID string, fpmac []byte) (store.License, error)
}

// A Server answers the activation calls.
type Server struct {
	store  Store
	keys   *Keyring
	misses *misses
	config atomic.Pointer[Config]
	now    func() time.Time
}

// New makes a server; budget is how many unknown codes an address may send
// before it has to wait, one a second.
func New(s Store, keys *Keyring, budget int, c Config) *Server {
	server := &Server{store: s, keys: keys, misses: newMisses(budget), now: time.Now}
	if c.Now != nil {
		server.now = c.Now
	}
	server.Configure(c)
	return server
}

// Configure replaces the config at once.
func (s *Server) Configure(c Config) { s.config.Store(&c) }

func (c *Config) product(id string) (Product, bool) {
	for _, p := range c.Products {
		if p.ID == id {
			return p, true
		}
	}
	return Product{}, false
}
