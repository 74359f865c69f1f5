// Package intake makes orders and refunds of the mails that stores send. A
// [Reader] turns a raw mail into one [Finding]: which profile knows it, what it
// says, and whether it is authentic. Everybody who asks about a mail asks a
// Reader, so that what is tried by hand is what the daemon does.
//
// An [Intake] is the daemon's: it judges what the mailbox hands over, keeps a row
// of each mail, and gives the order desk what the authentic ones say. A [Person]
// decides on mails that were held or refused.
package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
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
// authentic ones say. It is a [mailbox.Handler]; Handle may be called from
// several goroutines at once.
//
// What was found out about a mail is stored before anything is done about it, and
// every step is idempotent: a crash in between costs nothing.
type Intake struct {
	Reader
	Channel  string
	Desk     Desk
	Licenses Licenses
	// Bounce takes in a report that a mail of ours did not arrive; known is false
	// for any other mail. nil: there are none.
	Bounce func(ctx context.Context, raw []byte) (known bool, err error)
	Now    func() time.Time // nil: time.Now
	// Keep bounds how many mails that were not taken are kept as they came; nil:
	// all are.
	Keep *rate.Limiter
}

// Handle judges messages, and those attached to them.
func (in *Intake) Handle(ctx context.Context, list []mailbox.Message) ([]mailbox.Verdict, error) {
	verdicts := make([]mailbox.Verdict, len(list))
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

// judge finds out what a letter is. One that was judged for good before gives the
// desk what it gave it then, whatever profiles and config there are now: a crash
// may have come before the desk had all of it.
func (in *Intake) judge(ctx context.Context, l *letter, known map[[32]byte]store.Mail) error {
	before, met := known[l.content]
	if met && !before.Open() {
		return l.retell(before)
	}
	f, err := in.find(ctx, *l)
	if err != nil {
		return err
	}
	if f.Patience > 0 && !(met && in.waited(before, f)) {
		f.Verdict = store.MailWaiting
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

// waited reports whether a mail that cannot be judged now has waited long enough.
func (in *Intake) waited(before store.Mail, f Finding) bool {
	return before.Reason == f.Reason && (before.Verdict != store.MailWaiting || in.now().Sub(before.CreatedAt) >= f.Patience)
}

// rejudge stores a new judgement of a mail that has a row already: a profile or
// the trust has changed since, say.
func (in *Intake) rejudge(ctx context.Context, l *letter, before store.Mail) error {
	l.row.ID, l.noted = before.ID, true
	if before.Verdict == l.row.Verdict && before.Reason == l.row.Reason {
		return nil
	}
	return in.noteOne(ctx, l, in.Licenses.RejudgeMail)
}

// keeps bounds the mails that are refused and kept.
func (in *Intake) keeps() bool { return in.Keep == nil || in.Keep.AllowN(in.now(), 1) }

// arrivedAt is when the mail server took a message; now, where it does not say.
func arrivedAt(m mailbox.Message, now time.Time) time.Time {
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
var filed = map[string]mailbox.Filing{
	store.MailTaken: mailbox.Processed, store.MailHeld: mailbox.Held, store.MailRefused: mailbox.Failed,
	store.MailUnknown: mailbox.Leave, store.MailWaiting: mailbox.Leave,
}

// noteAll writes the rows of letters that have none yet: all at once or, when one
// of them is not new after all, each by itself.
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
// the mail got a row meanwhile, from another daemon or as another message's
// attachment, what was taken of it then counts, and nothing else does.
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

// take gives the desk what a mail says. It may be called again.
func (in *Intake) take(ctx context.Context, l letter) (mailbox.Filing, error) {
	if l.row.Verdict != store.MailTaken {
		return filed[l.row.Verdict], nil
	}
	filing := mailbox.Processed
	for _, o := range l.told.Orders {
		o.Channel = in.Channel
		o.Message = store.Message{Channel: in.Channel, Raw: l.raw[:min(len(l.raw), maxOfOrder)]}
		got, err := in.Desk.Accept(ctx, o)
		if err != nil {
			return mailbox.Leave, err
		}
		if got.Status == store.Held {
			filing = mailbox.Held
		}
	}
	for _, refund := range l.told.Refunds {
		err := in.Desk.Refund(ctx, refund)
		if errors.Is(err, ingest.ErrNoSale) { // another line has come since, say: a person must say which
			filing = mailbox.Held
			slog.Warn("the order of a refund is no longer certain: refund it by hand", "channel", in.Channel, "store", refund.Store, "transaction", refund.Transaction)
			continue
		}
		if err != nil {
			return mailbox.Leave, err
		}
	}
	return filing, nil
}

// find finds out what a letter is, and asks the store and the desk about what only
// they know.
func (in *Intake) find(ctx context.Context, l letter) (f Finding, err error) {
	if l.of.TooBig {
		return in.tooBig(l.of), nil
	}
	if in.Bounce != nil {
		if known, err := in.Bounce(ctx, l.raw); known || err != nil {
			return Finding{Verdict: store.MailUnknown, Reason: ReasonBounce}, err
		}
	}
	f = l.reader.Read(ctx, l.raw, arrivedAt(l.of, in.now()))
	switch {
	case f.Verdict != store.MailTaken:
	case f.Reading.BringsCodes():
		err = in.withCodes(ctx, &f)
	default:
		err = in.withRefunds(ctx, &f)
	}
	return f, err
}

// withCodes judges a mail of a sale that has its codes already, from a post that
// was answered or from elsewhere: no others are issued.
func (in *Intake) withCodes(ctx context.Context, f *Finding) error {
	f.Reading.Orders = nil
	for _, code := range f.Reading.Codes {
		known, err := in.Licenses.Licenses(ctx, store.LicenseFilter{Code: code})
		if err != nil {
			return err
		}
		if len(known) == 0 {
			f.Verdict = store.MailHeld
		}
	}
	return nil
}

// withRefunds judges the refunds of a mail.
func (in *Intake) withRefunds(ctx context.Context, f *Finding) error {
	for _, r := range f.Reading.Refunds {
		reason, err := in.Desk.JudgeRefund(ctx, r)
		if err != nil {
			return err
		}
		switch reason {
		case "":
		case ReasonUnknownSale: // the next mail may be that sale's
			f.Verdict, f.Reason, f.Patience = store.MailHeld, reason, salePatience
		default:
			f.Verdict, f.Reason, f.Detail = store.MailHeld, reason, strings.TrimSpace(r.Amount+" "+r.Currency)
		}
	}
	return nil
}

// tooBig is what is found out about a message that was not fetched: its header is
// there, and its size.
func (in *Intake) tooBig(m mailbox.Message) Finding {
	f := in.Recognise(slices.Concat(bytes.TrimRight(m.Raw, "\r\n"), []byte("\r\n\r\n")))
	f.Verdict, f.Reason, f.Detail = store.MailUnknown, ReasonTooBig, fmt.Sprintf("%d bytes", m.Size)
	if f.Profile != nil { // its subject is the store's, as anybody could write it
		f.Verdict, f.Reading = store.MailRefused, tfyp.Reading{}
	}
	return f
}
