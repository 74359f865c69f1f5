package mailbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

const (
	dnsPatience = 72 * time.Hour // from its arrival: then a mail whose key cannot be had is refused
	maxKept     = tfyp.MaxMail   // bytes of a mail that is kept for a person: all of it
	maxOfOrder  = 256 << 10      // bytes of it that an order keeps
	patience    = time.Hour      // from its arrival: then a refund's sale is not waited for any more
	maxNoted    = 255            // bytes of what a mail says of itself
	maxProfile  = 64
)

// Reasons of mails beside those of Policy.Judge and of package tfyp.
const (
	ReasonTooBig      = "too_big"      // it was not fetched
	ReasonCode        = "code"         // it brings a code that nobody here knows
	ReasonBounce      = "bounce"       // it tells that a mail of ours did not arrive
	ReasonUnknownSale = "unknown_sale" // a refund of a sale that nobody told of
	ReasonDismissed   = "dismissed"    // by a person
	ReasonApproved    = "approved"     // by a person: perhaps not as it reads
)

// A Desk is what takes orders in.
type Desk interface {
	Accept(context.Context, ingest.Order) (store.Order, error)
	Refund(context.Context, ingest.Refund) error
	KnowsSale(context.Context, ingest.Refund) (bool, error)
}

// Licenses is what the intake needs of the license store.
type Licenses interface {
	MailByContent(ctx context.Context, channel string, content [32]byte) (store.Mail, error)
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

// Handle judges a message, and the messages that are attached to it, each by its
// own bytes.
func (in *Intake) Handle(ctx context.Context, m Message) (Filing, error) {
	if m.TooBig {
		return in.tooBig(ctx, m)
	}
	filing, err := in.one(ctx, m, m.Raw, in.Policy)
	if err != nil {
		return Leave, err
	}
	for _, raw := range tfyp.Attached(m.Raw) {
		inner, err := in.one(ctx, m, raw, in.Policy.Attached())
		if err != nil {
			return Leave, err
		}
		filing = max(filing, inner)
	}
	return filing, nil
}

// one judges one message, m's own or an attached one.
func (in *Intake) one(ctx context.Context, m Message, raw []byte, policy authentic.Policy) (Filing, error) {
	content := sha256.Sum256(raw)
	known, err := in.Licenses.MailByContent(ctx, in.Channel, content)
	if err == nil && !known.Open() {
		return in.again(ctx, known, raw)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Leave, err
	}
	f, readErr := in.Read(ctx, raw, arrivedAt(m, in.now()), policy)
	if readErr != nil {
		return Leave, readErr
	}
	row := in.row(m, raw, content, f)
	switch {
	case err != nil:
		row, err = in.note(ctx, row, raw, in.add)
	case known.Verdict == row.Verdict && known.Reason == row.Reason:
		row, err = known, nil
	default: // a profile or the trust has changed since
		row.ID = known.ID
		row, err = in.note(ctx, row, raw, in.Licenses.RejudgeMail)
	}
	if err != nil || row.Verdict != store.MailTaken {
		return filed[row.Verdict], err
	}
	return in.take(ctx, told{f.Reading.Orders, f.Reading.Refunds}, raw)
}

// told is what is taken of a mail.
type told struct {
	Orders  []ingest.Order  `json:",omitempty"`
	Refunds []ingest.Refund `json:",omitempty"`
}

// again is what becomes of a mail that was judged for good and comes again. Of
// one that was taken the desk is told once more what it was told then, whatever
// profile or config there is now: perhaps a crash came before it had all of it.
func (in *Intake) again(ctx context.Context, known store.Mail, raw []byte) (Filing, error) {
	if known.Verdict != store.MailTaken || known.Told == "" {
		return filed[known.Verdict], nil
	}
	var t told
	if err := json.Unmarshal([]byte(known.Told), &t); err != nil {
		return Leave, fmt.Errorf("%w: mail %s: what was taken of it cannot be read: %w", ErrLater, known.ID, err)
	}
	return in.take(ctx, t, raw)
}

func (in *Intake) add(ctx context.Context, row store.Mail) (store.Mail, error) {
	got, _, err := in.Licenses.AddMail(ctx, row)
	return got, err
}

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
	store.MailTaken: Processed, store.MailHeld: Held, store.MailRefused: Failed, store.MailUnknown: Leave,
}

