// Package external has codes made by what a vendor brings along: a program of
// theirs that is run for each request, a server of theirs that is asked, or a
// WebAssembly module that runs in here and reaches nothing.
//
// All three get the same document, one line of JSON, and nothing of the buyer
// is anywhere else: not in arguments, not in the environment. A program and a
// module print a code a line; a server answers {"codes": […]}. Each has its
// limits in time, memory and output, and none is believed: what comes back is
// counted and looked at. An order that lacks what its code is made of is told
// by exit code 65 or by HTTP 422; that is [keygen.ErrRequest], and any other
// failure may be gone at the next try.
package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keypost/keypost/keygen"
)

const (
	// callTerm bounds a call with all its tries and its wait for a slot: it is
	// over well before the two minutes for which the desk reserves an order.
	callTerm   = 100 * time.Second
	slots      = 8        // processes or instances of one generator at once
	maxOutput  = 64 << 10 // bytes of codes
	maxErrors  = 1 << 20  // bytes of standard error that are read at all
	keptErrors = 4 << 10  // of those, what is kept
	maxTold    = 1000     // of those, what an error tells
	maxCode    = 255      // characters
	exitData   = 65       // EX_DATAERR of sysexits.h
)

// Limits are a generator's bounds; what is 0 is the kind's default.
type Limits struct {
	Timeout time.Duration // of a process, of one try over HTTP, of an instance
	Memory  int64         // bytes, of a process or an instance
}

// or fills in what is not set.
func (l Limits) or(timeout time.Duration, memory int64) Limits {
	if l.Timeout == 0 {
		l.Timeout = timeout
	}
	if l.Memory == 0 {
		l.Memory = memory
	}
	return l
}

// A document is a request as generators read it. There may be more fields
// one day.
type document struct {
	Order       string     `json:"order"`
	Product     string     `json:"product"`
	LicenseType string     `json:"license_type"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Seeds       []string   `json:"seeds"` // never null
	OEMSeed     string     `json:"oem_seed"`
	Quantity    int        `json:"quantity"`
	Limit       int        `json:"limit"`
	ExpiresAt   *time.Time `json:"expires_at"`
}

// encode writes a request as one line of JSON.
func encode(r keygen.Request) ([]byte, error) {
	d := document{
		Order: r.OrderID, Product: r.Product, LicenseType: r.LicenseType, Name: r.Name, Email: r.Email,
		Seeds: append([]string{}, r.Seeds...), OEMSeed: r.OEMSeed, Quantity: r.Quantity, Limit: r.Limit,
	}
	if r.ExpiresAt != nil {
		at := r.ExpiresAt.UTC()
		d.ExpiresAt = &at
	}
	b, err := json.Marshal(d)
	return append(b, '\n'), err
}

// lines reads what was printed: a code a line.
func lines(out []byte, want int) ([]string, error) {
	text := strings.TrimRight(string(out), "\r\n")
	if text == "" {
		return nil, errors.New("it printed no code")
	}
	codes := strings.Split(text, "\n")
	for i := range codes {
		codes[i] = strings.TrimSpace(codes[i])
	}
	return codes, judge(codes, want)
}

// judge holds codes against what was asked; it tells none.
func judge(codes []string, want int) error {
	if len(codes) != want {
		return fmt.Errorf("it made %d codes, %d were wanted", len(codes), want)
	}
	for i, code := range codes {
		switch {
		case strings.TrimSpace(code) == "":
			return fmt.Errorf("code %d of %d is empty", i+1, want)
		case !utf8.ValidString(code):
			return fmt.Errorf("code %d of %d is not UTF-8", i+1, want)
		case utf8.RuneCountInString(code) > maxCode:
			return fmt.Errorf("code %d of %d has more than %d characters", i+1, want, maxCode)
		case strings.ContainsFunc(code, unicode.IsControl):
			return fmt.Errorf("code %d of %d has a control character in it", i+1, want)
		}
	}
	return nil
}

// told makes what a generator said fit for an error, which a log and a person
// see: escaped, and without what it repeats of the buyer.
func told(said string, r keygen.Request) string {
	said = strings.TrimSpace(said)
	for _, private := range append([]string{r.Name, r.Email, r.OEMSeed}, r.Seeds...) {
		if private = strings.TrimSpace(private); len(private) > 2 { // "a" is in every sentence
			said = strings.ReplaceAll(said, private, "…")
		}
	}
	if len(said) > maxTold {
		said = said[:maxTold] + "…"
	}
	quoted := strconv.Quote(said)
	return quoted[1 : len(quoted)-1]
}

// lacks is ErrRequest with the generator's own reason, the first line of it.
func lacks(said string, r keygen.Request) error {
	reason, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	if reason = told(reason, r); reason == "" {
		return keygen.ErrRequest
	}
	return fmt.Errorf("%w: %s", keygen.ErrRequest, reason)
}

// exited is the error of an exit code other than 0.
func exited(code int, said string, r keygen.Request) error {
	if code == exitData {
		return lacks(said, r)
	}
	return fmt.Errorf("exit code %d%s", code, because(said, r))
}

// because is what standard error adds to an error.
func because(said string, r keygen.Request) string {
	if said = told(said, r); said == "" {
		return ""
	}
	return ": " + said
}

var (
	errTimeout = errors.New("the time limit")
	errOutput  = fmt.Errorf("more than %d KiB of output", maxOutput>>10)
	errBusy    = fmt.Errorf("all %d slots were busy", slots)
)

// stopped says why a context ended that run bounded.
func stopped(ctx context.Context, timeout time.Duration) error {
	switch err := context.Cause(ctx); {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("stopped: it took more than %s", timeout)
	case errors.Is(err, errOutput):
		return fmt.Errorf("stopped: %w", err)
	default:
		return fmt.Errorf("stopped: %w", err)
	}
}

// A gate lets so many in at once.
type gate chan struct{}

// enter waits for a slot; leave gives it back.
func (g gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A capped writer keeps the first bytes; what is more than max in all is
// over's to act on.
type capped struct {
	buf       bytes.Buffer
	kept, max int
	seen      int
	over      func()
}

func (c *capped) Write(b []byte) (int, error) {
	if room := c.kept - c.buf.Len(); room > 0 {
		c.buf.Write(b[:min(room, len(b))])
	}
	if c.seen += len(b); c.seen > c.max {
		c.over()
		return 0, errOutput
	}
	return len(b), nil
}
