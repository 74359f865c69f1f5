package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/intake"
)

// shopProfile is a profile of one's own, of a store.
func shopProfile(store string) string {
	return fmt.Sprintf("store = %q\nsubject = [\"Sold\"]\n[fields]\ntransaction = [\"Order:\"]\nproduct = [\"Product:\"]\nemail = [\"Email:\"]\n", store)
}

const shopMail = "From: Store <orders@store.example>\r\nTo: shop@example.com\r\nSubject: Sold\r\n\r\nOrder: B-1\r\nProduct: Product_Name\r\nEmail: ada@example.org\r\n"

// mailChannel is a site's channel of kind imap with further keys.
func mailChannel(s *site, more string) *intake.Settings {
	s.t.Helper()
	s.place("shop.toml", shopProfile("shop"))
	s.place("token", "t0ken\n")
	s.write(siteConfig + "[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"127.0.0.1:993\"\nuser = \"shop\"\n" + more)
	c, err := config.Load(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	ch, _ := c.Channel("mail")
	return ch.Settings.(*intake.Settings)
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
	in := ch.Reader()
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
}

// Whose orders a mail's are: the channel's store, or else the profile's own; the
// daemon and the commands agree on it.
func TestMailChannelStore(t *testing.T) {
	s := newSite(t)
	s.place("shop.eml", shopMail)
	for keys, want := range map[string]string{"": "shop", "store = \"other\"\n": "other"} {
		ch := mailChannel(s, "password = \"x\"\nprofile = \"shop.toml\"\nmerchant = \"Merchant 4711\"\ntrust = [{ dkim = \"store.example\" }]\n"+keys)
		r := ch.Reader().Recognise([]byte(shopMail)).Reading
		if len(r.Orders) != 1 || r.Orders[0].Store != want {
			t.Errorf("serve: %+v; want store %s", r.Orders, want)
		}
		var got admin.ParsedMail
		s.read(0, &got, "parse", "mail", filepath.Join(filepath.Dir(s.config), "shop.eml"))
		if len(got.Orders) != 1 || got.Orders[0].Store != want {
			t.Errorf("parse mail: %+v; want store %s", got.Orders, want)
		}
		if f := ch.Report(); !strings.HasSuffix(f.Detail, "; orders of "+want) {
			t.Errorf("check: %s", f.Detail)
		}
	}
}
