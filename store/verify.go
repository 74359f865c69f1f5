package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// A Verified is one thing that [DB.Verify] looked at.
type Verified struct {
	What   string   // a sentence of what must hold
	Rows   int64    // that were looked at
	Broken int64    // where it does not hold
	Some   []string // ids of a few of those
}

// maxBroken is how many ids a finding names.
const maxBroken = 10

// rules are queries for the ids where something does not hold, for rows of a
// table.
var rules = []struct{ what, table, query string }{
	{"each license counts as many seats as it has machines", "license", `SELECT license.id FROM license
LEFT JOIN activation ON activation.license_id = license.id
GROUP BY license.id, license.used HAVING COUNT(activation.id) <> license.used`},
	{"no license has more machines than seats, unless an order that shared it was refunded", "license", `SELECT id FROM license
WHERE seat_max > 0 AND used > seat_max AND NOT EXISTS (SELECT 1 FROM share WHERE share.license_id = license.id AND share.refunded = TRUE)`},
	{"each shared license has the seats that its orders brought", "share", `SELECT license.id FROM license
JOIN share ON share.license_id = license.id AND share.refunded = FALSE
GROUP BY license.id, license.seat_max
HAVING license.seat_max <> CASE WHEN MIN(share.seats) = 0 THEN 0 ELSE SUM(share.seats) END`},
	{"each machine is on a license", "activation", `SELECT activation.id FROM activation
LEFT JOIN license ON license.id = activation.license_id WHERE license.id IS NULL`},
	{"each issued order has its codes", "orders", `SELECT orders.id FROM orders
LEFT JOIN license ON license.order_id = orders.id AND license.replaced = FALSE
WHERE orders.status = 'issued' GROUP BY orders.id, orders.quantity
HAVING COUNT(license.id) + (SELECT COUNT(*) FROM share JOIN license shared ON shared.id = share.license_id
  WHERE share.order_id = orders.id AND shared.order_id <> orders.id) < orders.quantity`},
	{"no order has codes that was not issued", "license", `SELECT license.id FROM license
JOIN orders ON orders.id = license.order_id WHERE orders.status <> 'issued'`},
	{"each order has a key", "orders", `SELECT orders.id FROM orders
LEFT JOIN order_key ON order_key.order_id = orders.id WHERE order_key.hash IS NULL`},
	{"each key has an order", "order_key", `SELECT order_key.order_id FROM order_key
LEFT JOIN orders ON orders.id = order_key.order_id WHERE orders.id IS NULL`},
	{"each sale counts its lines", "sale", `SELECT sale.id FROM sale LEFT JOIN orders ON orders.sale_id = sale.id
GROUP BY sale.id, sale.line_count HAVING COUNT(orders.id) <> sale.line_count`},
	{"each license's status is the worst of its reasons", "license", `SELECT license.id FROM license
LEFT JOIN status_reason ON status_reason.license_id = license.id
GROUP BY license.id, license.status
HAVING license.status <> CASE WHEN MAX(CASE WHEN status_reason.effect = 'revoked' THEN 1 ELSE 0 END) = 1 THEN 'revoked'
  WHEN COUNT(status_reason.id) > 0 THEN 'suspended' ELSE 'active' END`},
	{"each upgrade belongs to an order", "upgrade", `SELECT upgrade.license_id FROM upgrade
LEFT JOIN orders ON orders.id = upgrade.order_id WHERE orders.id IS NULL`},
}

// Verify compares the rows with each other, as they are at one moment. A rule
// that does not hold is no error; see [Verified.Broken].
func (db *DB) Verify(ctx context.Context) (list []Verified, err error) {
	snapshot, err := db.reader.BeginTx(ctx, &sql.TxOptions{Isolation: db.dialect.snapshot, ReadOnly: true})
	if err != nil {
		return nil, db.explain(err)
	}
	defer snapshot.Rollback()
	for _, rule := range rules {
		v := Verified{What: rule.what}
		if v.Rows, err = count(ctx, snapshot, rule.table); err != nil {
			return nil, db.explain(err)
		}
		if err := eachRow(ctx, snapshot, rule.query, func(id string) { v.broken(id) }); err != nil {
			return nil, db.explain(fmt.Errorf("%s: %w", rule.what, err))
		}
		list = append(list, v)
	}
	for _, verify := range []func(context.Context, querier) (Verified, error){verifyCodes, verifyFolds} {
		v, err := verify(ctx, snapshot)
		if err != nil {
			return nil, db.explain(fmt.Errorf("%s: %w", v.What, err))
		}
		list = append(list, v)
	}
	return list, nil
}

func (v *Verified) broken(id string) {
	v.Broken++
	if len(v.Some) < maxBroken {
		v.Some = append(v.Some, id)
	}
}

func eachRow(ctx context.Context, from querier, query string, do func(id string)) error {
	rows, err := from.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		do(id)
	}
	return rows.Err()
}

// verifyCodes: a code that is not found under its normal form is lost. What the
// version before wrote has no beginning until a search fills it in.
func verifyCodes(ctx context.Context, from querier) (Verified, error) {
	v := Verified{What: "each code is found by its normal form"}
	rows, err := from.QueryContext(ctx, "SELECT id, code, code_hash, code_fold FROM license")
	if err != nil {
		return v, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, code string
		var hash []byte
		var fold sql.NullString
		if err := rows.Scan(&id, &code, &hash, &fold); err != nil {
			return v, err
		}
		v.Rows++
		if !slices.Equal(hash, codeHash(code)) || fold.Valid && fold.String != NormalCode(code) {
			v.broken(id)
		}
	}
	return v, rows.Err()
}

// verifyFolds: an order that is not found under its buyer is not forgotten with the
// buyer either.
func verifyFolds(ctx context.Context, from querier) (Verified, error) {
	v := Verified{What: "each order is found by its buyer and its store"}
	rows, err := from.QueryContext(ctx, `SELECT orders.id, orders.name, orders.email, sale.store, orders.name_fold, orders.email_fold, orders.store
FROM orders JOIN sale ON sale.id = orders.sale_id`)
	if err != nil {
		return v, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, name, email, store string
		var folds [3]sql.NullString
		if err := rows.Scan(&id, &name, &email, &store, &folds[0], &folds[1], &folds[2]); err != nil {
			return v, err
		}
		v.Rows++
		for i, want := range []string{Fold(name), Fold(email), store} {
			if folds[i].Valid && folds[i].String != want {
				v.broken(id)
				break
			}
		}
	}
	return v, rows.Err()
}
