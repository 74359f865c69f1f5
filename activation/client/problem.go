package client

import (
	"errors"
	"time"
)

var (
	// ErrNotActivated: this machine has no seat. Ask the user for a code.
	ErrNotActivated = errors.New("keypost: not activated")
	// ErrLeaseExpired: the lease and its grace have run out. Go online.
	ErrLeaseExpired = errors.New("keypost: the lease has run out")
	// ErrClock: the machine's clock is not to be believed: it is more than a day
	// behind a time that was seen before, or so far ahead that a new lease is
	// over already. Set it, or go online.
	ErrClock = errors.New("keypost: the clock of this machine is wrong")
	// ErrLease: a lease is not signed by a shipped key, or is another machine's
	// or product's.
	ErrLease = errors.New("keypost: the lease is not for this machine")
	// ErrUnreachable: Keypost did not answer, or asks to come again later. What
	// a portal, a proxy or a broken network says is this as well.
	ErrUnreachable = errors.New("keypost: the license server cannot be reached")
)

// A Problem is what the server refused. Its Code is stable: see
// docs/activation.md. Title and Detail are English sentences for people.
type Problem struct {
	Code       string        `json:"code"`
	Title      string        `json:"title,omitempty"`
	Detail     string        `json:"detail,omitempty"`
	Status     int           `json:"status"`          // the HTTP status
	Used       int           `json:"used,omitempty"`  // limit_reached alone
	Limit      int           `json:"limit,omitempty"` // limit_reached alone
	RetryAfter time.Duration `json:"-"`               // 0: the server did not say
}

func (p *Problem) Error() string { return "keypost: " + p.Code + ": " + p.Title }

// Is makes the problem not_activated an [ErrNotActivated].
func (p *Problem) Is(target error) bool {
	return target == ErrNotActivated && p.Code == "not_activated"
}

// final are the codes by which the server decided on a license that it knows:
// nothing goes on offline after them.
var final = map[string]bool{
	"code_revoked": true, "code_suspended": true, "code_expired": true, "code_test": true, "not_activated": true,
}

// strange are the codes of a server that does not know the license at all. One
// that signed a lease for it has lost it since, by a restored backup or a wrong
// config: the lease counts until it ends, without grace.
var strange = map[string]bool{"code_unknown": true, "code_malformed": true}

// definite: the server's last word on this code. All else (an outage, a
// request that it does not understand) says nothing about the license.
func definite(err error) bool {
	var p *Problem
	return errors.As(err, &p) && (final[p.Code] || strange[p.Code]) && !errors.Is(err, ErrUnreachable)
}

// An outage is an ErrUnreachable with its cause.
type outage struct {
	cause      error
	retryAfter time.Duration // what the other side asked for
}

func (o *outage) Error() string        { return ErrUnreachable.Error() + ": " + o.cause.Error() }
func (o *outage) Unwrap() error        { return o.cause }
func (o *outage) Is(target error) bool { return target == ErrUnreachable }
