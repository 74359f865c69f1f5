package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// csvColumns are those of import and export. The first two are needed.
var csvColumns = []string{
	"product", "code", "name", "email", "type", "limit", "used", "status", "test", "created", "expires", "store", "transaction", "store_product",
}

// A CSVImport is how a table of codes is to be imported.
type CSVImport struct {
	Product  string // of rows that name none
	Encoding string // what the table is written in where that cannot be recognised; "": it can
	DryRun   bool   // say what would be done, and do nothing
	Progress Progress
}

// An Imported is what came of importing a table.
type Imported struct {
	Codes   int      `json:"codes"`   // in the table
	Added   int      `json:"added"`   // imported
	Known   int      `json:"known"`   // imported before
	Faults  []string `json:"faults"`  // what was not imported, and why
	DryRun  bool     `json:"dry_run"` // nothing was done
	Invalid int      `json:"invalid"` // how many codes were not imported

	Encoding  string `json:"encoding"`  // as the table was read
	Delimiter string `json:"delimiter"` // between its cells
}

// DelimiterName is what separates the table's cells, in words.
func (i Imported) DelimiterName() string { return delimiterName(i.Delimiter) }

// CSVColumns are those of import and export.
func CSVColumns() []string { return slices.Clone(csvColumns) }

// ImportCSV imports customers and codes that were issued elsewhere. A table that
// was imported before adds nothing. With [Partly], some rows were not imported;
// the result is there all the same.
func (a *Admin) ImportCSV(ctx context.Context, actor string, r io.Reader, c CSVImport) (Imported, error) {
	text, err := readCSVText(r, c.Encoding)
	if err != nil {
		return Imported{}, err
	}
	rows, faults, err := a.readRows(text, c.Product, actor)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{
		Codes: len(rows) + len(faults), Faults: all(faults), Invalid: len(faults), DryRun: c.DryRun,
		Encoding: text.encoding, Delimiter: string(text.delimiter),
	}
	if err := a.importRows(ctx, rows, c, &out); err != nil {
		return out, err
	}
	if out.Invalid > 0 {
		return out, fail(Partly, "", "%d of %d codes were not imported", out.Invalid, out.Codes)
	}
	return out, nil
}

// A csvRow is one code of a file.
type csvRow struct {
	line  int
	order ingest.Order
	id    string // the product's
	past  ingest.Past
}

// importRows imports the rows, order by order.
func (a *Admin) importRows(ctx context.Context, rows []csvRow, c CSVImport, out *Imported) error {
	to := a.desk.Import
	if c.DryRun {
		to = a.desk.Rehearse().Import
	}
	for done := 0; done < len(rows); {
		n := 1 // rows of one order follow each other
		for done+n < len(rows) && sameSale(rows[done], rows[done+n]) {
			n++
		}
		if err := importOrder(ctx, to, rows[done:done+n], out); err != nil {
			return fmt.Errorf("line %d: %w (run it again: rows that were imported are kept)", rows[done].line, err)
		}
		done += n
		if c.Progress != nil {
			c.Progress("", int64(done), int64(len(rows)))
		}
	}
	return nil
}

// An importer imports an order, or tells whether it would: [ingest.Desk.Import].
type importer func(context.Context, ingest.Order, string, []ingest.Past) (added bool, err error)

func importOrder(ctx context.Context, to importer, rows []csvRow, out *Imported) error {
	var codes []ingest.Past
	for _, r := range rows {
		codes = append(codes, r.past)
	}
	added, err := to(ctx, rows[0].order, rows[0].id, codes)
	switch {
	case errors.Is(err, ingest.ErrOther):
		out.Invalid += len(rows)
		out.Faults = append(out.Faults, fmt.Sprintf("line %d: %s %s: %v", rows[0].line, rows[0].id, rows[0].order.Transaction, err))
	case err != nil:
		return err
	case added:
		out.Added += len(rows)
	default:
		out.Known += len(rows)
	}
	return nil
}

func sameSale(a, b csvRow) bool {
	return a.id == b.id && a.order.Store == b.order.Store && a.order.Store != ingest.Import &&
		ingest.Fold(a.order.Transaction) == ingest.Fold(b.order.Transaction) && ingest.Fold(a.order.StoreProduct) == ingest.Fold(b.order.StoreProduct)
}

// readHead reads the names of the columns. A spreadsheet may save empty ones
// after them.
func readHead(r *csv.Reader) (head []string, err error) {
	if head, err = r.Read(); err != nil {
		return nil, fmt.Errorf("the first line must name the columns: %w", err)
	}
	for len(head) > 1 && strings.TrimSpace(head[len(head)-1]) == "" {
		head = head[:len(head)-1]
	}
	for i, name := range head {
		head[i] = columnName(name)
		if !slices.Contains(csvColumns, head[i]) || slices.Contains(head[:i], head[i]) {
			return nil, fmt.Errorf("line 1: the column %q is unknown or appears twice: the columns are %s", name, strings.Join(csvColumns, ", "))
		}
	}
	return head, nil
}

