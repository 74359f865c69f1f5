package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
)

// defaultConfig is looked for where --config names no file.
const defaultConfig = "keypost.toml"

// config is keypost.toml. Each package gets its own part of it, by the methods
// below and those of channels.go.
type config struct {
	Server   serverConfig    `toml:"server"`
	Database databaseConfig  `toml:"database"`
	Keys     keysConfig      `toml:"keys"`
	Products []productConfig `toml:"product"`
	Channels []channelConfig `toml:"channel"`

	file   string // "": the built-in demo
	folder string // what relative paths start at
	lines  lines
}

type serverConfig struct {
	Listen         string   `toml:"listen"`
	PublicURL      string   `toml:"public_url"`
	TrustedProxies []string `toml:"trusted_proxies"`
	Misses         *int     `toml:"misses"`

	proxies []netip.Prefix
	derived bool // PublicURL comes from where we listen
}

type databaseConfig struct {
	URL     string `toml:"url"`
	URLFile string `toml:"url_file"`
}

type keysConfig struct {
	MasterFile string `toml:"master_file"`
	AuditFile  string `toml:"audit_file"`
}

type productConfig struct {
	ID         string          `toml:"id"`
	Name       string          `toml:"name"`
	Aliases    []string        `toml:"aliases"`
	Limit      *int            `toml:"limit"`
	Limits     map[string]int  `toml:"limits"`
	PriceFloor string          `toml:"price_floor"`
	Generator  generatorConfig `toml:"generator"`
	AcceptTest bool            `toml:"accept_test"`
	Lease      *duration       `toml:"lease"`
}

type generatorConfig struct {
	Kind string `toml:"kind"`
}

// duration is a time.Duration as "168h".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf(`%q is not a duration like "168h"`, b)
	}
	*d = duration(v)
	return nil
}

const (
	defaultListen = "127.0.0.1:8080"
	defaultDB     = "sqlite:data/keypost.db"
	defaultLease  = 168 * time.Hour
	defaultMisses = 100
	minLease      = time.Minute
)

// exampleSecret is the specification's: everybody knows it.
const exampleSecret = "MyTestPassword"

// demo is what there is without a config file: the example order of the
// specification works.
func demo() *config {
	limit := 3
	return &config{
		folder: ".",
		Products: []productConfig{{
			ID: "demo", Name: "Demo", Aliases: []string{"Product_Name"}, Limit: &limit, Generator: generatorConfig{Kind: "random"},
		}},
		Channels: []channelConfig{{Name: "kagi", Kind: "krps", Secret: exampleSecret, Digest: "md5"}},
	}
}

// loadConfig reads the file, or ./keypost.toml if there is one and file is "",
// or makes up the demo.
func loadConfig(file string) (*config, error) {
	if file == "" {
		if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
			c := demo()
			return c, c.complete()
		}
		file = defaultConfig
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w (make one with: keypost init)", err)
	}
	c := &config{file: file, folder: filepath.Dir(file)}
	if err := c.parse(b); err != nil {
		return nil, err
	}
	return c, c.complete()
}

// parse reads TOML; its errors name file, line and key.
func (c *config) parse(b []byte) error {
	d := toml.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range strict.Errors {
			row, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: unknown key %s", c.file, row, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return fmt.Errorf("%s:%d:%d: %s%s", c.file, row, column, keyOf(e), plainTOML(e.Error()))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.file, err)
	}
	c.lines = findLines(b)
	return nil
}

func keyOf(e *toml.DecodeError) string {
	if len(e.Key()) == 0 {
		return ""
	}
	return strings.Join(e.Key(), ".") + ": "
}

var wrongType = regexp.MustCompile(`cannot decode TOML ([a-z ]+) into .* of type (\S+)`)

// plainTOML says a decoder's error without Go's names.
func plainTOML(message string) string {
	message = strings.TrimPrefix(message, "toml: ")
	m := wrongType.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	wants := map[string]string{"int": "a whole number", "string": "a \"text\"", "[]string": "a list of texts", "bool": "true or false"}
	want, ok := wants[strings.TrimPrefix(m[2], "*")]
	if !ok {
		want = "something else"
	}
	return fmt.Sprintf("it must be %s, and is a %s", want, m[1])
}

