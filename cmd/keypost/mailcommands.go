package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/store"
)

func (mailCommands) Help() string { return "Example: keypost mail preview demo --language de" }

type mailCommands struct {
	Preview mailPreview `cmd:"" help:"Show what a buyer gets, sending nothing."`
	Test    mailTest    `cmd:"" help:"Send a mail that tests the way now."`
	Digest  mailDigest  `cmd:"" help:"Show what the next daily digest says, sending nothing."`
	List    mailList    `cmd:"" help:"List the mails that were seen in mailboxes, and what became of them."`
	Show    mailShow    `cmd:"" help:"Show a mail of a mailbox, and what it tells."`
	Approve mailApprove `cmd:"" help:"Make an order of a mail that was held or refused."`
	Dismiss mailDismiss `cmd:"" help:"Have a mail that was held or refused wait no more."`
}

type mailPreview struct {
	jsonFlag
	Product     string `arg:"" help:"The product, by its id."`
	Store       string `arg:"" optional:"" help:"With an order's codes: its store …"`
	Transaction string `arg:"" optional:"" help:"… its transaction id …"`
	Line        *int   `arg:"" optional:"" help:"… and which line of the sale, from 1."`
	Language    string `help:"The buyer's language: de, pt-BR."`
	HTML        bool   `help:"Show the HTML part, to be looked at in a browser."`
}

func (mailPreview) Help() string {
	return "Without an order it shows one copy with made-up codes. Templates are read as they are on disk: the daemon takes them on SIGHUP.\n\n" +
		"Example: keypost mail preview demo --language de"
}

// mailJSON is a mail as scripts see it.
type mailJSON struct {
	To      *string `json:"to"` // null: a made-up buyer, or the vendor
	Subject string  `json:"subject"`
	Text    string  `json:"text"`
	HTML    *string `json:"html"` // null: text alone
}

func (c mailPreview) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	p, ok := conf.product(c.Product)
	if !ok {
		return fmt.Errorf("product %s: %w in the config", c.Product, store.ErrNotFound)
	}
	data, to, language := conf.buyerMail().Example(p.ID, conf.exampleCodes(p)...), "", c.Language
	if c.Store != "" {
		o, err := c.find(a)
		if err != nil {
			return err
		}
		if o.Refunded { // whatever else is read, a person sees this
			fmt.Fprintln(a.err, "This order was refunded: its codes are revoked, and this mail is not sent any more.")
		}
		data, to = conf.buyerMail().Codes(o, store.ToBuyer), o.Email
		if language == "" {
			language = o.Language
		}
	}
	r, err := conf.buyerMail().Templates.Codes(p.ID, language, data)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(a.out, mailJSON{orNull(to), r.Subject, r.Text, orNull(r.HTML)})
	case c.HTML && r.HTML == "":
		return errors.New("the template has no HTML part")
	case c.HTML:
		_, err = fmt.Fprint(asIs(a.out), r.HTML)
	default:
		_, err = fmt.Fprintf(a.out, "Subject: %s\n\n%s", safe(r.Subject), safeLines(r.Text))
	}
	return err
}

// exampleCodes are those of one copy of a product, as the config has it.
func (c *config) exampleCodes(p productConfig) (list []delivery.Code) {
	for _, id := range p.Gives {
		if part, ok := c.product(id); ok {
			list = append(list, delivery.Code{ProductID: id, Limit: part.limitOf("single")})
		}
	}
	if list == nil {
		list = []delivery.Code{{ProductID: p.ID, Limit: p.limitOf("single")}}
	}
	return list
}

// find is the order whose mail is to be shown.
func (c mailPreview) find(a *app) (store.Order, error) {
	if c.Transaction == "" {
		return store.Order{}, usageError{errors.New("an order is named by its store and its transaction id: keypost mail preview demo kagi CH0123456789")}
	}
	_, db, err := a.open()
	if err != nil {
		return store.Order{}, err
	}
	defer db.Close()
	o, err := orderName{Store: c.Store, Transaction: c.Transaction, Line: c.Line}.find(a, db)
	if err == nil && len(o.Licenses) == 0 {
		err = fmt.Errorf("the order is %s: it has no codes", o.Status)
	}
	return o, err
}

// safeLines is safe for a text of several lines.
func safeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = safe(line)
	}
	return strings.Join(lines, "\n")
}

var errNoMail = errors.New("the config has no [mail]: set smtp, from and vendor (docs/mail.md)")

type mailTest struct {
	jsonFlag
	Address string `arg:"" optional:"" help:"Whom to send it to (default: [mail] vendor)."`
}

func (mailTest) Help() string {
	return "It does not go through the outbox. Exit code 1: the mail server did not take it.\n\nExample: keypost mail test me@example.com"
}

func (c mailTest) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	if conf.Mail == nil {
		return errNoMail
	}
	to := conf.Mail.vendor
	if c.Address != "" {
		if to, err = ownAddress(c.Address); err != nil {
			return usageError{err}
		}
	}
	if err := conf.mailer(nil).Test(a, to); err != nil {
		return fmt.Errorf("%s: %w", conf.Mail.server, err)
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Server string `json:"server"`
			To     string `json:"to"`
		}{conf.Mail.server.String(), to.Address})
	}
	fmt.Fprintf(a.out, "%s took a mail for %s\n", conf.Mail.server, safe(to.Address))
	return nil
}

type mailDigest struct {
	jsonFlag
}

func (mailDigest) Help() string {
	return "The daemon sends it once a day, after 7:00 UTC, if there is something to say. That a mailbox is not watched the daemon alone knows.\n\nExample: keypost mail digest"
}

func (c mailDigest) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	now := time.Now()
	d, err := conf.digest(a, db, now)
	if err != nil {
		return err
	}
	r := d.Mail(now)
	if c.JSON {
		return printJSON(a.out, mailJSON{nil, r.Subject, r.Text, nil})
	}
	fmt.Fprintf(a.out, "Subject: %s\n\n%s", safe(r.Subject), safeLines(r.Text))
	return nil
}
