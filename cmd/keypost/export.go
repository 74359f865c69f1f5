package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/keypost/keypost/store"
)

func (exportCommands) Help() string { return "Example: keypost export csv licenses.csv" }

type exportCommands struct {
	CSV exportCSV `cmd:"" name:"csv" help:"Write all licenses in the columns of import."`
}

type exportCSV struct {
	File      string `arg:"" optional:"" help:"Where to; a file that is there stays. Without it: standard output."`
	Product   string `help:"Only of this product."`
	Separator string `help:"What separates cells: comma, semicolon (for spreadsheets of countries that write a decimal comma), tab." enum:"comma,semicolon,tab" default:"comma"`
}

func (exportCSV) Help() string {
	return "A file begins with a byte order mark, so that a spreadsheet shows umlauts; standard output does not, so that programs can read it (for them there is also keypost license list --json). " +
		"What a spreadsheet would take for a formula has an apostrophe before it, which import takes away again.\n\nExample: keypost export csv licenses.csv"
}

var separators = map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t'}

func (c exportCSV) Run(a *app) (err error) {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	out := asIs(a.out)
	if c.File != "" {
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
		if _, err := f.WriteString(utf8Mark); err != nil {
			return err
		}
	}
	w := csv.NewWriter(out)
	w.Comma = separators[c.Separator]
	if err := w.Write(csvColumns); err != nil {
		return err
	}
	list, err := db.Licenses(a, store.LicenseFilter{Product: c.Product})
	if err == nil {
		err = a.noteUnknown(conf, db, len(list), filter{product: c.Product})
	}
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
		expires = csvEnd(*l.ExpiresAt)
	}
	cells := []string{
		l.Product, l.Code, o.Name, o.Email, l.Type, strconv.Itoa(l.Limit), strconv.Itoa(l.Used), l.Status, strconv.FormatBool(l.Test),
		csvCreated(l.CreatedAt), expires, o.Store, o.Transaction, o.StoreProduct,
	}
	for i, cell := range cells {
		cells[i] = safeCell(cell)
	}
	return cells
}

// csvCreated writes when a license was issued as [parseTime] reads it.
func csvCreated(at time.Time) string {
	if day, whole := firstMoment(at); whole {
		return day
	}
	return at.UTC().Format(time.RFC3339)
}

// csvEnd writes a license's end as [parseEnd] reads it.
func csvEnd(end time.Time) string {
	if day, whole := lastDay(end); whole {
		if again, err := parseEnd(day); err == nil && again.Equal(end) {
			return day
		}
	}
	return end.UTC().Format(time.RFC3339Nano)
}
