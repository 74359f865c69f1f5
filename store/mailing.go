package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/keypost/keypost/store/queries"
)

// What mail needs of the outbox: notices without an endpoint.

// idAt is the id that everything with this name has at a time. Whoever inserts
// it first has it, whichever process that is.
func idAt(at time.Time, name ...string) string {
	var id ulid.ULID
	sum := sha256.Sum256([]byte(strings.Join(name, "\n")))
	_ = id.SetTime(ulid.Timestamp(at)) // both fail for other sizes and
	_ = id.SetEntropy(sum[:10])        // for years beyond 10000 alone
	return id.String()
}

// firstID is the least id of a time: ids that are made from then on are above it.
func firstID(at time.Time) string {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(at))
	return id.String()
}

// MadeAt is when an id was made, in milliseconds; zero: it is no id.
func MadeAt(id string) time.Time {
	u, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}
	}
	return u.Timestamp().UTC()
}

// AddRefused keeps a message that was refused. tell has the vendor told by mail:
// of the first one of a channel, a reason and an hour at once, of the others in
// one notice when the hour is over. Whoever posts how much makes no more of them.
func (db *DB) AddRefused(ctx context.Context, m Message, tell bool) error {
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.addMessage(ctx, m); err != nil || !tell {
			return err
		}
		return t.tell(ctx, MadeAt(m.ID), NoticeRefused, NoticeRefusedMore, m.Channel+" "+m.Reason)
	})
	if errors.Is(err, errDuplicate) {
		return nil // an earlier try of ours was applied though it failed
	}
	return err
}

// AddRefusedOnce is [DB.AddRefused] for the first message of its order, m.OrderID,
// that is refused for m.Reason: it gets an id of the time at, and any later one
// finds that taken and changes nothing.
func (db *DB) AddRefusedOnce(ctx context.Context, m Message, at time.Time, tell bool) error {
	m.ID = idAt(at, "refused once", m.OrderID, m.Reason)
	return db.AddRefused(ctx, m, tell)
}

// tell has the vendor told of something that was made at a time: the first time
// in its hour at once, of the others in one notice when the hour is over.
func (t *tx) tell(ctx context.Context, at time.Time, first, more, subject string) error {
	hour := at.Truncate(time.Hour)
	n := Notice{ID: idAt(hour, first, subject), Kind: first, Audience: ToVendor, Subject: subject}
	err := t.addNotice(ctx, n)
	if !t.db.dialect.duplicate(err) {
		return err
	}
	n.ID, n.Kind, n.NextAt = idAt(hour, more, subject), more, hour.Add(time.Hour)
	if err = t.addNotice(ctx, n); t.db.dialect.duplicate(err) {
		return nil
	}
	return err
}

// HeldMails are the mails of a channel that wait for a person for a reason, of
// those that came from a time until before another, oldest first.
func (db *DB) HeldMails(ctx context.Context, channel, reason string, from, until time.Time, limit int) (list []Mail, err error) {
	rows, err := db.read.HeldMails(ctx, queries.HeldMailsParams{
		Channel: channel, Reason: reason, ID: firstID(from), ID_2: firstID(until), Limit: int32(limit),
	})
	for _, r := range rows {
		list = append(list, mail(r))
	}
	return list, db.explain(err)
}

// CountHeldMails counts the mails that wait for a person, by channel and reason.
func (db *DB) CountHeldMails(ctx context.Context) (list []Count, err error) {
	rows, err := db.read.CountHeldMails(ctx)
	for _, r := range rows {
		list = append(list, Count{r.Channel, r.Reason, int(r.N)})
	}
	return list, db.explain(err)
}

// maxSubject bounds a notice's subject, in characters.
const maxSubject = 320

