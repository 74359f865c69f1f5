package mailbox_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/keypost/keypost/ingest/mailbox"
)

func TestLogin(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	const bearer = "\x01auth=Bearer tok3n\x01\x01"
	for _, row := range []struct {
		name, auth string
		token      bool
		want       string // of the log-in
		err        string
	}{
		{name: "PLAIN", auth: "AUTH=PLAIN AUTH=LOGIN SASL-IR", want: "AUTHENTICATE PLAIN " + b64([]byte("\x00ada\x00secret"))},
		{name: "PLAIN in two steps", auth: "AUTH=PLAIN", want: "AUTHENTICATE PLAIN"},
		{name: "LOGIN", auth: "ID", want: `LOGIN "ada" "secret"`},
		{name: "no password", auth: "LOGINDISABLED", err: "LOGINDISABLED"},
		{name: "OAUTHBEARER", token: true, auth: "AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=PLAIN SASL-IR", want: "AUTHENTICATE OAUTHBEARER " + b64([]byte("n,a=ada,"+bearer))},
		{name: "XOAUTH2", token: true, auth: "AUTH=XOAUTH2 AUTH=PLAIN SASL-IR", want: "AUTHENTICATE XOAUTH2 " + b64([]byte("user=ada"+bearer))},
		{name: "no OAuth", token: true, auth: "AUTH=PLAIN SASL-IR", err: "OAUTHBEARER nor XOAUTH2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{auth: row.auth}
			f.hook = func(c *fakeConn, tag, command string) bool {
				if command == "AUTHENTICATE PLAIN" {
					c.say("+ ")
					_ = c.w.Flush()
					line, _ := c.r.ReadString('\n')
					if strings.TrimSpace(line) != b64([]byte("\x00ada\x00secret")) {
						c.say("%s NO wrong", tag)
						return true
					}
				}
				return false
			}
			c := f.start(t)
			if row.token {
				c.Password, c.Token = nil, fixed("tok3n")
			}
			_, err := c.Check(t.Context())
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Errorf("error: %v", err)
				}
				return
			}
			if err != nil || f.got(row.want) != 1 {
				t.Errorf("%v; sent %q", err, f.sent())
			}
		})
	}
}

// A token that has run out: the server says why in a challenge, and wants an
// answer to it.
func TestTokenRefused(t *testing.T) {
	for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
		f := &fake{auth: "SASL-IR AUTH=" + mechanism}
		f.hook = func(c *fakeConn, tag, command string) bool {
			if !strings.HasPrefix(command, "AUTHENTICATE") {
				return false
			}
			c.say("+ %s", base64.StdEncoding.EncodeToString([]byte(`{"status":"401","schemes":"Bearer"}`)))
			_ = c.w.Flush()
			_, _ = c.r.ReadString('\n')
			c.say("%s NO [AUTHENTICATIONFAILED] tok3n has run out", tag)
			return true
		}
		c := f.start(t)
		c.Password, c.Token = nil, fixed("tok3n")
		_, err := c.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "token file") || strings.Contains(err.Error(), "tok3n") {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestConfig(t *testing.T) {
	good := mailbox.Config{Address: "mail.example.com:993", User: "ada", Password: fixed("x")}
	if _, err := mailbox.New(good, &desk{}, &kept{}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		want   string
		change func(*mailbox.Config)
	}{
		{"want host:port", func(c *mailbox.Config) { c.Address = "mail.example.com" }},
		{"want host:port", func(c *mailbox.Config) { c.Address = ":993" }},
		{"tls \"ssl\"", func(c *mailbox.Config) { c.TLS = "ssl" }},
		{"not a loopback", func(c *mailbox.Config) { c.TLS = mailbox.NoTLS }},
		{"not a loopback", func(c *mailbox.Config) { c.TLS, c.Address = mailbox.NoTLS, "localhost.example.com:143" }},
		{"user", func(c *mailbox.Config) { c.User = "" }},
		{"a password or a token", func(c *mailbox.Config) { c.Password = nil }},
		{"a password or a token", func(c *mailbox.Config) { c.Token = fixed("y") }},
		{"poll", func(c *mailbox.Config) { c.Poll = mailbox.MaxPoll + 1 }},
		{"poll", func(c *mailbox.Config) { c.Poll = 1 }},
		{"max size", func(c *mailbox.Config) { c.MaxSize = 1 << 40 }},
		{"the one that is watched", func(c *mailbox.Config) { c.Processed = "inbox" }},
		{"a level is empty", func(c *mailbox.Config) { c.Held = "Keypost//Held" }},
		{"control characters", func(c *mailbox.Config) { c.Failed = "a\r\nT1 EXPUNGE" }},
		{"control characters", func(c *mailbox.Config) { c.Failed = "*" }},
		{"keyword", func(c *mailbox.Config) { c.Failed = "$" }},
		{"keyword", func(c *mailbox.Config) { c.Failed = "$a (b)" }},
		{"keyword", func(c *mailbox.Config) { c.Folder = "$Orders" }},
	} {
		c := good
		row.change(&c)
		if _, err := mailbox.New(c, &desk{}, &kept{}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("want %q: %v", row.want, err)
		}
	}
}

func TestSecretWithALineEnd(t *testing.T) {
	f := &fake{}
	c := f.start(t)
	c.Password = fixed("secret\r\nT9 EXPUNGE")
	_, err := c.Check(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret") || f.got("EXPUNGE") > 0 {
		t.Error(err)
	}
	c.Password = func() (string, error) { return "", errors.New("open password: no such file") }
	if _, err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// RFC 3501, 7.1.4: who is known already, by a certificate or a pipe, does not log
// in. In clear text before STARTTLS that could be anybody's word.
func TestPreauth(t *testing.T) {
	f := &fake{greeting: "PREAUTH", uids: upTo(1)}
	c := f.start(t)
	if _, err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if f.got("AUTHENTICATE")+f.got("LOGIN") > 0 || f.got("SELECT")+f.got("EXAMINE") == 0 {
		t.Errorf("sent %q", f.sent())
	}
	d := &desk{}
	pass(t, watcher(t, c, d, &kept{}))
	if len(d.uids()) != 1 {
		t.Errorf("handed over %v", d.uids())
	}
	f = &fake{greeting: "PREAUTH"}
	c = f.start(t)
	c.TLS = mailbox.StartTLS
	if _, err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "the server greets with * PREAUTH") || len(f.sent()) > 0 {
		t.Errorf("before STARTTLS: %v; sent %q", err, f.sent())
	}
}

// elsewhere is a connection that a name of this machine has led to.
type elsewhere struct {
	net.Conn
	at string
}

func (e elsewhere) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(e.at))
}

// tls = "none" counts by where the connection really leads, before anything is
// sent.
func TestNoTLSStaysHere(t *testing.T) {
	for at, here := range map[string]bool{
		"127.0.0.1:143": true, "127.9.9.9:143": true, "[::1]:143": true, "[::ffff:127.0.0.1]:143": true,
		"192.0.2.1:143": false, "10.0.0.1:143": false, "[2001:db8::1]:143": false, "[::ffff:192.0.2.1]:143": false, "0.0.0.0:143": false,
	} {
		f := &fake{}
		c := f.piped()
		dial := c.Dial
		c.Address = "localhost:143"
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return elsewhere{conn, at}, err
		}
		_, err := c.Check(t.Context())
		if (err == nil) != here || here == (len(f.sent()) == 0) {
			t.Errorf("%s: %v; sent %q", at, err, f.sent())
		}
		if !here && !strings.Contains(err.Error(), "is for a server on this machine, and that is ") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
