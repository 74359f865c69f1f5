package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

const (
	maxTogether = 1 << 20      // bytes of mails that are judged together
	maxKept     = tfyp.MaxMail // bytes of a mail that is kept for a person: all of it
	maxOfOrder  = 256 << 10    // bytes of it that an order keeps
	maxNoted    = 255          // bytes of what a mail says of itself
	maxProfile  = 64
)

// For how long a mail waits, from when it was first judged.
const (
	dnsPatience  = 72 * time.Hour // for its key: then it is refused
	salePatience = time.Hour      // a refund for its sale: then it is held
)

// Reasons of mails beside those of Policy.Judge and of package tfyp.
const (
	ReasonTooBig      = "too_big" // it was not fetched
	ReasonCode        = "code"    // it brings a code that nobody here knows
	ReasonBounce      = "bounce"  // it tells that a mail of ours did not arrive
	ReasonUnknownSale = ingest.RefundUnknownSale
	ReasonDismissed   = "dismissed" // by a person
	ReasonApproved    = "approved"  // by a person: perhaps not as it reads
)

// A Desk is what takes orders in.
type Desk interface {
	Accept(context.Context, ingest.Order) (store.Order, error)
	Refund(context.Context, ingest.Refund) error
	JudgeRefund(context.Context, ingest.Refund) (reason string, err error)
}

// Licenses is what the intake needs of the license store.
type Licenses interface {
	MailsByContent(ctx context.Context, channel string, contents [][32]byte) (map[[32]byte]store.Mail, error)
	AddMails(context.Context, []store.Mail) (bool, error)
	AddMail(context.Context, store.Mail) (store.Mail, bool, error)
	RejudgeMail(context.Context, store.Mail) (store.Mail, error)
	Licenses(context.Context, store.LicenseFilter) ([]store.License, error)
}

// An Intake judges the messages of one mailbox and gives the desk what the
// authentic ones tell. It is the Handler of a Watcher; Handle may be called from
// several goroutines at once.
//
// What was found out about a mail is noted before anything is done about it, and
// what is done bears to be done again: a crash in between costs nothing.
type Intake struct {
	Channel  string
	Policy   authentic.Policy
	Store    string          // whose mails they are; "": each profile's own
	Profiles []*tfyp.Profile // the first that knows a mail reads it
	Resolver authentic.Resolver
	Desk     Desk
	Licenses Licenses
	// Bounce takes in a report about a mail of ours that did not arrive; known
	// is false for other reports. nil: there are none.
	Bounce func(ctx context.Context, raw []byte) (known bool, err error)
	Now    func() time.Time // nil: time.Now
	// Keep bounds how many mails that were not taken are kept as they came; nil:
	// all are.
	Keep *rate.Limiter
}

// Handle judges messages, and those that are attached to them.
func (in *Intake) Handle(ctx context.Context, list []Message) ([]Verdict, error) {
	verdicts := make([]Verdict, len(list))
	var letters []letter
	size := 0
	for i, m := range list {
		for _, l := range in.letters(m) {
			l.verdict = &verdicts[i]
			letters, size = append(letters, l), size+len(l.raw)
		}
		if size < maxTogether && i < len(list)-1 {
			continue
		}
		if err := in.together(ctx, letters); err != nil {
			return nil, err
		}
		letters, size = nil, 0
	}
	return verdicts, nil
}

// together judges letters. What they are is noted for all at once, since a note
// costs a commit, and before anything is done about it.
func (in *Intake) together(ctx context.Context, letters []letter) error {
	known, err := in.known(ctx, letters)
	if err != nil {
		return err
	}
	for i := range letters {
		if err := in.judge(ctx, &letters[i], known); err != nil {
			return err
		}
	}
	if err := in.noteAll(ctx, letters); err != nil {
		return err
	}
	for _, l := range letters {
		filing, err := in.take(ctx, l)
		if err != nil {
			return err
		}
		l.verdict.Later = l.verdict.Later || l.row.Verdict == store.MailWaiting
		l.verdict.Filing = max(l.verdict.Filing, filing)
	}
	return nil
}

func (in *Intake) known(ctx context.Context, letters []letter) (map[[32]byte]store.Mail, error) {
	contents := make([][32]byte, len(letters))
	for i, l := range letters {
		contents[i] = l.content
	}
	return in.Licenses.MailsByContent(ctx, in.Channel, contents)
}

// judge finds out what a letter is and what is to be done about it. Of one that
// was judged for good and comes again the desk is told once more what it was told
// then, whatever profile or config there is now: perhaps a crash came before it
// had all of it.
func (in *Intake) judge(ctx context.Context, l *letter, known map[[32]byte]store.Mail) error {
	before, met := known[l.content]
	if met && !before.Open() {
		return l.retell(before)
	}
	f := in.tooBig(l.of)
	if !l.of.TooBig {
		var err error
		if f, err = in.Read(ctx, l.raw, arrivedAt(l.of, in.now()), l.policy); err != nil {
			return err
		}
	}
	if f.Patience > 0 && !(met && in.waited(before, f)) {
		f.MailVerdict = store.MailWaiting
		if met && before.Verdict == store.MailHeld { // a person may decide meanwhile
			l.row, l.noted, l.verdict.Later = before, true, true
			return nil
		}
	}
	l.row, l.told = in.row(*l, f), told{f.Reading.Orders, f.Reading.Refunds}
	if !met {
		return nil
	}
	return in.rejudge(ctx, l, before)
}