// errorf is an error about a key, with its line where it is written.
func (c *config) errorf(key, format string, args ...any) error {
	where := key
	if c.file != "" {
		where = c.file + ": " + key
		if line, ok := c.lines.of(key); ok {
			where = fmt.Sprintf("%s:%d: %s", c.file, line, key)
		}
	}
	return fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

// complete fills in defaults and checks all values; it tells the first fault of
// each table at once.
func (c *config) complete() error {
	var all []error
	fault := func(err error) {
		if err != nil {
			all = append(all, err)
		}
	}
	fault(c.completeServer())
	fault(c.completeDatabase())
	if len(c.Products) == 0 {
		fault(c.errorf("product", "there is none: add a [[product]]"))
	}
	seen := map[string]string{}
	for i := range c.Products {
		fault(c.completeProduct(i, seen))
	}
	taken := map[string]bool{ingest.Manual: true}
	for i := range c.Channels {
		fault(c.completeChannel(i, taken))
	}
	return errors.Join(all...)
}

func (c *config) completeServer() error {
	s := &c.Server
	if s.Listen == "" {
		s.Listen = defaultListen
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return c.errorf("server.listen", "%q is not host:port", s.Listen)
	}
	if s.PublicURL == "" {
		s.PublicURL, s.derived = "http://"+s.Listen, true
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return c.errorf("server.public_url", "it is not a URL like https://keys.example.com")
	}
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	if s.Misses == nil {
		s.Misses = new(int)
		*s.Misses = defaultMisses
	}
	if *s.Misses < 1 {
		return c.errorf("server.misses", "it must be at least 1")
	}
	for _, p := range s.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if addr, addrErr := netip.ParseAddr(p); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return c.errorf("server.trusted_proxies", "%q is neither an address nor a network like 10.0.0.0/8", p)
		}
		s.proxies = append(s.proxies, prefix)
	}
	return nil
}

// loopback tells whether only this machine can reach the listener.
func (c *config) loopback() bool {
	host, _, err := net.SplitHostPort(c.Server.Listen)
	if host == "localhost" {
		return true
	}
	addr, parseErr := netip.ParseAddr(host)
	return err == nil && parseErr == nil && addr.IsLoopback()
}

func (c *config) completeDatabase() error {
	d := &c.Database
	source, err := c.secret("database.url", d.URL, d.URLFile)
	if err != nil {
		return err
	}
	if source == "" {
		source = defaultDB
	}
	for _, file := range []*string{&c.Keys.MasterFile, &c.Keys.AuditFile} {
		if *file != "" {
			*file = c.path(*file)
		}
	}
	path, ok := strings.CutPrefix(source, "sqlite:")
	switch {
	case strings.HasPrefix(source, "mysql:") && c.Keys.MasterFile == "":
		return c.errorf("keys.master_file", "a MySQL database needs one: a path on this machine, the same key for each daemon (the first start makes it)")
	case strings.HasPrefix(source, "mysql:"):
		d.URL = source
		return nil
	case !ok:
		return c.errorf("database.url", "it must be sqlite:PATH or mysql://user:password@host:port/database")
	}
	if path == "" || path == ":memory:" {
		return c.errorf("database.url", "it needs a path: sqlite:data/keypost.db")
	}
	d.URL = "sqlite:" + c.path(path)
	if c.Keys.MasterFile == "" {
		c.Keys.MasterFile = strings.TrimSuffix(c.path(path), filepath.Ext(path)) + ".key"
	}
	return nil
}

// path makes a relative path of the config start at its folder.
func (c *config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.folder, p)
}

// secret is a value that may be in a file of its own (KEY_file).
func (c *config) secret(key, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", c.errorf(key+"_file", "%s is there too: keep one of them", key)
	}
	b, err := os.ReadFile(c.path(file))
	if err != nil {
		return "", c.errorf(key+"_file", "%v", err)
	}
	value = strings.TrimRight(string(b), "\r\n")
	if value == "" {
		return "", c.errorf(key+"_file", "%s is empty", c.path(file))
	}
	return value, nil
}

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const idHint = "it must be 1-64 letters, digits, dots, dashes and underscores"

