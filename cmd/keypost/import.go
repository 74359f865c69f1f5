package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (importCommands) Help() string { return "Example: keypost import csv customers.csv --dry-run" }

type importCommands struct {
	CSV     importCSV    `cmd:"" name:"csv" help:"Import customers and codes that were issued elsewhere."`
	Mbox    importMails  `cmd:"" help:"Import codes from old notification mails in an mbox file."`
	Maildir importFolder `cmd:"" help:"Import codes from old notification mails in a Maildir or any folder of mails."`
}

type importCSV struct {
	changing
	jsonFlag
	File     string `arg:"" help:"The file. Its first line names the columns."`
	Product  string `help:"The product of rows without a product."`
	Encoding string `help:"The file's encoding, if it is neither UTF-8 nor UTF-16 with a byte order mark: windows-1252, iso-8859-15, macintosh, …" placeholder:"NAME"`
	DryRun   bool   `help:"Say what would be done, and do nothing."`
}

func (importCSV) Help() string {
	return "Columns, in any order: " + strings.Join(admin.CSVColumns(), ", ") + ". Only code is required, and product if --product is not given. Dates look like 2027-12-31. " +
		"The first line decides whether commas, semicolons or tabs separate the cells. The last line of the output says what was detected. " +
		"Rows with the same store, transaction and product form one order. If the store sends that order again, it gets the imported codes. Importing a file twice adds nothing. " +
		"Exit code 1: some rows were not imported.\n\nExample: keypost import csv customers.csv --product demo --dry-run"
}

func (c importCSV) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := newBar(a.err)
	done, err := o.ImportCSV(a, actor, f, admin.CSVImport{Product: c.Product, Encoding: c.Encoding, DryRun: c.DryRun, Progress: bar.at})
	bar.end()
	if err != nil && admin.CodeOf(err) != admin.Partly {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return errors.Join(c.print(a, done), err)
}

func (c importCSV) print(a *app, done admin.Imported) error {
	if c.JSON {
		return printJSON(a.out, done)
	}
	for _, f := range done.Faults {
		fmt.Fprintln(a.err, safe(f))
	}
	verb := "were imported"
	if c.DryRun {
		verb = "would be imported"
	}
	_, err := fmt.Fprintf(a.out, "%d codes: %d %s, %d already exist, %d failed.\nThe file was read as %s, separated by %s.\n",
		done.Codes, done.Added, verb, done.Known, done.Invalid, done.Encoding, done.DelimiterName())
	return err
}
