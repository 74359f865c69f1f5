package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/store"
)

// A customer asks what is kept, moves, and asks to be forgotten; the store's
// repeat of the order is held then, and knows nobody.
func TestCustomer(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		stop := s.serve()
		const who = "ada.private@example.com"
		codes := s.post("--name", "Ada Private", "--email", who, "--seed", "Keyword: id - ada-private-7")
		if problem := s.activate(codes[0], "machine-1"); problem != "" {
			t.Fatal(problem)
		}
		s.must(1, "post", "krps", s.url+"/in/kagi", "--email", who, "--secret", "wrong", "--transaction", "REFUSED")
		s.must(3, "customer", "show", "nobody@example.com")
		s.must(2, "customer", "show", " ")
		var c admin.Customer
		s.read(0, &c, "customer", "show", strings.ToUpper(who))
		if c.Name != "Ada Private" || c.Email != who || len(c.Orders) != 1 || c.Orders[0].Licenses[0] != codes[0] {
			t.Errorf("customer = %+v", c)
		}
		if o := c.Orders[0]; len(o.Seeds) != 1 || len(o.Machines) != 1 || len(o.Messages) != 1 || !strings.Contains(o.Messages[0].Raw, "ada.private") {
			t.Errorf("all that is kept = %+v", o)
		}
		if out := s.must(0, "customer", "show", who); len(c.Messages) != 1 || !strings.Contains(out, c.Messages[0].ID+"  kagi     refused  ") {
			t.Errorf("what was refused = %+v\n%s", c.Messages, out)
		}
		s.must(2, "customer", "edit", who)
		for _, wrong := range []string{"nonsense", "", "@", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: c@d"} {
			s.must(2, "customer", "edit", who, "--email", wrong)
		}
		s.must(2, "customer", "edit", who, "--name", "a\nb")
		s.must(2, "license", "issue", "demo", "--email", "a@b\r\nBcc: c@d")
		s.must(0, "customer", "edit", who, "--name", "Ada Private-Lovelace")
		if out := s.must(0, "customer", "show", "ada private-lovelace"); !strings.Contains(out, who) {
			t.Errorf("edited:\n%s", out)
		}
		if out := s.must(0, "customer", "forget", "--yes", who); !strings.Contains(out, "the buyer of 1 order; held or refused posts and mails: 1. Backups and the store's own records still have the data.\n") {
			t.Errorf("forget:\n%s", out)
		}
		s.must(3, "customer", "show", who)
		s.must(3, "customer", "forget", "--yes", who)
		// Who was only refused can be forgotten, too.
		s.must(1, "post", "krps", s.url+"/in/kagi", "--email", who, "--secret", "wrong", "--transaction", "REFUSED")
		if out := s.must(0, "customer", "show", who); !strings.Contains(out, "held or refused posts and mails  1\n") {
			t.Errorf("who was only refused:\n%s", out)
		}
		s.must(0, "customer", "forget", "--yes", who)
		// The code works on; the store's repeat is held and keeps nobody either.
		if problem := s.activate(codes[0], "machine-2"); problem != "" {
			t.Error(problem)
		}
		for range 2 {
			s.must(4, "post", "krps", s.url+"/in/kagi", "--name", "Ada Private", "--email", who, "--seed", "Keyword: id - ada-private-7")
		}
		var orders []admin.Order
		s.read(0, &orders, "order", "list")
		if len(orders) != 2 || *orders[0].Reason != "conflict" || orders[0].Email != "" {
			t.Errorf("orders = %+v", orders)
		}
		s.must(0, "db", "verify")
		backup := filepath.Join(t.TempDir(), "backup.db")
		s.must(0, "db", "backup", backup)
		b, err := os.ReadFile(backup)
		if err != nil || len(b) == 0 {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(b)), "rivate") {
			t.Error("the customer is still in the database")
		}
		if strings.Contains(s.log.String(), "rivate") {
			t.Error("the log knows the customer")
		}
		// Not even the embedded database's file does, once its log is folded in.
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		b, err = os.ReadFile(filepath.Join(filepath.Dir(s.config), "data", "keypost.db"))
		if err == nil && strings.Contains(strings.ToLower(string(b)), "rivate") {
			t.Error("the customer is still in the database's file")
		}
	})
}

