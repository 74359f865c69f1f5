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
		return ingest.Advise("The mail contains a code that is not in the database. Import the code if it should keep working, or approve the mail to issue a new one.", "import.mbox")
	case ReasonTooBig:
		return ingest.Advise("The mail is too large to be fetched. Read it in the mailbox, and issue the code by hand.", "license.issue")
	}
	if why := ingest.ExplainRefund(reason); why.Text != "" {
		return why
	}
	if refund {
		switch reason {
		case tfyp.HeldIncomplete:
			return ingest.Advise("The refund does not name its sale, its amount or its reference. Compare it with the store's records, and refund the order by hand.", "order.refund")
		case tfyp.HeldCharset:
			return ingest.Advise("Some letters of a field were lost or have the wrong encoding. Compare the mail with the store's records, and refund the order by hand.", "order.refund")
		}
	}
	if why := tfyp.Explain(reason); why != "" {
		return ingest.Advise(why)
	}
	return ingest.Advise("The mail is not authentic (docs/mail-trust.md explains each reason). Compare it with the store's records before you approve it.")
}
