package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keypost/keypost/store/queries"
)

// errKeyTaken: the order is another delivery's.
var errKeyTaken = errors.New("the order's key is taken")

// AddOrder adds an order with its outcome. When one of its keys exists
// already, nothing is added and the order that owns the key is returned with
// added == false; see [DB.Confirm] before anybody is told. When the buyer of either
// was erased, so is what the mails of its sale told. Where nothing was added for
// another reason: ErrCodeTaken, one of the codes belongs to another license;
// ErrUncarried; ErrPoolEmpty; ErrUpgradeUsed and ErrRevoked, one of the licenses to
// upgrade was upgraded before, or is not in force.
func (db *DB) AddOrder(ctx context.Context, n NewOrder) (o Order, added bool, err error) {
	saleID := NewID()
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		// Keys first: whoever inserts them owns the order, and a changed
		// config never turns a duplicate into a held order.
		if err := t.claimKeys(ctx, n); err != nil {
			return err
		}
		sale, err := t.addSaleLine(ctx, saleID, n.Order)
		if err != nil {
			return err
		}
		row := orderRow(n, sale, t.now)
		if err := t.InsertOrder(ctx, row); err != nil {
			return err
		}
		if sale.ID == saleID { // it is new, so that no money event can be there
			o, err = n.stored(row)
		} else {
			o, err = loadOrder(ctx, t.Queries, n.Order.ID)
		}
		if err != nil {
			return err
		}
		if o, err = t.settle(ctx, o, n.Outcome); err != nil {
			return err
		}
		if sale.LineCount > 1 {
			if err := t.reckon(ctx, sale.ID, n.Order.ID); err != nil {
				return err
			}
		}
		if n.Actor != "" {
			if err := t.audit(ctx, NewID(), n.Actor, "license.issue", n.Order.ID); err != nil {
				return err
			}
		}
		if n.Order.Forgotten { // the mail that it came by was noted before
			if err := t.ForgetMailsOfOrder(ctx, n.Order.ID); err != nil {
				return err
			}
		}
		return t.addMessage(ctx, n.Message)
	})
	if !errors.Is(err, errKeyTaken) {
		return o, err == nil, err
	}
	for _, k := range n.Keys {
		o, err := db.OrderByKey(ctx, k)
		if err == nil && o.ID == n.Order.ID { // an earlier try was applied though it failed
			o, err = db.Confirm(ctx, o)
			return o, true, err
		}
		if err == nil && o.Forgotten {
			err = db.write(ctx, func(ctx context.Context, t *tx) error { return t.ForgetMailsOfOrder(ctx, o.ID) })
		}
		if !errors.Is(err, ErrNotFound) {
			return o, false, err
		}
	}
	return Order{}, false, fmt.Errorf("%w: an order's key was taken and is gone", ErrUnavailable)
}

// claimKeys takes an order's keys, all or none; errKeyTaken.
func (t *tx) claimKeys(ctx context.Context, n NewOrder) error {
	var rows [][]any
	for _, k := range n.Keys {
		rows = append(rows, []any{k[:], n.Order.ID, t.now})
	}
	err := t.insert(ctx, queries.InsertOrderKey, rows)
	if t.db.dialect.duplicate(err) {
		return errKeyTaken
	}
	return err
}

// addSaleLine counts one more line on the order's sale, or makes the sale with
// its first one.
func (t *tx) addSaleLine(ctx context.Context, newID string, o Order) (queries.Sale, error) {
	n, err := t.AddSaleLine(ctx, queries.AddSaleLineParams{UpdatedAt: t.now, Store: o.Store, TransactionFold: o.Fold})
	if err != nil {
		return queries.Sale{}, err
	}
	if n > 0 {
		return t.SaleByFold(ctx, queries.SaleByFoldParams{Store: o.Store, TransactionFold: o.Fold})
	}
	err = t.InsertSale(ctx, queries.InsertSaleParams{
		ID: newID, Store: o.Store, TransactionID: o.Transaction, TransactionFold: o.Fold, CreatedAt: t.now, UpdatedAt: t.now,
	})
	if t.db.dialect.duplicate(err) {
		err = errAgain // another delivery has made it meanwhile
	}
	return queries.Sale{ID: newID, LineCount: 1}, err
}

func orderRow(n NewOrder, sale queries.Sale, now int64) queries.InsertOrderParams {
	o := n.Order
	row := queries.InsertOrderParams{
		ID: o.ID, SaleID: sale.ID, Line: sale.LineCount, Channel: o.Channel, StoreProduct: o.StoreProduct, Product: o.Product,
		LicenseType: o.LicenseType, Name: o.Name, Email: o.Email, Price: o.Price, Currency: o.Currency,
		Seeds: seedText(o.Seeds), OemSeed: o.OEMSeed, Quantity: o.Quantity, SeatMax: o.Limit, ExpiresAt: nullTime(o.ExpiresAt), Test: o.Test, EightBit: o.EightBit, StatusOnly: o.StatusOnly, Forgotten: o.Forgotten,
		Language: o.Language, Differs: differenceText(o.Differs), Store: nullText(o.Store), EmailFold: nullText(Fold(o.Email)), NameFold: nullText(Fold(o.Name)), Prose: n.Outcome.Prose, CreatedAt: now, UpdatedAt: now,
	}
	row.Status, row.Reason = n.Outcome.status()
	if r := n.Outcome.Reserve; r != nil {
		row.ReserveToken, row.ReservedUntil, row.Tries = r.Token, micros(r.Until), 1
	}
	return row
}