func (c *config) completeProduct(i int, aliases map[string]string) error {
	p := &c.Products[i]
	key := func(name string) string { return fmt.Sprintf("product[%d].%s", i, name) }
	if !idShape.MatchString(p.ID) {
		return c.errorf(key("id"), "%q: %s", p.ID, idHint)
	}
	if p.Name == "" {
		p.Name = p.ID
	}
	own := map[string]bool{}
	for n, alias := range append([]string{p.ID}, p.Aliases...) {
		at := key("aliases")
		if n == 0 {
			at = key("id")
		}
		fold := ingest.FoldAlias(alias)
		switch other, taken := aliases[fold]; {
		case fold == "":
			return c.errorf(at, "an alias is empty")
		case taken && !own[fold]:
			return c.errorf(at, "%q names product %s too: an alias belongs to one product", alias, other)
		}
		aliases[fold], own[fold] = p.ID, true
	}
	if p.Limit == nil {
		p.Limit = new(int)
	}
	if *p.Limit < 0 {
		return c.errorf(key("limit"), "it must be 0 (no limit) or more")
	}
	folded := map[string]int{}
	for licenseType, n := range p.Limits {
		_, twice := folded[ingest.Fold(licenseType)]
		if n < 0 || twice || ingest.Fold(licenseType) == "" {
			return c.errorf(key("limits"), "%q: each license type once, with 0 (no limit) or more", licenseType)
		}
		folded[ingest.Fold(licenseType)] = n
	}
	p.Limits = folded
	if _, err := parseFloor(p.PriceFloor); err != nil {
		return c.errorf(key("price_floor"), "%v", err)
	}
	if p.Lease == nil {
		lease := duration(defaultLease)
		p.Lease = &lease
	}
	if d := time.Duration(*p.Lease); d != 0 && d < minLease {
		return c.errorf(key("lease"), `it must be "0s" (no leases) or at least %s`, minLease)
	}
	if p.Generator.Kind == "" {
		p.Generator.Kind = "random"
	}
	if _, err := p.Generator.codes(); err != nil {
		return c.errorf(key("generator.kind"), "%v", err)
	}
	return nil
}

var floorShape = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,3})?) ([A-Z]{3})$`)

// parseFloor reads "10.00 USD"; "" is no floor.
func parseFloor(s string) (f ingest.Floor, err error) {
	if s == "" {
		return f, nil
	}
	m := floorShape.FindStringSubmatch(s)
	if m == nil {
		return f, fmt.Errorf(`%q is not an amount with its currency, like "10.00 USD"`, s)
	}
	f.Amount, _ = new(big.Rat).SetString(m[1])
	f.Currency = m[2]
	return f, nil
}

// generators are the kinds; a new one is a line here.
var generators = map[string]func(generatorConfig) (ingest.Codes, error){
	"random": func(generatorConfig) (ingest.Codes, error) { return ingest.Codes{Compute: keygen.Random{}}, nil },
}

func (g generatorConfig) codes() (ingest.Codes, error) {
	build, ok := generators[g.Kind]
	if !ok {
		return ingest.Codes{}, fmt.Errorf("unknown generator %q: it must be one of %s", g.Kind, names(generators))
	}
	return build(g)
}

// desk is the desk's part of the config.
func (c *config) desk() ingest.Config {
	out := ingest.Config{Channels: map[string]ingest.Channel{}}
	for _, p := range c.Products {
		codes, _ := p.Generator.codes()      // checked by completeProduct
		floor, _ := parseFloor(p.PriceFloor) // likewise
		out.Products = append(out.Products, ingest.Product{
			ID: p.ID, Aliases: p.Aliases, Limit: *p.Limit, Limits: p.Limits, Floor: floor, Codes: codes,
		})
	}
	for _, ch := range c.Channels {
		out.Channels[ch.Name] = ingest.Channel{
			Name: ch.Name, HeldMessage: ch.HeldMessage, MaxQuantity: *ch.MaxQuantity,
		}
	}
	return out
}

// activation is the activation server's part.
func (c *config) activation() activation.Config {
	out := activation.Config{Issuer: c.Server.PublicURL}
	for _, p := range c.Products {
		a := activation.Product{ID: p.ID, Lease: time.Duration(*p.Lease), AcceptTest: p.AcceptTest}
		codes, _ := p.Generator.codes() // checked by completeProduct
		if shape, ok := codes.Compute.(interface{ Malformed(string) bool }); ok {
			a.Malformed = shape.Malformed
		}
		out.Products = append(out.Products, a)
	}
	return out
}
