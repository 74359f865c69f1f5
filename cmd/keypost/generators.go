package main

import (
	"errors"
	"fmt"
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

	// random
	Groups   *int   `toml:"groups"`
	Length   *int   `toml:"length"`
	Alphabet string `toml:"alphabet"`
	Prefix   string `toml:"prefix"`

	// pattern
	Pattern string `toml:"pattern"`
	Check   string `toml:"check"`

	// aes-name, machine: what the product's software shares with us;
	// cocoafob, aquaticprime: a private key, in a file alone
	Key     string `toml:"key"`
	KeyFile string `toml:"key_file"`

	// aes-name
	Mode     string `toml:"mode"`
	IV       string `toml:"iv"`
	Encoding string `toml:"encoding"`
	Output   string `toml:"output"`
	Case     string `toml:"case"`
	Group    *int   `toml:"group"`
	SameName string `toml:"same_name"`

	// machine
	Keyword string `toml:"keyword"`
	Shape   string `toml:"shape"`
	Example string `toml:"example"`

	// signed
	Licensee bool `toml:"licensee"`

	// cocoafob
	ProductCode string `toml:"product_code"`
	Text        string `toml:"text"`

	// aquaticprime
	Extension string            `toml:"extension"`
	Fields    map[string]string `toml:"fields"`

	// command, http, wasm
	Command    []string  `toml:"command"`
	RunAs      string    `toml:"run_as"`
	URL        string    `toml:"url"`
	Secret     string    `toml:"secret"`
	SecretFile string    `toml:"secret_file"`
	Secrets    []string  `toml:"secrets"`
	Private    bool      `toml:"private"`
	Module     string    `toml:"module"`
	Timeout    *duration `toml:"timeout"`
	Memory     *int      `toml:"memory"` // MiB
}

// A generatorKind is a way to make codes.
type generatorKind struct {
	keys []string // of generatorConfig that it has, beside kind
	// build makes the generator. It does nothing that takes long: each command
	// that reads the config calls it. Its errors name no key, but for
	// keygen.OptionError.
	build func(c *config, p *productConfig) (ingest.Codes, error)
}

// generators is the one table of them; a new kind is a file in keygen and a
// line here.
var generators = map[string]generatorKind{
	"command": {keys: []string{"command", "run_as", "timeout", "memory"}, build: buildCommand},
	"http":    {keys: []string{"url", "secret", "secret_file", "secrets", "private", "timeout"}, build: buildHTTP},
	"pool":    {keys: []string{"pool", "file", "low"}, build: buildPool},
	"random":  {keys: []string{"groups", "length", "alphabet", "prefix"}, build: buildRandom},
	"pattern": {keys: []string{"pattern", "check"}, build: buildPattern},
	"aes-name": {
		keys:  []string{"key", "key_file", "mode", "iv", "encoding", "output", "case", "group", "same_name"},
		build: buildAESName,
	},
	"machine": {
		keys:  []string{"key", "key_file", "keyword", "shape", "example", "groups", "length"},
		build: buildMachine,
	},
	"cocoafob":     {keys: []string{"key_file", "product_code", "text"}, build: buildCocoaFob},
	"aquaticprime": {keys: []string{"key_file", "extension", "fields"}, build: buildAquaticPrime},
	"signed":       {keys: []string{"licensee", "group"}, build: buildSigned},
	"wasm":         {keys: []string{"module", "timeout", "memory"}, build: buildWasm},
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
	p.codes, err = kind.build(c, p)
	if e, ok := errors.AsType[*keygen.OptionError](err); ok {
		return c.errorf(key("generator."+e.Option), "%s", e.Problem)
	}
	if err != nil {
		return c.errorf(key("generator"), "%v", err)
	}
	return nil
}

func buildRandom(_ *config, p *productConfig) (ingest.Codes, error) {
	g := p.Generator
	groups, length, err := g.size()
	if err != nil {
		return ingest.Codes{}, err
	}
	r := keygen.Random{Groups: groups, Length: length, Alphabet: g.Alphabet, Prefix: g.Prefix}
	return ingest.Codes{Compute: r}, r.Check()
}

// size is how many groups of symbols a code has, and how many symbols a group;
// 0 is keygen's default.
func (g generatorConfig) size() (groups, length int, err error) {
	for option, n := range map[string]*int{"groups": g.Groups, "length": g.Length} {
		if n != nil && *n < 1 {
			return 0, 0, &keygen.OptionError{Option: option, Problem: "it must be at least 1"}
		}
	}
	return orElse(g.Groups, 0), orElse(g.Length, 0), nil
}

func orElse(n *int, without int) int {
	if n == nil {
		return without
	}
	return *n
}

