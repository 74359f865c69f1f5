package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/krps"
)

// kinds is the one list of them: a new store is a package and a line here.
var kinds = []channel.Kind{
	krps.Kind,
	intake.Kind,
}

// A Channel is a [[channel]]: the common keys, and those of its kind.
type Channel struct {
	channel.Common
	channel.Settings
}

const languageHint = "it must be a language tag, like de or pt-BR"

func kindOf(name string) (channel.Kind, bool) {
	i := slices.IndexFunc(kinds, func(k channel.Kind) bool { return k.Name == name })
	if i < 0 {
		return channel.Kind{}, false
	}
	return kinds[i], true
}

func kindNames() string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.Name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (c *Config) completeChannel(i int, table map[string]any, taken map[string]bool) (ch Channel, err error) {
	at := fmt.Sprintf("channel[%d]", i)
	key := func(name string) string { return at + "." + name }
	for _, name := range []string{"name", "kind"} { // before anything depends on them
		if _, text := table[name].(string); table[name] != nil && !text {
			return ch, c.errorf(key(name), `it must be a string, in quotes`)
		}
	}
	ch.Name, _ = table["name"].(string)
	ch.Kind, _ = table["kind"].(string)
	kind, ok := kindOf(ch.Kind)
	switch {
	case !channel.IsID(ch.Name):
		return ch, c.errorf(key("name"), "%q: %s", ch.Name, channel.IDHint)
	case taken[ch.Name]:
		return ch, c.errorf(key("name"), "%q is taken: give this channel another name", ch.Name)
	case !ok:
		return ch, c.errorf(key("kind"), "unknown kind %q: it must be one of %s", ch.Kind, kindNames())
	}
	taken[ch.Name] = true
	ch.Settings = kind.New()
	if err := c.decodeTable(at, table, "a channel of kind "+kind.Name, &ch.Common, ch.Settings); err != nil {
		return ch, err
	}
	if err := c.completeCommon(key, &ch.Common, kind); err != nil {
		return ch, err
	}
	return ch, ch.Complete(&channel.Setup{
		Common: &ch.Common,
		Server: channel.Server{
			Listen: c.Server.Listen, Loopback: c.Server.loopback(),
			PlainHTTP: !strings.HasPrefix(c.Server.PublicURL, "https:") && !(c.Server.loopback() && c.Server.publicOnLoopback()),
		},
		Path:   c.path,
		Errorf: func(name, format string, args ...any) error { return c.errorf(key(name), format, args...) },
		Secret: func(name, value, file string) (string, error) { return c.secret(key(name), value, file) },
	})
}

func (c *Config) completeCommon(key func(string) string, ch *channel.Common, kind channel.Kind) (err error) {
	if ch.Store == "" {
		ch.Store = kind.Store
	}
	if why := channel.BadStore(ch.Store); ch.Store != "" && why != "" {
		return c.errorf(key("store"), "%s", why)
	}
	if ch.MaxQuantity == nil {
		ch.MaxQuantity = new(int)
		*ch.MaxQuantity = channel.MaxQuantity
	}
	if *ch.MaxQuantity < 1 || *ch.MaxQuantity > channel.MaxQuantity {
		return c.errorf(key("max_quantity"), "it must be from 1 to %d", channel.MaxQuantity)
	}
	if ch.Language != "" && !ingest.IsLanguage(ch.Language) {
		return c.errorf(key("language"), "%q: %s", ch.Language, languageHint)
	}
	if ch.TestTo == "" {
		return nil
	}
	if ch.TestAddress, err = ownAddress(ch.TestTo); err != nil {
		return c.errorf(key("test_to"), "%v", err)
	}
	return nil
}

// desk is what the order desk needs to know.
func (ch Channel) desk() ingest.Channel {
	out := ingest.Channel{Name: ch.Name, HeldMessage: ch.HeldMessage, MaxQuantity: *ch.MaxQuantity, Language: ch.Language}
	ch.Settings.Desk(&out)
	return out
}

// admin is what the operations need to know.
func (ch Channel) admin() admin.Channel {
	return admin.Channel{Common: ch.Common, Settings: ch.Settings}
}

// Channel finds a channel by name.
func (c *Config) Channel(name string) (Channel, bool) {
	for _, ch := range c.Channels {
		if ch.Name == name {
			return ch, true
		}
	}
	return Channel{}, false
}
