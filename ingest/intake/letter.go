package intake

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A letter is what is judged by its own bytes: a message, or one attached to it.
type letter struct {
	of      mailbox.Message
	verdict *mailbox.Verdict // the message's
	raw     []byte           // nil where it was not fetched
	content [32]byte
	reader  Reader
	row     store.Mail
	told    told
	noted   bool // the row is in the store
}

func (in *Intake) letters(m mailbox.Message) []letter {
	if m.TooBig {
		return []letter{{of: m, content: sha256.Sum256(append([]byte(strconv.FormatInt(m.Size, 10)+"\n"), m.Raw...))}}
	}
	list := []letter{{of: m, raw: m.Raw, content: sha256.Sum256(m.Raw), reader: in.Reader}}
	for _, raw := range tfyp.Attached(m.Raw) {
		list = append(list, letter{of: m, raw: raw, content: sha256.Sum256(raw), reader: in.Attached()})
	}
	return list
}

// told is what is taken of a mail.
type told struct {
	Orders  []ingest.Order  `json:",omitempty"`
	Refunds []ingest.Refund `json:",omitempty"`
}

// retell makes a letter what its row says, so that what was taken of it is taken
// again.
func (l *letter) retell(before store.Mail) error {
	l.row, l.told, l.noted = before, told{}, true
	if before.Verdict != store.MailTaken || before.Told == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(before.Told), &l.told); err != nil {
		return fmt.Errorf("mail %s: what was taken of it cannot be read: %w", before.ID, err)
	}
	return nil
}

// row is what is stored of a mail. What a person must look at is kept as it came;
// an order keeps its own mail.
func (in *Intake) row(l letter, f Finding) store.Mail {
	m := l.of
	row := store.Mail{
		ID: store.NewID(), Channel: in.Channel, Folder: printable(m.Folder, maxNoted), UIDValidity: m.UIDValidity, UID: m.UID,
		MessageID: printable(f.Mail.MessageID, maxNoted), Content: l.content, Domain: printable(f.Judgement.Domain, maxNoted), BodyHash: f.Judgement.BodyHash,
		Verdict: f.Verdict, Reason: f.Reason, Detail: printable(f.Detail, maxNoted), ArrivedAt: arrivedAt(m, in.now()),
	}
	if f.Profile != nil {
		row.Profile = printable(f.Profile.Name, maxProfile)
	}
	if sale := f.Reading.Sale; f.Verdict == store.MailTaken || f.Verdict == store.MailHeld {
		row.Store, row.Fold, row.Numbers = sale.Store, printable(ingest.Fold(sale.Transaction), maxNoted), numbers(sale)
	}
	if f.Verdict == store.MailTaken {
		b, err := json.Marshal(told{f.Reading.Orders, f.Reading.Refunds})
		if err != nil { // strings, numbers and times always marshal
			panic(err)
		}
		row.Told = string(b)
	}
	if row.Verdict == store.MailHeld || row.Verdict == store.MailRefused && in.keeps() {
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
