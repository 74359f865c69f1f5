package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
)

// A ConfigError is a part of a Config that is wrong.
type ConfigError struct{ Key, Why string } // Key: address, tls, user, password, poll, size, folder, processed, held or failed

func (e *ConfigError) Error() string { return e.Why }

func wrong(key, format string, args ...any) error {
	return &ConfigError{key, fmt.Sprintf(format, args...)}
}

// complete fills in what is left out and says what is wrong.
func (c Config) complete() (Config, error) {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" {
		return c, wrong("address", "address %q: want host:port", c.Address)
	}
	c.TLS = cmp.Or(c.TLS, TLS)
	c.Folder = cmp.Or(c.Folder, "INBOX")
	c.Poll = cmp.Or(c.Poll, DefaultPoll)
	c.MaxSize = cmp.Or(c.MaxSize, DefaultMaxSize)
	c.AtOnce = max(c.AtOnce, 1)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = c.Log.With("mailbox", cmp.Or(c.Name, c.User))
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	switch {
	case c.TLS != TLS && c.TLS != StartTLS && c.TLS != NoTLS:
		return c, wrong("tls", "tls %q: want %q, %q or %q", c.TLS, TLS, StartTLS, NoTLS)
	case c.TLS == NoTLS && !loopback(host):
		return c, wrong("tls", "tls %q is for a server on this machine: %s is not a loopback address", NoTLS, host)
	case c.User == "":
		return c, wrong("user", "user: a name to log in with is missing")
	case (c.Password == nil) == (c.Token == nil):
		return c, wrong("password", "want a password or a token, and not both")
	case c.Poll < time.Second || c.Poll > MaxPoll:
		return c, wrong("poll", "poll %s: want one second to %s", c.Poll, MaxPoll)
	case c.MaxSize < 1<<10 || c.MaxSize > 64<<20:
		return c, wrong("size", "max size %d: want 1 KiB to 64 MiB", c.MaxSize)
	}
	return c, c.checkTargets()
}

func (c Config) checkTargets() error {
	if why := badFolder(c.Folder); why != "" || c.Folder[0] == '$' {
		return wrong("folder", "folder %q: %s", c.Folder, cmp.Or(why, "it is a keyword"))
	}
	for _, target := range [][2]string{{"processed", c.Processed}, {"held", c.Held}, {"failed", c.Failed}} {
		key, t := target[0], target[1]
		switch {
		case t == "":
		case t[0] == '$':
			if !keyword(t) {
				return wrong(key, "keyword %q: want $ and then letters, digits, dots, - and _", t)
			}
		case badFolder(t) != "":
			return wrong(key, "folder %q: %s", t, badFolder(t))
		case strings.EqualFold(t, c.Folder):
			return wrong(key, "folder %q is the one that is watched", t)
		}
	}
	return nil
}

// badFolder says what is wrong with a folder's name. "%" and "*" are LIST's
// wildcards; a level that is empty names nothing.
func badFolder(name string) string {
	if len(name) > 200 {
		return "too long"
	}
	for level := range strings.SplitSeq(name, "/") {
		if strings.TrimSpace(level) == "" {
			return "a level is empty"
		}
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd || r == '%' || r == '*' }) {
		return "it has control characters, % or *"
	}
	return ""
}

// keyword: RFC 3501, 9: flag-keyword is an atom; less than that is understood
// everywhere.
func keyword(s string) bool {
	return len(s) > 1 && len(s) <= 64 && !strings.ContainsFunc(s[1:], func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// loopback: a name other than localhost could lead anywhere.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// dial connects, and makes sure of where "localhost" has led.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := c.Dial(ctx, "tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	if to, err := netip.ParseAddrPort(conn.RemoteAddr().String()); c.TLS == NoTLS && err == nil && !to.Addr().Unmap().IsLoopback() {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to %s: tls %q is for a server on this machine, and that is %s", c.Address, NoTLS, to)
	}
	return conn, nil
}
