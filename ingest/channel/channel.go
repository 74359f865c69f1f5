// Package channel is what all kinds of channel share. A channel is one
// configured way in for orders: a post of Kagi's, a webhook, a mailbox. Its kind
// is the protocol.
//
// A kind is one package with one [Kind], and one line in the config's list of
// kinds. It brings a struct of its own keys, which completes and checks itself,
// and offers what the protocol needs: see [Settings] and the interfaces below
// it. Shared are the common keys, secrets and their rotation (secret.go), and
// the guard in front of what is posted (guard.go).
package channel

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// A Kind is a protocol by which orders come in.
type Kind struct {
	Name  string          // as in the config: krps
	Store string          // whose orders they are where the config does not say; "": each order says
	New   func() Settings // an empty struct of the kind's own keys, with toml tags
}

// Settings are one channel's keys of its kind.
type Settings interface {
	// Complete fills in defaults and checks the keys. It is called once, before
	// everything else. Its errors come from [Setup.Errorf].
	Complete(*Setup) error
	// Desk sets what the order desk needs to know beyond the common keys.
	Desk(*ingest.Channel)
	// Report is the line of keypost check. It must not take long.
	Report() Finding
}

// A Receiver is a kind that stores post to.
type Receiver interface {
	Handler(*ingest.Desk) http.Handler
}

// A Watcher is a kind that fetches its orders.
type Watcher interface {
	// Watch fetches until ctx ends. It is called while no other daemon watches
	// the same channel.
	Watch(ctx context.Context, h Host) error
}

// A Host is what a [Watcher] gets from the daemon.
type Host struct {
	DB      *store.DB
	Desk    *ingest.Desk
	Taken   func()                                                        // call it after a message was taken: its buyer waits for a mail
	State   func(error)                                                   // call it with why the channel cannot be watched, and with nil when it can
	Bounced func(ctx context.Context, raw []byte) (known bool, err error) // tells whether a mail reports that one of ours did not arrive, and notes it
}

// A Prober is a kind with something to try that takes a while, such as a log-in.
type Prober interface {
	Probe(context.Context) []Finding
}

// A Parser is a kind that can show what it takes of a post, touching nothing.
type Parser interface {
	Parse(body []byte) Post
}

// A Post is what a kind takes of a post.
type Post struct {
	Fields      []Field // in the protocol's order, without secrets
	Order       ingest.Order
	OEMSeeds    []string
	Bad         error // why it would be refused; nil: it would not
	Information bool  // it asks, and orders nothing
}

// A Field is one of a post's.
type Field struct{ Name, Value string }

// A Finding is one line of keypost check.
type Finding struct {
	Subject string `json:"subject"`
	Result  string `json:"result"` // ok, warning, failed
	Detail  string `json:"detail"`
}

// Results of a [Finding].
const (
	OK      = "ok"
	Warning = "warning"
	Failed  = "failed"
)

// Common are the keys of every kind.
type Common struct {
	Name        string `toml:"name"`
	Kind        string `toml:"kind"`
	Store       string `toml:"store"`
	HeldMessage string `toml:"held_message"`
	MaxQuantity *int   `toml:"max_quantity"`
	TestTo      string `toml:"test_to"`
	Language    string `toml:"language"`

	TestAddress *mail.Address `toml:"-"` // of test_to; nil: the vendor's
}

// MaxQuantity is how many copies an order may have at most.
const MaxQuantity = 250

// A Setup is what a channel's keys are completed with.
type Setup struct {
	*Common
	Server Server
	Path   func(string) string                           // a path in the config, absolute
	Errorf func(key, format string, args ...any) error   // about a key of this channel, with file and line
	Secret func(key, value, file string) (string, error) // the value, or what KEY_file has
}

// A Server is how the daemon is reached.
type Server struct {
	Listen    string
	Loopback  bool // only this machine can reach it
	PlainHTTP bool // other machines reach it, and public_url is not HTTPS
}

// A Duration is a time in the config: "36h", or in days, "90d".
type Duration struct{ time.Duration }

// UnmarshalText reads "168h", "10m" or "90d". There are no months and no years.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return fmt.Errorf(`%d has no unit: write "%ds" for seconds, "%dm" for minutes, "%dd" for days`, n, n, n, n)
	}
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, unit = days+"h", 24 // also on a day when a clock is changed
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < 0 {
		return fmt.Errorf(`%q is not a duration like "36h" or "90d"`, b)
	}
	if length > math.MaxInt64/unit {
		return fmt.Errorf("%q is too long: at most 292 years", b)
	}
	d.Duration = unit * length
	return nil
}

// secretPath is how long a name is that may be kept secret; docs say so.
const secretPath = 24

// SecretPath tells whether a channel's name is long enough to be a secret.
func SecretPath(name string) bool { return len(name) >= secretPath }

// Label is a channel's name for logs and messages.
func Label(name string) string {
	if SecretPath(name) {
		return name[:4] + "…"
	}
	return name
}

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// IDHint says what an id must look like.
const IDHint = "it must be 1-64 letters, digits, dots, dashes and underscores"

// IsID tells whether a text can be the id of a product, or the name of a channel
// or a store.
func IsID(s string) bool { return idShape.MatchString(s) }

// BadStore says why a name cannot be a store's; "": it can.
func BadStore(name string) string {
	if own := []string{ingest.Manual, ingest.Import, ingest.Adopted}; !IsID(name) || slices.Contains(own, name) {
		return fmt.Sprintf("%q cannot be a store's name: %s, and the names %s are reserved", name, IDHint, strings.Join(own, ", "))
	}
	return ""
}
