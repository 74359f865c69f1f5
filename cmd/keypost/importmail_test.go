package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"

	"github.com/google/go-cmp/cmp"
)

func oldSale(number int, code string) string {
	text := fmt.Sprintf("From: orders@store.example\nTo: shop@example.com\nSubject: Thanks for your purchase\nDate: Wed, 5 May 2004 09:12:44 -0700\n"+
		"Content-Type: text/plain; charset=us-ascii\n\nPayment fee received\nRegistered-To: Ada Lovelace\nEmail: ada@example.org\n"+
		"Registration-Code: %s\nUS$ 35.00 - 1 * Product_Name\n\n>From here on it is yours.\nSQNM-\"me_Demo\" %04d\n", code, number)
	if code == "" {
		text = strings.Replace(text, "Registration-Code: \n", "", 1)
	}
	return text
}

const oldRefund = "From: orders@store.example\nTo: shop@example.com\nSubject: Refund\nDate: Wed, 12 May 2004 09:12:44 -0700\n" +
	"Content-Type: text/plain\n\nSQNM-\"me_Demo\" 0002\n"

func TestImportMbox(t *testing.T) { eachDatabase(t, testImportMbox) }

func testImportMbox(t *testing.T, s *site) {
	private := "From: eve@example.org\nSubject: Hello\n\nFrom: this line begins so\n\nBye\n"
	var mbox strings.Builder
	for _, mail := range []string{oldSale(1, "OLD-1"), private, oldSale(2, "OLD-2"), oldSale(3, ""), oldRefund, oldSale(1, "OLD-1")} {
		fmt.Fprintf(&mbox, "From MAILER-DAEMON Wed May  5 09:12:44 2004\n%s\n", mail)
	}
	s.place("sold.mbox", mbox.String())
	s.place("refunds.toml", "kind = \"refund\"\nstore = \"kagi\"\nsubject = [\"Refund\"]\nsequence = ['SQNM-\"{blurb}\" {number}']\n")
	folder := filepath.Dir(s.config)
	args := []string{"import", "mbox", filepath.Join(folder, "sold.mbox"), "--profile", filepath.Join(folder, "refunds.toml"), "--profile", "tfyp"}

	s.serve()
	want := admin.ImportedMails{Mails: 6, Added: 2, Known: 1, Refunds: 1, NotRecognised: 1, WithoutCode: 1, Faults: []string{}}
	imported := func(when string, args ...string) {
		t.Helper()
		for _, dry := range []bool{true, false} { // it comes to what it says that it would
			if want.DryRun = dry; dry {
				args = append(args, "--dry-run")
			} else {
				args = args[:len(args)-1]
			}
			var got admin.ImportedMails
			s.read(0, &got, args...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
			if out := s.must(0, "order", "list"); dry && when == "first" && !strings.Contains(out, "No orders") {
				t.Errorf("the dry run did something: %s", out)
			}
		}
	}
	imported("first", args...)
	want.Added, want.Refunds, want.Known = 0, 0, 4
	imported("again", args...)
	if problem := s.activate("OLD-1", "machine-1"); problem != "" {
		t.Errorf("activate: %s", problem)
	}
	if problem := s.activate("OLD-2", "machine-1"); problem != "code_revoked" {
		t.Errorf("activate what was refunded: %q", problem)
	}
	var licenses []admin.License
	s.read(0, &licenses, "license", "list")
	if len(licenses) != 2 {
		t.Errorf("licenses %+v", licenses)
	}
}

// What cannot be taken in is told alike by the dry run and by the run.
func TestImportMboxFaults(t *testing.T) {
	s := newSite(t)
	refund := func(lines string) string { return strings.Replace(oldRefund, "SQNM-\"me_Demo\" 0002\n", lines, 1) }
	var mbox strings.Builder
	for _, mail := range []string{
		refund("SQNM-\"me_Demo\" 0001\nRefund: R-1\nBack: 5.00 USD\n"), // before its sale
		oldSale(1, "OLD-1"),
		oldSale(2, "OLD-1"), // the code of another sale
		oldSale(1, "OLD-2"), // another code of the same sale
		refund("SQNM-\"me_Demo\" 0001\nRefund: R-1\nBack: 5.00 USD\n"),
		refund("SQNM-\"me_Demo\" 0001\nRefund: R-2\nBack: 5.00 EUR\n"),
		refund("SQNM-\"me_Demo\" 0009\nRefund: R-3\nBack: 5.00 USD\n"),
		refund("Order: B-7777\nRefund: R-4\nBack: 5.00 USD\n"),
		refund("SQNM-\"me_Demo\" 0001\nRefund: R-5\n"),
		strings.Replace(oldSale(3, "OLD-3"), "1 * Product", "2 * Product", 1),
	} {
		fmt.Fprintf(&mbox, "From MAILER-DAEMON Wed May  5 09:12:44 2004\n%s\n", mail)
	}
	s.place("sold.mbox", mbox.String())
	s.place("refunds.toml", refundLabels[:strings.Index(refundLabels, "[fields]")]+"sequence = ['SQNM-\"{blurb}\" {number}']\n"+refundLabels[strings.Index(refundLabels, "[fields]"):])
	folder := filepath.Dir(s.config)
	s.serve()
	want := []string{
		"it already exists with different data", "it already exists with different data", "incomplete: it does not say how much is refunded", "issue the missing codes by hand (keypost license issue)",
		"the refund is not in the order's currency", "it refunds an unknown sale", "it refunds an unknown sale",
	}
	for _, more := range [][]string{{"--dry-run"}, nil} {
		var got admin.ImportedMails
		s.read(1, &got, append([]string{"import", "mbox", filepath.Join(folder, "sold.mbox"), "--profile", filepath.Join(folder, "refunds.toml"), "--profile", "tfyp"}, more...)...)
		if got.Added != 1 || got.Refunds != 1 || got.Known != 1 || len(got.Faults) != len(want) {
			t.Fatalf("%v: %+v", more, got)
		}
		for i, fault := range got.Faults {
			if !strings.Contains(fault, want[i]) {
				t.Errorf("%v: %s; want %s", more, fault, want[i])
			}
		}
	}
	if problem := s.activate("OLD-1", "machine-1"); problem != "" {
		t.Errorf("a part of it went back: %s", problem)
	}
}

// A mail may bring a code for each copy of each product.
func TestImportSeveralCodes(t *testing.T) {
	s := newSite(t)
	s.serve()
	text := oldSale(1, "OLD-1\nRegistration-Code: OLD-2\nRegistration-Code: OLD-3")
	text = strings.Replace(text, "US$ 35.00 - 1 * Product_Name\n", "US$ 35.00 - 2 * Product_Name\nUS$ 20.00 - 1 * Other_Product\n", 1)
	s.place("sold.mbox", "From MAILER-DAEMON Wed May  5 09:12:44 2004\n"+text)
	file := filepath.Join(filepath.Dir(s.config), "sold.mbox")
	var got admin.ImportedMails
	s.read(1, &got, "import", "mbox", file)
	if got.Added != 0 || len(got.Faults) != 1 || !strings.Contains(got.Faults[0], `"Other_Product"`) {
		t.Fatalf("one of the products is not known: %+v", got)
	}
	for i, more := range [][]string{{"--dry-run"}, nil, nil} {
		s.read(0, &got, append([]string{"import", "mbox", file, "--product", "other"}, more...)...)
		if i < 2 && got.Added != 3 || i == 2 && got.Known != 3 {
			t.Errorf("%q: %+v", more, got)
		}
	}
	var orders []admin.Order
	s.read(0, &orders, "order", "list")
	codes := map[string][]string{}
	for _, o := range orders {
		codes[*o.Product] = o.Licenses
	}
	if diff := cmp.Diff(map[string][]string{"demo": {"OLD-1", "OLD-2"}, "other": {"OLD-3"}}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImportMaildir(t *testing.T) {
	s := newSite(t)
	s.serve()
	if err := os.MkdirAll(filepath.Join(filepath.Dir(s.config), "old", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.place(fmt.Sprintf("old/cur/%d:2,S", i), oldSale(i, fmt.Sprintf("OLD-%d", i)))
	}
	var out admin.ImportedMails
	s.read(0, &out, "import", "maildir", filepath.Join(filepath.Dir(s.config), "old"))
	if out.Mails != 3 || out.Added != 3 {
		t.Errorf("%+v", out)
	}
}
