package intake

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// What is tried by hand is what the daemon does: the outcome of a finding and the
// verdict that an intake notes are of one Reader.
func TestReader(t *testing.T) {
	catalog := ingest.Catalog{Products: []ingest.Product{{ID: "demo", Aliases: []string{"Product_Name"}}}}
	tests := map[string]struct {
		raw, verdict, outcome string
	}{
		"a private mail":  {"From: Eve <eve@example.org>\r\nSubject: Hello\r\n\r\nHello\r\n", "unknown", "not_recognised"},
		"no mail":         {"\x00\x01", "unknown unreadable", "not_recognised"},
		"a sale":          {hand(thanks), "taken", "issued"},
		"another product": {hand(replaced(thanks, "Product_Name", "Other")), "taken", "held unknown_product"},
		"not signed":      {thanks, "refused no_signature", "refused no_signature"},
		"a label twice":   {hand(replaced(thanks, "Email: ada@example.org\r\n", "Email: ada@example.org\r\nEmail: eve@example.org\r\n")), "held ambiguous", "held ambiguous"},
		"its own code":    {hand(replaced(thanks, "Email:", "Registration-Code: A-CODE\r\nEmail:")), "taken code", "brings_code code"},
		"a refund":        {hand(back), "taken", "refund"},
	}
	b := newBench(t, "sqlite:"+t.TempDir()+"/k.db")
	for name, test := range tests {
		f := b.Read(t.Context(), []byte(test.raw), arrival)
		if got := strings.TrimSpace(f.Verdict + " " + f.Reason); got != test.verdict {
			t.Errorf("%s: it is %s; want %s", name, got, test.verdict)
		}
		out := f.Outcome(catalog)
		if got := strings.TrimSpace(out.Verdict + " " + out.Reason); got != test.outcome || len(out.Products) != len(f.Reading.Orders) {
			t.Errorf("%s: it would be %s, with products %v; want %s", name, got, out.Products, test.outcome)
		}
	}
	// Without being judged, it is what it would be if it were authentic.
	if f := b.Recognise([]byte(thanks)); f.Verdict != store.MailTaken || f.Judgement.Verdict != "" || f.Outcome(catalog).Verdict != OutcomeIssued {
		t.Errorf("not judged: %+v", f)
	}
}

// Whoever names somebody in a comment is another buyer.
func TestOfAnother(t *testing.T) {
	b := newBench(t, "sqlite:"+t.TempDir()+"/k.db")
	f := b.Recognise([]byte(thanks))
	for _, who := range []string{"ada@example.org", "eve@example.org"} {
		named := func(text []byte) bool { return strings.Contains(string(text), who) }
		if got := f.OfAnother(named); got != (who == "eve@example.org") {
			t.Errorf("of another than %s: %v", who, got)
		}
	}
	if (Finding{}).OfAnother(func([]byte) bool { return false }) {
		t.Error("of what nobody reads it cannot be said")
	}
}

// What a person must add is what the mail does not say.
func TestSummary(t *testing.T) {
	b := newBench(t, "sqlite:"+t.TempDir()+"/k.db")
	for raw, want := range map[string][]string{
		thanks: nil,
		replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", ""):                                            {"product"},
		replaced(thanks, "1 * Product_Name", "0 * Product_Name"):                                            {"quantity"},
		replaced(replaced(thanks, "Registered-To: Ada Lovelace\r\n", ""), "Email: ada@example.org\r\n", ""): {"email"},
		back: nil,
	} {
		if diff := cmp.Diff(want, b.Recognise([]byte(raw)).Summary(store.Mail{}).Needs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
	if s := (Finding{}).Summary(store.Mail{Store: "kagi", Fold: "t1"}); s.Sale != "kagi t1" || s.Needs != nil {
		t.Errorf("of a mail that is gone: %+v", s)
	}
}

// Each reason has an explanation, and of a refund none that speaks of an order.
func TestExplain(t *testing.T) {
	for _, reason := range []string{ReasonTooBig, ReasonCode, ReasonUnknownSale, ingest.RefundAmount, tfyp.HeldIncomplete, tfyp.HeldCharset, tfyp.HeldMalformed, "no_signature"} {
		sale, refund := Explain(reason, false), Explain(reason, true)
		if sale.Text == "" || refund.Text == "" || strings.Contains(sale.Text+refund.Text, "keypost") {
			t.Errorf("%s: %q, %q", reason, sale.Text, refund.Text)
		}
		if reason != ReasonTooBig && strings.Contains(refund.Text, "buyer") {
			t.Errorf("of a refund, %s: %q", reason, refund.Text)
		}
	}
}
