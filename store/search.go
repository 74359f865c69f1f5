package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Lists and searches. Each finds the ids of a page, newest first, by one statement
// in one index, and then reads what is shown of these rows by a few statements
// more: as many for two rows as for two hundred. A page begins behind the last id
// of the page before; an offset would read all that is left out.

// A search is for the ids of a page. The columns that are equal and the id are an
// index together, so that a page is read off the index in its order, and nothing
// is sorted; where the index has a status before the id and the search has none,
// it asks for a page of each status and merges them. What is left is looked at in the
// rows that the index finds. The index is named, for several begin alike, and a planner
// that knows no numbers, or old ones, takes the wrong one.
type search struct {
	table    string
	index    string // "": the planner has no choice
	equal    []condition
	status   string   // one of statuses; "": any
	state    string   // the status's column; "": status
	statuses []string // that there are, where the index has them
	bounds   []string // conditions on the rest of the index, with their arguments
	args     []any
	rest     []condition
	first    string // the columns before the id in the page's order, each with its comma
	forward  bool   // the lowest id first; else the newest
	few      bool   // all of them, in no order
}

// A condition is a column and the value that it must have; "": any.
type condition struct{ column, value string }

// lastID is behind every id.
const lastID = "~"

func (s *search) bound(condition string, args ...any) {
	s.bounds, s.args = append(s.bounds, condition), append(s.args, args...)
}

// sql is the statement for at most limit ids.
func (s *search) sql(d dialect, limit int) (text string, args []any) {
	column := cmp.Or(s.state, "status")
	var lead []condition
	for _, c := range s.equal {
		if c.value != "" {
			lead = append(lead, c)
		}
	}
	order := s.first + "id"
	if !s.forward {
		order += " DESC"
	}
	all := len(lead) == 0 && s.first == "" // by the primary key, which has no status before it
	if s.status != "" || all || len(s.statuses) == 0 {
		if s.status != "" {
			lead = append(lead, condition{column, s.status})
		}
		return s.branch(d, "id", order, lead, limit)
	}
	var branches []string
	for i, status := range s.statuses {
		one, more := s.branch(d, s.first+"id", order, append(slices.Clone(lead), condition{column, status}), limit)
		branches = append(branches, "SELECT "+s.first+"id FROM ("+one+") AS page"+string(rune('a'+i)))
		args = append(args, more...)
	}
	text = "SELECT id FROM (" + strings.Join(branches, " UNION ALL ") + ") AS pages ORDER BY " + order + " LIMIT ?"
	return text, append(args, limit)
}

func (s *search) branch(d dialect, columns, order string, lead []condition, limit int) (text string, args []any) {
	var where []string
	for _, c := range lead {
		where, args = append(where, c.column+" = ?"), append(args, c.value)
	}
	where, args = append(where, s.bounds...), append(args, s.args...)
	for _, c := range s.rest {
		if c.value != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.value)
		}
	}
	use := ""
	if s.index != "" {
		use = fmt.Sprintf(d.use, s.index)
	}
	text = "SELECT " + columns + " FROM " + s.table + use + " WHERE " + strings.Join(where, " AND ")
	if s.few {
		return text, args
	}
	text += " ORDER BY " + order + " LIMIT ?"
	return text, append(args, limit)
}

// until has ids that are older than one, if it is named, and than a time, if it is
// not zero.
func (s *search) until(after string, to time.Time) {
	end := lastID // a bound in any case: planners take a seek for less than a scan
	if after != "" {
		end = after
	}
	if !to.IsZero() {
		end = min(end, firstID(to))
	}
	s.bound("id < ?", end)
}

// from has ids since a time, if it is not zero.
func (s *search) from(from time.Time) {
	if !from.IsZero() {
		s.bound("id >= ?", firstID(from))
	}
}

// ids are the ids of a page.
func (db *DB) ids(ctx context.Context, s search, limit int) (ids []string, err error) {
	text, args := s.sql(db.dialect, limit)
	rows, err := db.search.QueryContext(ctx, text, args...)
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

// pageRows is how many rows a list of all reads at once.
const pageRows = 500

// pages reads a list page by page: limit rows, 0 all, behind an id. find finds the
// ids of a page, read reads their rows, each under its id; do gets them in their
// order. A row that went meanwhile is left out.
func pages[T any](after string, limit int, find func(after string, n int) ([]string, error), read func(ids []string) (map[string]T, error), do func(T) error) error {
	for left := limit; limit <= 0 || left > 0; left -= pageRows {
		n := pageRows
		if limit > 0 {
			n = min(left, pageRows)
		}
		ids, err := find(after, n)
		if err != nil || len(ids) == 0 {
			return err
		}
		rows, err := read(ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if row, ok := rows[id]; ok {
				if err := do(row); err != nil {
					return err
				}
			}
		}
		if len(ids) < n {
			return nil
		}
		after = ids[len(ids)-1]
	}
	return nil
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
