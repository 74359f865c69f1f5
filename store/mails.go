package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Verdicts on a mail.
const (
	MailTaken   = "taken"   // what it tells was taken in
	MailHeld    = "held"    // it is authentic, and a person must say what it tells
	MailRefused = "refused" // it is not authentic
	MailUnknown = "unknown" // no profile knows it
	MailWaiting = "waiting" // it cannot be judged now, and comes again
)

// ErrBodyTaken is what [DB.AddMail] answers for a mail whose signed body another
// mail was taken or held with.
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
	Transaction         string // that sale's name: as it was first received, if it was; filled by [DB.Mails] alone
	Told                string // what was taken of it, for whoever takes it again; "": nothing, or not any more
	Numbers             []MailNumber
	ArrivedAt           time.Time // when the mail server took it
	CreatedAt           time.Time
	Raw                 []byte // kept of what was held or refused; filled by [DB.Mail] alone
}

// contentsAtOnce is how many contents one statement looks for, if more than one:
// two texts of it stay prepared.
const contentsAtOnce = 8

// Open tells whether a mail that comes again is judged anew: with the config the
// judgement may have changed of what was refused, held or not known.
func (m Mail) Open() bool {
	switch m.Reason {
	case "dismissed", "bounce", "too_big":
		return false
	}
	return m.Verdict != MailTaken
}

// A MailNumber is a store's running number in a mail.
type MailNumber struct {
	Store, Name string // Name is folded
	Number      int
	Date        time.Time
	NotedAt     time.Time // filled by [DB.MailNumbers]
}

// AddMail notes how a mail was judged, before anything is done about it. When
// the channel has met the same content, nothing is added and what was noted
// comes back with added == false. A mail that is taken or held claims its body:
// ErrBodyTaken where it is another's, but that a mail which is taken takes it from one
// that is held. Of one that is held the vendor is told.
func (db *DB) AddMail(ctx context.Context, m Mail) (got Mail, added bool, err error) {
	err = db.write(ctx, func(ctx context.Context, t *tx) error { return t.addMails(ctx, []Mail{m}) })
	if !errors.Is(err, errDuplicate) {
		return m, err == nil, err
	}
	got, err = db.MailByContent(ctx, m.Channel, m.Content)
	return got, err == nil && got.ID == m.ID, err // our own id: an earlier try was applied though it failed
}

// AddMails is [DB.AddMail] for several at once, all or none; added == false: one
// of them, or its body, was there, or may have been, and each is to be added by
// itself.
func (db *DB) AddMails(ctx context.Context, list []Mail) (added bool, err error) {
	err = db.write(ctx, func(ctx context.Context, t *tx) error { return t.addMails(ctx, list) })
	if errors.Is(err, errDuplicate) || errors.Is(err, ErrBodyTaken) {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) addMails(ctx context.Context, list []Mail) error {
	var rows, bodies [][]any
	for _, m := range list {
		if m.claims() && len(list) > 1 {
			bodies = append(bodies, t.body(m))
		}
		rows = append(rows, []any{
			m.ID, m.Channel, m.Content[:], m.Folder, int64(m.UIDValidity), int64(m.UID), m.MessageID, m.Domain, append([]byte{}, m.BodyHash...),
			m.Profile, m.Verdict, m.Reason, m.Detail, m.Store, m.Fold, m.Told, micros(m.ArrivedAt), t.now,
		})
	}
	if err := t.insert(ctx, queries.InsertMail, rows); err != nil {
		return err
	}
	if err := t.claimBodies(ctx, bodies); err != nil {
		return err
	}
	if len(list) == 1 {
		if err := t.claimBody(ctx, list[0]); err != nil {
			return err
		}
	}
	return t.addVerdicts(ctx, list)
}

// addVerdicts writes what verdicts bring beside the mails' own rows.
func (t *tx) addVerdicts(ctx context.Context, list []Mail) error {
	var numbers [][]any
	for _, m := range list {
		for _, n := range m.Numbers {
			numbers = append(numbers, []any{NewID(), m.ID, n.Store, n.Name, n.Number, micros(n.Date)})
		}
	}
	if err := t.insert(ctx, queries.InsertMailNumber, numbers); err != nil {
		return err
	}
	for _, m := range list {
		if m.Verdict == MailHeld {
			if err := t.tell(ctx, MadeAt(m.ID), NoticeHeldMail, NoticeHeldMailMore, m.Channel+" "+m.Reason); err != nil {
				return err
			}
		}
		if len(m.Raw) == 0 && m.Verdict != MailRefused { // those are counted by their messages
			continue
		}
		err := t.addMessage(ctx, Message{ID: m.ID, Channel: m.Channel, Verdict: m.Verdict, Reason: m.Reason, Raw: m.Raw})
		if err != nil && !t.db.dialect.duplicate(err) { // it was kept when it was judged before
			return err
		}
	}
	return nil
}

// RejudgeMail changes the verdict on a mail that was not taken, and that came
// again; what is noted comes back. ErrBodyTaken as for [DB.AddMail].
func (db *DB) RejudgeMail(ctx context.Context, m Mail) (Mail, error) {
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.RejudgeMail(ctx, queries.RejudgeMailParams{
			Verdict: m.Verdict, Reason: m.Reason, Detail: m.Detail, Profile: m.Profile, Domain: m.Domain, BodyHash: append([]byte{}, m.BodyHash...),
			Store: m.Store, SaleFold: m.Fold, Told: m.Told, ID: m.ID,
		})
		if err != nil || n == 0 { // another process was faster, or an earlier try of ours
			return err
		}
		if err := t.claimBody(ctx, m); err != nil {
			return err
		}
		return t.addVerdicts(ctx, []Mail{m})
	})
	if err != nil {
		return Mail{}, err
	}
	var r queries.Mail
	err = db.found(ctx, func(ctx context.Context) (err error) {
		r, err = db.read.MailByID(ctx, m.ID)
		return err
	})
	return mail(r), db.explain(err)
}

