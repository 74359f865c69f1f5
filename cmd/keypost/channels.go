package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/krps"
)

// channelConfig is a [[channel]]: the keys of all kinds.
type channelConfig struct {
	Name        string `toml:"name"`
	Kind        string `toml:"kind"`
	Store       string `toml:"store"`
	HeldMessage string `toml:"held_message"`
	MaxQuantity *int   `toml:"max_quantity"`

	Secret        string    `toml:"secret"`
	SecretFile    string    `toml:"secret_file"`
	Secrets       []string  `toml:"secrets"`
	Digest        string    `toml:"digest"`
	Invocation    string    `toml:"invocation"`
	UnitWindow    *duration `toml:"unit_window"`
	UnitMax       int       `toml:"unit_max"`
	ReplyCodes    *bool     `toml:"reply_codes"`
	Blurb         string    `toml:"blurb"`
	UserName      string    `toml:"username"`
	BasicAuth     string    `toml:"basic_auth"`
	BasicAuthFile string    `toml:"basic_auth_file"`
	TestTo        string    `toml:"test_to"`
	MailCodes     bool      `toml:"mail_codes"`

	imapConfig

	localOnly string
	httpsOnly bool
	plainHTTP bool          // other machines reach it, and public_url is no HTTPS
	testTo    *mail.Address // nil: [mail] vendor
}

// A kind is a protocol that orders come in by.
type kind struct {
	keys    []string // of channelConfig that it has, beside those of all
	store   string   // the default store; "": what came tells
	check   func(c *config, key func(string) string, ch *channelConfig) error
	finding func(ch channelConfig) finding                         // for keypost check
	try     func(ctx context.Context, ch channelConfig) []finding  // likewise, for what may take a while; nil: nothing
	handler func(ch channelConfig, desk *ingest.Desk) http.Handler // nil: nothing is posted
}

// allKeys are those of every kind.
var allKeys = []string{"name", "kind", "store", "held_message", "max_quantity", "test_to"}

// kinds is the one table of them; a new store is a package and a line here.
var kinds = map[string]kind{
	"krps": {
		keys: []string{
			"secret", "secret_file", "secrets", "digest", "mail_codes", "invocation", "unit_window", "unit_max", "reply_codes", "username", "basic_auth",
			"basic_auth_file", "blurb",
		},
		store: "kagi", check: checkKRPS, finding: krpsFinding,
		handler: func(ch channelConfig, desk *ingest.Desk) http.Handler { return krps.Handler(ch.krps(), desk) },
	},
	"imap": {keys: imapKeys, check: checkIMAP, finding: imapFinding, try: tryIMAP},
}

// strange is a key that a channel has and its kind has not; "": there is none.
func (k kind) strange(ch channelConfig) string {
	for _, fields := range []any{ch, ch.imapConfig} {
		v := reflect.ValueOf(fields)
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("toml")
			if name != "" && !v.Field(i).IsZero() && !slices.Contains(k.keys, name) && !slices.Contains(allKeys, name) {
				return name
			}
		}
	}
	return ""
}

// names lists a table's kinds for people.
func names[V any](table map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}

const defaultMaxQuantity = 250

func (c *config) completeChannel(i int, taken map[string]bool) error {
	ch := &c.Channels[i]
	key := func(name string) string { return fmt.Sprintf("channel[%d].%s", i, name) }
	switch k, ok := kinds[ch.Kind]; {
	case !idShape.MatchString(ch.Name):
		return c.errorf(key("name"), "%q: %s", ch.Name, idHint)
	case taken[ch.Name]:
		return c.errorf(key("name"), "%q is taken: give this channel another name", ch.Name)
	case !ok:
		return c.errorf(key("kind"), "unknown kind %q: it must be one of %s", ch.Kind, names(kinds))
	case k.strange(*ch) != "":
		return c.errorf(key(k.strange(*ch)), "a channel of kind %s has no such key", ch.Kind)
	default:
		taken[ch.Name] = true
		if ch.Store == "" {
			ch.Store = k.store
		}
		if why := badStore(ch.Store); ch.Store != "" && why != "" {
			return c.errorf(key("store"), "%s", why)
		}
		if ch.MaxQuantity == nil {
			ch.MaxQuantity = new(int)
			*ch.MaxQuantity = defaultMaxQuantity
		}
		if ch.ReplyCodes == nil {
			ch.ReplyCodes = new(bool)
			*ch.ReplyCodes = true
		}
		if *ch.MaxQuantity < 1 || *ch.MaxQuantity > defaultMaxQuantity {
			return c.errorf(key("max_quantity"), "it must be from 1 to %d", defaultMaxQuantity)
		}
		if err := c.channelMail(key, ch); err != nil {
			return err
		}
		return k.check(c, key, ch)
	}
}

