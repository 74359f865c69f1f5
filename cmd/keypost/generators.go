package main

import (
	"reflect"
	"slices"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
)

// generatorConfig is a product's generator: the keys of all kinds.
type generatorConfig struct {
	Kind string `toml:"kind"`

	// pool
	Pool string `toml:"pool"`
	File string `toml:"file"`
	Low  *int   `toml:"low"`

	// command, http, wasm
	Command    []string  `toml:"command"`
	RunAs      string    `toml:"run_as"`
	URL        string    `toml:"url"`
	Secret     string    `toml:"secret"`
	SecretFile string    `toml:"secret_file"`
	Private    bool      `toml:"private"`
	Module     string    `toml:"module"`
	Timeout    *duration `toml:"timeout"`
	Memory     *int      `toml:"memory"` // MiB
}

// A generatorKind is a way to make codes.
type generatorKind struct {
	keys []string // of generatorConfig that it has, beside kind
	// build makes the generator. It does nothing that takes long: each command
	// that reads the config calls it. Its errors name no key.
	build func(c *config, p *productConfig) (ingest.Codes, error)
}

// generators is the one table of them; a new kind is a file in keygen and a
// line here.
var generators = map[string]generatorKind{
	"command": {keys: []string{"command", "run_as", "timeout", "memory"}, build: buildCommand},
	"http":    {keys: []string{"url", "secret", "secret_file", "private", "timeout"}, build: buildHTTP},
	"pool":    {keys: []string{"pool", "file", "low"}, build: buildPool},
	"random": {build: func(*config, *productConfig) (ingest.Codes, error) {
		return ingest.Codes{Compute: keygen.Random{}}, nil
	}},
	"wasm": {keys: []string{"module", "timeout", "memory"}, build: buildWasm},
}

func (c *config) completeGenerator(key func(string) string, p *productConfig) (err error) {
	g := &p.Generator
	if g.Kind == "" {
		g.Kind = "random"
	}
	kind, ok := generators[g.Kind]
	if !ok {
		return c.errorf(key("generator.kind"), "unknown generator %q: it must be one of %s", g.Kind, names(generators))
	}
	v := reflect.ValueOf(*g)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("toml")
		if name != "" && name != "kind" && !v.Field(i).IsZero() && !slices.Contains(kind.keys, name) {
			return c.errorf(key("generator."+name), "a %s generator has no such key", g.Kind)
		}
	}
	if p.codes, err = kind.build(c, p); err != nil {
		return c.errorf(key("generator"), "%v", err)
	}
	return nil
}
