package main

import (
	"errors"
	"fmt"

	"github.com/keypost/keypost/admin"
)

// importMails takes in a person's own old mails. They need no signature: it is
// the operator who vouches for them.
type importMails struct {
	changing
	jsonFlag
	Path     string   `arg:"" help:"An mbox file, a Maildir, or a folder of mails (.eml) and mbox files."`
	Profiles []string `name:"profile" help:"A profile file or the name of a built-in profile. May be repeated: the first profile that recognises a mail reads it." default:"tfyp"`
	Store    string   `help:"The store that sent the mails (default: the profile's store)."`
	Product  string   `help:"The product of orders whose product name is not in the config."`
	DryRun   bool     `help:"Say what would be done, and do nothing."`
}

// importFolder is the same by another name.
type importFolder struct{ importMails }

func (importFolder) Help() string {
	return importMailsHelp + "\n\nExample: keypost import maildir old-mails --profile tfyp --dry-run"
}

func (importMails) Help() string {
	return importMailsHelp + "\n\nExample: keypost import mbox sold.mbox --profile tfyp --dry-run"
}

const importMailsHelp = "The codes in the mails become licenses, unchanged. Mails without a code are skipped; no new codes are issued. Mails that a refund profile recognises are recorded as refunds. " +
	"Mails whose order already exists add nothing. If the import is interrupted, run it again. " +
	"Exit code 1: some mails were recognised but not imported."

func (c importMails) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	bar := newBar(a.err)
	done, err := o.ImportMails(a, actor, admin.MailImport{
		Path: c.Path, Profiles: c.Profiles, Store: c.Store, Product: c.Product, DryRun: c.DryRun, Progress: bar.at,
	})
	bar.end()
	if err != nil && admin.CodeOf(err) != admin.Partly {
		return err
	}
	for i := range done.Faults {
		done.Faults[i] = a.worded(done.Faults[i])
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, done), err)
	}
	for _, f := range done.Faults {
		fmt.Fprintln(a.err, safe(f))
	}
	verb := "imported"
	if c.DryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(a.out, "%s: %s %s, %s, %d already exist, %d without a code skipped, %d not recognised, %d failed.\n",
		count(done.Mails, "mail"), count(done.Added, "code"), verb, count(done.Refunds, "refund"), done.Known, done.WithoutCode, done.NotRecognised, len(done.Faults))
	return err
}
