package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// importMails takes in a person's own old mails. They need no signature: it is
// the operator who vouches for them.
type importMails struct {
	changing
	jsonFlag
	Path     string   `arg:"" help:"An mbox file, a Maildir, or a folder of mails (.eml) and mbox files."`
	Profiles []string `name:"profile" help:"A profile's file, or the name of a built-in one. May be repeated: the first that knows a mail reads it." default:"tfyp"`
	Store    string   `help:"Whose mails they are (default: the profile's store)."`
	Product  string   `help:"The product of orders whose product's name none of the config's has."`
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

const importMailsHelp = "The codes that a mail carries become licenses as they are; a mail without one is passed over, for nothing new is issued. A refund profile's mails refund. " +
	"A mail that a post or a notification made an order of adds nothing, and so does one that was taken in before: after a break run it again. " +
	"Exit code 1: some mails were recognised and not taken in."

// importedMailsJSON is what became of the mails.
type importedMailsJSON struct {
	Mails         int      `json:"mails"`
	Added         int      `json:"added"`          // codes taken in
	Known         int      `json:"known"`          // codes taken in, and refunds noted, before
	Refunds       int      `json:"refunds"`        // noted
	WithoutCode   int      `json:"without_code"`   // passed over
	NotRecognised int      `json:"not_recognised"` // of no profile
	Faults        []string `json:"faults"`         // recognised and not taken in, and why
	DryRun        bool     `json:"dry_run"`
}

func (c importMails) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	desk := ingest.New(db, conf.desk())
	m := mailImport{importMails: c, app: a, conf: conf, desk: desk}
	if c.DryRun {
		m.desk = desk.Rehearse()
	}
	m.out = importedMailsJSON{DryRun: c.DryRun, Faults: []string{}}
	for _, name := range c.Profiles {
		p, err := loadProfile(name)
		if err != nil {
			return err
		}
		m.profiles = append(m.profiles, p)
	}
	if err := m.each(); err != nil {
		return fmt.Errorf("%w (run it again: what was taken in stays)", err)
	}
	if err := m.print(); err != nil {
		return err
	}
	if n := len(m.out.Faults); n > 0 {
		return fmt.Errorf("not taken in: %s", count(n, "mail"))
	}
	return nil
}

type mailImport struct {
	importMails
	*app
	conf     *config
	desk     importDesk
	profiles []*tfyp.Profile
	refunds  []oldRefunds
	out      importedMailsJSON
}

// An importDesk takes old mails in, or tells what it would do: an [ingest.Desk],
// or its [ingest.Rehearsal].
type importDesk interface {
	Import(context.Context, ingest.Order, string, []ingest.Past) (added bool, err error)
	JudgeRefund(context.Context, ingest.Refund) (reason string, err error)
	NoteRefund(context.Context, ingest.Refund) (added bool, err error)
}

// oldRefunds are those of one mail.
type oldRefunds struct {
	name string
	list []ingest.Refund
}

// each takes in the mails, and then the refunds: a folder has them in any order,
// and a sale is there before its refund.
func (m *mailImport) each() error {
	bar := newBar(m.err)
	defer bar.end()
	err := eachMail(m.Path, func(one oldMail) error {
		bar.at("", one.read, one.all)
		m.out.Mails++
		return m.fault(one.name, m.take(one))
	})
	for _, of := range m.refunds {
		if err == nil {
			err = m.fault(of.name, m.refund(of.list))
		}
	}
	return err
}

