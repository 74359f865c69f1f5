package config

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"strings"

	"github.com/keypost/keypost/delivery"
)

//go:embed keypost.toml
var template string

// New is the text of a new, commented config with secrets of its own.
func New() []byte {
	return []byte(strings.NewReplacer("WEBHOOK-SECRET-MADE-BY-INIT", newWebhookSecret(), "SECRET-MADE-BY-INIT", newSecret()).Replace(template))
}

// newSecret has 130 random bits, in characters that a digest does not fold
// together.
func newSecret() string {
	b := make([]byte, 20)
	rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))[:26]
}

func newWebhookSecret() string {
	s := make(delivery.Secret, 32)
	rand.Read(s) // never fails
	return s.Encode()
}
