package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen"
)

// A generator is one kind's keys of a product's generator.
type generator interface {
	// build makes the generator. It does nothing that takes long: each command
	// that reads the config calls it. An error about one key is a
	// [keygen.OptionError].
	build(c *Config, p *Product) (ingest.Codes, error)
}

// generators is the one list of the kinds; a new one is a file in keygen, a
// struct of its keys and a line here.
var generators = map[string]func() generator{
	"random":       func() generator { return &random{} },
	"pattern":      func() generator { return &pattern{} },
	"pool":         func() generator { return &pool{} },
	"aes-name":     func() generator { return &aesName{} },
	"machine":      func() generator { return &machine{} },
	"cocoafob":     func() generator { return &cocoaFob{} },
	"aquaticprime": func() generator { return &aquaticPrime{} },
	"signed":       func() generator { return &signed{} },
	"command":      func() generator { return &command{} },
	"http":         func() generator { return &httpServer{} },
	"wasm":         func() generator { return &wasm{} },
}

// generatorKey is the key of all kinds.
type generatorKey struct {
	Kind string `toml:"kind"`
}

const defaultGenerator = "random"

func (c *Config) completeGenerator(key func(string) string, p *Product) (err error) {
	if p.kind = defaultGenerator; p.Generator["kind"] != nil {
		var text bool
		if p.kind, text = p.Generator["kind"].(string); !text {
			return c.errorf(key("generator.kind"), `it must be a string, in quotes`)
		}
		p.kind = cmp.Or(p.kind, defaultGenerator)
	}
	make, ok := generators[p.kind]
	if !ok {
		return c.errorf(key("generator.kind"), "unknown generator %q: it must be one of %s", p.kind, strings.Join(slices.Sorted(maps.Keys(generators)), ", "))
	}
	g := make()
	if err := c.decodeTable(key("generator"), p.Generator, "a "+p.kind+" generator", &generatorKey{}, g); err != nil {
		return err
	}
	p.codes, err = g.build(c, p)
	if e, ok := errors.AsType[*keygen.OptionError](err); ok {
		return c.errorf(key("generator."+e.Option), "%s", e.Problem)
	}
	if err != nil { // a package that knows no options may begin with the key's name
		if option, problem, ok := strings.Cut(err.Error(), ": "); ok && slices.Contains(keysOf(reflect.TypeOf(g)), option) {
			return c.errorf(key("generator."+option), "%s", problem)
		}
		return c.errorf(key("generator"), "%v", err)
	}
	return nil
}

// wrong is an error about one key of a generator.
func wrong(option, format string, args ...any) error {
	return &keygen.OptionError{Option: option, Problem: fmt.Sprintf(format, args...)}
}

// size is how many groups of symbols a code has, and how many symbols a group.
type size struct {
	Groups *int `toml:"groups"`
	Length *int `toml:"length"`
}

// read is the size; 0 is keygen's default.
func (s size) read() (groups, length int, err error) {
	for option, n := range map[string]*int{"groups": s.Groups, "length": s.Length} {
		if n != nil && *n < 1 {
			return 0, 0, wrong(option, "it must be at least 1")
		}
	}
	return orElse(s.Groups, 0), orElse(s.Length, 0), nil
}

func orElse(n *int, without int) int {
	if n == nil {
		return without
	}
	return *n
}

type random struct {
	size
	Alphabet string `toml:"alphabet"`
	Prefix   string `toml:"prefix"`
}

func (g *random) build(*Config, *Product) (ingest.Codes, error) {
	groups, length, err := g.read()
	if err != nil {
		return ingest.Codes{}, err
	}
	r := keygen.Random{Groups: groups, Length: length, Alphabet: g.Alphabet, Prefix: g.Prefix}
	return ingest.Codes{Compute: r}, r.Check()
}

type pattern struct {
	Pattern string `toml:"pattern"`
	Check   string `toml:"check"`
}

func (g *pattern) build(*Config, *Product) (ingest.Codes, error) {
	made, err := keygen.NewPattern(g.Pattern, g.Check)
	return ingest.Codes{Compute: made}, err
}

// pool: codes that were made elsewhere and loaded. A pool has its product's name,
// unless several share one.
type pool struct {
	Pool string `toml:"pool"`
	File string `toml:"file"`
	Low  *int   `toml:"low"`
}

func (g *pool) build(c *Config, p *Product) (ingest.Codes, error) {
	if g.Pool == "" {
		g.Pool = p.ID
	}
	if !channel.IsID(g.Pool) {
		return ingest.Codes{}, wrong("pool", "%q: %s", g.Pool, channel.IDHint)
	}
	if g.Low == nil {
		g.Low = new(int)
		*g.Low = admin.DefaultLow
	}
	if *g.Low < 0 {
		return ingest.Codes{}, wrong("low", "it must be 0 or more")
	}
	if g.File != "" {
		g.File = c.path(g.File)
		if _, err := os.Stat(g.File); err != nil {
			return ingest.Codes{}, wrong("file", "%v", err)
		}
	}
	p.pool = g
	return ingest.Codes{Pool: g.Pool}, nil
}

