package main

import (
	"path/filepath"
	"testing"

	"github.com/keypost/keypost/cmd/keypost/config"
)

// parsed reads a config's text.
func parsed(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	return config.Parse(filepath.Join(t.TempDir(), config.Name), []byte(text))
}

const goodProduct = `
[[product]]
id = "demo"
`
