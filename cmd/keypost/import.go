package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

func (importCommands) Help() string { return "Example: keypost import csv customers.csv --dry-run" }

type importCommands struct {
	CSV     importCSV    `cmd:"" name:"csv" help:"Take customers and codes in that were issued elsewhere."`
	Mbox    importMails  `cmd:"" help:"Take in the codes of old notification mails in an mbox file."`
	Maildir importFolder `cmd:"" help:"The same of a Maildir, or of any folder of mails."`
}

func (exportCommands) Help() string { return "Example: keypost export csv licenses.csv" }

type exportCommands struct {
	CSV exportCSV `cmd:"" name:"csv" help:"Write all licenses in the columns of import."`
}

// csvColumns are those of import and export. The first two are needed.
var csvColumns = []string{
	"product", "code", "name", "email", "type", "limit", "used", "status", "test", "created", "expires", "store", "transaction", "store_product",
}

type importCSV struct {
	changing
	jsonFlag
	File    string `arg:"" help:"The file; its first line names the columns."`
	Product string `help:"The product of rows that name none."`
	DryRun  bool   `help:"Say what would be done, and do nothing."`
}

func (importCSV) Help() string {
	return "Columns, in any order: " + strings.Join(csvColumns, ", ") + ". Only code is needed, and product without --product. Dates are like 2027-12-31. " +
		"Rows of one store, transaction and product are one order; with these three the store's repeats get the imported codes. A file that was taken in before adds nothing. " +
		"Exit code 1: some rows were not taken in.\n\nExample: keypost import csv customers.csv --product demo --dry-run"
}

// A csvRow is one code of a file.
type csvRow struct {
	line  int
	order ingest.Order
	id    string // the product's
	past  ingest.Past
}

type importedJSON struct {
	Codes   int      `json:"codes"`   // in the file
	Added   int      `json:"added"`   // taken in
	Known   int      `json:"known"`   // taken in before
	Faults  []string `json:"faults"`  // what was not taken in, and why
	DryRun  bool     `json:"dry_run"` // nothing was done
	Invalid int      `json:"invalid"` // how many codes that are
}

func (c importCSV) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, faults, err := c.read(conf, f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	out := importedJSON{Codes: len(rows) + len(faults), Faults: append([]string{}, faults...), Invalid: len(faults), DryRun: c.DryRun}
	if err := c.take(a, ingest.New(db, conf.desk()), rows, &out); err != nil {
		return err
	}
	if err := c.print(a, out); err != nil {
		return err
	}
	if out.Invalid > 0 {
		return fmt.Errorf("%d of %d codes were not taken in", out.Invalid, out.Codes)
	}
	return nil
}

func (c importCSV) print(a *app, out importedJSON) error {
	if c.JSON {
		return printJSON(a.out, out)
	}
	for _, f := range out.Faults {
		fmt.Fprintln(a.err, safe(f))
	}
	done := "were taken in"
	if c.DryRun {
		done = "would be taken in"
	}
	_, err := fmt.Fprintf(a.out, "%d codes: %d %s, %d are here already, %d cannot be.\n", out.Codes, out.Added, done, out.Known, out.Invalid)
	return err
}

// take takes the rows in, order by order.
func (c importCSV) take(a *app, desk *ingest.Desk, rows []csvRow, out *importedJSON) error {
	bar := newBar(a.err)
	defer bar.end()
	to := desk.Import
	if c.DryRun {
		to = desk.Rehearse().Import
	}
	for done := 0; done < len(rows); {
		n := 1 // rows of one order follow each other
		for done+n < len(rows) && sameSale(rows[done], rows[done+n]) {
			n++
		}
		if err := takeOrder(a, to, rows[done:done+n], out); err != nil {
			return fmt.Errorf("line %d: %w (run it again: what was taken in stays)", rows[done].line, err)
		}
		done += n
		bar.at("", int64(done), int64(len(rows)))
	}
	return nil
}

// An importer takes an order in, or tells whether it would: [ingest.Desk.Import].
type importer func(context.Context, ingest.Order, string, []ingest.Past) (added bool, err error)

