package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/keypost/keypost/keygen"
)

const (
	httpTimeout = 10 * time.Second
	httpTries   = 3
	httpPause   = time.Second // before the second try; it doubles, and is half to all of that
)

// An HTTP generator asks a server of the vendor's, with a signed POST.
type HTTP struct {
	client *http.Client
	url    string
	sign   Sign
	limits Limits
	gate   gate
	pause  time.Duration
}

// Sign sets the headers that sign a body, for a try made at a time.
type Sign func(h http.Header, id string, at time.Time, body []byte)

// NewHTTP makes a generator of the server at a URL. Which addresses may be
// called is the client's business; it must follow no redirects, for the
// request holds a buyer.
func NewHTTP(client *http.Client, url string, sign Sign, l Limits) *HTTP {
	return &HTTP{client: client, url: url, sign: sign, limits: l.or(httpTimeout, 0), gate: make(gate, slots), pause: httpPause}
}

// Fixed: the same order gets the same answer, for it has the same id.
func (h *HTTP) Fixed() {}

// passing is what another try may mend.
type passing struct{ error }

// Generate asks, and again where the server was away or had trouble.
func (h *HTTP) Generate(ctx context.Context, r keygen.Request) ([]string, error) {
	body, err := encode(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTerm, errBusy)
	defer cancel()
	leave, err := h.gate.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("the generator's server: %w", err)
	}
	defer leave()
	for try := 1; ; try++ {
		codes, err := h.ask(ctx, body, r)
		if err == nil || errors.Is(err, keygen.ErrRequest) {
			return codes, err
		}
		_, again := errors.AsType[passing](err)
		if !again || try == httpTries || !h.sleep(ctx, try) {
			return nil, fmt.Errorf("the generator's server, asked %d of %d times: %w", try, httpTries, err)
		}
	}
}

// sleep pauses after a try, at random so that what failed together does not
// come again together; false: ctx ended.
func (h *HTTP) sleep(ctx context.Context, try int) bool {
	pause := h.pause << (try - 1)
	pause = pause/2 + rand.N(pause/2+1)
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// key is the id of a request: the order's with the product, for a bundle's
// order asks for several, and a held one may be approved for another.
func key(r keygen.Request) string { return r.OrderID + ":" + r.Product }

// ask makes one try.
func (h *HTTP) ask(ctx context.Context, body []byte, r keygen.Request) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.limits.Timeout, errTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Keypost")
	req.Header.Set("Idempotency-Key", key(r))
	h.sign(req.Header, key(r), time.Now(), body)
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, h.away(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput+1))
	switch {
	case err != nil:
		return nil, h.away(ctx, err)
	case len(answer) > maxOutput:
		return nil, fmt.Errorf("HTTP %d: %w", resp.StatusCode, errOutput)
	}
	return read(resp.StatusCode, answer, r)
}

// away is a try that got no answer.
func (h *HTTP) away(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return passing{fmt.Errorf("no answer within %s", h.limits.Timeout)}
	}
	return passing{withoutURL(err)}
}

// withoutURL leaves a URL out of an error: there may be a secret in it.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// read judges an answer.
func read(status int, answer []byte, r keygen.Request) ([]string, error) {
	var a struct {
		Codes []string `json:"codes"`
		Error string   `json:"error"`
	}
	err := json.Unmarshal(answer, &a)
	switch {
	case status == http.StatusUnprocessableEntity:
		return nil, lacks(a.Error, r) // without a reason that can be read it is one all the same
	case status == http.StatusTooManyRequests || status >= 500:
		return nil, passing{fmt.Errorf("HTTP %d%s", status, because(a.Error, r))}
	case status != http.StatusOK:
		return nil, fmt.Errorf("HTTP %d%s", status, because(a.Error, r))
	case err != nil:
		return nil, errors.New(`the answer is not {"codes": ["…"]}`) // the error could tell a code
	}
	return a.Codes, judge(a.Codes, r.Quantity)
}
