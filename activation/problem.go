package activation

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/keypost/keypost/store"
)

// A problem is an RFC 9457 problem document. Its code is stable: programs in
// the field act on it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Used   *int   `json:"used,omitempty"`  // limit_reached alone
	Limit  *int   `json:"limit,omitempty"` // limit_reached alone

	retryAfter int // seconds; 0: no such header
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

func newProblem(status int, code, title, detail string) problem {
	return problem{Type: "urn:keypost:problem:" + code, Title: title, Status: status, Code: code, Detail: detail}
}

func badRequest(detail string) problem {
	return newProblem(http.StatusBadRequest, "bad_request", "The request is incomplete or invalid", detail)
}

var (
	errMalformed = newProblem(http.StatusBadRequest, "code_malformed", "The code is mistyped",
		"The code's check symbol does not match: compare the code with the one that you received.")
	errUnknown = newProblem(http.StatusNotFound, "code_unknown", "The code is unknown",
		"No license of this product has this code.")
	errTest = newProblem(http.StatusForbidden, "code_test", "The code is from a test order",
		"Codes of test orders do not activate this product.")
	errNotActivated = newProblem(http.StatusNotFound, "not_activated", "The machine is not activated",
		"This machine does not use a seat of the license: activate it first.")
	errNotFound = newProblem(http.StatusNotFound, "not_found", "Nothing was found here",
		"Use POST /v1/activate, /v1/validate or /v1/deactivate.")
	errMethod = newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed", "")
	errLarge  = newProblem(http.StatusRequestEntityTooLarge, "too_large", "The request is too large",
		"A request can have at most "+strconv.Itoa(maxBody)+" bytes.")
	errMedia = newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "The content type is not supported",
		"Send application/json or application/x-www-form-urlencoded.")
	errUnavailable = newProblem(http.StatusServiceUnavailable, "unavailable", "The license store does not answer",
		"Try again in a few seconds.")
	errProductAway = newProblem(http.StatusServiceUnavailable, "unavailable", "The product is not set up on this server",
		"The server has licenses of this product, but its config does not name the product. Try again later, or contact the seller.")
	errLimited = newProblem(http.StatusTooManyRequests, "rate_limited", "Too many unknown codes",
		"This address sent many codes that do not exist. Try again later.")
)

// facts is the one table from what the store found to what the caller reads.
var facts = []struct {
	is   error
	code string
	title,
	detail string
}{
	{store.ErrRevoked, "code_revoked", "The license was revoked", "Contact the seller."},
	{store.ErrSuspended, "code_suspended", "The license is suspended", "Contact the seller."},
	{store.ErrExpired, "code_expired", "The license has expired", "Contact the seller for a renewal."},
}

// asProblem finds out what to answer. What it does not know is unavailable:
// a fixed text, and the caller may try again.
func asProblem(err error) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	for _, f := range facts {
		if errors.Is(err, f.is) {
			return newProblem(http.StatusForbidden, f.code, f.title, f.detail)
		}
	}
	p := errUnavailable
	p.retryAfter = 5
	return p
}

func limitReached(l store.License) problem {
	p := newProblem(http.StatusConflict, "limit_reached", "All seats are taken",
		"Deactivate another machine first, or ask the seller for more.")
	p.Used, p.Limit = &l.Used, &l.Limit
	return p
}

// callTimeout bounds a call: software in the field waits for it.
const callTimeout = 20 * time.Second

// call is a handler that answers with a value or an error; one adapter for all
// maps the error, logs once and writes.
type call func(*http.Request) (any, error)

func (c call) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	body, err := c(r.WithContext(ctx))
	if err == nil {
		writeJSON(w, http.StatusOK, "application/json", body)
		return
	}
	p := asProblem(err)
	if p.Status >= 500 && !errors.Is(err, store.ErrNoWrites) { // the daemon has logged that, once
		slog.Error("activation call failed", "err", err)
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p problem) {
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types marshal; a time may be past what JSON can say
		slog.Error("answer not written", "err", err)
		p := errUnavailable
		b, _ = json.Marshal(p)
		status, contentType = p.Status, "application/problem+json"
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a caller that hung up asks again
}

// NotFound and MethodNotAllowed answer what the router has no call for.
func NotFound(w http.ResponseWriter, _ *http.Request) { writeProblem(w, errNotFound) }

// MethodNotAllowed: see [NotFound].
func MethodNotAllowed(allow string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := errMethod
		p.Detail = "This address accepts " + allow + "."
		w.Header().Set("Allow", allow)
		writeProblem(w, p)
	})
}
