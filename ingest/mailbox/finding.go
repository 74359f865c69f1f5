package mailbox

import (
	"context"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A Finding is all that was found out about a mail.
type Finding struct {
	Mail    tfyp.Mail
	Profile *tfyp.Profile // nil: none knows it
	Reading tfyp.Reading
	authentic.Judgement
	MailVerdict, MailReason, MailDetail string // what is noted of it
	// Patience is for how long the mail is judged again before that counts.
	Patience time.Duration
}

// Read finds out what a mail is.
func (in *Intake) Read(ctx context.Context, raw []byte, arrived time.Time, policy authentic.Policy) (Finding, error) {
	if in.Bounce != nil {
		if known, err := in.Bounce(ctx, raw); known || err != nil {
			return Finding{MailVerdict: store.MailUnknown, MailReason: ReasonBounce}, err
		}
	}
	f := in.Recognise(raw)
	if f.Profile == nil {
		return f, nil
	}
	f.Judgement = policy.Judge(ctx, raw, arrived, in.Resolver)
	switch {
	case f.Verdict == authentic.Later:
		f.MailVerdict, f.MailReason, f.MailDetail, f.Patience = store.MailRefused, string(f.Reason), f.failing(), dnsPatience
		return f, nil
	case f.Verdict != authentic.Authentic:
		f.MailVerdict, f.MailReason, f.MailDetail = store.MailRefused, string(f.Reason), f.failing()
		return f, nil
	case f.Reading.Held != "":
		f.MailVerdict, f.MailReason, f.MailDetail = store.MailHeld, f.Reading.Held, strings.Join(f.Reading.Problems, "; ")
		return f, nil
	}
	f.MailVerdict = store.MailTaken
	if f.Reading.BringsCodes() {
		return f, in.withCodes(ctx, &f)
	}
	for _, r := range f.Reading.Refunds {
		reason, err := in.Desk.JudgeRefund(ctx, r)
		if err != nil {
			return f, err
		}
		switch reason {
		case "":
		case ReasonUnknownSale: // the next mail may tell of it
			f.MailVerdict, f.MailReason, f.Patience = store.MailHeld, reason, salePatience
		default:
			f.MailVerdict, f.MailReason, f.MailDetail = store.MailHeld, reason, strings.TrimSpace(r.Amount+" "+r.Currency)
		}
	}
	return f, nil
}

// withCodes judges a mail of a sale that has its codes already, by a post that was
// answered, or from elsewhere: others would be too many.
func (in *Intake) withCodes(ctx context.Context, f *Finding) error {
	f.Reading.Orders, f.MailReason = nil, ReasonCode
	for _, code := range f.Reading.Codes {
		known, err := in.Licenses.Licenses(ctx, store.LicenseFilter{Code: code})
		if err != nil {
			return err
		}
		if len(known) == 0 {
			f.MailVerdict = store.MailHeld
		}
	}
	return nil
}

// Recognise reads a mail by the first profile that knows it, and judges nothing.
func (in *Intake) Recognise(raw []byte) (f Finding) {
	f.MailVerdict = store.MailUnknown
	var err error
	if f.Mail, err = tfyp.Open(raw); err != nil {
		f.MailReason = tfyp.HeldUnreadable
		return f
	}
	for _, p := range in.Profiles {
		if r := p.Read(f.Mail); r.Recognised {
			f.Reading, f.Profile = r, p
			break
		}
	}
	f.Reading = f.Reading.Of(in.Store)
	return f
}

// failing is the check that did not pass, in words.
func (f Finding) failing() string {
	for _, c := range f.Checks {
		if c.Result == authentic.Failed {
			return c.Name + ": " + c.Detail
		}
	}
	return ""
}

// Explain says in a sentence why a mail was not taken and what to do. Of those
// that are not authentic docs/mail-trust.md tells more.
func Explain(reason string) string {
	switch reason {
	case ReasonCode:
		return "It brings a code that nobody here knows: import it (keypost import mbox) if that code is to go on working, or approve the mail for a new one."
	case ReasonTooBig:
		return "It is too large to be fetched: look at it in the mailbox, and issue by hand (keypost license issue)."
	}
	if why := ingest.ExplainRefund(reason); why != "" {
		return why
	}
	if why := tfyp.Explain(reason); why != "" {
		return why
	}
	return "It is not authentic (docs/mail-trust.md tells of each reason): compare it with the store before you approve it."
}
