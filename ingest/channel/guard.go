package channel

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"
)

// A Guard stands in front of a channel that stores post to: Basic
// authentication, a path that nobody can guess, HTTPS, or this machine alone.
type Guard struct {
	Basic     string `toml:"basic_auth"` // "user:password" of the realm; "": none
	BasicFile string `toml:"basic_auth_file"`

	// LocalOnly, if not "", is why calls from other machines are refused.
	LocalOnly string `toml:"-"`
	// HTTPSOnly: calls from other machines must have come by HTTPS. The header
	// X-Forwarded-Proto is believed; whoever routes keeps it from strangers.
	HTTPSOnly bool `toml:"-"`
	// PlainHTTP: posts travel unencrypted.
	PlainHTTP bool `toml:"-"`
}

// Complete reads the keys.
func (g *Guard) Complete(s *Setup) (err error) {
	if g.Basic, err = s.Secret("basic_auth", g.Basic, g.BasicFile); err != nil {
		return err
	}
	if user, password, _ := strings.Cut(g.Basic, ":"); g.Basic != "" && (user == "" || password == "") {
		return s.Errorf("basic_auth", "it must be user:password")
	}
	g.PlainHTTP = s.Server.PlainHTTP
	return nil
}

// KeepLocal refuses calls from other machines, with the sentence why, and a
// config that listens for them, with what is wrong about a key.
func (g *Guard) KeepLocal(s *Setup, why, key, wrong string) error {
	g.LocalOnly = why
	if !s.Server.Loopback {
		return s.Errorf(key, "%s", wrong)
	}
	return nil
}

// Admit tells whether a call may go on; else what to answer, in the protocol's
// own form. With 401 it has set the header that asks for a password.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request) (status int, why string, ok bool) {
	if user, password, given := r.BasicAuth(); g.Basic != "" && !(given && Equal(g.Basic, user+":"+password)) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Keypost"`)
		return http.StatusUnauthorized, "A user name and a password are required.", false
	}
	if g.LocalOnly != "" && !Local(r) {
		return http.StatusForbidden, g.LocalOnly, false
	}
	if g.HTTPSOnly && !Local(r) && r.TLS == nil && r.Header.Get("X-Forwarded-Proto") != "https" {
		return http.StatusForbidden, "This channel's cipher is allowed only with HTTPS.", false
	}
	return 0, "", true
}

// Worry is a sentence about posts that others can read; "": they cannot.
func (g *Guard) Worry() string {
	if !g.PlainHTTP {
		return ""
	}
	return "posts and codes are sent over plain HTTP, and others on the network can read and change them. " +
		"Put an HTTPS proxy in front, listen on 127.0.0.1, and set public_url to the https address."
}

// Equal compares secrets: its time tells neither where they differ nor how long
// they are.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Local tells whether a request was made on this machine and not forwarded by
// a proxy on it.
func Local(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded") || strings.HasPrefix(name, "Cf-") {
			return false
		}
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "True-Client-Ip", "X-Client-Ip":
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}
