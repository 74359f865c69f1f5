package store

import (
	"context"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/keypost/keypost/store/queries"
)

// OrdersOf are a customer's orders, newest first: by e-mail address, or by
// name where there is no @ in it; case does not count.
func (db *DB) OrdersOf(ctx context.Context, who string) ([]Order, error) {
	if strings.TrimSpace(who) == "" {
		return nil, nil
	}
	if strings.Contains(who, "@") {
		return db.Orders(ctx, OrderFilter{Email: who})
	}
	return db.Orders(ctx, OrderFilter{Name: who})
}

// EditCustomer corrects whom an order is for.
func (db *DB) EditCustomer(ctx context.Context, orderID, name, email, actor string) error {
	return db.act(ctx, actor, "customer.edit", orderID, func(ctx context.Context, t *tx) error {
		n, err := t.EditCustomer(ctx, queries.EditCustomerParams{
			Name: name, NameFold: nullText(Fold(name)), Email: email, EmailFold: nullText(Fold(email)), UpdatedAt: t.now, ID: orderID,
		})
		return one(n, err, ErrNotFound)
	})
}

// SetLanguage corrects which language an order's buyer reads (RFC 5646: de,
// pt-BR); "": it is not known.
func (db *DB) SetLanguage(ctx context.Context, orderID, language, actor string) error {
	return db.act(ctx, actor, "customer.edit", orderID, func(ctx context.Context, t *tx) error {
		n, err := t.SetLanguage(ctx, queries.SetLanguageParams{Language: language, UpdatedAt: t.now, ID: orderID})
		return one(n, err, ErrNotFound)
	})
}

// ForgetCustomer erases whom an order is for: name, address, what was asked of
// the buyer, the vendor's notes on its licenses, the posts and mails that it came
// by, the mails about its sale that wait for a person, the names of machines. Its
// keys stay, so that what comes
// again is known, and so do its codes.
func (db *DB) ForgetCustomer(ctx context.Context, orderID, actor string) error {
	return db.act(ctx, actor, "customer.forget", orderID, func(ctx context.Context, t *tx) error {
		n, err := t.ForgetCustomer(ctx, queries.ForgetCustomerParams{UpdatedAt: t.now, ID: orderID})
		if err := one(n, err, ErrNotFound); err != nil {
			return err
		}
		if err := t.ForgetMachines(ctx, orderID); err != nil {
			return err
		}
		if err := t.ForgetNotes(ctx, orderID); err != nil {
			return err
		}
		if err := t.EmptyMessagesOfOrder(ctx, orderID); err != nil {
			return err
		}
		for _, forget := range []func(context.Context, string) error{t.EmptyMessagesOfSale, t.ForgetMailsOfOrder, t.DismissMailsOfOrder} {
			if err := forget(ctx, orderID); err != nil {
				return err
			}
		}
		return t.DropNoticesTo(ctx, queries.DropNoticesToParams{OrderID: orderID, Audience: ToBuyer})
	})
}

const (
	messagesAtOnce = 500
	looseAtOnce    = 20 // with what came, up to a MiB each
)

// MessagesNaming are the messages of no order, held or refused, that somebody is
// named in, oldest first.
func (db *DB) MessagesNaming(ctx context.Context, names func(Message) bool) (list []Message, err error) {
	err = db.eachLoose(ctx, func(m Message) error {
		if names(m) {
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

// ForgetRefused empties those of the messages of no order that somebody is named
// in, and dismisses those of them that are mails and held: nothing is left of them
// to judge. It tells how many.
func (db *DB) ForgetRefused(ctx context.Context, names func(Message) bool, actor string) (n int, err error) {
	err = db.eachLoose(ctx, func(m Message) error {
		if !names(m) {
			return nil
		}
		n++
		return db.act(ctx, actor, "message.empty", m.ID, func(ctx context.Context, t *tx) error {
			if err := t.EmptyMessage(ctx, m.ID); err != nil {
				return err
			}
			return t.ForgetMail(ctx, m.ID)
		})
	})
	return n, err
}

// eachLoose goes through the messages of no order that are still kept.
func (db *DB) eachLoose(ctx context.Context, f func(Message) error) error {
	after := ""
	for {
		rows, err := db.read.LooseMessages(ctx, queries.LooseMessagesParams{ID: after, Limit: looseAtOnce})
		if err != nil || len(rows) == 0 {
			return db.explain(err)
		}
		after = rows[len(rows)-1].ID
		for _, r := range rows {
			if err := f(Message{ID: r.ID, Channel: r.Channel, Verdict: r.Verdict, Reason: r.Reason, Raw: r.Raw}); err != nil {
				return err
			}
		}
	}
}

// ForgetTold blanks what was taken of the mails in which somebody is named, whatever
// sale they are of: a mail may give it another name than the post that came
// first. It tells how many.
func (db *DB) ForgetTold(ctx context.Context, names func(told []byte) bool, actor string) (n int, err error) {
	after := ""
	for {
		rows, err := db.read.ToldMails(ctx, queries.ToldMailsParams{ID: after, Limit: messagesAtOnce})
		if err != nil || len(rows) == 0 {
			return n, db.explain(err)
		}
		after = rows[len(rows)-1].ID
		for _, r := range rows {
			if !names([]byte(r.Told)) {
				continue
			}
			err := db.act(ctx, actor, "mail.forget", r.ID, func(ctx context.Context, t *tx) error { return t.ForgetMail(ctx, r.ID) })
			if err != nil {
				return n, err
			}
			n++
		}
	}
}

// EmptyMessages empties messages that came before a time, and tells up to which
// id all are: the next call goes on after it. Verdicts and reasons stay.
func (db *DB) EmptyMessages(ctx context.Context, after string, before time.Time) (last string, err error) {
	var first ulid.ULID // the least of that millisecond
	if err := first.SetTime(ulid.Timestamp(before)); err != nil {
		return after, err
	}
	for {
		ids, err := db.read.FullMessages(ctx, queries.FullMessagesParams{ID: after, ID_2: first.String(), Limit: messagesAtOnce})
		if err != nil {
			return after, db.explain(err)
		}
		if len(ids) == 0 {
			return max(after, first.String()), nil
		}
		err = db.write(ctx, func(ctx context.Context, t *tx) error {
			for _, id := range ids {
				if err := t.EmptyMessage(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return after, err
		}
		after = ids[len(ids)-1]
	}
}

// DigestsKept is for how long sent digests are, at least: the next one goes on
// where they ended.
const DigestsKept = 90 * 24 * time.Hour

// DeleteSentNotices takes notices out of the outbox that arrived before a time.
func (db *DB) DeleteSentNotices(ctx context.Context, before time.Time) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.DeleteSentNotices(ctx, queries.DeleteSentNoticesParams{
			UpdatedAt: micros(before), UpdatedAt_2: min(micros(before), t.now-DigestsKept.Microseconds()),
		})
		return err
	})
}