// fault keeps why a mail was not taken in; other errors end the run.
func (m *mailImport) fault(name string, err error) error {
	if why, ok := errors.AsType[notTaken](err); ok {
		m.out.Faults = append(m.out.Faults, name+": "+string(why))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// notTaken is why a mail was not taken in, in words.
type notTaken string

func (n notTaken) Error() string { return string(n) }

// take takes in one mail.
func (m *mailImport) take(one oldMail) error {
	f := intake.Reader{Store: m.Store, Profiles: m.profiles}.Recognise(one.raw)
	switch {
	case f.Profile == nil:
		m.out.NotRecognised++
		return nil
	case f.Reading.Held != "":
		why := f.Reading.Held
		if len(f.Reading.Problems) > 0 {
			why += ": " + f.Reading.Problems[0]
		}
		return notTaken(why)
	case len(f.Reading.Refunds) > 0:
		m.refunds = append(m.refunds, oldRefunds{one.name, f.Reading.Refunds})
	}
	return m.orders(f.Reading, f.Mail)
}

func (m *mailImport) refund(list []ingest.Refund) error {
	for _, r := range list {
		r.Old = true
		reason, err := m.desk.JudgeRefund(m, r)
		if err != nil {
			return err
		}
		if why, ok := refundFaults[reason]; ok {
			return notTaken(why)
		}
		added, err := m.desk.NoteRefund(m, r)
		switch {
		case err != nil:
			return err
		case added:
			m.out.Refunds++
		default:
			m.out.Known++
		}
	}
	return nil
}

// refundFaults are why refunds are not taken in, for people.
var refundFaults = map[string]string{
	ingest.RefundUnknownSale: "it refunds a sale that nobody told of, or a product that is not in it: take the sale's mail in, too, or revoke its code by hand (keypost license revoke)",
	ingest.RefundAmount: "how much goes back is not in the order's currency, or what the order cost is not known: compare it with the store, " +
		"and where all of it went back refund the order by hand (keypost order refund)",
}

// orders takes in what a mail sold: each order its own codes, of which there is
// one for each copy. One code cannot be for several: nothing is guessed.
func (m *mailImport) orders(r tfyp.Reading, mail tfyp.Mail) error {
	if len(r.Orders) == 0 {
		return nil
	}
	if len(r.Codes) == 0 {
		m.out.WithoutCode++
		return nil
	}
	copies := 0
	for i := range r.Orders {
		copies += max(1, r.Orders[i].Quantity)
	}
	switch {
	case len(r.Codes) != copies:
		return notTaken("it does not carry a code for each copy of each product: " +
			"take its codes in from a file that has a row for each (keypost import csv), or issue the others by hand (keypost license issue)")
	case slices.ContainsFunc(r.Codes, func(code string) bool { return !isCode(code) }):
		return notTaken("its code is not 1-255 characters")
	}
	products := make([]ingest.Product, len(r.Orders))
	for i, o := range r.Orders {
		p, err := m.product(o)
		if err != nil {
			return err
		}
		products[i] = p
	}
	codes := r.Codes
	for i, o := range r.Orders {
		n := max(1, o.Quantity)
		if err := m.order(o, products[i], codes[:n], mail); err != nil {
			return err
		}
		codes = codes[n:]
	}
	return nil
}

// product is what an order is for.
func (m *mailImport) product(o ingest.Order) (ingest.Product, error) {
	p, ok := m.conf.desk().Product(o.StoreProduct)
	if !ok && m.Product != "" {
		p, ok = m.conf.desk().Product(m.Product)
	}
	if !ok {
		return p, notTaken(fmt.Sprintf("the product %q is none of the config's", o.StoreProduct))
	}
	return p, nil
}

// order takes one in with its codes.
func (m *mailImport) order(o ingest.Order, p ingest.Product, codes []string, mail tfyp.Mail) error {
	o.Channel, o.Message, o.Actor = ingest.Import, store.Message{Channel: ingest.Import}, actor
	var list []ingest.Past
	for _, code := range codes {
		past := ingest.Past{Code: code, Limit: p.LimitOf(o.LicenseType)}
		past.Status, past.CreatedAt = store.Active, mail.Date
		list = append(list, past)
	}
	added, err := m.desk.Import(m, o, p.ID, list)
	switch {
	case errors.Is(err, ingest.ErrOther):
		return notTaken(err.Error())
	case err != nil:
		return err
	case added:
		m.out.Added += len(codes)
	default:
		m.out.Known += len(codes)
	}
	return nil
}

func (m *mailImport) print() error {
	if m.JSON {
		return printJSON(m.app.out, m.out)
	}
	for _, f := range m.out.Faults {
		fmt.Fprintln(m.app.err, safe(f))
	}
	done := "taken in"
	if m.DryRun {
		done = "to be taken in"
	}
	_, err := fmt.Fprintf(m.app.out, "%s: %s %s, %s, %d here already, %d without a code passed over, %d of no profile, %d that cannot be taken in.\n",
		count(m.out.Mails, "mail"), count(m.out.Added, "code"), done, count(m.out.Refunds, "refund"), m.out.Known, m.out.WithoutCode, m.out.NotRecognised, len(m.out.Faults))
	return err
}
