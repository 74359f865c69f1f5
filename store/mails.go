package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Verdicts on a mail.
const (
	MailTaken   = "taken"   // what it tells was taken in
	MailHeld    = "held"    // it is authentic, and a person must say what it tells
	MailRefused = "refused" // it is not authentic
	MailUnknown = "unknown" // no profile knows it
)

// ErrBodyTaken is what [DB.AddMail] answers for a mail whose signed body another
// mail was taken with.
var ErrBodyTaken = errors.New("a mail with the same signed body was taken before")

// A Mail is one message of a mailbox, as it was judged.
type Mail struct {
	ID, Channel, Folder string
	UIDValidity, UID    uint32
	MessageID           string   // as its header says, cut
	Content             [32]byte // SHA-256 of its bytes: a mail is known by it
	Domain              string   // that signed it; "": none of ours
	BodyHash            []byte   // of what that domain signed
	Profile             string   // that it was read by; "": none knows it
	Verdict             string
	Reason, Detail      string
	Store, Fold         string // the sale that it tells of; "": none
	Numbers             []MailNumber
	ArrivedAt           time.Time // when the mail server took it
	CreatedAt           time.Time
	Raw                 []byte // kept of what was held or refused; filled by [DB.Mail] alone
}

// A MailNumber is a store's running number in a mail.
type MailNumber struct {
	Store, Name string // Name is folded
	Number      int
	Date        time.Time
}

// AddMail notes how a mail was judged, before anything is done about it. When
// the channel has met the same content, nothing is added and what was noted
// comes back with added == false. A mail that is taken claims its body:
// ErrBodyTaken. Of one that is held the vendor is told.
func (db *DB) AddMail(ctx context.Context, m Mail) (got Mail, added bool, err error) {
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		err := t.InsertMail(ctx, queries.InsertMailParams{
			ID: m.ID, Channel: m.Channel, ContentHash: m.Content[:], Folder: m.Folder, UidValidity: int64(m.UIDValidity), Uid: int64(m.UID),
			MessageID: m.MessageID, Domain: m.Domain, BodyHash: append([]byte{}, m.BodyHash...), Profile: m.Profile, Verdict: m.Verdict,
			Reason: m.Reason, Detail: m.Detail, Store: m.Store, SaleFold: m.Fold, ArrivedAt: micros(m.ArrivedAt), CreatedAt: t.now,
		})
		if err != nil {
			return err
		}
		if m.Verdict == MailTaken {
			if err := t.claimBody(ctx, m); err != nil {
				return err
			}
		}
		for _, n := range m.Numbers {
			err := t.InsertMailNumber(ctx, queries.InsertMailNumberParams{
				ID: NewID(), MailID: m.ID, Store: n.Store, Name: n.Name, Number: n.Number, DatedAt: micros(n.Date),
			})
			if err != nil {
				return err
			}
		}
		if m.Verdict == MailHeld {
			if err := t.tell(ctx, NoticeMail, NoticeMailMore, m.Channel+" "+m.Reason); err != nil {
				return err
			}
		}
		if len(m.Raw) == 0 {
			return nil
		}
		return t.addMessage(ctx, Message{ID: m.ID, Channel: m.Channel, Verdict: m.Verdict, Reason: m.Reason, Raw: m.Raw})
	})
	if !errors.Is(err, errDuplicate) {
		return m, err == nil, err
	}
	got, err = db.MailByContent(ctx, m.Channel, m.Content)
	return got, err == nil && got.ID == m.ID, err // our own id: an earlier try was applied though it failed
}

// claimBody takes a signed body for a mail, whoever signed it: of a mail that two
// of our domains signed, somebody could take one signature away.
func (t *tx) claimBody(ctx context.Context, m Mail) error {
	err := t.InsertMailBody(ctx, queries.InsertMailBodyParams{Hash: append([]byte{}, m.BodyHash...), MailID: m.ID, CreatedAt: t.now})
	if t.db.dialect.duplicate(err) {
		return ErrBodyTaken
	}
	return err
}

// MailByContent finds what was noted of a content that a channel has met;
// ErrNotFound.
func (db *DB) MailByContent(ctx context.Context, channel string, content [32]byte) (Mail, error) {
	r, err := db.read.MailByContent(ctx, queries.MailByContentParams{Channel: channel, ContentHash: content[:]})
	return mail(r), db.explain(err)
}

