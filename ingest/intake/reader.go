package intake

import (
	"context"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A Reader makes a Finding of a raw mail, in the same way for everybody who asks:
// the daemon, who tries a profile, who approves a mail, and who imports old ones.
// It asks no database. Its zero value knows no mail.
type Reader struct {
	Store    string          // whose mails they are; "": each profile's own
	Profiles []*tfyp.Profile // the first that knows a mail reads it
	Policy   authentic.Policy
	Resolver authentic.Resolver
}

// Attached is the reader of mails that are attached to one of its own: whoever
// attached them wrote what stands above their signatures.
func (r Reader) Attached() Reader {
	r.Policy = r.Policy.Attached()
	return r
}

// A Finding is all that was found out about a mail.
type Finding struct {
	Mail    tfyp.Mail
	Broken  error         // why the bytes are no mail; nil: they are one
	Profile *tfyp.Profile // nil: none knows it
	Reading tfyp.Reading
	// Judgement is whether the mail is authentic; zero: nobody asked.
	Judgement authentic.Judgement
	// Verdict, Reason and Detail are what becomes of it, as [store.Mail] has them.
	Verdict, Reason, Detail string
	// Patience is for how long the mail is judged again before the verdict counts.
	Patience time.Duration
}

// Recognise reads a mail by the first profile that knows it. Whether it is
// authentic is not asked: the verdict is what would become of it if it were.
func (r Reader) Recognise(raw []byte) (f Finding) {
	f.Verdict = store.MailUnknown
	if f.Mail, f.Broken = tfyp.Open(raw); f.Broken != nil {
		f.Reason = tfyp.HeldUnreadable
		return f
	}
	for _, p := range r.Profiles {
		if reading := p.Read(f.Mail); reading.Recognised {
			f.Profile, f.Reading = p, reading.Of(r.Store)
			break
		}
	}
	switch {
	case f.Profile == nil:
	case f.Reading.Held != "":
		f.Verdict, f.Reason, f.Detail = store.MailHeld, f.Reading.Held, strings.Join(f.Reading.Problems, "; ")
	case f.Reading.BringsCodes():
		f.Verdict, f.Reason = store.MailTaken, ReasonCode
	default:
		f.Verdict = store.MailTaken
	}
	return f
}

// Read reads a mail that arrived at a time, and judges whether it is authentic.
func (r Reader) Read(ctx context.Context, raw []byte, arrived time.Time) Finding {
	f := r.Recognise(raw)
	if f.Profile == nil {
		return f
	}
	f.Judgement = r.Policy.Judge(ctx, raw, arrived, r.Resolver)
	if f.Judgement.Verdict != authentic.Authentic {
		f.Verdict, f.Reason, f.Detail = store.MailRefused, string(f.Judgement.Reason), f.failing()
	}
	if f.Judgement.Verdict == authentic.Later {
		f.Patience = dnsPatience
	}
	return f
}

// failing is the check that did not pass, in words.
func (f Finding) failing() string {
	for _, c := range f.Judgement.Checks {
		if c.Result == authentic.Failed {
			return c.Name + ": " + c.Detail
		}
	}
	return ""
}

// What would become of a mail: stable words, which scripts may rely on.
const (
	OutcomeIssued        = "issued"
	OutcomeBringsCode    = "brings_code" // it has its codes already: no order is made of it
	OutcomeHeld          = "held"
	OutcomeRefund        = "refund"
	OutcomeRefused       = "refused"        // it is not authentic
	OutcomeLater         = "later"          // whether it is authentic cannot be known now
	OutcomeNotRecognised = "not_recognised" // no profile knows it
)

// An Outcome is what would become of a mail, as far as that can be said without
// a database: whether its order came before is not known.
type Outcome struct {
	Verdict  string           // one of the words above
	Reason   string           // of what is held, refused, later or brings_code
	Products []ingest.Product // of the reading's orders, in their order; zero: unknown
}

// Outcome asks a catalog what would become of a mail.
func (f Finding) Outcome(c ingest.Catalog) Outcome {
	out := Outcome{Verdict: OutcomeIssued, Reason: f.Reading.Held}
	if f.Profile == nil {
		return Outcome{Verdict: OutcomeNotRecognised}
	}
	brings := f.Reading.Held == "" && f.Reading.BringsCodes()
	if brings {
		out.Reason = ReasonCode
	}
	for _, o := range f.Reading.Orders {
		product, reason := c.Judge(o)
		out.Products = append(out.Products, product)
		if out.Reason == "" {
			out.Reason = reason
		}
	}
	switch {
	case f.Judgement.Verdict != "" && f.Judgement.Verdict != authentic.Authentic:
		out.Verdict, out.Reason = string(f.Judgement.Verdict), string(f.Judgement.Reason)
	case brings:
		out.Verdict = OutcomeBringsCode
	case out.Reason != "":
		out.Verdict = OutcomeHeld
	case len(f.Reading.Refunds) > 0:
		out.Verdict = OutcomeRefund
	}
	return out
}

// OfAnother reports whether a mail that names some addresses is another buyer's,
// who mentioned them in a comment, say: to drop it would lose a sale. named tells
// whether a text names one of the addresses.
func (f Finding) OfAnother(named func(text []byte) bool) bool {
	buyer := f.Reading.Sale.Email
	return f.Profile != nil && f.Reading.Held != tfyp.HeldAmbiguous && buyer != "" && !named([]byte(buyer))
}
