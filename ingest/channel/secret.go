package channel

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// SharedSecret are the keys of a secret that the store has, too. While it is
// rotated there are two, and either will do.
type SharedSecret struct {
	Secret     string   `toml:"secret"`
	SecretFile string   `toml:"secret_file"`
	Secrets    []string `toml:"secrets"` // after Complete: all of them
}

// Complete reads the secrets; there must be one.
func (k *SharedSecret) Complete(s *Setup) (err error) {
	if k.Secret, err = s.Secret("secret", k.Secret, k.SecretFile); err != nil {
		return err
	}
	if k.Secret != "" && len(k.Secrets) > 0 {
		return s.Errorf("secrets", "secret is set too: keep one of them")
	}
	if k.Secret != "" {
		k.Secrets = []string{k.Secret}
	}
	if len(k.Secrets) == 0 {
		return s.Errorf("secret", "it is missing: set the secret that you agreed on with the store")
	}
	for _, secret := range k.Secrets {
		if secret == "" {
			return s.Errorf("secrets", "one of them is empty")
		}
	}
	return nil
}

// A digest lets its secret be guessed from one post, on the guesser's own
// machine: it is computed billions of times a second, and case may not count.
// Sixteen random letters and digits have 82 bits, which is out of reach.
const (
	minSecret        = 16
	minSecretSymbols = 8 // different ones: "aaaaaaaaaaaaaaaa" is long, too
)

func weakSecret(secret string) bool {
	symbols := map[rune]bool{}
	for _, c := range strings.ToLower(secret) {
		symbols[c] = true
	}
	return utf8.RuneCountInString(secret) < minSecret || len(symbols) < minSecretSymbols
}

// Worry is a sentence about secrets that can be guessed; "": none can.
func (k *SharedSecret) Worry() string {
	for _, s := range k.Secrets {
		if weakSecret(s) {
			return fmt.Sprintf("anyone who sees one post can guess such a short secret. Agree on at least %d random letters and digits, "+
				"for example the output of openssl rand -hex 16. Until the store uses it, keep both: secrets = [\"new\", \"old\"].", minSecret)
		}
	}
	return ""
}

// ReadSecret reads a file that holds one secret.
func ReadSecret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(b), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return value, nil
}
