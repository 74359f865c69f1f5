package admin

import (
	"strings"
	"testing"

	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
)

func TestExplainMail(t *testing.T) {
	for _, reason := range []string{tfyp.HeldIncomplete, tfyp.HeldCharset, intake.ReasonUnknownSale, tfyp.HeldMalformed} {
		if why := explainMail(reason, true); why == "" || strings.Contains(why, "license issue") || strings.Contains(why, "An order needs") || strings.Contains(why, "buyer") {
			t.Errorf("of a refund, %s: %s", reason, why)
		}
	}
	if explainMail(tfyp.HeldIncomplete, false) != tfyp.Explain(tfyp.HeldIncomplete) {
		t.Error("of a sale")
	}
}