// waited tells whether a mail that cannot be judged now has waited for long
// enough.
func (in *Intake) waited(before store.Mail, f Finding) bool {
	return before.Reason == f.MailReason && (before.Verdict != store.MailWaiting || in.now().Sub(before.CreatedAt) >= f.Patience)
}

// rejudge notes that a mail which was noted as before is judged as l.row now: a
// profile or the trust has changed since, say.
func (in *Intake) rejudge(ctx context.Context, l *letter, before store.Mail) error {
	l.row.ID, l.noted = before.ID, true
	if before.Verdict == l.row.Verdict && before.Reason == l.row.Reason {
		return nil
	}
	return in.noteOne(ctx, l, in.Licenses.RejudgeMail)
}

// keeps bounds the mails that are refused and kept.
func (in *Intake) keeps() bool { return in.Keep == nil || in.Keep.AllowN(in.now(), 1) }

// arrivedAt is when the mail server took a message; one that does not tell has it
// since now.
func arrivedAt(m Message, now time.Time) time.Time {
	if m.Arrived.IsZero() {
		return now
	}
	return m.Arrived
}

func (in *Intake) now() time.Time {
	if in.Now == nil {
		return time.Now()
	}
	return in.Now()
}

// filed is where a message goes by its verdict.
var filed = map[string]Filing{
	store.MailTaken: Processed, store.MailHeld: Held, store.MailRefused: Failed, store.MailUnknown: Leave, store.MailWaiting: Leave,
}

// noteAll writes the rows of letters that are not noted yet: all at once, or,
// when one of them is not new after all, each by itself.
func (in *Intake) noteAll(ctx context.Context, letters []letter) error {
	var rows []store.Mail
	for _, l := range letters {
		if !l.noted {
			rows = append(rows, l.row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	added, err := in.Licenses.AddMails(ctx, rows)
	if err != nil {
		return err
	}
	for i := range letters {
		switch l := &letters[i]; {
		case l.noted:
		case added:
			in.log(l.row)
		default:
			if err := in.noteOne(ctx, l, in.add); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *Intake) add(ctx context.Context, row store.Mail) (store.Mail, error) {
	got, _, err := in.Licenses.AddMail(ctx, row)
	return got, err
}

// noteOne writes a letter's row; one whose body was taken before is refused. When
// the mail was noted meanwhile, by another daemon or as another message's
// attachment, what that one took of it counts, and nothing else does.
func (in *Intake) noteOne(ctx context.Context, l *letter, write func(context.Context, store.Mail) (store.Mail, error)) error {
	row := l.row
	got, err := write(ctx, row)
	if errors.Is(err, store.ErrBodyTaken) {
		row.Verdict, row.Reason, row.Detail, row.Numbers, row.Told = store.MailRefused, string(authentic.BodyTaken), "", nil, ""
		if row.Raw = nil; in.keeps() {
			row.Raw = l.raw
		}
		got, err = write(ctx, row)
	}
	switch {
	case err != nil:
		return err
	case !got.Open() && (got.ID != row.ID || got.Told != row.Told):
		return l.retell(got)
	case got.ID != row.ID:
		return in.rejudge(ctx, l, got)
	}
	l.row = got
	in.log(got)
	return nil
}

func (in *Intake) log(m store.Mail) {
	if m.Verdict != store.MailUnknown {
		slog.Info("mail", "channel", in.Channel, "verdict", m.Verdict, "reason", m.Reason, "mail", m.ID)
	}
}

// take gives the desk what a mail tells. It may be called again.
func (in *Intake) take(ctx context.Context, l letter) (Filing, error) {
	if l.row.Verdict != store.MailTaken {
		return filed[l.row.Verdict], nil
	}
	filing := Processed
	for _, o := range l.told.Orders {
		o.Channel = in.Channel
		o.Message = store.Message{Channel: in.Channel, Raw: l.raw[:min(len(l.raw), maxOfOrder)]}
		got, err := in.Desk.Accept(ctx, o)
		if err != nil {
			return Leave, err
		}
		if got.Status == store.Held {
			filing = Held
		}
	}
	for _, refund := range l.told.Refunds {
		err := in.Desk.Refund(ctx, refund)
		if errors.Is(err, ingest.ErrNoSale) { // another line has come since, say: a person must say which
			filing = Held
			slog.Warn("a refund's order cannot be told any more", "channel", in.Channel, "store", refund.Store, "transaction", refund.Transaction)
			continue
		}
		if err != nil {
			return Leave, err
		}
	}
	return filing, nil
}

// tooBig is what is found out about a message that was not fetched: its header is
// there, and its size.
func (in *Intake) tooBig(m Message) Finding {
	f := in.Recognise(append(bytes.TrimRight(m.Raw, "\r\n"), "\r\n\r\n"...))
	f.MailReason, f.MailDetail = ReasonTooBig, fmt.Sprintf("%d bytes", m.Size)
	if f.Profile != nil { // its subject is the store's, as anybody could write it
		f.MailVerdict, f.Reading = store.MailRefused, tfyp.Reading{}
	}
	return f
}