// AddOutage has the vendor told that a channel's mailbox is not watched since a
// time, and why: once.
func (db *DB) AddOutage(ctx context.Context, channel string, since time.Time, why string) (added bool, err error) {
	subject := []rune(channel + " " + why)
	n := Notice{ID: idAt(since, NoticeMailbox, channel), Kind: NoticeMailbox, Audience: ToVendor, Subject: string(subject[:min(len(subject), maxSubject)])}
	err = db.write(ctx, func(ctx context.Context, t *tx) error { return t.addNotice(ctx, n) })
	if errors.Is(err, errDuplicate) {
		return false, nil
	}
	return err == nil, err
}

// AddDigest has the digest of a day sent; added is false where it is in the
// outbox already. head is the audit log's by now.
func (db *DB) AddDigest(ctx context.Context, day time.Time, head string) (added bool, err error) {
	day = day.UTC().Truncate(24 * time.Hour)
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		return t.addNotice(ctx, Notice{ID: idAt(day, NoticeDigest), Kind: NoticeDigest, Audience: ToVendor, Subject: head})
	})
	if errors.Is(err, errDuplicate) {
		return false, nil
	}
	return err == nil, err
}

// LastDigest is the newest digest's notice; ErrNotFound.
func (db *DB) LastDigest(ctx context.Context) (Notice, error) {
	r, err := db.read.LastNoticeOfKind(ctx, queries.LastNoticeOfKindParams{Kind: NoticeDigest})
	if err != nil {
		return Notice{}, db.explain(err)
	}
	return notice(r), nil
}

// Told is a digest's notice that was sent, as [DB.NoticesWereSent] wants it: it
// told of what came until a time; zero: it was left out, and told of nothing.
func (n Notice) Told(until time.Time) Notice {
	if n.NextAt = until; until.IsZero() {
		n.NextAt = time.Unix(0, 0)
	}
	return n
}

// DigestTold is until when the digests that were sent told of what came; zero:
// none was sent in the last [DigestsKept].
func (db *DB) DigestTold(ctx context.Context) (time.Time, error) {
	at, err := db.read.LastDigestSent(ctx)
	if errors.Is(err, sql.ErrNoRows) || err == nil && at == 0 {
		return time.Time{}, nil
	}
	return fromMicros(at), db.explain(err)
}

// DueMails are the mails that should be sent by now, the longest due first, but
// for those of held orders ([DB.DueHeld]); none while the outbox is paused.
func (db *DB) DueMails(ctx context.Context, limit int) ([]Notice, error) {
	if paused, err := db.outboxPaused(ctx); err != nil || paused {
		return nil, err
	}
	rows, err := db.read.DueMails(ctx, queries.DueMailsParams{NextAt: micros(db.now()), Kind: NoticeHeld, Limit: int32(limit)})
	return notices(rows), db.explain(err)
}

// DueHeld are the mails about held orders that should be sent by now, oldest
// first; none while the outbox is paused.
func (db *DB) DueHeld(ctx context.Context, limit int) ([]Notice, error) {
	if paused, err := db.outboxPaused(ctx); err != nil || paused {
		return nil, err
	}
	rows, err := db.read.DueMailsOfKind(ctx, queries.DueMailsOfKindParams{NextAt: micros(db.now()), Kind: NoticeHeld, Limit: int32(limit)})
	return notices(rows), db.explain(err)
}

// NoticesWereSent notes that notices arrived, those of one mail together.
// Those that another process has tried meanwhile stay as it noted them.
func (db *DB) NoticesWereSent(ctx context.Context, list []Notice) error {
	return db.settleNotices(ctx, list, NoticeSent, time.Time{}, "")
}

// NoticesFailed is [DB.NoticeFailed] for the notices of one mail.
func (db *DB) NoticesFailed(ctx context.Context, list []Notice, next time.Time, why string) error {
	status := NoticeWaiting
	if next.IsZero() {
		status = NoticeDead
	}
	return db.settleNotices(ctx, list, status, next, why)
}

func (db *DB) settleNotices(ctx context.Context, list []Notice, status string, next time.Time, why string) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		for _, n := range list {
			at := next
			if at.IsZero() {
				at = n.NextAt
			}
			err := t.settleNotice(ctx, n, status, at, why)
			if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return nil
	})
}