// row is what is noted of a mail. What a person must look at is kept as it came;
// an order keeps its own.
func (in *Intake) row(m Message, raw []byte, content [32]byte, f Finding) store.Mail {
	row := store.Mail{
		ID: store.NewID(), Channel: in.Channel, Folder: printable(m.Folder, maxNoted), UIDValidity: m.UIDValidity, UID: m.UID,
		MessageID: printable(f.Mail.MessageID, maxNoted), Content: content, Domain: printable(f.Domain, maxNoted), BodyHash: f.BodyHash,
		Verdict: f.MailVerdict, Reason: f.MailReason, Detail: printable(f.MailDetail, maxNoted), ArrivedAt: arrivedAt(m, in.now()),
	}
	if f.Profile != nil {
		row.Profile = printable(f.Profile.Name, maxProfile)
	}
	if sale := f.Reading.Sale; f.MailVerdict == store.MailTaken || f.MailVerdict == store.MailHeld {
		row.Store, row.Fold, row.Numbers = sale.Store, printable(ingest.Fold(sale.Transaction), maxNoted), numbers(sale)
	}
	if f.MailVerdict == store.MailTaken {
		b, err := json.Marshal(told{f.Reading.Orders, f.Reading.Refunds})
		if err != nil { // strings, numbers and times always marshal
			panic(err)
		}
		row.Told = string(b)
	}
	if row.Verdict == store.MailHeld || row.Verdict == store.MailRefused && (in.Keep == nil || in.Keep.AllowN(in.now(), 1)) {
		row.Raw = raw[:min(len(raw), maxKept)]
	}
	return row
}

// numbers are the running numbers of a mail.
func numbers(o ingest.Order) (list []store.MailNumber) {
	for _, s := range o.Sequences {
		list = append(list, store.MailNumber{Store: o.Store, Name: printable(ingest.Fold(s.Name), maxNoted), Number: s.Number, Date: s.Date})
	}
	return list
}

// note writes a mail's row; one whose body was taken before is refused.
func (in *Intake) note(ctx context.Context, row store.Mail, raw []byte, write func(context.Context, store.Mail) (store.Mail, error)) (store.Mail, error) {
	got, err := write(ctx, row)
	if errors.Is(err, store.ErrBodyTaken) {
		row.Verdict, row.Reason, row.Numbers, row.Told, row.Raw = store.MailRefused, string(authentic.BodyTaken), nil, "", raw
		got, err = write(ctx, row)
	}
	if err == nil && got.Verdict != store.MailUnknown {
		slog.Info("mail", "channel", in.Channel, "verdict", got.Verdict, "reason", got.Reason, "mail", got.ID)
	}
	return got, err
}

// take gives the desk what a mail tells. It may be called again.
func (in *Intake) take(ctx context.Context, t told, raw []byte) (Filing, error) {
	filing := Processed
	for _, o := range t.Orders {
		o.Channel = in.Channel
		o.Message = store.Message{Channel: in.Channel, Raw: raw[:min(len(raw), maxOfOrder)]}
		got, err := in.Desk.Accept(ctx, o)
		if err != nil {
			return Leave, err
		}
		if got.Status == store.Held {
			filing = Held
		}
	}
	for _, refund := range t.Refunds {
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

// tooBig notes a message that was not fetched: its header is there, and its size.
func (in *Intake) tooBig(ctx context.Context, m Message) (Filing, error) {
	content := sha256.Sum256(append([]byte(strconv.FormatInt(m.Size, 10)+"\n"), m.Raw...))
	f := in.Recognise(append(bytes.TrimRight(m.Raw, "\r\n"), "\r\n\r\n"...))
	f.MailReason, f.MailDetail = ReasonTooBig, fmt.Sprintf("%d bytes", m.Size)
	if f.Profile != nil { // its subject is the store's: a person must look
		f.MailVerdict, f.Reading = store.MailHeld, tfyp.Reading{}
	}
	row, err := in.note(ctx, in.row(m, nil, content, f), nil, in.add)
	return filed[row.Verdict], err
}

// printable is at most n bytes of what a mail says, fit for a line of a table.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
	return strings.TrimSpace(strings.ToValidUTF8(s[:min(len(s), n)], ""))
}