// readRows reads a table; faults are rows that cannot be imported.
func (c Config) readRows(text csvText, product, actor string) (rows []csvRow, faults []string, err error) {
	r := csv.NewReader(bytes.NewReader(text.text))
	r.Comma = text.delimiter
	r.FieldsPerRecord = -1 // a short row is a fault of its own
	head, err := readHead(r)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]int{}
	for {
		cells, err := r.Read()
		if err == io.EOF {
			slices.SortStableFunc(rows, func(a, b csvRow) int { return strings.Compare(a.sale(), b.sale()) })
			return rows, faults, nil
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := r.FieldPos(0)
		if cells = withoutEmpty(cells, len(head)); cells == nil {
			continue
		}
		if len(cells) != len(head) {
			faults = append(faults, fmt.Sprintf("line %d: it has %d cells, but the first line has %d", line, len(cells), len(head)))
			continue
		}
		row := map[string]string{}
		for i, cell := range cells {
			row[head[i]] = plainCell(strings.TrimSpace(cell))
		}
		got, err := c.readRow(row, product, actor)
		if err != nil {
			faults = append(faults, fmt.Sprintf("line %d: %v", line, err))
			continue
		}
		code := got.id + "\x00" + store.NormalCode(got.past.Code)
		if other, twice := seen[code]; twice {
			faults = append(faults, fmt.Sprintf("line %d: the code is also on line %d", line, other))
			continue
		}
		seen[code] = line
		got.line = line
		rows = append(rows, got)
	}
}

// withoutEmpty takes away the empty cells beyond the columns; nil: all are empty.
func withoutEmpty(cells []string, columns int) []string {
	last := len(cells)
	for last > 0 && strings.TrimSpace(cells[last-1]) == "" {
		last--
	}
	if last == 0 {
		return nil
	}
	return cells[:max(last, min(len(cells), columns))]
}

// sale sorts the rows of one sale together.
func (r csvRow) sale() string {
	return strings.Join([]string{r.order.Store, ingest.Fold(r.order.Transaction), r.id, ingest.Fold(r.order.StoreProduct)}, "\x00")
}

// readRow reads one row.
func (c Config) readRow(row map[string]string, product, actor string) (r csvRow, err error) {
	r.id = row["product"]
	if r.id == "" {
		r.id = product
	}
	p, err := c.product(r.id)
	if err != nil || len(p.Gives) > 0 {
		return r, fmt.Errorf("product %q is not in the config", r.id)
	}
	r.past = ingest.Past{Code: row["code"], Limit: p.Limit}
	r.past.Status = store.Active
	if !isCode(r.past.Code) {
		return r, errors.New("code: it must have 1-255 characters, with at least one letter or digit and no control characters")
	}
	o := &r.order
	*o = ingest.Order{
		Channel: ingest.Import, Store: row["store"], Transaction: row["transaction"], StoreProduct: row["store_product"], LicenseType: row["type"],
		Name: row["name"], Email: row["email"], Message: store.Message{Channel: ingest.Import}, Actor: actor,
	}
	if o.LicenseType == "" {
		o.LicenseType = "single"
	}
	if o.Store == "" || o.Transaction == "" { // then the code names the sale
		o.Store, o.Transaction, o.StoreProduct = ingest.Import, store.NormalCode(r.past.Code), r.id
	}
	if o.StoreProduct == "" {
		o.StoreProduct = r.id
	}
	if !channel.IsID(o.Store) || len(o.Transaction) > 255 {
		return r, errors.New("store: " + channel.IDHint + "; transaction: it must have at most 255 bytes")
	}
	if err := CheckPerson(o.Name, o.Email); err != nil {
		return r, fmt.Errorf("name, email: %s", strings.TrimPrefix(err.Error(), "--"))
	}
	return r, r.numbers(row)
}

// numbers reads the columns that are not text.
func (r *csvRow) numbers(row map[string]string) (err error) {
	for name, to := range map[string]*int{"limit": &r.past.Limit, "used": &r.past.Used} {
		if v := row[name]; v != "" {
			if *to, err = strconv.Atoi(v); err != nil || *to < 0 || *to > 1_000_000 {
				return fmt.Errorf("%s: %q is not a number from 0", name, v)
			}
		}
	}
	if r.past.Used > 10_000 || r.past.Limit > 0 && r.past.Used > r.past.Limit {
		return fmt.Errorf("used: %d machines are more than the limit of %d", r.past.Used, r.past.Limit)
	}
	switch v := strings.ToLower(row["status"]); v {
	case "":
	case store.Active, store.Suspended, store.Revoked:
		r.past.Status = v
	default:
		return fmt.Errorf("status: %q must be active, suspended or revoked", v)
	}
	if v := row["test"]; v != "" {
		if r.order.Test, err = parseTruth(v); err != nil {
			return fmt.Errorf("test: %q must be true or false", v)
		}
	}
	if v := row["created"]; v != "" {
		if r.past.CreatedAt, _, err = parseTime(v); err != nil {
			return fmt.Errorf("created: %q: %w", v, err)
		}
	}
	if v := row["expires"]; v != "" {
		at, err := ParseEnd(v)
		if err != nil {
			return fmt.Errorf("expires: %q: %w", v, err)
		}
		r.order.ExpiresAt = &at
	}
	return nil
}

// parseTruth also reads what a spreadsheet makes of true and false when it saves
// a table in the words of its country.
func parseTruth(v string) (bool, error) {
	v = strings.ToLower(v)
	switch v {
	case "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar":
		return true, nil
	case "falsch", "faux", "falso", "onwaar":
		return false, nil
	}
	return strconv.ParseBool(v)
}