// sharedKey is what the product's software shares with us.
type sharedKey struct {
	Key     string `toml:"key"`
	KeyFile string `toml:"key_file"`
}

func (k sharedKey) read(c *Config) (string, error) {
	switch {
	case k.KeyFile == "" && k.Key == "":
		return "", wrong("key", "it is missing: set key or key_file")
	case k.KeyFile == "":
		return k.Key, nil
	case k.Key != "":
		return "", wrong("key_file", "key is set too: keep one of them")
	}
	key, err := channel.ReadSecret(c.path(k.KeyFile))
	if err != nil {
		return "", wrong("key_file", "%v", err)
	}
	return key, nil
}

type aesName struct {
	sharedKey
	Mode     string `toml:"mode"`
	IV       string `toml:"iv"`
	Encoding string `toml:"encoding"`
	Output   string `toml:"output"`
	Case     string `toml:"case"`
	Group    *int   `toml:"group"`
	SameName string `toml:"same_name"`
}

func (g *aesName) build(c *Config, _ *Product) (ingest.Codes, error) {
	key, err := g.read(c)
	if err != nil {
		return ingest.Codes{}, err
	}
	made, err := keygen.NewAESName(keygen.AESNameOptions{
		Key: key, Mode: g.Mode, IV: g.IV, Encoding: g.Encoding, Output: g.Output, Case: g.Case, Group: orElse(g.Group, 0),
	})
	if err == nil && !slices.Contains([]string{"", "hold", "share"}, g.SameName) {
		err = wrong("same_name", "%q: it must be hold or share", g.SameName)
	}
	return ingest.Codes{Compute: made, Share: g.SameName == "share"}, err
}

type machine struct {
	sharedKey
	size
	Keyword string `toml:"keyword"`
	Shape   string `toml:"shape"`
	Example string `toml:"example"`
}

// defaultExample is a machine's number that check tries.
const defaultExample = "0123-4567"

func (g *machine) build(c *Config, p *Product) (ingest.Codes, error) {
	key, err := g.sharedKey.read(c)
	if err != nil {
		return ingest.Codes{}, err
	}
	groups, length, err := g.size.read()
	if err != nil {
		return ingest.Codes{}, err
	}
	made, err := keygen.NewMachine(keygen.MachineOptions{
		Key: key, Keyword: g.Keyword, Shape: g.Shape, Groups: groups, Length: length, Seed: ingest.Seed,
	})
	if err != nil {
		return ingest.Codes{}, err
	}
	switch {
	case g.Example == "" && g.Shape == "":
		g.Example = defaultExample
	case g.Example == "":
		return ingest.Codes{}, wrong("example", "it is missing: set a sample number of this shape, for keypost check")
	}
	if !made.Fits(g.Example) {
		return ingest.Codes{}, wrong("example", "%q does not match the shape (capital letters and digits, without spaces and dashes)", g.Example)
	}
	p.seeds = []string{"Keyword: " + g.Keyword + " - " + g.Example}
	return ingest.Codes{Compute: made}, nil
}

type signed struct {
	Licensee bool `toml:"licensee"`
	Group    *int `toml:"group"`
}

// defaultGroup is how many symbols of a signed code are between dashes.
const defaultGroup = 5

func (g *signed) build(c *Config, p *Product) (ingest.Codes, error) {
	group := orElse(g.Group, defaultGroup)
	if group < 0 {
		return ingest.Codes{}, wrong("group", "it must be 0 (no dashes) or more")
	}
	return ingest.Codes{Compute: keygen.Signed{Signer: admin.CodeSigner(c.Keys.MasterFile, p.ID), Name: g.Licensee, Group: group}}, nil
}

// privateKey signs a product's codes or files. It is in a file alone.
type privateKey struct {
	KeyFile string `toml:"key_file"`
}

func (k privateKey) read(c *Config) (string, error) {
	if k.KeyFile == "" {
		return "", wrong("key_file", "it is missing: name the file with the private key")
	}
	return sharedKey{KeyFile: k.KeyFile}.read(c)
}

type cocoaFob struct {
	privateKey
	ProductCode string `toml:"product_code"`
	Text        string `toml:"text"`
}

func (g *cocoaFob) build(c *Config, p *Product) (ingest.Codes, error) {
	key, err := g.read(c)
	if err != nil {
		return ingest.Codes{}, err
	}
	if g.ProductCode == "" {
		g.ProductCode = p.ID
	}
	made, err := keygen.NewCocoaFob(keygen.CocoaFobOptions{Key: key, Product: g.ProductCode, Text: g.Text})
	return ingest.Codes{Compute: made}, err
}

type aquaticPrime struct {
	privateKey
	Extension string            `toml:"extension"`
	Fields    map[string]string `toml:"fields"`
}

func (g *aquaticPrime) build(c *Config, p *Product) (ingest.Codes, error) {
	key, err := g.read(c)
	if err != nil {
		return ingest.Codes{}, err
	}
	made, err := keygen.NewAquaticPrime(keygen.AquaticPrimeOptions{Key: key, Product: p.Name, Extension: g.Extension, Fields: g.Fields})
	return ingest.Codes{Compute: made}, err
}