// badStore says why a name cannot be a store's; "": it can.
func badStore(name string) string {
	if own := []string{ingest.Manual, ingest.Import, ingest.Adopted}; !idShape.MatchString(name) || slices.Contains(own, name) {
		return fmt.Sprintf("%q cannot be a store: %s, and none of Keypost's own: %s", name, idHint, strings.Join(own, ", "))
	}
	return ""
}

func checkKRPS(c *config, key func(string) string, ch *channelConfig) error {
	if err := c.krpsSecrets(key, ch); err != nil {
		return err
	}
	if ch.Digest == "" {
		return c.errorf(key("digest"), "it is missing: set the cipher agreed on with the store, such as SHA-512")
	}
	digest, err := krps.ParseDigest(ch.Digest)
	if err != nil {
		return c.errorf(key("digest"), "%v", err)
	}
	ch.Digest = string(digest)
	if err := c.checkInvocation(key, ch); err != nil {
		return err
	}
	if user, password, _ := strings.Cut(ch.BasicAuth, ":"); ch.BasicAuth != "" && (user == "" || password == "") {
		return c.errorf(key("basic_auth"), "it must be user:password")
	}
	if len(ch.Blurb) > 128 || strings.ContainsAny(ch.Blurb, "\r\n\"") {
		return c.errorf(key("blurb"), "it must be the blurb's name as the mails show it in SQNM-\"NAME\" 0000, at most 128 bytes")
	}
	if len(ch.HeldMessage) > 1024 || !krps.Carries(ch.HeldMessage) {
		return c.errorf(key("held_message"), "KRPS carries only ASCII characters, at most 1024 of them")
	}
	return c.exposure(key, ch)
}

const defaultUnitWindow = 10 * time.Minute

// checkInvocation: by the line, or copy by copy with a bound on how many.
func (c *config) checkInvocation(key func(string) string, ch *channelConfig) error {
	switch strings.ToLower(ch.Invocation) {
	case "", "line":
		if ch.UnitMax != 0 || ch.UnitWindow != nil {
			return c.errorf(key("unit_max"), `unit_max and unit_window are for invocation = "unit"`)
		}
		return nil
	case "unit":
	default:
		return c.errorf(key("invocation"), "%q: it must be line, once for each order line, or unit, once for each copy", ch.Invocation)
	}
	if ch.UnitMax < 2 || ch.UnitMax > defaultMaxQuantity {
		at := key("unit_max")
		if ch.UnitMax == 0 {
			at = key("invocation")
		}
		return c.errorf(at, "unit needs unit_max, from 2 to %d: as many equal posts are copies of one order, and any more are repeats", defaultMaxQuantity)
	}
	if ch.UnitWindow == nil {
		ch.UnitWindow = new(duration)
		*ch.UnitWindow = duration(defaultUnitWindow)
	}
	if d := time.Duration(*ch.UnitWindow); d < time.Second || d > 24*time.Hour {
		return c.errorf(key("unit_window"), `it must be from "1s" to "24h"`)
	}
	return nil
}

func (c *config) krpsSecrets(key func(string) string, ch *channelConfig) (err error) {
	if ch.Secret, err = c.secret(key("secret"), ch.Secret, ch.SecretFile); err != nil {
		return err
	}
	if ch.BasicAuth, err = c.secret(key("basic_auth"), ch.BasicAuth, ch.BasicAuthFile); err != nil {
		return err
	}
	if ch.Secret != "" && len(ch.Secrets) > 0 {
		return c.errorf(key("secrets"), "secret is there too: keep one of them")
	}
	if ch.Secret != "" {
		ch.Secrets = []string{ch.Secret}
	}
	if len(ch.Secrets) == 0 {
		return c.errorf(key("secret"), "it is missing: set the one agreed on with the store")
	}
	for _, s := range ch.Secrets {
		if s == "" {
			return c.errorf(key("secrets"), "one of them is empty")
		}
	}
	return nil
}