// A buyer whose orders came by mail is forgotten with what was noted of the mails,
// whatever name they give the sale, and with those that wait; the store's mails
// that come again bring nobody back.
func TestForgetMails(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		s.write(strings.Replace(siteConfig, `name = "kagi"`, "name = \"kagi\"\nblurb = \"me_Demo\"", 1))
		m := newMailed(t, s, "")
		s.serve()
		const who = "ada.private@example.org"
		private := func(number int) string {
			return strings.NewReplacer("Ada Lovelace", "Ada Private", "ada@example.org", who).Replace(sale(number).Text())
		}
		changed := func(number int, more string) string {
			return strings.Replace(private(number), "Thank you", more+" thank you", 1)
		}
		s.post("--transaction", "TX1", "--set", "ACG:SQNM=0001", "--date", time.Now().UTC().Format(time.DateOnly), "--email", who, "--name", "Ada Private", "--price", "35.000")
		m.deliver(private(1), true) // the post's
		m.deliver(private(2), true)
		m.filed("Done", 2)
		m.deliver(strings.Replace(private(3), "Email: ", "Email: eve@example.org\r\nEmail: ", 1), true)
		m.filed("Held", 1)
		m.deliver(private(4), false)
		m.deliver(sale(5).Text(), true) // another buyer's
		m.filed("Done", 3)
		var c admin.Customer
		s.read(0, &c, "customer", "show", who)
		if len(c.Orders) != 2 || len(c.Messages) != 2 || c.Messages[0].Verdict != "held" || c.Messages[1].Verdict != "refused" {
			t.Errorf("customer %+v", c)
		}
		nobody := func(when string) {
			t.Helper()
			for _, row := range mailsOf(s, "taken") {
				if got := s.mail(row.ID); strings.Contains(got.Told, "rivate") || strings.Contains(got.Told, "Lovelace") != strings.Contains(row.Sale.Transaction, "0005") {
					t.Errorf("%s: mail %s: %q", when, row.ID, got.Told)
				}
			}
		}
		if out := s.must(0, "customer", "forget", "--yes", who); !strings.Contains(out, "held or refused posts and mails: 2.") || !strings.Contains(out, "the mailbox of "+m.account.User+" (INBOX, Done, Held). Delete them there") {
			t.Errorf("forget: %s", out)
		}
		nobody("forgotten")
		if held := mailsOf(s, "held"); len(held) > 0 {
			t.Errorf("held for ever: %+v", held)
		}
		if list := mailsOf(s, "unknown"); len(list) != 1 || deref(list[0].Reason) != "dismissed" || list[0].MessageID != nil {
			t.Errorf("dismissed: %+v", list)
		}
		for i, again := range []string{changed(1, "Once more"), changed(2, "Once more"), changed(2, "And again")} {
			m.deliver(again, true)
			m.filed("Held", 2+i)
			nobody(fmt.Sprintf("repeat %d", i))
		}
		s.must(3, "customer", "show", who)
		m.deliver(strings.Replace(changed(2, "At last"), "Email: ", "Email: eve@example.org\r\nEmail: ", 1), true)
		m.filed("Held", 5)
		if out := s.must(0, "customer", "show", who); !strings.Contains(out, mailsOf(s, "held")[0].ID) {
			t.Errorf("a held mail:\n%s", out)
		}
		s.must(0, "customer", "forget", "--yes", who)
		s.must(3, "customer", "show", who)
	})
}

// mail is the row of a mail, with what was taken of it.
func (s *site) mail(id string) store.Mail {
	s.t.Helper()
	c, err := config.Load(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := store.Open(s.t.Context(), c.Database.URL, store.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	m, err := db.Mail(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// The vendor's own address is in each mail, and a buyer may name another one: to
// forget either loses nobody's sale.
func TestForgetNobodyElse(t *testing.T) {
	s := newSite(t)
	m := newMailed(t, s, "")
	s.serve()
	other := strings.Replace(sale(1).Text(), "US$ 35.00 - 1 * Product_Name\r\n", "Keyword: Friend - eve@example.org\r\n", 1)
	m.deliver(other, true)
	m.filed("Held", 1)
	if out := s.must(2, "customer", "forget", "--yes", mailboxtest.Recipient); !strings.Contains(out, "of your own") {
		t.Errorf("%s", out)
	}
	s.must(3, "customer", "forget", "--yes", "eve@example.org")
	if list := mailsOf(s, "held"); len(list) != 1 {
		t.Errorf("held: %+v", list)
	}
	s.must(0, "customer", "forget", "--yes", "ada@example.org")
	if list := mailsOf(s, "held"); len(list) != 0 {
		t.Errorf("held: %+v", list)
	}
}
