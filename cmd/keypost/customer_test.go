package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		var c customerJSON
		s.read(0, &c, "customer", "show", strings.ToUpper(who))
		if c.Name != "Ada Private" || c.Email != who || len(c.Orders) != 1 || c.Orders[0].Licenses[0] != codes[0] {
			t.Errorf("customer = %+v", c)
		}
		if o := c.Orders[0]; len(o.Seeds) != 1 || len(o.Machines) != 1 || len(o.Messages) != 1 || !strings.Contains(o.Messages[0].Raw, "ada.private") {
			t.Errorf("all that is kept = %+v", o)
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
		if out := s.must(0, "customer", "forget", who); !strings.Contains(out, "1 orders, and 1 refused") {
			t.Errorf("forget:\n%s", out)
		}
		s.must(3, "customer", "show", who)
		s.must(3, "customer", "forget", who)
		// Who was only refused can be forgotten, too.
		s.must(1, "post", "krps", s.url+"/in/kagi", "--email", who, "--secret", "wrong", "--transaction", "REFUSED")
		s.must(0, "customer", "forget", who)
		// The code works on; the store's repeat is held and keeps nobody either.
		if problem := s.activate(codes[0], "machine-2"); problem != "" {
			t.Error(problem)
		}
		for range 2 {
			s.must(4, "post", "krps", s.url+"/in/kagi", "--name", "Ada Private", "--email", who, "--seed", "Keyword: id - ada-private-7")
		}
		var orders []orderJSON
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

// What was refused names somebody however it is written.
func TestNaming(t *testing.T) {
	coded := base64.StdEncoding.EncodeToString([]byte("Email: Ada.Private@example.com\r\n"))
	inBase64 := "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + coded + "\r\n"
	names := naming(" ada.private@EXAMPLE.com ")
	for raw, want := range map[string]bool{
		"":                                false,
		"mail of Ada.Private@example.com": true,
		"ACG%3APurchaserEmail=ada.private%40EXAMPLE.com&x":                                                           true,
		"Email: bob@example.com":                                                                                     false,
		"To: =?utf-8?q?ada=2Eprivate=40example=2Ecom?=\r\n\r\nHello\r\n":                                             true,
		"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nEmail: ada.priv=\r\nate=40example.com\r\n": true,
		inBase64: true,
		"Subject: fw\r\nContent-Type: message/rfc822\r\n\r\n" + inBase64:                                  true,
		strings.Replace(inBase64, coded, base64.StdEncoding.EncodeToString([]byte("bob@example.com")), 1): false,
	} {
		if got := names([]byte(raw)); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}
