package activation

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/keypost/keypost/store"
)

// Activate answers POST /v1/activate.
func (s *Server) Activate() http.Handler { return call(s.activate) }

// Validate answers POST /v1/validate.
func (s *Server) Validate() http.Handler { return call(s.validate) }

// Deactivate answers POST /v1/deactivate.
func (s *Server) Deactivate() http.Handler { return call(s.deactivate) }

// An answer is what activate and validate say.
type answer struct {
	Activation     activationJSON `json:"activation"`
	License        licenseJSON    `json:"license"`
	Lease          string         `json:"lease,omitempty"`
	LeaseExpiresAt *time.Time     `json:"lease_expires_at,omitempty"`
}

type activationJSON struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}

type licenseJSON struct {
	Product   string     `json:"product"`
	Type      string     `json:"type"`
	Limit     int        `json:"limit"`
	Used      int        `json:"used"`
	ExpiresAt *time.Time `json:"expires_at"`
	Test      bool       `json:"test"`
}

type released struct {
	License struct {
		Used int `json:"used"`
	} `json:"license"`
}

func (s *Server) activate(r *http.Request) (any, error) {
	q, p, l, err := s.find(r, func(ctx context.Context, p Product, q request) (store.License, error) {
		l, err := s.store.FindLicense(ctx, p.ID, q.Code)
		if errors.Is(err, store.ErrNotFound) && p.Adopt != nil {
			l, err = p.Adopt(ctx, q.Code)
		}
		return l, err
	})
	if err != nil {
		return nil, err
	}
	if l.Test && !p.AcceptTest {
		return nil, errTest
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	a := store.Activation{
		ID: store.NewID(), License: l.ID, FPMAC: s.keys.MAC(q.Fingerprint), Salt: salt, FPHash: fingerprintHash(salt, q.Fingerprint),
		Machine: store.Machine(q.Machine),
	}
	a = s.newLease(a, l, p)
	found := l
	got, l, err := s.take(r.Context(), a, found, p)
	if errors.Is(err, store.ErrNotFound) { // deactivated between two steps: it comes back
		got, l, err = s.take(r.Context(), a, found, p)
	}
	if errors.Is(err, store.ErrLimit) {
		return nil, limitReached(l)
	}
	if err != nil {
		return nil, err
	}
	s.misses.activated(address(r))
	return s.answer(r.Context(), got, l, p, true)
}

// take takes the machine's seat, its own again or a new one, with a lease that
// is not due for another.
func (s *Server) take(ctx context.Context, a store.Activation, on store.License, p Product) (store.Activation, store.License, error) {
	got, l, err := s.store.Activate(ctx, a, on)
	if err == nil && s.leaseIsDue(got, l, p) {
		got, err = s.renew(ctx, got, l, p)
	}
	return got, l, err
}

func (s *Server) validate(r *http.Request) (any, error) {
	var a store.Activation
	q, p, l, err := s.find(r, func(ctx context.Context, p Product, q request) (l store.License, err error) {
		l, a, err = s.store.FindSeat(ctx, p.ID, q.Code, s.keys.MAC(q.Fingerprint))
		return l, err
	})
	switch {
	case err != nil:
		return nil, err
	case l.Test && !p.AcceptTest:
		return nil, errTest
	case a.ID == "":
		return nil, errNotActivated
	}
	renew := p.Lease > 0 && (q.Renew || s.leaseIsDue(a, l, p))
	if renew {
		var renewed store.Activation
		if renewed, err = s.renew(r.Context(), a, l, p); err == nil {
			a = renewed
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, errNotActivated
		case errors.Is(err, store.ErrNoWrites) && !q.Renew:
			renew = false // the lease that it has holds for a while yet
		case err != nil:
			return nil, err
		}
	}
	s.misses.activated(address(r))
	return s.answer(r.Context(), a, l, p, renew)
}

func (s *Server) deactivate(r *http.Request) (any, error) {
	q, _, l, err := s.license(r)
	if err != nil {
		return nil, err
	}
	l, err = s.store.Deactivate(r.Context(), l.ID, s.keys.MAC(q.Fingerprint))
	var out released
	out.License.Used = l.Used
	return out, err
}

// license reads a request and finds the license that it is about.
func (s *Server) license(r *http.Request) (request, Product, store.License, error) {
	return s.find(r, func(ctx context.Context, p Product, q request) (store.License, error) {
		return s.store.FindLicense(ctx, p.ID, q.Code)
	})
}

// find reads a request and looks up what it is about. Codes that do not exist
// count against the address.
func (s *Server) find(r *http.Request, look func(ctx context.Context, p Product, q request) (store.License, error)) (request, Product, store.License, error) {
	q, err := decode(r)
	if err != nil {
		return q, Product{}, store.License{}, err
	}
	from := address(r)
	if wait := s.misses.wait(from, s.now()); wait > 0 {
		p := errLimited
		p.retryAfter = wait
		return q, Product{}, store.License{}, p
	}
	p, ok := s.config.Load().product(q.Product)
	if !ok {
		return q, p, store.License{}, s.notConfigured(r.Context(), q.Product, from)
	}
	l, err := look(r.Context(), p, q)
	if errors.Is(err, store.ErrNotFound) {
		// It counts before it is asked again: many that come at once must not
		// have the database work twice for all of them.
		within := s.misses.add(from, p.ID, s.now())
		if s.store.Lags() && !within {
			limited := errLimited
			limited.retryAfter = 1
			return q, p, l, limited
		}
		if s.store.Lags() {
			l, err = s.lookAgain(r.Context(), p, q, look)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		if p.Malformed != nil && p.Malformed(q.Code) {
			return q, p, l, errMalformed
		}
		return q, p, l, errUnknown
	}
	return q, p, l, err
}

// awayRetry is when to come again to a product that is not in the config, in
// seconds: a person has to correct it.
const awayRetry = 60

// notConfigured answers for a product that is not in the config. One that has
// licenses left it by mistake: its customers are told to come again, and
// nothing counts against them. Any other is a miss.
func (s *Server) notConfigured(ctx context.Context, product, from string) error {
	sold, err := s.store.HasLicenses(ctx, product)
	switch {
	case err != nil:
		return err
	case sold:
		p := errProductAway
		p.retryAfter = awayRetry
		return p
	}
	s.misses.add(from, "", s.now())
	return errUnknown
}

// sureTimeout is how long a call waits for a node of a cluster that lags behind
// the others.
const sureTimeout = 5 * time.Second

// lookAgain looks where a code is seen that another node has just sold: a no is
// final, and the software that hears it refuses offline, too.
func (s *Server) lookAgain(ctx context.Context, p Product, q request, look func(context.Context, Product, request) (store.License, error)) (store.License, error) {
	ctx, cancel := context.WithTimeout(store.Sure(ctx), sureTimeout)
	defer cancel()
	return look(ctx, p, q)
}

func (s *Server) answer(ctx context.Context, a store.Activation, l store.License, p Product, lease bool) (any, error) {
	out := answer{
		Activation: activationJSON{a.ID, a.CreatedAt},
		License:    licenseJSON{l.Product, l.Type, l.Limit, l.Used, l.ExpiresAt, l.Test},
	}
	if lease && p.Lease > 0 {
		token, err := s.keys.lease(ctx, s.config.Load().Issuer, l, a)
		if err != nil {
			return nil, err
		}
		out.Lease, out.LeaseExpiresAt = token, &a.LeaseExpires
	}
	return out, nil
}

// address is whom misses are counted against: an IPv4 address, or the /64 that
// one subscriber has of IPv6.
func address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
