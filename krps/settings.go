package krps

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
)

// Kind is the Kagi Remote Post System among the kinds of channel.
var Kind = channel.Kind{Name: "krps", Store: "kagi", New: func() channel.Settings { return &Settings{} }}

// Settings are a channel's keys of this kind.
type Settings struct {
	channel.SharedSecret
	channel.Guard
	Cipher     string            `toml:"digest"`
	Invocation string            `toml:"invocation"`
	UnitWindow *channel.Duration `toml:"unit_window"`
	UnitMax    int               `toml:"unit_max"`
	ReplyCodes *bool             `toml:"reply_codes"`
	MailCodes  bool              `toml:"mail_codes"`
	Blurb      string            `toml:"blurb"`
	UserName   string            `toml:"username"`

	common *channel.Common
}

// Complete fills in defaults and checks the keys.
func (k *Settings) Complete(s *channel.Setup) error {
	k.common = s.Common
	if err := k.SharedSecret.Complete(s); err != nil {
		return err
	}
	if k.ReplyCodes == nil {
		k.ReplyCodes = new(bool)
		*k.ReplyCodes = true
	}
	if k.Cipher == "" {
		return s.Errorf("digest", "it is missing: set the cipher that you agreed on with the store, such as SHA-512")
	}
	digest, err := ParseDigest(k.Cipher)
	if err != nil {
		return s.Errorf("digest", "%v", err)
	}
	k.Cipher = string(digest)
	if err := k.completeUnit(s); err != nil {
		return err
	}
	if len(k.Blurb) > 128 || strings.ContainsAny(k.Blurb, "\r\n\"") {
		return s.Errorf("blurb", "it must be the blurb's name from the mails (SQNM-\"NAME\" 0000), at most 128 bytes")
	}
	if len(s.HeldMessage) > 1024 || !Carries(s.HeldMessage) {
		return s.Errorf("held_message", "it must have at most 1024 characters, all of them ASCII")
	}
	return k.guard(s, digest)
}

// agree is what to do about a cipher that protects nothing by itself.
const agree = "Agree on HMAC_SHA-1 or SHA-512 with the store."

// guard works out what must guard the channel where its secret or its cipher
// does not.
func (k *Settings) guard(s *channel.Setup, digest Digest) error {
	if err := k.Guard.Complete(s); err != nil {
		return err
	}
	if slices.ContainsFunc(k.Secrets, func(secret string) bool { return strings.EqualFold(secret, ExampleSecret) }) {
		if err := k.KeepLocal(s, "This channel has the example secret, which everyone knows. Set your own.",
			"secret", "everyone knows the example secret: set your own before you listen on "+s.Server.Listen); err != nil {
			return err
		}
	}
	k.HTTPSOnly = digest.Weak()
	if digest.Weak() && k.Basic == "" && !channel.SecretPath(s.Name) {
		return k.KeepLocal(s, "This channel's cipher is safe only with HTTPS and Basic authentication. "+agree,
			"digest", k.Cipher+" alone does not protect the channel: use another cipher, set basic_auth, or give the channel a name of at least 24 characters that nobody can guess")
	}
	return nil
}

const defaultUnitWindow = 10 * time.Minute

// completeUnit: Kagi posts by the line, or copy by copy with a bound on how
// many. KRPS 2.0, "Unit or line quantity".
func (k *Settings) completeUnit(s *channel.Setup) error {
	switch strings.ToLower(k.Invocation) {
	case "", "line":
		if k.UnitMax != 0 || k.UnitWindow != nil {
			return s.Errorf("unit_max", `unit_max and unit_window need invocation = "unit"`)
		}
		return nil
	case "unit":
	default:
		return s.Errorf("invocation", "%q: it must be line (one post per order line) or unit (one post per copy)", k.Invocation)
	}
	if k.UnitMax < 2 || k.UnitMax > channel.MaxQuantity {
		at := "unit_max"
		if k.UnitMax == 0 {
			at = "invocation"
		}
		return s.Errorf(at, "unit needs unit_max, from 2 to %d: up to this many equal posts are copies of one order, and any further ones are repeats", channel.MaxQuantity)
	}
	if k.UnitWindow == nil {
		k.UnitWindow = &channel.Duration{Duration: defaultUnitWindow}
	}
	if d := k.UnitWindow.Duration; d < time.Second || d > 24*time.Hour {
		return s.Errorf("unit_window", `it must be from "1s" to "24h"`)
	}
	return nil
}

// Desk sets what the order desk needs to know.
func (k *Settings) Desk(c *ingest.Channel) {
	c.Plain, c.StatusOnly, c.MailCodes = true, !*k.ReplyCodes, k.MailCodes
	if k.UnitWindow != nil {
		c.Unit = ingest.Unit{Max: k.UnitMax, Window: k.UnitWindow.Duration}
	}
}

// Channel is the protocol's part.
func (k *Settings) Channel() Channel {
	return Channel{
		Name: k.common.Name, Store: k.common.Store, UserName: k.UserName, Secrets: k.Secrets, Digest: Digest(k.Cipher),
		Blurb: strings.TrimSpace(k.Blurb), Guard: k.Guard,
	}
}

// Handler answers posts.
func (k *Settings) Handler(desk *ingest.Desk) http.Handler { return Handler(k.Channel(), desk) }

// Parse shows what is taken of a post.
func (k *Settings) Parse(body []byte) channel.Post {
	c := k.Channel()
	p, err := Decode(body)
	if err == nil {
		err = c.Authenticate(p)
	}
	out := channel.Post{Order: c.Order(p), Bad: err, Information: p.Information}
	out.OEMSeeds = Seeds(out.Order.OEMSeed)
	for _, name := range Parameters {
		if !p.Has(name) {
			continue
		}
		f := channel.Field{Name: name, Value: p.Value(name)}
		if name == "ACG:Password" {
			f.Value = "***"
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// Report says what the channel does, and what is weak in it.
func (k *Settings) Report() channel.Finding {
	f := channel.Finding{Subject: "channel " + channel.Label(k.common.Name), Result: channel.OK, Detail: fmt.Sprintf("%s of %s, %s", Kind.Name, k.common.Store, k.Cipher)}
	if k.UnitMax > 0 {
		f.Detail += fmt.Sprintf(", up to %d equal posts within %s are copies", k.UnitMax, k.UnitWindow.Duration)
	}
	switch {
	case !*k.ReplyCodes:
		f.Detail += ", codes go by mail"
	case k.MailCodes:
		f.Detail += ", codes go by mail too"
	}
	if worries := k.worries(); len(worries) > 0 {
		f.Result, f.Detail = channel.Warning, f.Detail+": "+strings.Join(worries, " ")
	}
	return f
}

// worries are sentences about what is weak in a channel, and what to do.
func (k *Settings) worries() (list []string) {
	if k.LocalOnly != "" {
		return []string{"answers only this machine. " + k.LocalOnly}
	}
	if Digest(k.Cipher).Weak() {
		list = append(list, "anyone who sees one post can forge others. "+agree)
	}
	for _, worry := range []string{k.SharedSecret.Worry(), k.Guard.Worry()} {
		if worry != "" {
			list = append(list, worry)
		}
	}
	return list
}
