package config

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// A caller makes HTTP calls out. What a URL's name leads to is its owner's
// to choose, and may be the inside of this network: so the address that is
// dialled is looked at, after the name was resolved, and calls go to the
// public internet alone unless the config says private. They follow no
// redirects, go through no proxy of the environment, and want a good
// certificate. The two share no connections.
var publicCaller, privateCaller = newCaller(publicOnly), newCaller(nil)

func caller(private bool) *http.Client {
	if private {
		return privateCaller
	}
	return publicCaller
}

// newCaller makes a client that asks control about each address. A call's
// time is bounded by its context.
func newCaller(control func(network, address string, c syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: control}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// publicOnly refuses to dial what is not on the public internet.
func publicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	if !public(to.Addr()) {
		return fmt.Errorf("%s is not a public address: private = true allows it", to.Addr().Unmap())
	}
	return nil
}

// notPublic are the IPv4 networks that are not globally reachable (RFC 6890
// and the IANA registry of special purpose addresses).
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// Of IPv6 only global unicast is public (RFC 4291, 2.4), less what is set
// apart in it: Teredo and other protocol assignments, documentation, and 6to4,
// which nobody needs and which hides an IPv4 address.
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	setApart      = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: an IPv4 address in its last four bytes
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// public tells whether an address is on the public internet, in whatever form
// it is written.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if a.Is4() {
		return !slices.ContainsFunc(notPublic, within)
	}
	return globalUnicast.Contains(a) && !slices.ContainsFunc(setApart, within) // one with a zone is in no prefix
}
