package config

import (
	"strings"
	"testing"
)

const hookSecret = "whsec_c2VjcmV0LW9mLXRlc3RzLWdlaGVpbS0xMjM0NTY="

func TestConfigWebhooks(t *testing.T) {
	const good = goodProduct + "[[webhook]]\nname = \"crm\"\n"
	const secret = "secret = \"" + hookSecret + "\"\n"
	ok := func(text string) Webhook {
		t.Helper()
		c, err := parsed(t, text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return c.Webhooks[0]
	}
	bad := func(text string, want ...string) {
		t.Helper()
		_, err := parsed(t, text)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %q", text, err, w)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), hookSecret)) {
			t.Errorf("%q: the error tells a secret: %v", text, err)
		}
	}
	at := func(url string) string { return good + "url = \"" + url + "\"\n" }
	w := ok(at("https://crm.example.com/keypost?key=s3cret") + "secrets = [\"" + hookSecret + "\", \"" + hookSecret + "\"]\nevents = [\"order.issued\"]\n")
	if e := w.endpoint(); len(e.Secrets) != 2 || e.Client != publicCaller || strings.Contains(w.report().Detail, "s3cret") {
		t.Errorf("%+v, %+v", e, w.report())
	}
	if w := ok(at("http://10.0.0.1:8000/") + secret + "private = true\n"); w.endpoint().Client != privateCaller || w.report().Result != "warning" {
		t.Errorf("%+v", w.report())
	}
	for _, url := range []string{"http://localhost:1/", "http://[::1]:1/", "https://10.0.0.1/"} {
		if w := ok(at(url) + secret + "private = true\n"); w.report().Result != "ok" {
			t.Errorf("%s: %+v", url, w.report())
		}
	}
	for _, url := range []string{"", "crm.example.com", "ftp://crm.example.com", "https:///x", "https://user:s3cret@crm.example.com/", "https://crm.example.com/#s3cret", "https://s3cret\x7f"} {
		bad(at(strings.ReplaceAll(url, "\x7f", "\\u007f"))+secret, "keypost.toml:6: webhook[0].url: it must be a URL")
	}
	bad(at("http://crm.example.com/?key=s3cret")+secret, "keypost.toml:6: webhook[0].url", "use https")
	for _, url := range []string{"https://localhost/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/"} {
		bad(at(url)+secret, "keypost.toml:6: webhook[0].url", "private = true allows it")
	}
	const there = good + "url = \"https://crm.example.com/\"\n"
	bad(there, "keypost.toml:4: webhook[0].secret: it is missing")
	bad(there+"secret = \"s3cret\"\n", "keypost.toml:7: webhook[0].secret: it must be whsec_")
	bad(there+"secrets = [\"s3cret\"]\n", "keypost.toml:7: webhook[0].secrets: it must be whsec_")
	bad(there+secret+"secret_file = \"x\"\n", "keypost.toml:8: webhook[0].secret_file", "keep one of them")
	bad(there+secret+"secrets = [\"x\"]\n", "keypost.toml:8: webhook[0].secrets", "keep one of them")
	bad(there+secret+"events = [\"order.lost\"]\n", "keypost.toml:8: webhook[0].events: \"order.lost\" is not an event", "order.issued, order.held", "license.reset")
	bad(there+secret+"[[webhook]]\nname = \"crm\"\n", "keypost.toml:9: webhook[1].name: \"crm\" is taken")
	bad(goodProduct+"[[webhook]]\nname = \"a b\"\n", "keypost.toml:5: webhook[0].name")
}