func mail(r queries.Mail) Mail {
	m := Mail{
		ID: r.ID, Channel: r.Channel, Folder: r.Folder, UIDValidity: uint32(r.UidValidity), UID: uint32(r.Uid), MessageID: r.MessageID,
		Domain: r.Domain, BodyHash: r.BodyHash, Profile: r.Profile, Verdict: r.Verdict, Reason: r.Reason, Detail: r.Detail,
		Store: r.Store, Fold: r.SaleFold, ArrivedAt: fromMicros(r.ArrivedAt), CreatedAt: fromMicros(r.CreatedAt),
	}
	copy(m.Content[:], r.ContentHash)
	return m
}

// Mail reads one mail with what is kept of it; ErrNotFound.
func (db *DB) Mail(ctx context.Context, id string) (Mail, error) {
	r, err := db.read.MailByID(ctx, id)
	if err != nil {
		return Mail{}, db.explain(err)
	}
	m := mail(r)
	kept, err := db.read.MessageByID(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return m, nil
	}
	m.Raw = kept.Raw
	return m, db.explain(err)
}

// SettleMail ends a mail that was held or refused: a person took what it tells,
// of a sale, or dismissed it. ErrState: it is neither.
func (db *DB) SettleMail(ctx context.Context, m Mail, actor string) error {
	return db.act(ctx, actor, "mail."+m.Verdict, m.ID, func(ctx context.Context, t *tx) error {
		var found int64
		for _, from := range []string{MailHeld, MailRefused} {
			n, err := t.SettleMail(ctx, queries.SettleMailParams{
				Verdict: m.Verdict, Reason: m.Reason, Store: m.Store, SaleFold: m.Fold, ID: m.ID, Verdict_2: from,
			})
			if err != nil {
				return err
			}
			found += n
		}
		return one(found, nil, ErrState)
	})
}

// A MailFilter narrows a list of mails; zero values do not.
type MailFilter struct {
	Channel, Verdict string
	Limit            int // at most so many; 0: all
}

// Mails lists mails, newest first.
func (db *DB) Mails(ctx context.Context, f MailFilter) (list []Mail, err error) {
	var w where
	w.equal("channel", f.Channel)
	w.equal("verdict", f.Verdict)
	ids, err := db.ids(ctx, "SELECT id FROM mail"+w.sql(f.Limit), w.args)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		r, err := db.read.MailByID(ctx, id)
		if err != nil {
			return nil, db.explain(err)
		}
		list = append(list, mail(r))
	}
	return list, nil
}

// MailNumbers are the running numbers in mails dated since a time, by store and
// name, oldest first.
func (db *DB) MailNumbers(ctx context.Context, since time.Time) (list []MailNumber, err error) {
	rows, err := db.read.MailNumbers(ctx, micros(since))
	for _, r := range rows {
		list = append(list, MailNumber{r.Store, r.Name, r.Number, fromMicros(r.DatedAt)})
	}
	return list, db.explain(err)
}

// A Place is where a mailbox is read on.
type Place struct {
	Folder            string
	UIDValidity, Next uint32
}

// Place reads a mailbox's place; the zero Place where it was never read.
func (db *DB) Place(ctx context.Context, channel string) (Place, error) {
	r, err := db.read.MailboxPlace(ctx, channel)
	if errors.Is(err, sql.ErrNoRows) {
		return Place{}, nil
	}
	return Place{r.Folder, uint32(r.UidValidity), uint32(r.NextUid)}, db.explain(err)
}

// SetPlace keeps a mailbox's place.
func (db *DB) SetPlace(ctx context.Context, channel string, p Place) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.SetMailboxPlace(ctx, queries.SetMailboxPlaceParams{
			Folder: p.Folder, UidValidity: int64(p.UIDValidity), NextUid: int64(p.Next), UpdatedAt: t.now, Channel: channel,
		})
		if err != nil || n > 0 {
			return err
		}
		err = t.InsertMailboxPlace(ctx, queries.InsertMailboxPlaceParams{
			Channel: channel, Folder: p.Folder, UidValidity: int64(p.UIDValidity), NextUid: int64(p.Next), UpdatedAt: t.now,
		})
		if t.db.dialect.duplicate(err) {
			return errAgain // another process was faster
		}
		return err
	})
}