// exposure: what everybody knows, and ciphers that protect nothing, are for
// this machine alone.
func (c *config) exposure(key func(string) string, ch *channelConfig) error {
	for _, s := range ch.Secrets {
		if strings.EqualFold(s, exampleSecret) {
			ch.localOnly = "This channel has the example secret, which everybody knows: set one of your own."
			if !c.loopback() {
				return c.errorf(key("secret"), "the example secret is known to everybody: set one of your own before you listen on %s", c.Server.Listen)
			}
		}
	}
	ch.plainHTTP = !strings.HasPrefix(c.Server.PublicURL, "https:") && !(c.loopback() && c.publicOnLoopback())
	guarded := ch.BasicAuth != "" || ch.krps().SecretPath()
	ch.httpsOnly = krps.Digest(ch.Digest).Weak()
	if ch.httpsOnly && !guarded {
		ch.localOnly = "This channel's cipher is safe only with HTTPS and Basic authentication: agree on HMAC_SHA-1 or SHA-512."
		if !c.loopback() {
			return c.errorf(key("digest"), "%s protects nothing by itself: take another cipher, or set basic_auth, or give the channel a name of 24 or more characters that nobody can guess", ch.Digest)
		}
	}
	return nil
}

// unit is the desk's part of invocation = "unit".
func (ch channelConfig) unit() ingest.Unit {
	if ch.UnitWindow == nil {
		return ingest.Unit{}
	}
	return ingest.Unit{Max: ch.UnitMax, Window: time.Duration(*ch.UnitWindow)}
}

// krps is the protocol's part of a channel.
func (ch channelConfig) krps() krps.Channel {
	return krps.Channel{
		Name: ch.Name, Store: ch.Store, UserName: ch.UserName, Secrets: ch.Secrets, Digest: krps.Digest(ch.Digest),
		Basic: ch.BasicAuth, Blurb: strings.TrimSpace(ch.Blurb), LocalOnly: ch.localOnly, HTTPSOnly: ch.httpsOnly,
	}
}

// channel finds a channel by name.
func (c *config) channel(name string) (channelConfig, bool) {
	for _, ch := range c.Channels {
		if ch.Name == name {
			return ch, true
		}
	}
	return channelConfig{}, false
}

func krpsFinding(ch channelConfig) finding {
	k := ch.krps()
	f := finding{"channel " + k.Label(), "ok", fmt.Sprintf("%s of %s, %s", ch.Kind, ch.Store, k.Digest)}
	if ch.UnitMax > 0 {
		f.Detail += fmt.Sprintf(", up to %d equal posts within %s are copies", ch.UnitMax, time.Duration(*ch.UnitWindow))
	}
	switch {
	case !*ch.ReplyCodes:
		f.Detail += ", codes go by mail"
	case ch.MailCodes:
		f.Detail += ", codes go by mail too"
	}
	if worries := krpsWorries(ch, k); len(worries) > 0 {
		f.Result, f.Detail = "warning", f.Detail+": "+strings.Join(worries, " ")
	}
	return f
}

// A secret is guessed from one post, on the guesser's own machine: a digest is
// computed billions of times a second, and case does not count in it. Sixteen
// random letters and digits have 82 bits, which is out of reach. Kagi sets no
// bound on the pass phrase (KRPS 2.0, Table 2).
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

// krpsWorries are sentences about what is weak in a channel, and what to do.
func krpsWorries(ch channelConfig, k krps.Channel) (list []string) {
	if k.LocalOnly != "" {
		return []string{"answers this machine alone. " + k.LocalOnly}
	}
	if k.Digest.Weak() {
		list = append(list, "whoever sees one post can forge others. Agree on HMAC_SHA-1 or SHA-512.")
	}
	if slices.ContainsFunc(k.Secrets, weakSecret) {
		list = append(list, fmt.Sprintf("whoever sees one post can guess a secret this short. Agree on at least %d random letters and digits, "+
			"such as what openssl rand -hex 16 prints; until the store uses it, keep both: secrets = [\"new\", \"old\"].", minSecret))
	}
	if ch.plainHTTP {
		list = append(list, "posts and codes pass in plain HTTP, and whoever is on the way can read and alter them. "+
			"Put a proxy that speaks HTTPS in front, listen on 127.0.0.1, and set public_url to the https address.")
	}
	return list
}
