package config

import (
	"strings"
	"testing"
)

// What is weak in a channel is a warning of check that says what to do, and of
// the daemon's log.
func TestWeakChannels(t *testing.T) {
	const (
		sound = "secret = \"4f7w2kq9zc8m1x5t\"\n"
		short = "guess such a short secret. Agree on at least 16 random letters and digits"
		plain = "over plain HTTP, and others on the network can read and change them. Put an HTTPS proxy in front"
	)
	listen := func(at, public string) string {
		text := "[server]\nlisten = \"" + at + "\"\n"
		if public != "" {
			text += "public_url = \"" + public + "\"\n"
		}
		return text
	}
	loopback := listen("127.0.0.1:8080", "")
	for _, c := range []struct {
		name, server, secret string
		want                 []string // in the warning; none: ok
	}{
		{"sound, this machine", loopback, sound, nil},
		{"sound, HTTPS by a proxy", listen("127.0.0.1:8080", "https://keys.example.com"), sound, nil},
		{"sound, HTTPS by a proxy elsewhere", listen("0.0.0.0:8080", "https://keys.example.com"), sound, nil},
		{"one letter", loopback, "secret = \"x\"\n", []string{short}},
		{"fifteen letters", loopback, "secret = \"4f7w2kq9zc8m1x5\"\n", []string{short}},
		{"sixteen times one letter", loopback, "secret = \"aAaAaAaAaAaAaAaA\"\n", []string{short}},
		{"the specification's pass phrase", loopback, "secret = \"Easter bunny and friend\"\n", nil},
		{"one of two", loopback, "secrets = [\"4f7w2kq9zc8m1x5t\", \"old\"]\n", []string{short}},
		{"plain HTTP", listen("0.0.0.0:8080", ""), sound, []string{plain}},
		{"plain HTTP, IPv6", listen("[::]:8080", ""), sound, []string{plain}},
		{"plain HTTP, no address", listen(":8080", ""), sound, []string{plain}},
		{"plain HTTP by a proxy", listen("127.0.0.1:8080", "http://keys.example.com"), sound, []string{plain}},
		{"this machine is all that it says", listen("0.0.0.0:8080", "http://localhost:8080"), sound, []string{plain}},
		{"both", listen("0.0.0.0:8080", ""), "secret = \"x\"\n", []string{short, plain}},
	} {
		conf, err := parsed(t, c.server+goodProduct+"[[channel]]\nname = \"kagi\"\nkind = \"krps\"\ndigest = \"sha-512\"\n"+c.secret)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f := conf.Channels[0].Report()
		if (f.Result == "warning") != (len(c.want) > 0) {
			t.Errorf("%s: %+v", c.name, f)
		}
		for _, want := range c.want {
			if !strings.Contains(f.Detail, want) {
				t.Errorf("%s: %s, want %q", c.name, f.Detail, want)
			}
		}
	}
}
