package store

import (
	"context"
	"slices"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Notice kinds, beside the events, and audiences. An audience becomes an
// address when the notice is sent, so that a corrected address is used.
const (
	NoticeCodes        = "codes"
	NoticeHeld         = "held"
	NoticeRefused      = "refused"        // the first post of a channel that was refused for a reason in an hour
	NoticeRefusedMore  = "refused_more"   // the others of that hour
	NoticeHeldMail     = "held_mail"      // the first mail of a channel that was held for a reason in an hour
	NoticeHeldMailMore = "held_mail_more" // all that are held still, when the hour is over
	NoticeMailbox      = "mailbox"        // a mailbox is not watched
	NoticeDigest       = "digest"
	ToBuyer            = "buyer"
	ToVendor           = "vendor"
	ToTest             = "test"    // the vendor's in-house address for test orders
	ToWebhook          = "webhook" // a vendor's own program: see Notice.Endpoint
)

// Statuses of a notice.
const (
	NoticeWaiting = "waiting"
	NoticeSent    = "sent"
	NoticeDead    = "dead" // given up, with its reason
)

// A Notice is an outbox row; it is rendered when it is sent.
type Notice struct {
	ID, Kind, Audience, Status string
	OrderID                    string    // "": it is about no order
	Order                      *OrderRef // nil: there is none any more; filled by [DB.Outbox] alone
	Subject                    string    // what it is about then: see NoticeRefused, NoticeMailbox, NoticeDigest
	LicenseID                  string    // which of the order's; "": all
	Endpoint                   string    // the webhook's name; "": it is a mail
	Tries                      int       // so far
	NextAt                     time.Time
	Error                      string // of the last try
	CreatedAt                  time.Time
}

// An Event is what webhooks tell of.
type Event string

// The events.
const (
	EventOrderIssued      Event = "order.issued"
	EventOrderImported    Event = "order.imported" // it was sold before, elsewhere
	EventOrderHeld        Event = "order.held"
	EventOrderRejected    Event = "order.rejected"
	EventOrderRefunded    Event = "order.refunded"
	EventLicenseRevoked   Event = "license.revoked"
	EventLicenseSuspended Event = "license.suspended"
	EventLicenseRestored  Event = "license.restored"
	EventLicenseReplaced  Event = "license.replaced"
	EventLicenseReset     Event = "license.reset"
	EventLicenseEdited    Event = "license.edited" // its limit, end or type
)

// Events are all of them.
var Events = []Event{
	EventOrderIssued, EventOrderHeld, EventOrderRejected, EventOrderRefunded, EventOrderImported,
	EventLicenseRevoked, EventLicenseSuspended, EventLicenseRestored, EventLicenseReplaced, EventLicenseReset, EventLicenseEdited,
}

// settled is the event of an order's outcome; "": there is none.
func settled(status string, imported bool) Event {
	switch {
	case status == Issued && imported:
		return EventOrderImported
	case status == Issued:
		return EventOrderIssued
	case status == Held:
		return EventOrderHeld
	}
	return ""
}

// actions are what the audit log calls what a person does to a license.
var actions = map[Event]string{
	EventLicenseRevoked: "license.revoke", EventLicenseSuspended: "license.suspend", EventLicenseRestored: "license.restore",
	EventLicenseReset: "license.reset", EventLicenseEdited: "license.edit",
}

// A Subscriber is a webhook that wants to know of events.
type Subscriber struct {
	Name   string
	Events []Event // none: all but EventOrderImported
}

// wants tells whether a subscriber is told of an event. A vendor who moves in
// with thousands of old customers must not greet each of them as a new one, so
// EventOrderImported goes only to those that list it.
func (s Subscriber) wants(e Event) bool {
	if len(s.Events) == 0 {
		return e != EventOrderImported
	}
	return slices.Contains(s.Events, e)
}

// Subscribe says who is told of events from now on. An event is an outbox row
// a subscriber, written in the event's own transaction.
func (db *DB) Subscribe(list []Subscriber) { db.subscribers.Store(&list) }

func (t *tx) event(ctx context.Context, e Event, orderID, licenseID string) error {
	list := t.db.subscribers.Load()
	if list == nil {
		return nil
	}
	for _, s := range *list {
		if !s.wants(e) {
			continue
		}
		n := Notice{ID: NewID(), Kind: string(e), Audience: ToWebhook, OrderID: orderID, LicenseID: licenseID, Endpoint: s.Name}
		if err := t.addNotice(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) licenseEvent(ctx context.Context, e Event, licenseID string) error {
	l, err := t.LicenseByID(ctx, licenseID)
	if err != nil {
		return err
	}
	return t.event(ctx, e, l.OrderID, licenseID)
}

func (t *tx) addNotice(ctx context.Context, n Notice) error {
	return t.InsertNotice(ctx, queries.InsertNoticeParams{
		ID: n.ID, Kind: n.Kind, Audience: n.Audience, OrderID: n.OrderID, LicenseID: n.LicenseID, Endpoint: n.Endpoint,
		Subject: n.Subject, NextAt: max(t.now, micros(n.NextAt)), CreatedAt: t.now, UpdatedAt: t.now,
	})
}

// AddNotice puts a notice about an order into the outbox.
func (db *DB) AddNotice(ctx context.Context, orderID string, n Notice, actor string) error {
	n.OrderID = orderID
	return db.act(ctx, actor, "order.resend", orderID, func(ctx context.Context, t *tx) error {
		return t.addNotice(ctx, n)
	})
}

// Notices are those about an order, oldest first.
func (db *DB) Notices(ctx context.Context, orderID string) ([]Notice, error) {
	rows, err := db.read.NoticesOfOrder(ctx, orderID)
	return notices(rows), db.explain(err)
}

// DueEndpoints names the webhooks that [DB.DueWebhooks] has something for, in
// the config or not; none while the outbox is paused.
func (db *DB) DueEndpoints(ctx context.Context) ([]string, error) {
	if paused, err := db.outboxPaused(ctx); err != nil || paused {
		return nil, err
	}
	names, err := db.read.DueEndpoints(ctx, micros(db.now()))
	return names, db.explain(err)
}

// DueWebhooks are notices for one webhook that should be sent by now, the
// longest due first; none while the outbox is paused. Each webhook is asked
// for by itself: what piles up for one hides nothing of another's.
func (db *DB) DueWebhooks(ctx context.Context, endpoint string, limit int) ([]Notice, error) {
	if paused, err := db.outboxPaused(ctx); err != nil || paused {
		return nil, err
	}
	rows, err := db.read.DueWebhooks(ctx, queries.DueWebhooksParams{NextAt: micros(db.now()), Endpoint: endpoint, Limit: int32(limit)})
	return notices(rows), db.explain(err)
}

func (db *DB) outboxPaused(ctx context.Context) (bool, error) {
	pauses, err := db.Pauses(ctx)
	return slices.ContainsFunc(pauses, func(p Pause) bool { return p.Name == PauseOutbox }), err
}

// CountNotices counts those with a status.
func (db *DB) CountNotices(ctx context.Context, status string) (int, error) {
	n, err := db.read.CountNotices(ctx, status)
	return int(n), db.explain(err)
}

func notice(r queries.Outbox) Notice {
	return Notice{
		ID: r.ID, Kind: r.Kind, Audience: r.Audience, Status: r.Status, OrderID: r.OrderID, Subject: r.Subject, LicenseID: r.LicenseID,
		Endpoint: r.Endpoint, Tries: r.Tries, NextAt: fromMicros(r.NextAt), Error: r.Error, CreatedAt: fromMicros(r.CreatedAt),
	}
}

func notices(rows []queries.Outbox) (list []Notice) {
	for _, r := range rows {
		list = append(list, notice(r))
	}
	return list
}

// NoticeWasSent notes that a notice arrived. ErrStale: another process has
// tried it meanwhile, and what it noted counts.
func (db *DB) NoticeWasSent(ctx context.Context, n Notice) error {
	return db.settleNotice(ctx, n, NoticeSent, n.NextAt, "")
}

// NoticeFailed notes why a notice did not arrive: it is tried again at next, or
// never where that is zero. ErrStale: see [DB.NoticeWasSent].
func (db *DB) NoticeFailed(ctx context.Context, n Notice, next time.Time, why string) error {
	status := NoticeWaiting
	if next.IsZero() {
		status, next = NoticeDead, n.NextAt
	}
	return db.settleNotice(ctx, n, status, next, why)
}

func (db *DB) settleNotice(ctx context.Context, n Notice, status string, next time.Time, why string) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error { return t.settleNotice(ctx, n, status, next, why) })
}

func (t *tx) settleNotice(ctx context.Context, n Notice, status string, next time.Time, why string) error {
	found, err := t.SettleNotice(ctx, queries.SettleNoticeParams{
		Status: status, NextAt: micros(next), Error: why, UpdatedAt: t.now, ID: n.ID, Tries: n.Tries,
	})
	if err != nil || found > 0 {
		return err
	}
	r, err := t.NoticeByID(ctx, n.ID)
	if err == nil && (r.Tries != n.Tries+1 || r.Status != status || r.Error != why) {
		err = ErrStale // else an earlier try of ours was applied though it failed
	}
	return err
}

// RetryNotice has a dead notice tried again from now on. ErrNotFound: there is
// none; ErrState: it is not dead.
func (db *DB) RetryNotice(ctx context.Context, id, actor string) error {
	return db.act(ctx, actor, "outbox.retry", id, func(ctx context.Context, t *tx) error {
		n, err := t.RetryNotice(ctx, queries.RetryNoticeParams{NextAt: t.now, UpdatedAt: t.now, ID: id})
		if err != nil || n > 0 {
			return err
		}
		if _, err := t.NoticeByID(ctx, id); err != nil {
			return err
		}
		return ErrState
	})
}

// A NoticeFilter narrows a list of notices; zero values do not.
type NoticeFilter struct {
	Status, Kind, Endpoint string
	After                  string // the id of the last one that was shown: those that are older
	Limit                  int    // at most so many; 0: all, read page by page
}

var noticeStatuses = []string{NoticeWaiting, NoticeSent, NoticeDead}

// search: a webhook has few kinds of notices, so that the kind is looked at in
// those of the webhook.
func (f NoticeFilter) search(after string) search {
	s := search{table: "outbox", equal: []condition{{"kind", f.Kind}}, status: f.Status, statuses: noticeStatuses}
	switch {
	case f.Endpoint != "":
		s.index, s.equal, s.rest = "outbox_of_endpoint", []condition{{"endpoint", f.Endpoint}}, s.equal
	case f.Kind != "":
		s.index = "outbox_of_kind"
	case f.Status != "":
		s.index = "outbox_listed"
	}
	s.until(after, time.Time{})
	return s
}

// Outbox lists notices, newest first, with the names of their orders.
func (db *DB) Outbox(ctx context.Context, f NoticeFilter) (list []Notice, err error) {
	find := func(after string, n int) ([]string, error) { return db.ids(ctx, f.search(after), n) }
	read := func(ids []string) (map[string]Notice, error) {
		rows, err := db.listed.NoticesByIDs(ctx, ids)
		list := make(map[string]Notice, len(rows))
		for _, r := range rows {
			n := notice(r.Outbox)
			if r.Store.Valid {
				n.Order = &OrderRef{r.Store.String, r.TransactionID.String, int(r.Line.Int32)}
			}
			list[n.ID] = n
		}
		return list, db.explain(err)
	}
	err = pages(f.After, f.Limit, find, read, func(n Notice) error {
		list = append(list, n)
		return nil
	})
	return list, err
}
