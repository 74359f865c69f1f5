package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

const mailSamples = "../../ingest/tfyp/testdata/mails/"

func TestParseMail(t *testing.T) {
	s := newSite(t)
	var got admin.ParsedMail
	s.read(0, &got, "parse", "mail", mailSamples+"01-1997.eml")
	if got.Verdict != "issued" || len(got.Orders) != 1 || deref(got.Orders[0].Product) != "demo" {
		t.Errorf("%+v", got)
	}
	want := admin.MailField{Name: "name", Value: "Ada Lovelace", Where: "line 6"}
	if !cmp.Equal(got.Fields[1], want) {
		t.Error(cmp.Diff(want, got.Fields[1]))
	}
	s.read(0, &got, "parse", "mail", mailSamples+"07-several-products.eml")
	if got.Verdict != "held" || deref(got.Reason) != "unknown_product" || len(got.Orders) != 2 || got.Orders[1].Product != nil {
		t.Errorf("%+v", got)
	}
	s.read(0, &got, "parse", "mail", mailSamples+"refund-01.eml", "--profile", mailSamples+"refund.toml")
	if got.Verdict != "refund" || len(got.Refunds) != 1 {
		t.Errorf("%+v", got)
	}
	text := s.must(0, "parse", "mail", mailSamples+"26-doubled-label.eml")
	for _, want := range []string{"line 7", "ada@example.com", "held: ambiguous", `"email" is in line 7 and in line 8`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	s.must(1, "parse", "mail", mailSamples+"29-another-mail.eml")
	s.must(1, "parse", "mail", "/nothing/there.eml")
	s.must(1, "parse", "mail", s.config, "--profile", s.config)
	s.must(3, "parse", "mail", mailSamples+"01-1997.eml", "--profile", "nothing")
}

// Of a mail that brings its code the daemon makes no order, and no other is promised.
func TestParseMailWithCode(t *testing.T) {
	s := newSite(t)
	s.place("old.eml", oldSale(1, "OLD-1"))
	file := filepath.Join(filepath.Dir(s.config), "old.eml")
	var got admin.ParsedMail
	s.read(0, &got, "parse", "mail", file)
	if got.Verdict != "brings_code" || deref(got.Reason) != "code" {
		t.Errorf("%+v", got)
	}
	if text := s.must(0, "parse", "mail", file); strings.Contains(text, "would be issued") || !strings.Contains(text, "no order: the mail contains a code of its own") {
		t.Error(text)
	}
	if text := s.must(0, "profile", "test", "tfyp", file); !strings.Contains(text, "brings code") || !strings.Contains(text, "1 mail: 0 taken") {
		t.Error(text)
	}
}

// Attached mails are judged as the daemon judges them.
func TestParseAttached(t *testing.T) {
	s := newSite(t)
	var got admin.ParsedMail
	s.read(0, &got, "parse", "mail", mailSamples+"22-attached.eml")
	if got.Verdict != "not_recognised" || len(got.Mails) != 1 || got.Mails[0].Verdict != "issued" || len(got.Mails[0].Orders) != 1 {
		t.Errorf("%+v", got)
	}
	text := s.must(0, "parse", "mail", mailSamples+"22-attached.eml")
	for _, want := range []string{"verdict  not recognised", "attached mail 1 of 1: Thanks for your purchase", "codes would be issued"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Index(text, "FIELD") < strings.Index(text, "attached mail") {
		t.Errorf("a table of no fields:\n%s", text)
	}
	if text := s.must(0, "profile", "test", "tfyp", mailSamples+"22-attached.eml"); !strings.Contains(text, "22-attached.eml, attached 1") || !strings.Contains(text, "2 mails: 1 taken") {
		t.Error(text)
	}
}

// The mail server's word, which this channel goes by, is about the mail that it
// took in: an attached one is judged by its own signature.
func TestParseAttachedTrust(t *testing.T) {
	s := newSite(t)
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Close)
	s.place("imap.secret", "secret\n")
	s.add("\n[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"mail.example.com:993\"\nuser = \"shop\"\npassword_file = \"imap.secret\"\n" +
		"recipients = [\"" + mailboxtest.Recipient + "\"]\ntrust = [{ dkim = \"" + mailboxtest.Domain + "\", authserv_id = \"mx.example.com\" }]\ndns = \"" + shop.DNS + "\"\n")
	signed, err := shop.Sign(sale(1).Text())
	if err != nil {
		t.Fatal(err)
	}
	s.place("direct.eml", string(signed))
	s.place("outer.eml", "Subject: Hello\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"+string(signed)+"\r\n--b--\r\n")
	var direct, outer admin.ParsedMail
	s.read(0, &direct, "parse", "mail", filepath.Join(filepath.Dir(s.config), "direct.eml"))
	s.read(0, &outer, "parse", "mail", filepath.Join(filepath.Dir(s.config), "outer.eml"))
	if len(outer.Mails) != 1 {
		t.Fatalf("%+v", outer)
	}
	if got := []string{direct.Verdict, outer.Mails[0].Verdict}; !cmp.Equal(got, []string{"refused", "issued"}) {
		t.Errorf("%q\n%+v\n%+v", got, direct.Checks, outer.Mails[0].Checks)
	}
}

// What is no quantity is not shown as one copy.
func TestParseMailQuantity(t *testing.T) {
	s := newSite(t)
	if text := s.must(0, "parse", "mail", mailSamples+"shop-06-malformed.eml", "--profile", mailSamples+"shop.toml"); !strings.Contains(text, "not known") {
		t.Error(text)
	}
}

func TestProfileTest(t *testing.T) {
	s := newSite(t)
	var list []admin.TestedMail
	s.read(0, &list, "profile", "test", "tfyp", mailSamples)
	verdicts := map[string]string{}
	for _, m := range list {
		verdicts[m.File] = verdictOf(m)
	}
	for file, want := range map[string]string{
		"01-1997.eml": "taken", "03-comment-flag.eml": "held: comment", "29-another-mail.eml": "not recognised", "shop.toml": "unreadable",
	} {
		if verdicts[file] != want {
			t.Errorf("%s: %s, want %s", file, verdicts[file], want)
		}
	}
	// An mbox file is as many mails as it holds.
	first, err := os.ReadFile(mailSamples + "01-1997.eml")
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(mailSamples + "23-no-buyer.eml")
	if err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(t.TempDir(), "old.mbox")
	const from = "From orders@store.example Wed May  5 09:12:44 2004\n"
	if err := os.WriteFile(box, []byte(from+string(first)+"\n"+from+string(second)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := s.must(0, "profile", "test", "tfyp", box)
	for _, want := range []string{"old.mbox 1", "taken", "1 Product_Name", "held: incomplete", "2 mails: 1 taken, 1 held, 0 not recognised"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	s.must(1, "profile", "test", "tfyp", "/nothing")
	s.must(3, "profile", "test", "nothing", mailSamples)
}

// A profile with which a comment could pass for a product is told of.
func TestProfileWarnings(t *testing.T) {
	s := newSite(t)
	s.place("open.toml", "subject = [\"Thanks\"]\nitems = [\"{quantity} x {product}\"]\n[fields]\nname = [\"Name:\"]\ntransaction = [\"Order:\"]\n")
	file := filepath.Join(filepath.Dir(s.config), "open.toml")
	if _, _, errOut := s.run("profile", "test", file, mailSamples+"01-1997.eml"); !strings.Contains(errOut, "neither comment nor comment_flag") {
		t.Errorf("profile test: %q", errOut)
	}
	if _, _, errOut := s.run("profile", "test", "tfyp", mailSamples+"01-1997.eml"); errOut != "" {
		t.Errorf("profile test tfyp: %q", errOut)
	}
	channel := func(profile string) string {
		return "[[channel]]\nname = \"mail\"\nkind = \"imap\"\nstore = \"shop\"\naddress = \"imap.example.com:993\"\nuser = \"shop\"\npassword = \"s3cret\"\n" +
			"merchant = \"Merchant 4711\"\ntrust = [{ dkim = \"store.example\" }]\nprofile = \"" + profile + "\"\n"
	}
	for profile, want := range map[string]string{file: "warning", "tfyp": "ok"} {
		c, err := parsed(t, goodProduct+channel(profile))
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Channels[0].Report(); f.Result != want || strings.Contains(f.Detail, "neither comment nor comment_flag") != (want == "warning") {
			t.Errorf("check: %+v", f)
		}
	}
}

// The way of the page: draft, look, try.
func TestProfileDraftAndShow(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "my.toml")
	for _, text := range []string{s.must(0, "profile", "draft", mailSamples+"01-1997.eml"), s.must(0, "profile", "show", "tfyp")} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := s.must(0, "profile", "test", file, mailSamples+"02-later-wording.eml"); !strings.Contains(out, "1 mail: 1 taken") && !strings.Contains(text, "A draft") {
			t.Error(out)
		}
		if out := s.must(0, "profile", "test", file, mailSamples+"01-1997.eml"); !strings.Contains(out, "1 taken") {
			t.Error(out)
		}
	}
	if out := s.must(0, "profile", "show"); strings.TrimSpace(out) != "tfyp" {
		t.Errorf("%q", out)
	}
	s.must(3, "profile", "show", "nothing")
	var draft, shown profileJSON
	s.read(0, &draft, "profile", "draft", mailSamples+"01-1997.eml")
	s.read(0, &shown, "profile", "show", "tfyp")
	for _, p := range []profileJSON{draft, shown} {
		if !strings.Contains(p.Text, "subject = ") {
			t.Errorf("%+v", p)
		}
	}
	if err := os.WriteFile(file, []byte("colour = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "profile", "test", file, mailSamples); !strings.Contains(out, "my.toml:1: unknown key colour") {
		t.Error(out)
	}
}
