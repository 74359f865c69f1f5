package main

import (
	"strings"
	"testing"
)

// A buyer is promised mail only where there is a mail server.
func TestHeldMessageWithoutMail(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "held_message = \"Wait, please.\"\n", "", 1))
	s.serve()
	out := s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "Nothing")
	if strings.Contains(out, "e-mail") || !strings.Contains(out, "The seller will send you your activation code.") {
		t.Errorf("post: %s", out)
	}
}

// approve says how the code reaches the buyer, and does not pass over in silence
// what it does not do.
func TestApproveSaysWhatHappens(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "Nothing", "--transaction", "H1")
	if out := s.must(0, "order", "approve", "kagi", "H1", "--product", "demo"); !strings.Contains(out, "for the buyer is in the outbox") || !strings.Contains(out, "no [mail]") {
		t.Errorf("approve:\n%s", out)
	}
	if out := s.must(0, "order", "approve", "kagi", "H1"); !strings.Contains(out, "The order was already issued") {
		t.Errorf("approve again:\n%s", out)
	}
	s.must(0, "order", "refund", "kagi", "H1")
	if out := s.must(1, "order", "approve", "kagi", "H1"); !strings.Contains(out, "was refunded: nothing was changed") {
		t.Errorf("approve after the refund:\n%s", out)
	}
}

// Names that nothing has are said to be so.
func TestMistypedNames(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "limit = 2\n", "limit = 2\nlimits = { site = 0 }\n", 1))
	s.serve()
	s.post()
	for want, args := range map[string][]string{
		`No product has the id "dmeo".`:                            {"order", "list", "--product", "dmeo"},
		`No product has the id "dmoe".`:                            {"license", "list", "--product", "dmoe"},
		`No product has the id "mdeo".`:                            {"export", "csv", "--product", "mdeo"},
		`No channel in the config has the store "kaig".`:           {"order", "list", "--store", "kaig"},
		`No channel in the config has the name "mial".`:            {"mail", "list", "--channel", "mial"},
		`No webhook in the config has the name "cmr".`:             {"outbox", "list", "--endpoint", "cmr"},
		`license type "siet", so the limit of 2 machines applies.`: {"license", "issue", "demo", "--type", "siet", "--transaction", "G1"},
		`license type "stie", so the limit of 2 machines applies.`: {"keygen", "try", "demo", "--type", "stie"},
		`for the license type "team", so no limit applies.`:        {"keygen", "try", "other", "--type", "team"},
	} {
		if out := s.must(0, args...); !strings.Contains(out, want) {
			t.Errorf("%q: want %s\n%s", args, want, out)
		}
	}
	for _, args := range [][]string{
		{"order", "list", "--product", "other"},
		{"order", "list", "--store", "manual", "--status", "held"},
		{"license", "list", "--product", "other"},
		{"license", "issue", "demo", "--type", "Site", "--transaction", "G2"},
		{"keygen", "try", "demo"},
	} {
		if out := s.must(0, args...); strings.Contains(out, "No product") || strings.Contains(out, "No channel") || strings.Contains(out, "counts.") {
			t.Errorf("%q:\n%s", args, out)
		}
	}
}
