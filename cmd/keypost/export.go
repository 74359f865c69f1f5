package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/keypost/keypost/admin"
)

func (exportCommands) Help() string { return "Example: keypost export csv licenses.csv" }

type exportCommands struct {
	CSV exportCSV `cmd:"" name:"csv" help:"Write all licenses as CSV, in the format that import reads."`
}

type exportCSV struct {
	File      string `arg:"" optional:"" help:"The file to write (default: standard output). An existing file is not overwritten."`
	Product   string `help:"Only of this product."`
	Separator string `help:"The separator: comma, semicolon (for spreadsheets in countries with a decimal comma), or tab." enum:"comma,semicolon,tab" default:"comma"`
}

func (exportCSV) Help() string {
	return "A file starts with a byte order mark, so that spreadsheets show umlauts correctly. Standard output has none, for programs; they can also use keypost license list --json. " +
		"Cells that look like a formula get a leading apostrophe; import removes it.\n\nExample: keypost export csv licenses.csv"
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
		fmt.Fprintf(a.err, "%d codes are shared by several orders. Their rows name only the first order; keypost db copy keeps all of them.\n", done.Shared)
	}
	return a.noteUnknown(o, done.Licenses, admin.Named{Product: c.Product})
}