// PostponeNotices has waiting notices wait until next, which counts as no try.
func (db *DB) PostponeNotices(ctx context.Context, list []Notice, next time.Time) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		for _, n := range list {
			if err := t.PostponeNotice(ctx, queries.PostponeNoticeParams{NextAt: micros(next), UpdatedAt: t.now, ID: n.ID}); err != nil {
				return err
			}
		}
		return nil
	})
}

// NoticeBounced notes that a mail came back: it is dead, with the reason.
// ErrNotFound: no mail has this id. A second bounce of one changes nothing.
func (db *DB) NoticeBounced(ctx context.Context, id, why string) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.BounceNotice(ctx, queries.BounceNoticeParams{Error: why, UpdatedAt: t.now, ID: id})
		if err != nil || n > 0 {
			return err
		}
		r, err := t.NoticeByID(ctx, id)
		if err == nil && r.Endpoint != "" {
			err = ErrNotFound
		}
		return err
	})
}

// A Count is how many there are of a channel, or of a kind of notice, for a reason.
type Count struct {
	Of, Reason string
	N          int
}

// CountHeld counts the orders that wait for a person, by channel and reason.
func (db *DB) CountHeld(ctx context.Context) (list []Count, err error) {
	rows, err := db.read.CountHeld(ctx)
	for _, r := range rows {
		list = append(list, Count{r.Channel, r.Reason, int(r.N)})
	}
	return list, db.explain(err)
}

// CountRefused counts the refused messages that were kept from a time until
// before another, by channel and reason.
func (db *DB) CountRefused(ctx context.Context, from, until time.Time) (list []Count, err error) {
	rows, err := db.read.CountRefused(ctx, queries.CountRefusedParams{ID: firstID(from), ID_2: firstID(until)})
	for _, r := range rows {
		list = append(list, Count{r.Channel, r.Reason, int(r.N)})
	}
	return list, db.explain(err)
}

// maxWaited is for how long a mail may have waited before it was refused.
const maxWaited = 7 * 24 * time.Hour

// CountRefusedSince counts the messages that were refused, and kept, from a time
// until before another, by channel and reason; mails only while they are refused
// still.
func (db *DB) CountRefusedSince(ctx context.Context, from, until time.Time) (list []Count, err error) {
	rows, err := db.read.CountRefusedSince(ctx, queries.CountRefusedSinceParams{
		ID: firstID(from.Add(-maxWaited)), CreatedAt: micros(from), CreatedAt_2: micros(until),
	})
	for _, r := range rows {
		list = append(list, Count{r.Channel, r.Reason, int(r.N)})
	}
	return list, db.explain(err)
}

// CountDead counts the notices that were given up, by kind and reason.
func (db *DB) CountDead(ctx context.Context) (list []Count, err error) {
	rows, err := db.read.CountNoticesByKind(ctx, NoticeDead)
	for _, r := range rows {
		list = append(list, Count{r.Kind, r.Error, int(r.N)})
	}
	return list, db.explain(err)
}

// Refused are the messages of a channel that were refused for a reason, from a
// time until before another, oldest first.
func (db *DB) Refused(ctx context.Context, channel, reason string, from, until time.Time, limit int) (list []Message, err error) {
	rows, err := db.read.RefusedMessages(ctx, queries.RefusedMessagesParams{
		ID: firstID(from), ID_2: firstID(until), Channel: channel, Reason: reason, Limit: int32(limit),
	})
	for _, r := range rows {
		list = append(list, Message{r.ID, r.Channel, r.Verdict, r.Reason, r.OrderID, r.Raw})
	}
	return list, db.explain(err)
}

// AuditHead is the last seal's head; "": there is none.
func (db *DB) AuditHead(ctx context.Context) (string, error) {
	last, err := db.read.LastSeal(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", db.explain(err)
	}
	return headOf(last.Signature), nil
}
