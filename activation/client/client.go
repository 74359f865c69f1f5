// Package client is what a vendor builds into the software that Keypost
// licenses. The user types a code once: [Client.Activate] takes a seat for the
// machine and keeps the lease, a signed statement that the seat is its own.
// [Client.Validate], at every start, answers from that lease and asks the
// server now and then; a server that cannot be reached stops nobody before the
// lease, and a grace after it, have run out. What the server refuses ends at
// once. [Client.Deactivate] gives the seat back.
//
// client.go has the calls, call.go what travels, lease.go the check of a
// lease, offline.go what counts without a server, state.go what is kept,
// problem.go what can go wrong. It is a module of its own, and needs only the
// standard library of Go 1.21 or newer.
package client

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Options say whose license is asked for, of whom, and for which machine.
type Options struct {
	// URL is the daemon's public_url.
	URL string
	// Product is the product's id in the daemon's config.
	Product string
	// Fingerprint names the machine: 8-256 bytes of UTF-8, the same at every start.
	Fingerprint string
	// Keys are the public keys that sign leases, as `keypost keys list` prints
	// them: the current and the next, which signs after a rotation. With keys,
	// nothing but a lease that one of them signed counts. None: the product has
	// no leases (lease = "0s"), and the server's word counts.
	Keys []string

	Machine  Machine          // what the vendor sees of the machine; may be empty
	Storage  Storage          // nil: memory alone, for programs that ask at every start
	Interval time.Duration    // how long an answer counts before the server is asked again; 0: a day, negative: always ask
	Grace    time.Duration    // how much longer than its lease a license counts while no server can be reached
	HTTP     *http.Client     // nil: one that gives up after 15 seconds; redirects are never followed
	Now      func() time.Time // nil: time.Now
}

// A Machine is what the vendor sees of one. Each field is cut at 256 bytes.
type Machine struct {
	Name       string `json:"name"`
	Platform   string `json:"platform"`
	AppVersion string `json:"app_version"`
}

// A License is what this machine may use, and until when.
type License struct {
	Product        string
	Type           string
	Limit          int // machines on this code; 0: no limit
	Used           int // of them, when the server was last asked
	Test           bool
	ExpiresAt      time.Time // the license's end; zero: never
	Activation     string    // the seat's id
	LeaseExpiresAt time.Time // zero for products without leases
	Until          time.Time // it counts until then without a server, grace included

	Cached bool // the server was not asked, or did not answer
	Grace  bool // the lease has run out: tell the user to go online before Until
}

// A Client is one program's license on one machine. It is safe for concurrent
// use; calls to the server go one after another, answers from the state do not
// wait for them.
type Client struct {
	url         *url.URL
	http        *http.Client
	product     string
	fingerprint string
	machineID   string // what binds a state to this machine
	machine     Machine
	keys        map[string]ed25519.PublicKey // by key id
	interval    time.Duration
	grace       time.Duration
	now         func() time.Time

	turn    chan struct{} // held by the one that talks to the server
	mu      sync.Mutex    // guards storage: reading, changing and writing the state is one step
	storage Storage
}

const (
	defaultInterval = 24 * time.Hour
	defaultTimeout  = 15 * time.Second
	minFingerprint  = 8 // bytes
	maxFingerprint  = 256
	maxMachine      = 256 // bytes
)

// New checks the options; it reads nothing and calls nobody.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("keypost: URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("keypost: URL must be like https://keys.example.com")
	case o.Product == "":
		return nil, errors.New("keypost: Product is missing")
	case len(o.Fingerprint) < minFingerprint || len(o.Fingerprint) > maxFingerprint || !utf8.ValidString(o.Fingerprint):
		return nil, fmt.Errorf("keypost: Fingerprint must have %d-%d bytes of UTF-8", minFingerprint, maxFingerprint)
	case o.Grace < 0:
		return nil, errors.New("keypost: Grace is negative")
	}
	keys, err := parseKeys(o.Keys)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256([]byte("keypost state\x00" + o.Fingerprint))
	c := &Client{
		url: u, product: o.Product, fingerprint: o.Fingerprint, machineID: base64.RawURLEncoding.EncodeToString(id[:]),
		machine: Machine{cut(o.Machine.Name), cut(o.Machine.Platform), cut(o.Machine.AppVersion)},
		keys:    keys, interval: o.Interval, grace: o.Grace, now: o.Now, turn: make(chan struct{}, 1), storage: o.Storage,
	}
	if c.interval == 0 {
		c.interval = defaultInterval
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.storage == nil {
		c.storage = &memory{}
	}
	web := http.Client{Timeout: defaultTimeout}
	if o.HTTP != nil {
		web = *o.HTTP
	}
	// A redirect is a portal's or a proxy's, never Keypost's: the code goes nowhere else.
	web.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &web
	return c, nil
}

