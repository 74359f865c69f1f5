package store

import (
	"context"
	"strings"

	"github.com/keypost/keypost/store/queries"
)

// An OrderFilter narrows a list of orders; zero values do not.
type OrderFilter struct {
	Store, Fold, Status, Product string
	Line                         int
	Limit                        int // at most so many; 0: all
}

// A LicenseFilter narrows a list of licenses; zero values do not.
type LicenseFilter struct {
	Code, Product, Status string
	Limit                 int // at most so many; 0: all
}

// where collects the conditions of a search.
type where struct {
	conditions []string
	args       []any
}

func (w *where) equal(column string, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

func (w *where) add(condition string, arg any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, arg)
}

func (w *where) sql(limit int) string {
	var b strings.Builder
	if len(w.conditions) > 0 {
		b.WriteString(" WHERE " + strings.Join(w.conditions, " AND "))
	}
	b.WriteString(" ORDER BY 1 DESC")
	if limit > 0 {
		b.WriteString(" LIMIT ?")
		w.args = append(w.args, limit)
	}
	return b.String()
}

// Orders lists orders, newest first; within one sale ([OrderFilter.Fold]) the
// caller gets them in that order too, and all of them (see [Sure]).
func (db *DB) Orders(ctx context.Context, f OrderFilter) (list []Order, err error) {
	if f.Fold != "" { // a line that is missing here is refunded by nobody
		ctx = Sure(ctx)
	}
	var w where
	w.equal("sale.store", f.Store)
	w.equal("sale.transaction_fold", f.Fold)
	w.equal("orders.status", f.Status)
	w.equal("orders.product", f.Product)
	if f.Line != 0 {
		w.add("orders.line = ?", f.Line)
	}
	ids, err := db.ids(ctx, "SELECT orders.id FROM orders JOIN sale ON sale.id = orders.sale_id"+w.sql(f.Limit), w.args)
	if err != nil {
		return nil, err
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

// TransactionOf is the name of a sale as it was first received; ErrNotFound.
func (db *DB) TransactionOf(ctx context.Context, store, fold string) (string, error) {
	sale, err := db.saleByFold(ctx, store, fold)
	return sale.TransactionID, db.explain(err)
}

func (db *DB) saleByFold(ctx context.Context, store, fold string) (sale queries.Sale, err error) {
	err = db.found(ctx, func(ctx context.Context) (err error) {
		sale, err = db.read.SaleByFold(ctx, queries.SaleByFoldParams{Store: store, TransactionFold: fold})
		return err
	})
	return sale, err
}

func (db *DB) ids(ctx context.Context, query string, args []any) (ids []string, err error) {
	rows, err := db.search.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, db.explain(err)
		}
		ids = append(ids, id)
	}
	return ids, db.explain(rows.Err())
}

// Licenses lists licenses with their orders' names, newest first.
func (db *DB) Licenses(ctx context.Context, f LicenseFilter) (list []License, err error) {
	var w where
	if f.Code != "" {
		w.add("license.code_hash = ?", codeHash(f.Code))
	}
	w.equal("license.product", f.Product)
	w.equal("license.status", f.Status)
	rows, err := db.search.QueryContext(ctx, `SELECT license.id, license.order_id, license.ordinal, license.replaced, license.product,
  license.generation, license.code, license.type, license.status, license.test, license.seat_max, license.used, license.expires_at, license.created_at,
  sale.store, sale.transaction_id, orders.line
FROM license JOIN orders ON orders.id = license.order_id JOIN sale ON sale.id = orders.sale_id`+w.sql(f.Limit), w.args...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r queries.License
		var ref OrderRef
		if err := rows.Scan(&r.ID, &r.OrderID, &r.Ordinal, &r.Replaced, &r.Product, &r.Generation, &r.Code, &r.Type, &r.Status, &r.Test, &r.SeatMax,
			&r.Used, &r.ExpiresAt, &r.CreatedAt, &ref.Store, &ref.Transaction, &ref.Line); err != nil {
			return nil, db.explain(err)
		}
		l := license(r)
		l.Order = ref
		list = append(list, l)
	}
	return list, db.explain(rows.Err())
}