// body is the row that takes a signed body for a mail, whoever signed it: of a
// mail that two of our domains signed, somebody could take one signature away.
func (t *tx) body(m Mail) []any { return []any{append([]byte{}, m.BodyHash...), m.ID, t.now} }

// claims: a body that is taken, or that a person is to decide on, is no other
// mail's; of a copy a second person might decide.
func (m Mail) claims() bool {
	return m.Verdict == MailTaken || m.Verdict == MailHeld && len(m.BodyHash) > 0
}

func (t *tx) claimBodies(ctx context.Context, bodies [][]any) error {
	err := t.insert(ctx, queries.InsertMailBody, bodies)
	if t.db.dialect.duplicate(err) {
		return ErrBodyTaken
	}
	return err
}

// claimBody is claimBodies for one mail, which may have claimed its body before. One
// that is taken takes the body over from one that is held, which is a copy of it
// then: it was judged by another config, for both read the same.
func (t *tx) claimBody(ctx context.Context, m Mail) error {
	if !m.claims() {
		return nil
	}
	err := t.claimBodies(ctx, [][]any{t.body(m)})
	if !errors.Is(err, ErrBodyTaken) {
		return err
	}
	owner, err := t.MailOfBody(ctx, append([]byte{}, m.BodyHash...))
	switch {
	case errors.Is(err, sql.ErrNoRows): // another process has claimed it since this began
		return errAgain
	case err != nil, owner == m.ID:
		return err
	case m.Verdict != MailTaken:
		return ErrBodyTaken
	}
	n, err := t.SupersedeMail(ctx, owner)
	if err := one(n, err, ErrBodyTaken); err != nil {
		return err
	}
	n, err = t.PassMailBody(ctx, queries.PassMailBodyParams{Heir: m.ID, Hash: m.BodyHash, Owner: owner})
	return one(n, err, ErrBodyTaken)
}

// MailByContent finds what was noted of a content that a channel has met;
// ErrNotFound.
func (db *DB) MailByContent(ctx context.Context, channel string, content [32]byte) (m Mail, err error) {
	err = db.found(ctx, func(ctx context.Context) error {
		known, err := db.MailsByContent(ctx, channel, [][32]byte{content})
		ok := false
		if m, ok = known[content]; err == nil && !ok {
			err = ErrNotFound
		}
		return err
	})
	return m, err
}

// MailsByContent finds what was noted of those contents that a channel has met.
// Most are new, and [DB.AddMail] decides, so none is looked for twice: see [Sure].
func (db *DB) MailsByContent(ctx context.Context, channel string, contents [][32]byte) (map[[32]byte]Mail, error) {
	known := map[[32]byte]Mail{}
	for some := range slices.Chunk(contents, contentsAtOnce) {
		p := queries.MailsByContentParams{Channel: channel}
		for i := range some {
			p.Contents = append(p.Contents, some[i][:])
		}
		for len(some) > 1 && len(p.Contents) < contentsAtOnce {
			p.Contents = append(p.Contents, some[0][:])
		}
		rows, err := db.read.MailsByContent(ctx, p)
		if err != nil {
			return nil, db.explain(err)
		}
		for _, r := range rows {
			m := mail(r)
			known[m.Content] = m
		}
	}
	return known, nil
}

