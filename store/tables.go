package store

// Whole tables, read and written without knowing what is in them: for copies.

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// A batch is inserted by one statement.
const (
	batchRows  = 500
	batchBytes = 1 << 20
)

type tableCopy struct {
	Copied
	columns []string
}

// tables are those of copied that there are, an older schema having fewer, and
// how many rows they have together.
func (db *DB) tables(ctx context.Context, from querier) (list []string, rows int64, err error) {
	for _, table := range copied {
		there, err := db.hasTable(ctx, from, table)
		if err != nil {
			return nil, 0, err
		}
		if !there {
			continue
		}
		n, err := count(ctx, from, table)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, table)
		rows += n
	}
	return list, rows, nil
}

// copyTable reads a table in the order of its key and writes it in batches.
func copyTable(ctx context.Context, from querier, to *DB, table string, progress func(rows int64)) (c tableCopy, err error) {
	progress(0)
	rows, err := readTable(ctx, from, table, nil)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	b := batch{db: to.writer, table: table, columns: rows.columns}
	for rows.Next() {
		if err := rows.scan(); err != nil {
			return c, err
		}
		if err := b.add(ctx, rows.values); err != nil {
			return c, err
		}
		if rows.n%batchRows == 0 {
			progress(rows.n)
		}
	}
	if err := errors.Join(rows.Err(), b.flush(ctx)); err != nil {
		return c, err
	}
	progress(rows.n)
	return tableCopy{rows.copied(table), rows.columns}, nil
}

// sumTable is what copyTable tells of a table, without the copying.
func sumTable(ctx context.Context, from querier, table string, columns []string) (Copied, error) {
	rows, err := readTable(ctx, from, table, columns)
	if err != nil {
		return Copied{}, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.scan(); err != nil {
			return Copied{}, err
		}
	}
	return rows.copied(table), rows.Err()
}

func count(ctx context.Context, from querier, table string) (n int64, err error) {
	rows, err := from.QueryContext(ctx, "SELECT COUNT(*) FROM "+table)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		err = rows.Scan(&n)
	}
	return n, errors.Join(err, rows.Err())
}

// tableRows reads rows whatever the database, and sums them up.
type tableRows struct {
	*sql.Rows
	columns []string
	binary  []bool
	values  []any // of the row that was scanned: nil, int64, string or []byte
	n       int64
	sum     hash.Hash
}

// readTable reads all rows in the order of the key, which is the first column;
// columns nil: all.
func readTable(ctx context.Context, from querier, table string, columns []string) (*tableRows, error) {
	list := "*"
	if columns != nil {
		list = strings.Join(columns, ", ")
	}
	rows, err := from.QueryContext(ctx, "SELECT "+list+" FROM "+table+" ORDER BY 1")
	if err != nil {
		return nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		rows.Close()
		return nil, err
	}
	r := &tableRows{Rows: rows, sum: sha256.New(), values: make([]any, len(types))}
	for _, t := range types {
		r.columns = append(r.columns, t.Name())
		name := strings.ToUpper(t.DatabaseTypeName())
		r.binary = append(r.binary, strings.Contains(name, "BINARY") || strings.Contains(name, "BLOB"))
	}
	return r, nil
}

func (r *tableRows) scan() error {
	pointers := make([]any, len(r.values))
	for i := range r.values {
		r.values[i] = nil
		pointers[i] = &r.values[i]
	}
	if err := r.Scan(pointers...); err != nil {
		return err
	}
	for i, v := range r.values {
		switch v := v.(type) {
		case nil, int64:
		case bool:
			r.values[i] = int64(0)
			if v {
				r.values[i] = int64(1)
			}
		case string:
			if r.binary[i] {
				r.values[i] = []byte(v)
			}
		case []byte:
			if r.values[i] = append([]byte{}, v...); !r.binary[i] { // an empty one comes as nil, which is not NULL
				r.values[i] = string(v)
			}
		default:
			return fmt.Errorf("column %s: a value of type %T", r.columns[i], v)
		}
		r.add(r.values[i])
	}
	r.n++
	return nil
}

// add sums one value up, behind its length.
func (r *tableRows) add(v any) {
	var text []byte
	kind := byte('s')
	switch v := v.(type) {
	case nil:
		kind = 'n'
	case int64:
		kind, text = 'i', strconv.AppendInt(nil, v, 10)
	case string:
		text = []byte(v)
	case []byte:
		text = v
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(text)))
	r.sum.Write(append(head, text...))
}

func (r *tableRows) copied(table string) Copied {
	return Copied{table, r.n, [32]byte(r.sum.Sum(nil))}
}

// A batch gathers rows for one INSERT.
type batch struct {
	db      *sql.DB
	table   string
	columns []string
	args    []any
	rows    int
	bytes   int
}

func (b *batch) add(ctx context.Context, row []any) error {
	b.args = append(b.args, slices.Clone(row)...)
	b.rows++
	for _, v := range row {
		switch v := v.(type) {
		case string:
			b.bytes += len(v)
		case []byte:
			b.bytes += len(v)
		}
	}
	if b.rows == batchRows || b.bytes >= batchBytes {
		return b.flush(ctx)
	}
	return nil
}

func (b *batch) flush(ctx context.Context) error {
	if b.rows == 0 {
		return nil
	}
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(b.columns)), ", ") + ")"
	query := "INSERT INTO " + b.table + " (" + strings.Join(b.columns, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(row+", ", b.rows), ", ")
	_, err := b.db.ExecContext(ctx, query, b.args...)
	b.args, b.rows, b.bytes = b.args[:0], 0, 0
	return err
}
