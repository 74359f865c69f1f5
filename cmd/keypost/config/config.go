// Package config reads keypost.toml, checks it, and hands each package its part.
// An error names file, line and key.
//
// config.go has the document and the tables [server], [database] and [keys];
// product.go, generator.go and external.go what is sold and how its codes are
// made; channel.go the ways in, with the one list of kinds; mail.go and
// webhook.go what goes out. decode.go reads a table into a kind's own struct.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/krps"
)

// Name is the config's name in its folder.
const Name = "keypost.toml"

// Places are where a config is looked for when none is named.
var Places = []string{Name, "/etc/keypost/" + Name}

// Find is the config file to use: the named one, else KEYPOST_CONFIG, else the
// first of ./keypost.toml and /etc/keypost/keypost.toml that is there; "": there
// is none.
func Find(named string) string {
	if named != "" {
		return named
	}
	if env := os.Getenv("KEYPOST_CONFIG"); env != "" {
		return env
	}
	for _, place := range Places {
		if _, err := os.Stat(place); !errors.Is(err, fs.ErrNotExist) {
			return place // also where it cannot be read: that is an error, not the demo
		}
	}
	return ""
}

// A Config is keypost.toml, complete and checked.
type Config struct {
	Server   Server    `toml:"server"`
	Database Database  `toml:"database"`
	Keys     Keys      `toml:"keys"`
	Mail     *Mail     `toml:"mail"` // nil: notices wait
	Products []Product `toml:"product"`
	Webhooks []Webhook `toml:"webhook"`

	Channels []Channel `toml:"-"`

	File   string `toml:"-"` // "": the built-in demo
	folder string // what relative paths start at
	lines  lines
}

// A document is the config as it is written.
type document struct {
	*Config
	Channels []map[string]any `toml:"channel"` // each kind has keys of its own
}

// Server is [server].
type Server struct {
	Listen    string   `toml:"listen"`
	PublicURL string   `toml:"public_url"`
	Trusted   []string `toml:"trusted_proxies"`
	Origins   []string `toml:"cors_origins"`
	Misses    *int     `toml:"misses"`

	Proxies []netip.Prefix `toml:"-"` // of trusted_proxies
	derived bool           // PublicURL comes from where the daemon listens
}

// Database is [database].
type Database struct {
	URL     string            `toml:"url"`
	URLFile string            `toml:"url_file"`
	KeepRaw *channel.Duration `toml:"keep_raw"`
}

// Keys is [keys].
type Keys struct {
	MasterFile string `toml:"master_file"`
	AuditFile  string `toml:"audit_file"`
}

// DefaultListen is where a daemon listens when the config says nothing.
const DefaultListen = "127.0.0.1:8080"

const (
	defaultDB      = "sqlite:data/keypost.db"
	defaultLease   = 168 * time.Hour
	defaultMisses  = 100
	defaultKeepRaw = 90 * 24 * time.Hour
	minLease       = time.Minute
)

// demo is what there is without a config file: the example order of the KRPS
// specification works.
const demo = `
[[product]]
id = "demo"
name = "Demo"
aliases = ["Product_Name"]
limit = 3
generator = { kind = "random" }

[[channel]]
name = "kagi"
kind = "krps"
secret = "` + krps.ExampleSecret + `"
digest = "md5"
`

// Load reads the file; for "" it is the demo.
func Load(file string) (*Config, error) {
	if file == "" {
		return Parse("", []byte(demo))
	}
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (keypost init writes a new one)", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w (run this as the user that keypost serve runs as)", err)
	case err != nil:
		return nil, err
	}
	return Parse(file, b)
}

// Parse reads the text of a file, which need not be there. Its errors tell the
// first fault of each table.
func Parse(file string, text []byte) (*Config, error) {
	c := &Config{File: file, folder: "."}
	if file != "" {
		c.folder = filepath.Dir(file)
	}
	d, err := c.decodeDocument(text)
	if err != nil {
		return nil, err
	}
	if err := c.complete(d); err != nil {
		return nil, err
	}
	return c, nil
}