// stored is a new order as [DB.Order] would read it, without licenses.
func (n NewOrder) stored(row queries.InsertOrderParams) (o Order, err error) {
	o = n.Order
	o.Line, o.Status, o.Reason, o.Prose, o.Tries = row.Line, row.Status, row.Reason, row.Prose, row.Tries
	o.ExpiresAt, o.ReservedUntil, o.CreatedAt = timeOrNil(row.ExpiresAt), fromMicros(row.ReservedUntil), fromMicros(row.CreatedAt)
	o.Refunded, o.Licenses = false, nil
	if o.Differs, err = differences(row.Differs); err != nil {
		return Order{}, err
	}
	o.Seeds, err = seedList(row.Seeds)
	return o, err
}

func (o Outcome) status() (status, reason string) {
	switch {
	case o.Held != "":
		return Held, o.Held
	case o.Reserve != nil:
		return Reserved, ""
	}
	return Issued, ""
}

// settle writes what an outcome brings beside the order's own row: licenses
// and notices. The order comes back as it then is.
func (t *tx) settle(ctx context.Context, o Order, out Outcome) (_ Order, err error) {
	if out.Held == "" && !o.Refunded {
		if err := t.claimUpgrades(ctx, o.ID, out); err != nil {
			return Order{}, err
		}
	}
	var made []License
	reread := o.Refunded // what is stored is not as it was made
	for i, c := range out.Codes {
		l := License{
			ID: c.ID, OrderID: o.ID, Ordinal: i + 1, Product: o.Product, Code: c.Code,
			Type: o.LicenseType, Status: Active, Test: o.Test, Limit: o.Limit, ExpiresAt: o.ExpiresAt, CreatedAt: fromMicros(t.now),
		}
		if c.Part != nil {
			l.Product, l.Limit = c.Part.Product, c.Part.Limit
		}
		if l.Code, err = t.codeOf(ctx, c, l.Product, o.ID); err != nil {
			return Order{}, err
		}
		err := t.addLicense(ctx, l, o.Refunded)
		if c.Share && errors.Is(err, ErrCodeTaken) {
			err, reread = t.share(ctx, l, o.Refunded), true
		}
		if err != nil {
			return Order{}, err
		}
		if c.Past != nil {
			reread = true
			if err := t.addPast(ctx, l.ID, *c.Past); err != nil {
				return Order{}, err
			}
		}
		made = append(made, l)
	}
	for _, n := range out.Notices {
		n.OrderID = o.ID
		if err := t.addNotice(ctx, n); err != nil {
			return Order{}, err
		}
	}
	if event := settled(o.Status, out.Imported); event != "" {
		if err := t.event(ctx, event, o.ID, ""); err != nil {
			return Order{}, err
		}
	}
	switch { // the rest of the order is as it was read
	case len(made) == 0:
	case reread:
		o.Licenses, err = licensesOf(ctx, t.Queries, o.ID)
	default:
		o.Licenses = made
	}
	return o, err
}

func (t *tx) addMessage(ctx context.Context, m Message) error {
	return t.InsertMessage(ctx, queries.InsertMessageParams{
		ID: m.ID, Channel: m.Channel, Verdict: m.Verdict, Reason: m.Reason, OrderID: m.OrderID, Raw: append([]byte{}, m.Raw...), CreatedAt: t.now,
	})
}

// AddMessage keeps a message that made no order.
func (db *DB) AddMessage(ctx context.Context, m Message) error {
	err := db.write(ctx, func(ctx context.Context, t *tx) error { return t.addMessage(ctx, m) })
	if errors.Is(err, errDuplicate) {
		return nil // an earlier try of ours was applied though it failed
	}
	return err
}