// cut makes a machine's field one that the server takes.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxMachine {
		s = strings.ToValidUTF8(s[:maxMachine], "")
	}
	return s
}

// Activate takes a seat for this machine on the license of a code, or its own
// seat again, and keeps code and lease. An empty code stands for the one that
// was activated before. Each call asks the server.
//
// Errors: a [*Problem] with what the server refused (limit_reached,
// code_unknown, …); [ErrUnreachable]; [ErrLease] where the answer is not signed
// for this machine; [ErrClock] where the machine's clock is so far ahead that
// the new lease is over already; [ErrNotActivated] for an empty code where
// there was none. After an error, an activation that was there before is still
// there, but for a refusal of that very code. The license of another code
// keeps its seat: Deactivate first.
func (c *Client) Activate(ctx context.Context, code string) (License, error) {
	if err := c.enter(ctx); err != nil {
		return License{}, err
	}
	defer c.leave()
	if code = strings.TrimSpace(code); code == "" {
		st, err := c.load()
		if err != nil {
			return License{}, err
		}
		if code = st.Code; code == "" {
			return License{}, ErrNotActivated
		}
	}
	q := request{Code: code}
	a, err := c.ask(ctx, "activate", q)
	if err != nil {
		return License{}, c.refused(code, err)
	}
	return c.granted("activate", q, a)
}

// Validate tells whether the program may run. Call it at every start, and now
// and then in programs that run for long: it is cheap. It answers from the
// state while the last answer is younger than Interval, and asks the server
// otherwise. When no server can be reached the stored lease counts until it
// runs out, and for Grace more, but never past the license's own end; between
// failed tries it waits up to an hour, across restarts too.
//
// Errors: a [*Problem] where the server refused (the lease is gone then, so
// that nothing goes on offline; the code stays, and the server is asked again
// by the next call), of which not_activated is [ErrNotActivated], too. A server
// that no longer knows the code (code_unknown, code_malformed) refuses only when
// the stored lease has ended, without Grace. Further:
// [ErrNotActivated] before the first activation; [ErrLeaseExpired],
// [ErrClock] or [ErrLease], together with [ErrUnreachable], where the state
// does not count and no server can be reached; [ErrLease] alone where the
// server's answer is not signed.
func (c *Client) Validate(ctx context.Context) (License, error) {
	v, err := c.look()
	if err != nil || !v.due {
		return v.settled(err)
	}
	if err := c.enter(ctx); err != nil {
		return v.without(err)
	}
	defer c.leave()
	if v, err = c.look(); err != nil || !v.due { // another call has asked meanwhile
		return v.settled(err)
	}
	q := request{Code: v.state.Code, Renew: v.err != nil || v.license.Grace}
	a, err := c.ask(ctx, "validate", q)
	if err == nil && len(c.keys) > 0 && !q.Renew && a.Lease == "" && a.Activation.ID != v.license.Activation {
		// The seat was freed and taken again: the stored lease is not this seat's.
		q.Renew = true
		a, err = c.ask(ctx, "validate", q)
	}
	switch {
	case err == nil:
		return c.granted("validate", q, a)
	case definite(err):
		return c.overruled(q.Code, err)
	case !errors.Is(err, context.Canceled): // the program's own doing is no failed try
		c.failed(err)
	}
	return v.without(err)
}

// Check is Validate without a network: it says what the stored lease says.
//
// Errors: [ErrNotActivated], [ErrLeaseExpired], [ErrClock], [ErrLease], and the
// [*Problem] by which the server refused last.
func (c *Client) Check() (License, error) {
	v, err := c.look()
	if err == nil {
		err = v.err
	}
	if err != nil {
		return License{}, err
	}
	return v.license, nil
}

// Deactivate gives the machine's seat back and forgets code and lease.
//
// Errors: [ErrNotActivated] where there is no code to deactivate;
// [ErrUnreachable], or a [*Problem] that is not about the code: then nothing
// was forgotten. A code that the server does not know any more is forgotten.
func (c *Client) Deactivate(ctx context.Context) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	st, err := c.load()
	if err != nil {
		return err
	}
	if st.Code == "" {
		return ErrNotActivated
	}
	if err := c.release(ctx, st.Code); err != nil && !definite(err) {
		return err
	}
	return c.change(func(now *state) {
		if sameCode(now.Code, st.Code) {
			*now = state{Seen: now.Seen, LeaseID: now.LeaseID} // the clock's past stays
		}
	})
}

// enter waits for the turn to talk to the server.
func (c *Client) enter(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &outage{cause: ctx.Err()}
	}
}

func (c *Client) leave() { <-c.turn }
