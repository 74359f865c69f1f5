package admin

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

// A MailImport is which old mails of the vendor's own are to be imported. They
// need no signature: it is the vendor who vouches for them.
type MailImport struct {
	Path     string   // an mbox file, a Maildir, or a folder of mails and mbox files
	Profiles []string // files, or names of built-in ones: the first that knows a mail reads it
	Store    string   // whose mails they are; "": the profile's store
	Product  string   // of orders whose product is none of the config's
	DryRun   bool     // say what would be done, and do nothing
	Progress Progress
}

// ImportedMails is what became of the mails.
type ImportedMails struct {
	Mails         int      `json:"mails"`
	Added         int      `json:"added"`          // codes imported
	Known         int      `json:"known"`          // codes imported, and refunds noted, before
	Refunds       int      `json:"refunds"`        // noted
	WithoutCode   int      `json:"without_code"`   // passed over
	NotRecognised int      `json:"not_recognised"` // of no profile
	Faults        []string `json:"faults"`         // recognised and not imported, and why
	DryRun        bool     `json:"dry_run"`
}

// ImportMails imports the codes of old notification mails, and their refunds. What
// was imported before adds nothing. With [Partly], some mails were recognised and
// not imported; the result is there all the same.
func (a *Admin) ImportMails(ctx context.Context, actor string, c MailImport) (ImportedMails, error) {
	m := mailImport{MailImport: c, ctx: ctx, actor: actor, catalog: a.Catalog, desk: a.desk}
	if c.DryRun {
		m.desk = a.desk.Rehearse()
	}
	m.out = ImportedMails{DryRun: c.DryRun, Faults: []string{}}
	for _, name := range c.Profiles {
		p, err := intake.LoadProfile(name)
		if err != nil {
			return m.out, err
		}
		m.profiles = append(m.profiles, p)
	}
	if err := m.each(); err != nil {
		return m.out, fmt.Errorf("%w (run it again: codes that were imported are kept)", err)
	}
	if n := len(m.out.Faults); n > 0 {
		return m.out, fail(Partly, "", "not imported: %s", count(n, "mail"))
	}
	return m.out, nil
}

type mailImport struct {
	MailImport
	ctx      context.Context // of the one call
	actor    string
	catalog  ingest.Catalog
	desk     importDesk
	profiles []*tfyp.Profile
	refunds  []oldRefunds
	out      ImportedMails
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
	err := eachMail(m.Path, func(one oldMail) error {
		if m.Progress != nil {
			m.Progress("", one.read, one.all)
		}
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

// fault keeps why a mail was not imported; other errors end the run.
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

// notTaken is why a mail was not imported, in words.
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
		reason, err := m.desk.JudgeRefund(m.ctx, r)
		if err != nil {
			return err
		}
		if why, ok := refundFaults[reason]; ok {
			return notTaken(why)
		}
		added, err := m.desk.NoteRefund(m.ctx, r)
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

// refundFaults are why refunds are not imported, for people.
var refundFaults = map[string]string{
	ingest.RefundUnknownSale: "it refunds an unknown sale, or a product that is not part of the sale: import the sale's mail too, or revoke the code by hand ({license revoke})",
	ingest.RefundAmount: "the refund is not in the order's currency, or the order's price is unknown: compare it with the store's records. " +
		"If it was a full refund, refund the order by hand ({order refund})",
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
		return notTaken("it does not have a code for each copy of each product: " +
			"import its codes from a CSV file with one row per code ({import csv}), or issue the missing codes by hand ({license issue})")
	case slices.ContainsFunc(r.Codes, func(code string) bool { return !isCode(code) }):
		return notTaken("its code must have 1-255 characters")
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
	p, ok := m.catalog.Product(o.StoreProduct)
	if !ok && m.Product != "" {
		p, ok = m.catalog.Product(m.Product)
	}
	if !ok {
		return p, notTaken(fmt.Sprintf("the product %q is not in the config", o.StoreProduct))
	}
	return p, nil
}

// order takes one in with its codes.
func (m *mailImport) order(o ingest.Order, p ingest.Product, codes []string, mail tfyp.Mail) error {
	o.Channel, o.Message, o.Actor = ingest.Import, store.Message{Channel: ingest.Import}, m.actor
	var list []ingest.Past
	for _, code := range codes {
		past := ingest.Past{Code: code, Limit: p.LimitOf(o.LicenseType)}
		past.Status, past.CreatedAt = store.Active, mail.Date
		list = append(list, past)
	}
	added, err := m.desk.Import(m.ctx, o, p.ID, list)
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