func takeOrder(a *app, to importer, rows []csvRow, out *importedJSON) error {
	var codes []ingest.Past
	for _, r := range rows {
		codes = append(codes, r.past)
	}
	added, err := to(a, rows[0].order, rows[0].id, codes)
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

// read reads a file; faults are rows that cannot be taken in.
func (c importCSV) read(conf *config, f io.Reader) (rows []csvRow, faults []string, err error) {
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1 // a short row is a fault of its own
	head, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("the first line must name the columns: %w", err)
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	for i, name := range head {
		head[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(csvColumns, head[i]) || slices.Contains(head[:i], head[i]) {
			return nil, nil, fmt.Errorf("line 1: the column %q is unknown, or there twice: columns are %s", name, strings.Join(csvColumns, ", "))
		}
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
		if len(cells) != len(head) {
			faults = append(faults, fmt.Sprintf("line %d: it has %d cells, the first line has %d", line, len(cells), len(head)))
			continue
		}
		row := map[string]string{}
		for i, cell := range cells {
			row[head[i]] = plainCell(strings.TrimSpace(cell))
		}
		got, err := c.row(conf, row)
		if err != nil {
			faults = append(faults, fmt.Sprintf("line %d: %v", line, err))
			continue
		}
		code := got.id + "\x00" + store.NormalCode(got.past.Code)
		if other, twice := seen[code]; twice {
			faults = append(faults, fmt.Sprintf("line %d: the code is on line %d, too", line, other))
			continue
		}
		seen[code] = line
		got.line = line
		rows = append(rows, got)
	}
}

// sale sorts the rows of one sale together.
func (r csvRow) sale() string {
	return strings.Join([]string{r.order.Store, ingest.Fold(r.order.Transaction), r.id, ingest.Fold(r.order.StoreProduct)}, "\x00")
}

// row reads one row.
func (c importCSV) row(conf *config, row map[string]string) (r csvRow, err error) {
	r.id = row["product"]
	if r.id == "" {
		r.id = c.Product
	}
	p, ok := conf.product(r.id)
	if !ok || len(p.Gives) > 0 {
		return r, fmt.Errorf("product %q is none of the config's", r.id)
	}
	r.past = ingest.Past{Code: row["code"], Limit: *p.Limit}
	r.past.Status = store.Active
	if !isCode(r.past.Code) {
		return r, errors.New("code: it has 1-255 characters, letters or digits among them and no control characters")
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
	if !idShape.MatchString(o.Store) || len(o.Transaction) > 255 {
		return r, errors.New("store: " + idHint + "; transaction: at most 255 bytes")
	}
	if err := checkPerson(o.Name, o.Email); err != nil {
		return r, fmt.Errorf("name, email: %s", strings.TrimPrefix(err.Error(), "--"))
	}
	return r, r.numbers(row)
}

// numbers reads the columns that are not text.
func (r *csvRow) numbers(row map[string]string) (err error) {
	for name, to := range map[string]*int{"limit": &r.past.Limit, "used": &r.past.Used} {
		if v := row[name]; v != "" {
			if *to, err = strconv.Atoi(v); err != nil || *to < 0 || *to > 1_000_000 {
				return fmt.Errorf("%s: %q is not a number from 0 on", name, v)
			}
		}
	}
	if r.past.Used > 10_000 || r.past.Limit > 0 && r.past.Used > r.past.Limit {
		return fmt.Errorf("used: %d machines are more than the limit, %d", r.past.Used, r.past.Limit)
	}
	switch v := strings.ToLower(row["status"]); v {
	case "":
	case store.Active, store.Suspended, store.Revoked:
		r.past.Status = v
	default:
		return fmt.Errorf("status: %q is none of active, suspended, revoked", v)
	}
	if v := row["test"]; v != "" {
		if r.order.Test, err = strconv.ParseBool(strings.ToLower(v)); err != nil {
			return fmt.Errorf("test: %q is neither true nor false", v)
		}
	}
	if v := row["created"]; v != "" {
		at, err := csvTime(v)
		if err != nil {
			return fmt.Errorf("created: %w", err)
		}
		r.past.CreatedAt = at
	}
	if v := row["expires"]; v != "" {
		at, err := parseExpiry(&v)
		if err != nil {
			return fmt.Errorf("expires: %w", err)
		}
		r.order.ExpiresAt = at
	}
	return nil
}

func csvTime(v string) (time.Time, error) {
	for _, form := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(form, v); err == nil && at.Year() >= 1970 && at.Year() < 9999 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date like 2027-12-31", v)
}

// formula are the characters by which a spreadsheet takes a cell for one.
const formula = "=+-@\t\r"

// plainCell takes away what safeCell put before a cell.
func plainCell(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return rest
	}
	return cell
}

// safeCell keeps a spreadsheet from running what a buyer typed.
func safeCell(cell string) string {
	if cell != "" && strings.ContainsRune(formula, rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

type exportCSV struct {
	File    string `arg:"" optional:"" help:"Where to; a file that is there stays. Without it: standard output."`
	Product string `help:"Only of this product."`
}

func (exportCSV) Help() string {
	return "Cells that a spreadsheet would take for a formula begin with an apostrophe, which import takes away again.\n\nExample: keypost export csv licenses.csv"
}

func (c exportCSV) Run(a *app) (err error) {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	out := a.out
	if c.File != "" {
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
	}
	w := csv.NewWriter(out)
	if err := w.Write(csvColumns); err != nil {
		return err
	}
	list, err := db.Licenses(a, store.LicenseFilter{Product: c.Product})
	if err != nil {
		return err
	}
	shared := 0
	for _, l := range slices.Backward(list) {
		if l.Replaced {
			continue
		}
		shares, err := db.Shares(a, l.ID)
		if err != nil {
			return err
		}
		if len(shares) > 0 {
			shared++
		}
		if l.Limit > 0 {
			l.Limit = max(l.Limit, l.Used) // a refund takes no machine's seat: see same_name
		}
		o, err := db.Order(a, l.OrderID)
		if err != nil {
			return err
		}
		if err := w.Write(csvCells(l, o)); err != nil {
			return err
		}
	}
	w.Flush()
	if shared > 0 {
		fmt.Fprintf(a.err, "%d codes are shared by several orders, and a row names the first alone: keypost db copy moves all of them.\n", shared)
	}
	return w.Error()
}

func csvCells(l store.License, o store.Order) []string {
	expires := ""
	if l.ExpiresAt != nil {
		expires = l.ExpiresAt.Format(time.RFC3339)
	}
	cells := []string{
		l.Product, l.Code, o.Name, o.Email, l.Type, strconv.Itoa(l.Limit), strconv.Itoa(l.Used), l.Status, strconv.FormatBool(l.Test),
		l.CreatedAt.Format(time.RFC3339), expires, o.Store, o.Transaction, o.StoreProduct,
	}
	for i, cell := range cells {
		cells[i] = safeCell(cell)
	}
	return cells
}
