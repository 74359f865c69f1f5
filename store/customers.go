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
func (db *DB) OrdersOf(ctx context.Context, who string) (list []Order, err error) {
	who = strings.TrimSpace(who)
	upper, lower := strings.ToUpper(who), strings.ToLower(who)
	var ids []string
	if strings.Contains(who, "@") {
		ids, err = db.read.OrdersByEmail(ctx, queries.OrdersByEmailParams{LOWER: who, LOWER_2: upper, LOWER_3: lower})
	} else {
		ids, err = db.read.OrdersByName(ctx, queries.OrdersByNameParams{LOWER: who, LOWER_2: upper, LOWER_3: lower})
	}
	if err != nil {
		return nil, db.explain(err)
	}
	for _, id := range ids {
		o, err := db.Order(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

// EditCustomer corrects whom an order is for.
func (db *DB) EditCustomer(ctx context.Context, orderID, name, email, actor string) error {
	return db.act(ctx, actor, "customer.edit", orderID, func(ctx context.Context, t *tx) error {
		n, err := t.EditCustomer(ctx, queries.EditCustomerParams{Name: name, Email: email, UpdatedAt: t.now, ID: orderID})
		return one(n, err, ErrNotFound)
	})
}

// ForgetCustomer erases whom an order is for: name, address, what was asked of
// the buyer, the posts and mails that it came by, the names of machines. Its
// keys stay, so that what comes again is known, and so do its codes.
func (db *DB) ForgetCustomer(ctx context.Context, orderID, actor string) error {
	return db.act(ctx, actor, "customer.forget", orderID, func(ctx context.Context, t *tx) error {
		n, err := t.ForgetCustomer(ctx, queries.ForgetCustomerParams{UpdatedAt: t.now, ID: orderID})
		if err := one(n, err, ErrNotFound); err != nil {
			return err
		}
		if err := t.ForgetMachines(ctx, orderID); err != nil {
			return err
		}
		if err := t.EmptyMessagesOfOrder(ctx, orderID); err != nil {
			return err
		}
		if err := t.ForgetMailsOfOrder(ctx, orderID); err != nil {
			return err
		}
		return t.DropNoticesTo(ctx, queries.DropNoticesToParams{OrderID: orderID, Audience: ToBuyer})
	})
}

const (
	messagesAtOnce = 500
	looseAtOnce    = 20 // with what came, up to a MiB each
)

// ForgetRefused empties those of the messages of no order that somebody is named
// in; it tells how many.
func (db *DB) ForgetRefused(ctx context.Context, names func(raw []byte) bool, actor string) (n int, err error) {
	after := ""
	for {
		rows, err := db.read.LooseMessages(ctx, queries.LooseMessagesParams{ID: after, Limit: looseAtOnce})
		if err != nil || len(rows) == 0 {
			return n, db.explain(err)
		}
		after = rows[len(rows)-1].ID
		for _, r := range rows {
			if !names(r.Raw) {
				continue
			}
			err := db.act(ctx, actor, "message.empty", r.ID, func(ctx context.Context, t *tx) error { return t.EmptyMessage(ctx, r.ID) })
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

// DeleteSentNotices takes notices out of the outbox that arrived before a time.
func (db *DB) DeleteSentNotices(ctx context.Context, before time.Time) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.DeleteSentNotices(ctx, micros(before))
		return err
	})
}
