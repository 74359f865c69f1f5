package mailbox

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A letter is what is judged by its own bytes: a message, or one that is attached
// to it.
type letter struct {
	of      int // the message's index
	raw     []byte
	content [32]byte
	policy  authentic.Policy
	row     store.Mail
	told    told
	noted   bool // the row is in the store
}

func (in *Intake) letters(list []Message) (letters []letter) {
	for i, m := range list {
		if m.TooBig {
			content := sha256.Sum256(append([]byte(strconv.FormatInt(m.Size, 10)+"\n"), m.Raw...))
			letters = append(letters, letter{of: i, content: content})
			continue
		}
		letters = append(letters, letter{of: i, raw: m.Raw, content: sha256.Sum256(m.Raw), policy: in.Policy})
		for _, raw := range tfyp.Attached(m.Raw) {
			letters = append(letters, letter{of: i, raw: raw, content: sha256.Sum256(raw), policy: in.Policy.Attached()})
		}
	}
	return letters
}

// told is what is taken of a mail.
type told struct {
	Orders  []ingest.Order  `json:",omitempty"`
	Refunds []ingest.Refund `json:",omitempty"`
}

// retell takes again what was taken of a mail.
func (l *letter) retell() error {
	if l.row.Verdict != store.MailTaken || l.row.Told == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(l.row.Told), &l.told); err != nil {
		return fmt.Errorf("%w: mail %s: what was taken of it cannot be read: %w", ErrLater, l.row.ID, err)
	}
	return nil
}

// row is what is noted of a mail. What a person must look at is kept as it came;
// an order keeps its own.
func (in *Intake) row(m Message, l letter, f Finding) store.Mail {
	row := store.Mail{
		ID: store.NewID(), Channel: in.Channel, Folder: printable(m.Folder, maxNoted), UIDValidity: m.UIDValidity, UID: m.UID,
		MessageID: printable(f.Mail.MessageID, maxNoted), Content: l.content, Domain: printable(f.Domain, maxNoted), BodyHash: f.BodyHash,
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
		row.Raw = l.raw[:min(len(l.raw), maxKept)]
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
