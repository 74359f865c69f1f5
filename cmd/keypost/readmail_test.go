package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// What the vendor is told of a held mail is what its profile found in it.
func TestReadSale(t *testing.T) {
	s := newSite(t)
	profile, err := os.ReadFile(filepath.Join(mailSamples, "refund.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.place("refund.toml", string(profile))
	s.add("[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"imap.example.com:993\"\nuser = \"shop\"\npassword = \"s3cret\"\n" +
		"recipients = [\"shop@example.com\"]\ntrust = [{ dkim = \"store.example\" }]\nprofiles = [\"tfyp\", \"refund.toml\"]\n")
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	date := time.Date(2004, 5, 5, 16, 12, 44, 0, time.UTC)
	kagi := delivery.SaleMail{Subject: "Thanks for your purchase", From: "Kagi <orders@store.example>", Date: date}
	numbered := func(number string, change func(*delivery.SaleMail)) delivery.SaleMail {
		out := kagi
		out.Sale = "kagi SQNM-\"me_Demo\" " + number + " 2004-05-05"
		change(&out)
		return out
	}
	for file, want := range map[string]delivery.SaleMail{
		"24-no-product": numbered("0062", func(m *delivery.SaleMail) { m.Needs = []string{"product"} }),
		"23-no-buyer": numbered("0061", func(m *delivery.SaleMail) {
			m.Subject, m.Product, m.Needs = "Thanks for your purchase @", "Product_Name", []string{"email"}
		}),
		"26-doubled-label": numbered("0063", func(m *delivery.SaleMail) { m.Product = "Product_Name" }),
		"refund-03-no-reference": {
			Subject: "Refund of your order", From: "Kagi <orders@store.example>", Date: date, Refund: true, Sale: "shop S-2004-17",
			Fields: []delivery.Field{{Name: "amount", Value: "25.00 EUR"}, {Name: "transaction", Value: "S-2004-17"}},
		},
	} {
		raw, err := os.ReadFile(filepath.Join(mailSamples, file+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		got := c.Admin().ReadSale(store.Mail{Channel: "mail", Raw: raw})
		if file == "26-doubled-label" {
			for _, f := range []delivery.Field{{Name: "name", Value: "Ada Lovelace"}, {Name: "email", Value: "ada@example.com"}, {Name: "item", Value: "1  Product_Name US$ 35.00"}} {
				if !slices.Contains(got.Fields, f) {
					t.Errorf("%s lacks %v: %v", file, f, got.Fields)
				}
			}
		}
		if !got.Refund {
			got.Fields = nil
		}
		slices.SortFunc(got.Fields, func(a, b delivery.Field) int { return strings.Compare(a.Name, b.Name) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
	raw, err := os.ReadFile(filepath.Join(mailSamples, "refund-03-no-reference.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for reason, text := range map[string]string{ingest.RefundAmount: string(raw), tfyp.HeldIncomplete: strings.Replace(string(raw), "25.00 EUR", "all of it", 1)} {
		if got := c.Admin().ReadSale(store.Mail{Channel: "mail", Reason: reason, Raw: []byte(text)}); !slices.Equal(got.Needs, []string{"amount"}) {
			t.Errorf("%s: %+v", reason, got)
		}
	}
	if got := c.Admin().ReadSale(store.Mail{Channel: "gone", Store: "kagi", Fold: "t1"}); got.Sale != "kagi t1" || len(got.Fields) > 0 {
		t.Errorf("of a channel that is gone: %+v", got)
	}
}

// A mail that is held in a real mailbox: the vendor gets all that it says, and a
// command that approves it.
func TestMailHeldMail(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	m := newMailed(t, s, "")
	s.add(mailConfigOf(exim, ""))
	s.serve()
	m.deliver(strings.Replace(sale(1).Text(), "US$ 35.00 - 1 * Product_Name\r\n", "", 1), true)
	m.filed("Held", 1)
	raw := awaited(t, exim, "me@example.com", "Held: kagi SQNM-")
	_, command, _ := strings.Cut(raw, "\n  keypost ")
	command, _, _ = strings.Cut(command, "\n")
	for _, want := range []string{"    name: Ada Lovelace\n", "    email: ada@example.org\n", "    sequence: me_Demo 0001\n"} {
		if !strings.Contains(strings.ReplaceAll(raw, "\r\n", "\n"), want) {
			t.Errorf("it lacks %q:\n%s", want, raw)
		}
	}
	args := strings.Fields(strings.Replace(command, "=\r", "", 1))
	for i := range args {
		if args[i] == "PRODUCT" {
			args[i] = "Product_Name"
		}
	}
	s.must(0, args...)
	if list := mailsOf(s, "taken"); len(list) != 1 {
		t.Errorf("after %q: %+v", args, list)
	}
}