// AddKeys gives an order more keys: it came under further names. Those that it
// has already may be among them. ErrStale: one is another order's by now.
func (db *DB) AddKeys(ctx context.Context, orderID string, keys []Key) error {
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		for _, k := range keys {
			err := t.InsertOrderKey(ctx, queries.InsertOrderKeyParams{Hash: k[:], OrderID: orderID, CreatedAt: t.now})
			if db.dialect.duplicate(err) {
				var owner string
				if owner, err = t.OrderByKey(ctx, k[:]); err == nil && owner != orderID {
					err = ErrStale
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// FreeKeys are those of keys that are no order's, in their order.
func (db *DB) FreeKeys(ctx context.Context, keys []Key) (free []Key, err error) {
	for _, k := range keys {
		if _, err := db.read.OrderByKey(ctx, k[:]); errors.Is(err, sql.ErrNoRows) {
			free = append(free, k)
		} else if err != nil {
			return nil, db.explain(err)
		}
	}
	return free, nil
}

// CountKeys counts an order's keys.
func (db *DB) CountKeys(ctx context.Context, orderID string) (int, error) {
	n, err := db.read.CountKeys(ctx, orderID)
	return int(n), db.explain(err)
}

// OrderByKey reads the order that owns a key; ErrNotFound.
func (db *DB) OrderByKey(ctx context.Context, k Key) (Order, error) {
	var id string
	err := db.found(ctx, func(ctx context.Context) (err error) {
		id, err = db.read.OrderByKey(ctx, k[:])
		return err
	})
	if err != nil {
		return Order{}, db.explain(err)
	}
	return db.Order(ctx, id)
}

// Order reads one order with its licenses; ErrNotFound.
func (db *DB) Order(ctx context.Context, id string) (o Order, err error) {
	err = db.found(ctx, func(ctx context.Context) (err error) {
		o, err = loadOrder(ctx, db.read, id)
		return err
	})
	return o, db.explain(err)
}

func loadOrder(ctx context.Context, q *queries.Queries, id string) (Order, error) {
	row, err := q.OrderByID(ctx, id)
	if err != nil {
		return Order{}, err
	}
	o, err := order(row)
	if err != nil {
		return Order{}, err
	}
	events, err := q.MoneyEventsOfSale(ctx, row.Order.SaleID)
	if err != nil {
		return Order{}, err
	}
	if len(events) > 0 { // the rest of the sale counts only then
		lines, err := q.OrdersOfSale(ctx, row.Order.SaleID)
		if err != nil {
			return Order{}, err
		}
		o.Refunded = repaid(lines, events)[id]
	}
	o.Licenses, err = licensesOf(ctx, q, id)
	return o, err
}

// order is an order without its licenses, and without what other rows say of its
// money.
func order(row queries.OrderByIDRow) (o Order, err error) {
	r := row.Order
	o = Order{
		ID: r.ID, Channel: r.Channel, Store: row.Store, Transaction: row.TransactionID, Fold: row.TransactionFold, Line: r.Line,
		StoreProduct: r.StoreProduct, Product: r.Product, LicenseType: r.LicenseType, Name: r.Name, Email: r.Email, Language: r.Language,
		Price: r.Price, Currency: r.Currency, OEMSeed: r.OemSeed, Quantity: r.Quantity, Limit: r.SeatMax,
		ExpiresAt: timeOrNil(r.ExpiresAt), Test: r.Test, EightBit: r.EightBit,
		StatusOnly: r.StatusOnly, Forgotten: r.Forgotten, Status: r.Status, Reason: r.Reason, Prose: r.Prose,
		ReservedUntil: fromMicros(r.ReservedUntil), Tries: r.Tries, CreatedAt: fromMicros(r.CreatedAt),
	}
	if o.Seeds, err = seedList(r.Seeds); err != nil {
		return Order{}, fmt.Errorf("order %s: seeds: %w", r.ID, err)
	}
	if o.Differs, err = differences(r.Differs); err != nil {
		return Order{}, fmt.Errorf("order %s: differs: %w", r.ID, err)
	}
	return o, nil
}

func licensesOf(ctx context.Context, q *queries.Queries, orderID string) (list []License, err error) {
	rows, err := q.LicensesOfOrder(ctx, queries.LicensesOfOrderParams{OrderID: orderID})
	for _, r := range rows {
		list = append(list, license(queries.License(r)))
	}
	return list, err
}

// seedText keeps apart the seeds that a channel does not know ("") from none ("[]").
func seedText(seeds []string) string {
	if seeds == nil {
		return ""
	}
	b, _ := json.Marshal(seeds) // strings always marshal
	return string(b)
}

func seedList(text string) (seeds []string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &seeds)
	}
	return seeds, err
}

func differenceText(list []Difference) sql.NullString {
	if len(list) == 0 {
		return sql.NullString{}
	}
	b, _ := json.Marshal(list) // strings always marshal
	return sql.NullString{String: string(b), Valid: true}
}

func differences(text sql.NullString) (list []Difference, err error) {
	if text.Valid {
		err = json.Unmarshal([]byte(text.String), &list)
	}
	return list, err
}

// CountMessages counts those that an order came by.
func (db *DB) CountMessages(ctx context.Context, orderID string) (int, error) {
	n, err := db.read.CountMessages(ctx, orderID)
	return int(n), db.explain(err)
}

// Messages are those that an order came by, oldest first.
func (db *DB) Messages(ctx context.Context, orderID string) (list []Message, err error) {
	rows, err := db.read.MessagesOfOrder(ctx, orderID)
	for _, r := range rows {
		list = append(list, Message{r.ID, r.Channel, r.Verdict, r.Reason, r.OrderID, r.Raw})
	}
	return list, db.explain(err)
}
