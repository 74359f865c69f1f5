package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

func (importCommands) Help() string { return "Example: keypost import csv customers.csv --dry-run" }

type importCommands struct {
	CSV     importCSV    `cmd:"" name:"csv" help:"Take customers and codes in that were issued elsewhere."`
	Mbox    importMails  `cmd:"" help:"Take in the codes of old notification mails in an mbox file."`
	Maildir importFolder `cmd:"" help:"The same of a Maildir, or of any folder of mails."`
}

// csvColumns are those of import and export. The first two are needed.
var csvColumns = []string{
	"product", "code", "name", "email", "type", "limit", "used", "status", "test", "created", "expires", "store", "transaction", "store_product",
}

type importCSV struct {
	changing
	jsonFlag
	File     string `arg:"" help:"The file; its first line names the columns."`
	Product  string `help:"The product of rows that name none."`
	Encoding string `help:"What the file is written in, where it is neither UTF-8 nor UTF-16 with a byte order mark: windows-1252, iso-8859-15, macintosh, …" placeholder:"NAME"`
	DryRun   bool   `help:"Say what would be done, and do nothing."`
}

func (importCSV) Help() string {
	return "Columns, in any order: " + strings.Join(csvColumns, ", ") + ". Only code is needed, and product without --product. Dates are like 2027-12-31. " +
		"Cells are separated by commas, semicolons or tabs, as the first line is; the last line of the output says what was recognised. " +
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

	Encoding  string `json:"encoding"`  // as the file was read
	Delimiter string `json:"delimiter"` // between its cells
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
	text, err := readCSVText(f, c.Encoding)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	rows, faults, err := c.read(conf, text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	out := importedJSON{
		Codes: len(rows) + len(faults), Faults: append([]string{}, faults...), Invalid: len(faults), DryRun: c.DryRun,
		Encoding: text.encoding, Delimiter: string(text.delimiter),
	}
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
	_, err := fmt.Fprintf(a.out, "%d codes: %d %s, %d are here already, %d cannot be.\nThe file was read as %s, its cells separated by %s.\n",
		out.Codes, out.Added, done, out.Known, out.Invalid, out.Encoding, delimiterName(out.Delimiter))
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
			return nil, fmt.Errorf("line 1: the column %q is unknown, or there twice: columns are %s", name, strings.Join(csvColumns, ", "))
		}
	}
	return head, nil
}

// read reads a table; faults are rows that cannot be taken in.
func (c importCSV) read(conf *config, text csvText) (rows []csvRow, faults []string, err error) {
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
		if r.order.Test, err = parseTruth(v); err != nil {
			return fmt.Errorf("test: %q is neither true nor false", v)
		}
	}
	if v := row["created"]; v != "" {
		if r.past.CreatedAt, _, err = parseTime(v); err != nil {
			return fmt.Errorf("created: %q: %w", v, err)
		}
	}
	if v := row["expires"]; v != "" {
		at, err := parseEnd(v)
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
