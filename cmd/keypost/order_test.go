package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
)

// A day at the desk, while the daemon runs.
func TestOrdersByHand(t *testing.T) { eachDatabase(t, testOrdersByHand) }

func testOrdersByHand(t *testing.T, s *site) {
	s.must(1, "order", "list") // no database yet
	s.serve()
	if got := s.must(0, "order", "list"); got != "No orders.\n" {
		t.Errorf("an empty list: %q", got)
	}
	codes := s.post()
	if again := s.post(); len(codes) != 1 || again[0] != codes[0] {
		t.Fatalf("codes = %v, again %v", codes, again)
	}
	var o admin.Order
	s.read(0, &o, "order", "show", "kagi", "ch0123456789")
	if o.Transaction != "CH0123456789" || o.Store != "kagi" || o.Line != 1 || *o.Product != "demo" || o.Quantity != 1 || o.Status != "issued" ||
		o.Reason != nil || o.Test || o.Licenses[0] != codes[0] {
		t.Errorf("order = %+v", o)
	}

	// A conflict is held, exit 4, and makes the sale two lines.
	s.must(4, "post", "krps", s.url+"/in/kagi", "--quantity", "2")
	out := s.must(2, "order", "show", "kagi", "CH0123456789")
	for _, want := range []string{"conflict", "issued", "2 lines"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list of lines lacks %q:\n%s", want, out)
		}
	}
	s.must(2, "order", "approve", "kagi", "CH0123456789")
	s.must(3, "order", "show", "kagi", "CH0123456789", "3")
	s.must(2, "order", "show", "kagi", "CH0123456789", "0")
	s.must(2, "order", "show", "kagi", "CH0123456789", "x")
	s.must(2, "order", "show", "kagi", "")
	s.must(2, "order", "refund", "", "CH0123456789")
	s.must(3, "order", "show", "kagi ", "CH0123456789")
	s.must(3, "order", "show", "kagi", "nothing")
	s.must(3, "order", "show", "fastspring", "CH0123456789")
	s.read(0, &o, "order", "show", "kagi", "CH0123456789", "2")
	if o.Status != "held" || *o.Reason != "conflict" || o.Licenses == nil || !slices.Equal(o.Differs, []admin.Difference{{Field: "quantity", Before: "1", Now: "2"}}) {
		t.Errorf("held = %+v", o)
	}
	if out := s.must(0, "order", "show", "kagi", "CH0123456789", "2"); !strings.Contains(out, "quantity: now 2, before 1") {
		t.Errorf("it does not say what differs:\n%s", out)
	}
	s.read(0, &o, "order", "approve", "kagi", "CH0123456789", "2")
	if o.Status != "issued" || len(o.Licenses) != 2 {
		t.Errorf("approved = %+v", o)
	}
	s.must(0, "order", "approve", "kagi", "CH0123456789", "2") // again changes nothing
	if again := s.post("--quantity", "2"); len(again) != 2 || again[0] != o.Licenses[0] {
		t.Errorf("the duplicate of the approved order gets %v", again)
	}

	// An unknown product: rejected, approved for a product after all.
	s.must(4, "post", "krps", s.url+"/in/kagi", "--transaction", "T2", "--product", "Unknown")
	s.must(1, "order", "approve", "kagi", "T2")
	s.read(0, &o, "order", "show", "kagi", "T2")
	if o.Product != nil || *o.Reason != "unknown_product" {
		t.Errorf("unknown product = %+v", o)
	}
	s.read(0, &o, "order", "reject", "kagi", "T2")
	if o.Status != "rejected" {
		t.Errorf("rejected = %+v", o)
	}
	s.must(0, "order", "reject", "kagi", "T2")
	s.must(1, "order", "reject", "kagi", "CH0123456789", "1")
	s.must(1, "order", "resend", "kagi", "T2")
	s.read(0, &o, "order", "approve", "kagi", "T2", "--product", "other")
	if o.Status != "issued" || *o.Product != "other" {
		t.Errorf("approved after all = %+v", o)
	}
	s.must(1, "order", "approve", "kagi", "T2", "--product", "demo")
	s.must(0, "order", "resend", "kagi", "T2")
	s.read(0, &o, "order", "resend", "kagi", "T2")

	// A refund revokes, twice changes nothing.
	s.read(0, &o, "order", "refund", "kagi", "CH0123456789", "1")
	s.must(0, "order", "refund", "kagi", "CH0123456789", "1")
	if !o.Refunded {
		t.Errorf("refunded = %+v", o)
	}
	if out := s.must(0, "order", "show", "kagi", "CH0123456789", "1"); !strings.Contains(out, "full amount (20") {
		t.Errorf("a refunded order:\n%s", out)
	}
	s.must(1, "order", "resend", "kagi", "CH0123456789", "1")
	if out := s.must(1, "license", "restore", codes[0]); !strings.Contains(out, "still revoked: refund") {
		t.Errorf("restore a refunded license: %s", out)
	}
	if problem := s.activate(codes[0], "machine-1"); problem != "code_revoked" {
		t.Errorf("a refunded code: %s", problem)
	}
	var list []admin.Order
	s.read(0, &list, "order", "list", "--status", "issued", "--store", "kagi")
	if len(list) != 3 {
		t.Errorf("%d orders", len(list))
	}
	s.read(0, &list, "order", "list", "--limit", "1")
	if len(list) != 1 {
		t.Errorf("%d orders with --limit 1", len(list))
	}
	s.must(2, "order", "list", "--status", "lost")
	for range 100 {
		s.must(0, "license", "issue", "demo")
	}
	if got, out, _ := s.run("order", "list"); got != 0 || strings.Count(out, "\n") != 101 {
		t.Errorf("a person gets %d lines", strings.Count(out, "\n"))
	}
	if s.read(0, &list, "order", "list"); len(list) != 103 {
		t.Errorf("a program gets %d orders", len(list))
	}
}

