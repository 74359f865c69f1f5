package intake

import (
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/tfyp"
)

// Reasons of mails, beside those of package authentic and of package tfyp: stable
// words, which scripts may rely on.
const (
	ReasonTooBig      = "too_big" // it was not fetched
	ReasonCode        = "code"    // it brings a code that nobody here knows
	ReasonBounce      = "bounce"  // it reports that a mail of ours did not arrive
	ReasonUnknownSale = ingest.RefundUnknownSale
	ReasonDismissed   = "dismissed" // by a person
	ReasonApproved    = "approved"  // by a person: perhaps not as it reads
)

// Explain says why a mail was not taken and what to do; refund: it is a refund's.
// docs/mail-trust.md says more of those that are not authentic.
func Explain(reason string, refund bool) ingest.Advice {
	switch reason {
	case ReasonCode:
		return ingest.Advise("It brings a code that nobody here knows: import it if that code is to go on working, or approve the mail for a new one.", "import.mbox")
	case ReasonTooBig:
		return ingest.Advise("It is too large to be fetched: look at it in the mailbox, and issue by hand.", "license.issue")
	}
	if why := ingest.ExplainRefund(reason); why.Text != "" {
		return why
	}
	if refund {
		switch reason {
		case tfyp.HeldIncomplete:
			return ingest.Advise("It does not say of which sale it is, how much goes back, or by what reference: compare it with the store, and refund by hand.", "order.refund")
		case tfyp.HeldCharset:
			return ingest.Advise("Letters of a field were lost or are not what the mail says they are: compare it with the store, and refund by hand.", "order.refund")
		}
	}
	if why := tfyp.Explain(reason); why != "" {
		return ingest.Advise(why)
	}
	return ingest.Advise("It is not authentic (docs/mail-trust.md explains each reason): compare it with the store before you approve it.")
}
