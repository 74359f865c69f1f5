package store

import (
	"context"
	"strings"

	"github.com/keypost/keypost/store/queries"
)

// Folded columns: by these an order is found by its buyer and a license by the
// beginning of its code, through an index, whatever the case. SQLite's LOWER knows
// ASCII alone, so that Go folds. The version before knows nothing of the columns: what
// it writes has NULL there, which an index finds as well, and the next search
// fills it in.

// Fold is the form under which names and addresses are found.
func Fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// foldedAtOnce is how many rows one transaction fills in: none that a cluster's
// nodes have to certify is large, and no row is locked for long.
const foldedAtOnce = 200

// A folded is one row's columns.
type folded struct {
	id     string
	values []string
}

// fold fills in columns of a table. It is one statement, since each costs a
// server a round trip; it can be repeated.
func (db *DB) fold(ctx context.Context, table string, columns []string, rows []folded) error {
	if len(rows) == 0 {
		return nil
	}
	var args []any
	var set []string
	for i, column := range columns {
		var b strings.Builder
		b.WriteString(column + " = CASE id")
		for _, r := range rows {
			b.WriteString(" WHEN ? THEN ?")
			args = append(args, r.id, r.values[i])
		}
		set = append(set, b.String()+" END")
	}
	for _, r := range rows {
		args = append(args, r.id)
	}
	text := "UPDATE " + table + " SET " + strings.Join(set, ", ") + " WHERE id IN (?" + strings.Repeat(", ?", len(rows)-1) + ")"
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.raw.(*txStatements).Tx.ExecContext(ctx, text, args...) // its text is not kept prepared
		return err
	})
}

func (db *DB) foldOrders(ctx context.Context, rows []queries.UnfoldedOrdersRow) error {
	var list []folded
	for _, r := range rows {
		list = append(list, folded{r.ID, []string{r.SoldAt, Fold(r.Email), Fold(r.Name)}})
	}
	return db.fold(ctx, "orders", []string{"store", "email_fold", "name_fold"}, list)
}

func (db *DB) foldLicenses(ctx context.Context, rows []queries.UnfoldedLicensesRow) error {
	var list []folded
	for _, r := range rows {
		list = append(list, folded{r.ID, []string{NormalCode(r.Code)}})
	}
	return db.fold(ctx, "license", []string{"code_fold"}, list)
}

// foldLateOrders fills in what a daemon of the version before has written since
// the migration: usually one seek in an index that finds nothing.
func (db *DB) foldLateOrders(ctx context.Context) error {
	for {
		rows, err := db.read.UnfoldedOrders(ctx, foldedAtOnce)
		if err != nil || len(rows) == 0 {
			return db.explain(err)
		}
		if err := db.foldOrders(ctx, rows); err != nil {
			return err
		}
	}
}

// foldLateLicenses is foldLateOrders for licenses.
func (db *DB) foldLateLicenses(ctx context.Context) error {
	for {
		rows, err := db.read.UnfoldedLicenses(ctx, foldedAtOnce)
		if err != nil || len(rows) == 0 {
			return db.explain(err)
		}
		if err := db.foldLicenses(ctx, rows); err != nil {
			return err
		}
	}
}

// foldAll fills in the rows of an older schema, before the indexes are made. It goes
// by the primary key, in small transactions: daemons go on meanwhile, and a process
// that dies leaves no more to do than to begin again.
func (db *DB) foldAll(ctx context.Context) error {
	for after := ""; ; {
		rows, err := db.read.OrdersToFold(ctx, queries.OrdersToFoldParams{ID: after, Limit: foldedAtOnce})
		if err != nil {
			return db.explain(err)
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID
		var list []queries.UnfoldedOrdersRow
		for _, r := range rows {
			list = append(list, queries.UnfoldedOrdersRow(r))
		}
		if err := db.foldOrders(ctx, list); err != nil {
			return err
		}
	}
	for after := ""; ; {
		rows, err := db.read.LicensesToFold(ctx, queries.LicensesToFoldParams{ID: after, Limit: foldedAtOnce})
		if err != nil || len(rows) == 0 {
			return db.explain(err)
		}
		after = rows[len(rows)-1].ID
		var list []queries.UnfoldedLicensesRow
		for _, r := range rows {
			list = append(list, queries.UnfoldedLicensesRow(r))
		}
		if err := db.foldLicenses(ctx, list); err != nil {
			return err
		}
	}
}