// A day with all that is not one code of one product.
func TestUpgradesBundlesAndCopies(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		b, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		s.write(string(b) + `
[[product]]
id = "demo2"
aliases = ["Demo_2_Upgrade"]
upgrade_from = ["demo"]
upgrade_keyword = "Previous-license"
[[product]]
id = "both"
gives = ["demo", "other"]
[[channel]]
name = "units"
kind = "krps"
secret = "geheim"
digest = "sha-512"
invocation = "unit"
unit_max = 3
[[channel]]
name = "quiet"
kind = "krps"
secret = "geheim"
digest = "sha-512"
reply_codes = false
`)
		s.serve()
		old := s.post("--transaction", "OLD")[0]
		seed := "Keyword: Previous-license - " + old
		upgraded := s.post("--transaction", "UP", "--product", "Demo_2_Upgrade", "--seed", seed)
		if len(upgraded) != 1 {
			t.Fatalf("upgraded: %v", upgraded)
		}
		if out := s.must(0, "license", "show", old); !strings.Contains(out, "upgraded by  kagi UP 1") {
			t.Errorf("license show:\n%s", out)
		}
		s.must(4, "post", "krps", s.url+"/in/kagi", "--transaction", "UP2", "--product", "Demo_2_Upgrade", "--seed", seed)
		if out := s.must(0, "order", "show", "kagi", "UP2"); !strings.Contains(out, "upgrade_used") || !strings.Contains(out, "keypost license show") {
			t.Errorf("order show:\n%s", out)
		}
		s.must(0, "order", "refund", "kagi", "UP")
		s.post("--transaction", "UP3", "--product", "Demo_2_Upgrade", "--seed", seed)

		codes := s.post("--transaction", "BOTH", "--product", "both", "--quantity", "2")
		var o admin.Order
		s.read(0, &o, "order", "show", "kagi", "BOTH")
		if !slices.Equal(codes, o.Licenses) || len(codes) != 4 || *o.Product != "both" || o.Quantity != 2 {
			t.Errorf("bundle %v, order %+v", codes, o)
		}
		for i, product := range []string{"demo", "other", "demo", "other"} {
			var l admin.License
			s.read(0, &l, "license", "show", codes[i])
			if l.Product != product {
				t.Errorf("code %d is of %s", i, l.Product)
			}
		}

		seen := map[string]bool{}
		for range 5 {
			out := s.must(0, "post", "krps", s.url+"/in/units", "--transaction", "UNITS", "--codes")
			seen[out] = true
		}
		if len(seen) != 3 {
			t.Errorf("five posts of three copies: %v", seen)
		}

		out := s.must(0, "post", "krps", s.url+"/in/quiet", "--transaction", "QUIET")
		s.read(0, &o, "order", "show", "kagi", "QUIET")
		if len(o.Licenses) != 1 || strings.Contains(out, o.Licenses[0]) || !strings.Contains(out, "GOOD") {
			t.Errorf("reply_codes = false: %s, %+v", out, o)
		}
		if out := s.must(0, "order", "show", "kagi", "QUIET"); !strings.Contains(out, "codes to buyer (waiting)") {
			t.Errorf("order show:\n%s", out)
		}
		if out := s.must(0, "check"); !strings.Contains(out, "up to 3 equal posts within 10m0s are copies") || !strings.Contains(out, "a bundle of demo, other") {
			t.Errorf("check:\n%s", out)
		}
	})
}
