package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/keypost/keypost/admin"
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
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	out := asIs(a.out)
	if c.File != "" {
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
		if _, err := f.WriteString(admin.UTF8Mark); err != nil {
			return err
		}
	}
	done, err := o.ExportCSV(a, out, c.Product, separators[c.Separator])
	if err != nil {
		return err
	}
	if done.Shared > 0 {
		fmt.Fprintf(a.err, "%d codes are shared by several orders, and a row names the first alone: keypost db copy moves all of them.\n", done.Shared)
	}
	return a.noteUnknown(o, done.Licenses, admin.Named{Product: c.Product})
}
