// Package delivery empties the outbox. It mails codes to buyers, mails the vendor
// what a person must look at, and tells the vendor's own programs by signed POSTs
// to webhooks.
//
// A notice in the outbox names an event, and the order, license or mail that it is
// about. What is sent is rendered when it is sent, so it says how things are by
// then. Delivery is at least once, always under the one Message-ID or event id by
// which a receiver knows a repeat. A webhook is tried for three days, a mail for
// four; what is given up stays in the outbox, dead, with its reason, until a person
// retries it.
//
// Webhooks: webhook.go is the wire (Standard Webhooks 1.0.0, standardwebhooks.com),
// send.go the worker; what an address may be dialled is up to the HTTP client, which
// the caller brings. Mail: mail.go is the worker, smtp.go and line.go the wire,
// letter.go a mail to a buyer, template.go its text; heldorders.go, heldmails.go,
// refused.go, outage.go and digest.go are the mails to the vendor; bounce.go reads
// what came back.
package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// EventTest is the type of the event that [Endpoint.Test] sends; nothing happened.
const EventTest store.Event = "webhook.test"

// A Secret is what a webhook's events are signed with.
type Secret []byte

// A secret's size in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// secretPrefix tells a secret from other base64.
const secretPrefix = "whsec_"

var errSecret = fmt.Errorf("it must be %s and %d-%d bytes in base64", secretPrefix, minSecret, maxSecret)

// ParseSecret reads a secret; its error does not tell it.
//
// Standard Webhooks, "Signature scheme": base64, prefixed with whsec_, at
// least 24 bytes and at most 512 bits.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if !ok || err != nil || len(b) < minSecret || len(b) > maxSecret {
		return nil, errSecret
	}
	return b, nil
}

// Encode writes a secret as ParseSecret reads it. It is no String: nothing
// prints a secret by accident.
func (s Secret) Encode() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// Sign sets the headers of one try. The id is the same at each try of an
// event; at is when this try is made. With several secrets, while one is
// rotated, any of the signatures will do for a receiver.
func Sign(h http.Header, id string, at time.Time, body []byte, secrets ...Secret) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, s := range secrets {
		// Standard Webhooks, "Signature scheme": {msg_id}.{timestamp}.{payload}
		mac := hmac.New(sha256.New, s)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	// Standard Webhooks, "Webhook headers".
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", strings.Join(signatures, " "))
}

// An event is the document that a webhook gets.
//
// Standard Webhooks, "Payload structure": timestamp is when it happened.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Order   *order   `json:"order,omitempty"`
	License *license `json:"license,omitempty"` // events of a license alone
}

// An order has the names of the commands' --json.
type order struct {
	Store       string   `json:"store"`
	Transaction string   `json:"transaction"`
	Line        int      `json:"line"`
	Product     *string  `json:"product"`
	Quantity    int      `json:"quantity"`
	Status      string   `json:"status"`
	Reason      *string  `json:"reason"`
	Test        bool     `json:"test"`
	Licenses    []string `json:"licenses"`
	LicenseType string   `json:"license_type"`
	Name        string   `json:"name"`
	Email       string   `json:"email"`
	Price       string   `json:"price"`
	Currency    string   `json:"currency"`
	Refunded    bool     `json:"refunded"`
}

// A license likewise.
type license struct {
	Code    string `json:"code"`
	Product string `json:"product"`
	Status  string `json:"status"`
	Type    string `json:"type"`
	Test    bool   `json:"test"`
	Limit   int    `json:"limit"`
	Used    int    `json:"used"`
}

// Document renders a notice about an order, and about one of its licenses
// where l is not nil, as they are now.
func Document(n store.Notice, o store.Order, l *store.License) ([]byte, error) {
	e := event{Type: n.Kind, Timestamp: n.CreatedAt.UTC(), Data: data{Order: &order{
		Store: o.Store, Transaction: o.Transaction, Line: o.Line, Product: orNull(o.Product), Quantity: o.Quantity,
		Status: o.Status, Reason: orNull(o.Reason), Test: o.Test, Licenses: []string{}, LicenseType: o.LicenseType,
		Name: o.Name, Email: o.Email, Price: o.Price, Currency: o.Currency, Refunded: o.Refunded,
	}}}
	for _, l := range o.Licenses {
		e.Data.Order.Licenses = append(e.Data.Order.Licenses, l.Code)
	}
	if l != nil {
		e.Data.License = &license{l.Code, l.Product, l.Status, l.Type, l.Test, l.Limit, l.Used}
	}
	return json.Marshal(e)
}

func testDocument(at time.Time) ([]byte, error) {
	return json.Marshal(event{Type: string(EventTest), Timestamp: at.UTC()})
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// retryAfter reads the header of that name: how long the receiver wants to be
// left alone; 0: it does not say, or nothing that makes sense.
//
// RFC 9110, 10.2.3: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
