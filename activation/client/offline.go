package client

import (
	"errors"
	"fmt"
	"math/rand"
	"time"
)

const (
	// clockSlack is how far a clock may go back: time zones set by hand, a
	// battery that is empty for a night.
	clockSlack = 24 * time.Hour
	// seenStep is how much later a time must be than the last one seen to be
	// worth writing.
	seenStep = time.Minute

	firstWait   = time.Minute // after the first failed try, at most
	longestWait = time.Hour
	lockedWait  = time.Minute // at most, where the program cannot run without an answer
)

// A view is what the state says at a moment.
type view struct {
	state   state
	license License
	err     error // why the license does not count
	due     bool  // it is time to ask the server
}

// settled answers when there is nobody to ask: the state suffices, it holds no
// code, or the last try failed a short time ago.
func (v view) settled(err error) (License, error) {
	switch {
	case err != nil:
		return License{}, err
	case v.state.Code == "":
		return License{}, v.err
	}
	return v.without(errWaiting)
}

var errWaiting = &outage{cause: errors.New("the last try failed a short time ago")}

// without answers when the server did not.
func (v view) without(why error) (License, error) {
	if v.err != nil {
		return License{}, fmt.Errorf("%w; %w", v.err, why)
	}
	return v.license, nil
}

// look reads the state, judges it and notes the time. A time that cannot be
// written is not worth stopping a program that may run.
func (c *Client) look() (v view, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.state, err = c.read(); err != nil {
		return v, err
	}
	now := c.clock()
	v.license, v.err = c.judge(v.state, now)
	good := v.err == nil && !v.license.Grace
	switch since := now.Sub(v.state.Contact); {
	case v.state.Code == "":
		return v, nil
	case good && since >= 0 && since < c.interval:
	default:
		v.due = !v.waits(now)
	}
	if now.Sub(v.state.Seen) >= seenStep {
		v.state.Seen = now
		_ = c.write(v.state)
	}
	return v, nil
}

// judge says what a state is worth at a time, without a server. The license
// comes with ErrLeaseExpired and ErrClock, too.
func (c *Client) judge(st state, now time.Time) (License, error) {
	switch {
	case st.Code == "":
		return License{}, ErrNotActivated
	case st.Machine != c.machineID:
		return License{}, fmt.Errorf("%w: the state is another machine's", ErrLease)
	case st.Refused != nil && st.Lease == "":
		return License{}, st.Refused
	}
	l := License{
		Product: c.product, Type: st.Type, Limit: st.Limit, Used: st.Used, Test: st.Test, ExpiresAt: st.ExpiresAt,
		Activation: st.Activation, Cached: true,
	}
	end, seen := st.Contact.Add(max(0, c.interval)), st.Seen
	if len(c.keys) > 0 {
		// What is signed counts, not what the state says beside it.
		signed, err := parseLease(st.Lease, c.keys, c.product, c.fingerprint)
		if err != nil {
			return License{}, err
		}
		l.Type, l.Limit, l.Test, l.ExpiresAt = signed.Type, signed.Limit, signed.Test, signed.Ends
		l.Activation, l.LeaseExpiresAt = signed.Activation, signed.Expires
		end = signed.Expires
		if signed.Issued.After(seen) {
			seen = signed.Issued
		}
	}
	l.Until = end
	if st.Refused == nil {
		l.Until = end.Add(c.grace)
	}
	if !l.ExpiresAt.IsZero() && l.ExpiresAt.Before(l.Until) {
		l.Until = l.ExpiresAt // no grace for a license that has ended
	}
	l.Grace = !now.Before(end)
	switch {
	case !now.Before(l.Until) && st.Refused != nil:
		return License{}, st.Refused
	case !now.Before(l.Until):
		return l, fmt.Errorf("%w at %s", ErrLeaseExpired, l.Until.Format(time.RFC3339))
	case seen.Sub(now) > clockSlack:
		return l, fmt.Errorf("%w: it is %s, and it was %s before", ErrClock, now.Format(time.RFC3339), seen.Format(time.RFC3339))
	}
	return l, nil
}

// waits: the last try failed so short a time ago that the next one is later.
// A clock that went back waits for nothing.
func (v view) waits(now time.Time) bool {
	wait := v.state.Wait
	if v.err != nil {
		wait = min(wait, lockedWait) // a person waits for it
	}
	since := now.Sub(v.state.Tried)
	return v.state.Tries > 0 && since >= 0 && since < max(wait, v.state.Asked)
}

// failed notes a try that failed: the next one is after a random time of up to
// twice as long as after the one before, so that the programs of all users do
// not come back at once, and not before the server asked for it.
func (c *Client) failed(err error) {
	now := c.clock()
	_ = c.change(func(st *state) { // else the next try is early
		st.Tries++
		st.Tried = now
		st.Wait = time.Duration(rand.Int63n(int64(min(longestWait, firstWait<<min(st.Tries-1, 10))) + 1))
		st.Asked = 0
		var o *outage
		if errors.As(err, &o) {
			st.Asked = min(o.retryAfter, longestWait)
		}
	})
}

func (c *Client) clock() time.Time { return c.now().Round(0).UTC() }