func buildPattern(_ *config, p *productConfig) (ingest.Codes, error) {
	g, err := keygen.NewPattern(p.Generator.Pattern, p.Generator.Check)
	return ingest.Codes{Compute: g}, err
}

// secretKey is what the product's software shares with us.
func (c *config) secretKey(g generatorConfig) (string, error) {
	switch {
	case g.KeyFile == "" && g.Key == "":
		return "", &keygen.OptionError{Option: "key", Problem: "it is missing: give it, or key_file"}
	case g.KeyFile == "":
		return g.Key, nil
	case g.Key != "":
		return "", &keygen.OptionError{Option: "key_file", Problem: "key is there too: keep one of them"}
	}
	key, err := readSecret(c.path(g.KeyFile))
	if err != nil {
		return "", &keygen.OptionError{Option: "key_file", Problem: err.Error()}
	}
	return key, nil
}

func buildAESName(c *config, p *productConfig) (ingest.Codes, error) {
	o := p.Generator
	key, err := c.secretKey(o)
	if err != nil {
		return ingest.Codes{}, err
	}
	g, err := keygen.NewAESName(keygen.AESNameOptions{
		Key: key, Mode: o.Mode, IV: o.IV, Encoding: o.Encoding, Output: o.Output, Case: o.Case, Group: orElse(o.Group, 0),
	})
	if err == nil && !slices.Contains([]string{"", "hold", "share"}, o.SameName) {
		err = &keygen.OptionError{Option: "same_name", Problem: fmt.Sprintf("%q: it must be hold or share", o.SameName)}
	}
	return ingest.Codes{Compute: g, Share: o.SameName == "share"}, err
}

// defaultExample is a machine's number that check tries.
const defaultExample = "0123-4567"

func buildMachine(c *config, p *productConfig) (ingest.Codes, error) {
	o := &p.Generator
	key, err := c.secretKey(*o)
	if err != nil {
		return ingest.Codes{}, err
	}
	groups, length, err := o.size()
	if err != nil {
		return ingest.Codes{}, err
	}
	g, err := keygen.NewMachine(keygen.MachineOptions{
		Key: key, Keyword: o.Keyword, Shape: o.Shape, Groups: groups, Length: length, Seed: ingest.Seed,
	})
	if err != nil {
		return ingest.Codes{}, err
	}
	switch {
	case o.Example == "" && o.Shape == "":
		o.Example = defaultExample
	case o.Example == "":
		return ingest.Codes{}, &keygen.OptionError{Option: "example", Problem: "it is missing: give a number of this shape, for keypost check"}
	}
	if !g.Fits(o.Example) {
		return ingest.Codes{}, &keygen.OptionError{Option: "example", Problem: fmt.Sprintf("%q has not the shape (of capital letters and digits, without spaces and dashes)", o.Example)}
	}
	return ingest.Codes{Compute: g}, nil
}

// defaultGroup is how many symbols of a signed code are between dashes.
const defaultGroup = 5

func buildSigned(c *config, p *productConfig) (ingest.Codes, error) {
	group := orElse(p.Generator.Group, defaultGroup)
	if group < 0 {
		return ingest.Codes{}, &keygen.OptionError{Option: "group", Problem: "it must be 0 (no dashes) or more"}
	}
	return ingest.Codes{Compute: keygen.Signed{Signer: c.codeSigner(p.ID), Name: p.Generator.Licensee, Group: group}}, nil
}

// privateKey is what signs a product's codes or files.
func (c *config) privateKey(g generatorConfig) (string, error) {
	if g.KeyFile == "" {
		return "", &keygen.OptionError{Option: "key_file", Problem: "it is missing: name the file with the private key"}
	}
	return c.secretKey(g)
}

func buildCocoaFob(c *config, p *productConfig) (ingest.Codes, error) {
	o := p.Generator
	key, err := c.privateKey(o)
	if err != nil {
		return ingest.Codes{}, err
	}
	if o.ProductCode == "" {
		o.ProductCode = p.ID
	}
	g, err := keygen.NewCocoaFob(keygen.CocoaFobOptions{Key: key, Product: o.ProductCode, Text: o.Text})
	return ingest.Codes{Compute: g}, err
}

func buildAquaticPrime(c *config, p *productConfig) (ingest.Codes, error) {
	o := p.Generator
	key, err := c.privateKey(o)
	if err != nil {
		return ingest.Codes{}, err
	}
	g, err := keygen.NewAquaticPrime(keygen.AquaticPrimeOptions{Key: key, Product: p.Name, Extension: o.Extension, Fields: o.Fields})
	return ingest.Codes{Compute: g}, err
}