func mail(r queries.Mail) Mail {
	m := Mail{
		ID: r.ID, Channel: r.Channel, Folder: r.Folder, UIDValidity: uint32(r.UidValidity), UID: uint32(r.Uid), MessageID: r.MessageID,
		Domain: r.Domain, BodyHash: r.BodyHash, Profile: r.Profile, Verdict: r.Verdict, Reason: r.Reason, Detail: r.Detail,
		Store: r.Store, Fold: r.SaleFold, Told: r.Told, ArrivedAt: fromMicros(r.ArrivedAt), CreatedAt: fromMicros(r.CreatedAt),
	}
	copy(m.Content[:], r.ContentHash)
	return m
}

// Mail reads one mail with what is kept of it; ErrNotFound.
func (db *DB) Mail(ctx context.Context, id string) (Mail, error) {
	var r queries.Mail
	err := db.found(ctx, func(ctx context.Context) (err error) {
		r, err = db.read.MailByID(ctx, id)
		return err
	})
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
		if found == 0 {
			return ErrState
		}
		if err := t.EmptyMessage(ctx, m.ID); err != nil { // an order keeps its own
			return err
		}
		if m.Verdict != MailTaken || len(m.BodyHash) == 0 {
			return nil
		}
		if err := t.claimBodies(ctx, [][]any{t.body(m)}); !errors.Is(err, ErrBodyTaken) {
			return err
		}
		return nil // a person has decided
	})
}

// ForgetMails blanks what mails say of themselves, from after an id until before
// a time, and drops those that no profile knew and those that still wait; it
// tells up to which id. What makes a mail known again stays.
func (db *DB) ForgetMails(ctx context.Context, after string, before time.Time) (last string, err error) {
	last = max(after, firstID(before))
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.BlankMails(ctx, queries.BlankMailsParams{ID: after, ID_2: last}); err != nil {
			return err
		}
		return t.DeleteUnknownMails(ctx, last)
	})
	if err != nil {
		return after, err
	}
	return last, nil
}

// DeleteMailNumbers drops running numbers in mails dated before a time.
func (db *DB) DeleteMailNumbers(ctx context.Context, before time.Time) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error { return t.DeleteMailNumbers(ctx, micros(before)) })
}

// HasKey tells whether an order has a key.
func (db *DB) HasKey(ctx context.Context, k Key) (bool, error) {
	err := db.found(ctx, func(ctx context.Context) error {
		_, err := db.read.OrderByKey(ctx, k[:])
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, db.explain(err)
}

// A MailFilter narrows a list of mails; zero values do not.
type MailFilter struct {
	Channel, Verdict string
	After            string // the id of the last one that was shown: those that are older
	Limit            int    // at most so many; 0: all, read page by page
}

var mailVerdicts = []string{MailTaken, MailHeld, MailRefused, MailUnknown, MailWaiting}

// Mails lists mails, newest first, with their sales' names.
func (db *DB) Mails(ctx context.Context, f MailFilter) (list []Mail, err error) {
	find := func(after string, n int) ([]string, error) {
		s := search{table: "mail", equal: []condition{{"channel", f.Channel}}, status: f.Verdict, statuses: mailVerdicts, state: "verdict"}
		switch {
		case f.Channel != "":
			s.index = "mail_of_channel"
		case f.Verdict != "":
			s.index = "mail_by_verdict"
		}
		s.until(after, time.Time{})
		return db.ids(ctx, s, n)
	}
	read := func(ids []string) (map[string]Mail, error) {
		rows, err := db.listed.MailsByIDs(ctx, ids)
		list := make(map[string]Mail, len(rows))
		for _, r := range rows {
			m := mail(r.Mail)
			m.Transaction = r.TransactionID
			list[m.ID] = m
		}
		return list, db.explain(err)
	}
	err = pages(f.After, f.Limit, find, read, func(m Mail) error {
		list = append(list, m)
		return nil
	})
	return list, err
}

// MailNumbers are the running numbers in mails dated since a time, by store and
// name, oldest first.
func (db *DB) MailNumbers(ctx context.Context, since time.Time) (list []MailNumber, err error) {
	rows, err := db.read.MailNumbers(ctx, micros(since))
	for _, r := range rows {
		list = append(list, MailNumber{r.Store, r.Name, r.Number, fromMicros(r.DatedAt), MadeAt(r.ID)})
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
