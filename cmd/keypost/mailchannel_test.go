package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/ingest/tfyp"
)

// shopProfile is a profile of one's own, of a store.
func shopProfile(store string) string {
	return fmt.Sprintf("store = %q\nsubject = [\"Sold\"]\n[fields]\ntransaction = [\"Order:\"]\nproduct = [\"Product:\"]\nemail = [\"Email:\"]\n", store)
}

const shopMail = "From: Store <orders@store.example>\r\nTo: shop@example.com\r\nSubject: Sold\r\n\r\nOrder: B-1\r\nProduct: Product_Name\r\nEmail: ada@example.org\r\n"

// mailChannel is a site's channel of kind imap with further keys.
func mailChannel(s *site, more string) channelConfig {
	s.t.Helper()
	s.place("shop.toml", shopProfile("shop"))
	s.place("token", "t0ken\n")
	s.write(siteConfig + "[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"127.0.0.1:993\"\nuser = \"shop\"\n" + more)
	c, err := loadConfig(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	ch, _ := c.channel("mail")
	return ch
}

// What the config says reaches those who judge the mails, all of it.
func TestMailChannelWiring(t *testing.T) {
	s := newSite(t)
	ch := mailChannel(s, `token_file = "token"
profiles = ["shop.toml", "tfyp"]
merchant = "Merchant 4711"
recipients = ["shop@example.com", "sales@example.com"]
trust = [{ dkim = "store.example" }, { dkim = "shop.example", authserv_id = "mx.example.com" }]
`)
	in := (&daemon{}).intake(ch)
	want := authentic.Policy{
		Recipients: []string{"shop@example.com", "sales@example.com"}, Merchant: "Merchant 4711",
		Trust: []authentic.Trust{{DKIM: "store.example"}, {DKIM: "shop.example", AuthservID: "mx.example.com"}},
	}
	if diff := cmp.Diff(want, in.Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	for text, name := range map[string]string{shopMail: "shop.toml", sale(1).Text(): "tfyp"} {
		if f := in.Recognise([]byte(text)); f.Profile == nil || filepath.Base(f.Profile.Name) != name {
			t.Errorf("it is not read by %s", name)
		}
	}
	m := ch.mailbox
	if m.Password != nil || m.Token == nil {
		t.Fatal("token_file is a password")
	}
	if token, err := m.Token(); err != nil || token != "t0ken" {
		t.Errorf("token %q, %v", token, err)
	}
	if m.MaxSize != tfyp.MaxMail || m.AtOnce != mailsAtOnce || m.User != "shop" || m.Address != "127.0.0.1:993" {
		t.Errorf("mailbox %+v", m)
	}
	s.place("token", "n3w\n")
	if token, _ := m.Token(); token != "n3w" {
		t.Errorf("a new token is not read: %q", token)
	}
}

// Whose orders a mail's are: the channel's store, or else the profile's own; the
// daemon and the commands agree on it.
func TestMailChannelStore(t *testing.T) {
	s := newSite(t)
	s.place("shop.eml", shopMail)
	for keys, want := range map[string]string{"": "shop", "store = \"other\"\n": "other"} {
		ch := mailChannel(s, "password = \"x\"\nprofile = \"shop.toml\"\nmerchant = \"Merchant 4711\"\ntrust = [{ dkim = \"store.example\" }]\n"+keys)
		r := (&daemon{}).intake(ch).Recognise([]byte(shopMail)).Reading
		if len(r.Orders) != 1 || r.Orders[0].Store != want {
			t.Errorf("serve: %+v; want store %s", r.Orders, want)
		}
		var got parsedMailJSON
		s.read(0, &got, "parse", "mail", filepath.Join(filepath.Dir(s.config), "shop.eml"))
		if len(got.Orders) != 1 || got.Orders[0].Store != want {
			t.Errorf("parse mail: %+v; want store %s", got.Orders, want)
		}
		if f := imapFinding(ch); !strings.HasSuffix(f.Detail, "; orders of "+want) {
			t.Errorf("check: %s", f.Detail)
		}
	}
}

// A name server that does not answer is found out before mails wait for it.
func TestCheckKeys(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	var ch channelConfig
	ch.Name, ch.Trust = "mail", []trustConfig{{DKIM: "store.example"}, {DKIM: "shop.example", AuthservID: "mx"}}
	ch.DNS = shop.DNS // knows of no such name, and says so
	if f := checkKeys(t.Context(), ch); f.Result != "ok" || f.Detail != "it answers for store.example; asked: the name server that dns names ("+shop.DNS+")" {
		t.Errorf("%+v", f)
	}
	ch.DNS = closed.LocalAddr().String()
	if f := checkKeys(t.Context(), ch); f.Result != "failed" || f.Subject != "dns of mail" || !strings.Contains(f.Detail, "mend the name server that dns names ("+ch.DNS+")") {
		t.Errorf("%+v", f)
	}
	ch.Trust = ch.Trust[1:] // nothing is looked up
	if f := checkKeys(t.Context(), ch); f.Detail != "" {
		t.Errorf("%+v", f)
	}
}

// A port that speaks otherwise than tls says is found out soon, and the line
// says what it may want.
func TestCheckMailboxTLS(t *testing.T) {
	for _, row := range []struct{ tls, greeting, want string }{
		{"starttls", "", `: 127.0.0.1:993 did not answer within 10s: this port may want tls = "tls"`},
		{"none", "", `: this port may want tls = "tls"`},
		{"tls", "", ": 127.0.0.1:993 did not answer within 10s"},
		{"tls", "* OK ready\r\n", `: this port may want tls = "starttls"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ch channelConfig
			ch.TLS = row.tls
			ch.Address = "127.0.0.1:993"
			ours, theirs := net.Pipe()
			defer theirs.Close()
			go func() {
				if row.greeting != "" {
					go fmt.Fprint(theirs, row.greeting)
				}
				for _, err := theirs.Read(make([]byte, 1<<10)); err == nil; _, err = theirs.Read(make([]byte, 1<<10)) {
				}
			}()
			ch.mailbox = mailbox.Config{
				Address: ch.Address, User: "ada", TLS: row.tls, Password: func() (string, error) { return "x", nil },
				Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
			}
			begun := time.Now()
			f := checkMailbox(t.Context(), ch)
			if took := time.Since(begun); f.Result != "failed" || !strings.HasSuffix(f.Detail, row.want) || took > checkTime {
				t.Errorf("%+v after %s: %+v; want %s", row, took, f, row.want)
			}
		})
	}
}