// errorf is an error about a key, with its line where it is written.
func (c *Config) errorf(key, format string, args ...any) error {
	where := key
	if c.File != "" {
		where = c.File + ": " + key
		if line, ok := c.lines.of(key); ok {
			where = fmt.Sprintf("%s:%d: %s", c.File, line, key)
		}
	}
	return fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

// complete fills in defaults and checks all values.
func (c *Config) complete(d document) error {
	var all []error
	fault := func(err error) {
		if err != nil {
			all = append(all, err)
		}
	}
	fault(c.completeServer())
	fault(c.completeDatabase())
	if len(c.Products) == 0 {
		fault(c.errorf("product", "no product: add a [[product]]"))
	}
	seen := map[string]string{}
	for i := range c.Products {
		fault(c.completeProduct(i, seen))
	}
	taken := map[string]bool{ingest.Manual: true, ingest.Import: true, ingest.Adopted: true}
	for i, table := range d.Channels {
		ch, err := c.completeChannel(i, table, taken)
		c.Channels = append(c.Channels, ch)
		fault(err)
	}
	fault(c.completeMail())
	hooks := map[string]bool{}
	for i := range c.Webhooks {
		fault(c.completeWebhook(i, hooks))
	}
	return errors.Join(all...)
}

func (c *Config) completeServer() error {
	s := &c.Server
	if s.Listen == "" {
		s.Listen = DefaultListen
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return c.errorf("server.listen", "%q is not host:port", s.Listen)
	}
	if s.PublicURL == "" {
		s.PublicURL, s.derived = "http://"+s.Listen, true
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return c.errorf("server.public_url", "it must be a URL like https://keys.example.com")
	}
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	if s.Misses == nil {
		s.Misses = new(int)
		*s.Misses = defaultMisses
	}
	if *s.Misses < 1 {
		return c.errorf("server.misses", "it must be at least 1")
	}
	for _, origin := range s.Origins {
		if err := activation.CheckOrigin(origin); err != nil {
			return c.errorf("server.cors_origins", "%v", err)
		}
	}
	for _, p := range s.Trusted {
		prefix, err := netip.ParsePrefix(p)
		if addr, addrErr := netip.ParseAddr(p); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return c.errorf("server.trusted_proxies", "%q is neither an address nor a network like 10.0.0.0/8", p)
		}
		s.Proxies = append(s.Proxies, prefix)
	}
	return nil
}

// Listens tells the config where the daemon listens. A public_url that is not
// set follows from it.
func (c *Config) Listens(address string) {
	if c.Server.derived {
		c.Server.PublicURL = "http://" + address
	}
}

// loopback tells whether only this machine can reach the listener.
func (s Server) loopback() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	if host == "localhost" {
		return true
	}
	addr, parseErr := netip.ParseAddr(host)
	return err == nil && parseErr == nil && addr.IsLoopback()
}

// publicOnLoopback: the world that public_url speaks of is this machine.
func (s Server) publicOnLoopback() bool {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// reportProxy: Keypost itself speaks HTTP, so where the world sees HTTPS a proxy
// stands before it, and must be known.
func (s Server) reportProxy() channel.Finding {
	f := channel.Finding{Subject: "proxy", Result: channel.OK, Detail: "none: callers reach " + s.Listen + " directly"}
	switch {
	case len(s.Proxies) > 0:
		f.Detail = "X-Forwarded-For is trusted from " + strings.Join(s.Trusted, ", ")
	case strings.HasPrefix(s.PublicURL, "https:") || s.loopback() && !s.publicOnLoopback():
		f.Result = channel.Failed
		f.Detail = "public_url suggests a proxy in front, but trusted_proxies does not name it: all callers would count as one address, and one guesser would lock everyone out"
	}
	return f
}

func (c *Config) completeDatabase() error {
	d := &c.Database
	source, err := c.secret("database.url", d.URL, d.URLFile)
	if err != nil {
		return err
	}
	if source == "" {
		source = defaultDB
	}
	if d.KeepRaw == nil {
		d.KeepRaw = &channel.Duration{Duration: defaultKeepRaw}
	}
	for _, file := range []*string{&c.Keys.MasterFile, &c.Keys.AuditFile} {
		if *file != "" {
			*file = c.path(*file)
		}
	}
	path, ok := strings.CutPrefix(source, "sqlite:")
	switch {
	case strings.HasPrefix(source, "mysql:") && c.Keys.MasterFile == "":
		return c.errorf("keys.master_file", "it is missing. A MySQL database needs a master key: set a path on this machine. All daemons need the same key (keypost db create creates it)")
	case strings.HasPrefix(source, "mysql:"):
		d.URL = source
		return nil
	case !ok:
		return c.errorf("database.url", "it must be sqlite:PATH or mysql://user:password@host:port/database")
	}
	if path == "" || path == ":memory:" {
		return c.errorf("database.url", "the path is missing: sqlite:data/keypost.db")
	}
	d.URL = "sqlite:" + c.path(path)
	if c.Keys.MasterFile == "" {
		c.Keys.MasterFile = strings.TrimSuffix(c.path(path), filepath.Ext(path)) + ".key"
	}
	return nil
}

// path makes a relative path of the config start at its folder.
func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.folder, p)
}

// secret is a value that may be in a file of its own (KEY_file).
func (c *Config) secret(key, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", c.errorf(key+"_file", "%s is set too: keep one of them", key)
	}
	value, err := channel.ReadSecret(c.path(file))
	if err != nil {
		return "", c.errorf(key+"_file", "%v", err)
	}
	return value, nil
}

// Admin is what the operations need of the config.
func (c *Config) Admin() admin.Config {
	out := admin.Config{
		Demo: c.File == "", Database: c.Database.URL, MasterFile: c.Keys.MasterFile, AuditFile: c.Keys.AuditFile,
		Catalog: c.Catalog(), Mail: c.mailConfig(), Subscribers: c.subscribers(), Settings: c.settings, Checks: c.findings,
	}
	for _, p := range c.Products {
		out.Products = append(out.Products, p.admin())
	}
	for _, ch := range c.Channels {
		out.Channels = append(out.Channels, ch.admin())
	}
	for _, w := range c.Webhooks {
		out.Webhooks = append(out.Webhooks, w.endpoint())
	}
	return out
}
