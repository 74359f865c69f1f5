package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// configName is the config's name in its folder.
const configName = "keypost.toml"

// configPlaces are where a config is looked for when none is named.
var configPlaces = []string{configName, "/etc/keypost/" + configName}

// configFile is the config that a command works with: the named one, else
// KEYPOST_CONFIG, else the first of configPlaces that is there. "": there is
// none.
func configFile(named string) string {
	if named != "" {
		return named
	}
	if env := os.Getenv("KEYPOST_CONFIG"); env != "" {
		return env
	}
	for _, place := range configPlaces {
		if _, err := os.Stat(place); !errors.Is(err, fs.ErrNotExist) {
			return place // also where it cannot be read: that is an error, not the demo
		}
	}
	return ""
}

// config is keypost.toml. Each package gets its own part of it, by the methods
// below and those of channels.go, mail.go and webhooks.go.
type config struct {
	Server   serverConfig    `toml:"server"`
	Database databaseConfig  `toml:"database"`
	Keys     keysConfig      `toml:"keys"`
	Mail     *mailConfig     `toml:"mail"` // nil: notices wait
	Products []productConfig `toml:"product"`
	Channels []channelConfig `toml:"channel"`
	Webhooks []webhookConfig `toml:"webhook"`

	file   string // "": the built-in demo
	folder string // what relative paths start at
	lines  lines

	outages *outages // the daemon's; nil: a command's, which knows of none
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
	URL     string    `toml:"url"`
	URLFile string    `toml:"url_file"`
	KeepRaw *duration `toml:"keep_raw"`
}

type keysConfig struct {
	MasterFile string `toml:"master_file"`
	AuditFile  string `toml:"audit_file"`
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
	defaultListen  = "127.0.0.1:8080"
	defaultDB      = "sqlite:data/keypost.db"
	defaultLease   = 168 * time.Hour
	defaultMisses  = 100
	defaultKeepRaw = 90 * 24 * time.Hour
	minLease       = time.Minute
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

// loadConfig reads the file, or makes up the demo for "".
func loadConfig(file string) (*config, error) {
	if file == "" {
		c := demo()
		return c, c.complete()
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
	return c.unitless(b)
}

// durations are the keys of type duration.
var durations = []string{"keep_raw", "lease", "poll", "timeout", "unit_window"}

// unitless finds durations that are whole numbers: to Go, nanoseconds.
func (c *config) unitless(b []byte) error {
	var doc any
	if err := toml.Unmarshal(b, &doc); err != nil {
		return err
	}
	var walk func(path string, v any) error
	walk = func(path string, v any) (err error) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				at := strings.TrimPrefix(path+"."+key, ".")
				if n, ok := v[key].(int64); ok && slices.Contains(durations, key) {
					return c.errorf(at, `%d has no unit: write "%ds" for seconds, "%dm" for minutes`, n, n, n)
				}
				if err := walk(at, v[key]); err != nil {
					return err
				}
			}
		case []any:
			for i := range v {
				if err := walk(fmt.Sprintf("%s[%d]", path, i), v[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk("", doc)
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
	taken := map[string]bool{ingest.Manual: true, ingest.Import: true, ingest.Adopted: true}
	for i := range c.Channels {
		fault(c.completeChannel(i, taken))
	}
	fault(c.completeMail())
	hooks := map[string]bool{}
	for i := range c.Webhooks {
		fault(c.completeWebhook(i, hooks))
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
	if d.KeepRaw == nil {
		d.KeepRaw = new(duration)
		*d.KeepRaw = duration(defaultKeepRaw)
	}
	for _, file := range []*string{&c.Keys.MasterFile, &c.Keys.AuditFile} {
		if *file != "" {
			*file = c.path(*file)
		}
	}
	path, ok := strings.CutPrefix(source, "sqlite:")
	switch {
	case strings.HasPrefix(source, "mysql:") && c.Keys.MasterFile == "":
		return c.errorf("keys.master_file", "a MySQL database needs one: a path on this machine, the same key for each daemon (keypost db create makes it)")
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
	value, err := readSecret(c.path(file))
	if err != nil {
		return "", c.errorf(key+"_file", "%v", err)
	}
	return value, nil
}

// readSecret reads a file that holds one secret.
func readSecret(file string) (string, error) {
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

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const idHint = "it must be 1-64 letters, digits, dots, dashes and underscores"

// desk is the desk's part of the config.
func (c *config) desk() ingest.Catalog {
	out := ingest.Catalog{Channels: map[string]ingest.Channel{}, Mail: c.Mail != nil}
	for _, p := range c.Products {
		floor, _ := parseFloor(p.PriceFloor) // checked by completeProduct
		product := ingest.Product{
			ID: p.ID, Aliases: p.Aliases, Limit: *p.Limit, Limits: p.Limits, Floor: floor, Gives: p.Gives, Codes: p.codes,
		}
		if len(p.UpgradeFrom) > 0 {
			product.Upgrade = &ingest.Upgrade{From: p.UpgradeFrom, Keyword: strings.TrimSpace(p.UpgradeKeyword)}
		}
		out.Products = append(out.Products, product)
	}
	for _, ch := range c.Channels {
		out.Channels[ch.Name] = ingest.Channel{
			Name: ch.Name, HeldMessage: ch.HeldMessage, MaxQuantity: *ch.MaxQuantity, StatusOnly: !*ch.ReplyCodes, MailCodes: ch.MailCodes,
			Plain: ch.Kind == "krps", ByMail: ch.Kind == "imap",
			Unit: ch.unit(),
		}
	}
	return out
}

// activation is the activation server's part; desk adopts codes.
func (c *config) activation(desk *ingest.Desk) activation.Config {
	out := activation.Config{Issuer: c.Server.PublicURL}
	for _, p := range c.Products {
		a := activation.Product{ID: p.ID, Lease: time.Duration(*p.Lease), AcceptTest: p.AcceptTest}
		if p.Adopt {
			a.Adopt = func(ctx context.Context, code string) (store.License, error) { return desk.Adopt(ctx, p.ID, code) }
		}
		if shape, ok := p.codes.Compute.(interface{ Malformed(string) bool }); ok {
			a.Malformed = shape.Malformed
		}
		out.Products = append(out.Products, a)
	}
	return out
}
