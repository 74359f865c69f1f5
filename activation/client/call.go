package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const maxAnswer = 64 << 10 // bytes

// A request is the body of all three calls.
type request struct {
	Product     string  `json:"product"`
	Code        string  `json:"code"`
	Fingerprint string  `json:"fingerprint"`
	Machine     Machine `json:"machine"`
	Renew       bool    `json:"renew,omitempty"`
}

// An answer is what activate and validate say.
type answer struct {
	Activation struct {
		ID string `json:"id"`
	} `json:"activation"`
	License struct {
		Product   string     `json:"product"`
		Type      string     `json:"type"`
		Limit     int        `json:"limit"`
		Used      int        `json:"used"`
		ExpiresAt *time.Time `json:"expires_at"`
		Test      bool       `json:"test"`
	} `json:"license"`
	Lease string `json:"lease"`
}

// ask calls activate or validate. The answer is not believed yet.
func (c *Client) ask(ctx context.Context, call string, q request) (answer, error) {
	var a answer
	err := c.call(ctx, call, q, &a)
	if err == nil && (a.Activation.ID == "" || a.License.Product != c.product) {
		err = &outage{cause: errors.New("an answer that is not Keypost's")}
	}
	return a, err
}

// release calls deactivate.
func (c *Client) release(ctx context.Context, code string) error {
	var a struct {
		License struct {
			Used *int `json:"used"`
		} `json:"license"`
	}
	err := c.call(ctx, "deactivate", request{Code: code}, &a)
	if err == nil && a.License.Used == nil {
		err = &outage{cause: errors.New("an answer that is not Keypost's")}
	}
	return err
}

// call posts a request and reads the answer. The error is a *Problem, or an
// outage, which may have a *Problem for its cause.
func (c *Client) call(ctx context.Context, call string, q request, to any) error {
	q.Product, q.Fingerprint, q.Machine = c.product, c.fingerprint, c.machine
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("keypost: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.JoinPath("v1", call).String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("keypost: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, application/problem+json")
	resp, err := c.http.Do(r)
	if err != nil {
		return &outage{cause: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("an answer over %d bytes", maxAnswer)
	}
	if err != nil {
		return &outage{cause: err}
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	after := retryAfter(resp.Header.Get("Retry-After"), c.now())
	if resp.StatusCode == http.StatusOK && media == "application/json" {
		if err := json.Unmarshal(b, to); err != nil {
			return &outage{cause: fmt.Errorf("an answer that is not Keypost's: %w", err)}
		}
		return nil
	}
	p := &Problem{}
	if resp.StatusCode < 400 || media != "application/problem+json" || json.Unmarshal(b, p) != nil || p.Code == "" {
		return &outage{cause: fmt.Errorf("an answer that is not Keypost's: %s, %.40q", resp.Status, media), retryAfter: after}
	}
	p.Status, p.RetryAfter = resp.StatusCode, after
	if p.Status == http.StatusTooManyRequests || p.Status >= 500 {
		return &outage{cause: p, retryAfter: after}
	}
	return p
}

// retryAfter reads the header; 0: there is none that makes sense.
//
// RFC 9110, 10.2.3: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// granted takes in the answer to activate or validate. Where leases are signed,
// one must have come if it was asked for; one that does not fit changes
// nothing.
func (c *Client) granted(call string, q request, a answer) (License, error) {
	var got lease
	if len(c.keys) > 0 && (call == "activate" || q.Renew || a.Lease != "") {
		var err error
		if got, err = parseLease(a.Lease, c.keys, c.product, c.fingerprint); err != nil {
			return License{}, err
		}
		if got.Activation != a.Activation.ID {
			return License{}, fmt.Errorf("%w: it is another seat's", ErrLease)
		}
	}
	now := c.clock()
	var st state
	err := c.change(func(stored *state) {
		st = *stored
		st.Machine, st.Code, st.Contact = c.machineID, q.Code, now
		st.Refused, st.Tries, st.Tried, st.Wait, st.Asked = nil, 0, time.Time{}, 0, 0
		st.Activation, st.Type, st.Limit, st.Used, st.Test = a.Activation.ID, a.License.Type, a.License.Limit, a.License.Used, a.License.Test
		st.ExpiresAt = time.Time{}
		if a.License.ExpiresAt != nil {
			st.ExpiresAt = *a.License.ExpiresAt
		}
		switch {
		case len(c.keys) == 0:
			st.Seen, st.Lease, st.LeaseID = now, "", ""
		case got.ID == "": // the stored lease goes on
		case got.ID != st.LeaseID:
			// Signed just now, and not seen before: the server's time is the one
			// to go by. A clock that was ahead by mistake is forgiven.
			st.Seen = got.Issued
			fallthrough
		default:
			st.Lease, st.LeaseID = a.Lease, got.ID
		}
		if call == "activate" || stored.Code == q.Code {
			*stored = st // else another process has changed its code meanwhile
		}
	})
	if err != nil && (call == "activate" || st.Code == "") { // a yes to validate counts though it cannot be kept
		return License{}, err
	}
	l, err := c.judge(st, now)
	l.Cached = false
	switch {
	case len(c.keys) == 0:
		l.Grace, err = false, nil // the server has just said yes
	case errors.Is(err, ErrClock):
		err = nil // behind, but the server has just said yes
	case errors.Is(err, ErrLeaseExpired) && got.ID != "":
		err = fmt.Errorf("%w: a new lease is over already: %w", ErrClock, err)
	}
	if err != nil {
		return License{}, err
	}
	return l, nil
}

// overruled answers Validate when the server refused: by what is left of the
// lease where the server only does not know the code any more.
func (c *Client) overruled(code string, err error) (License, error) {
	err = c.refused(code, err)
	var p *Problem
	errors.As(err, &p) // it is one: see definite
	l, left := c.Check()
	if !strange[p.Code] || left != nil {
		return License{}, err
	}
	c.failed(err) // ask again later, as after an outage
	return l, nil
}

// refused takes a refusal of the stored code in: its lease goes, so that
// nothing goes on offline. A lease of a code that the server only does not know
// stays, and counts until its end.
func (c *Client) refused(code string, err error) error {
	if !definite(err) {
		return err
	}
	var p *Problem
	errors.As(err, &p) // it is one: see definite
	unsaved := c.change(func(st *state) {
		if !sameCode(st.Code, code) {
			return
		}
		st.Refused = p
		if !strange[p.Code] {
			st.Lease, st.Contact = "", time.Time{}
			st.Tries, st.Tried, st.Wait, st.Asked = 0, time.Time{}, 0, 0
		}
	})
	if unsaved != nil {
		return errors.Join(err, unsaved)
	}
	return err
}
