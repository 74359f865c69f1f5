package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (mailCommands) Help() string { return "Example: keypost mail preview demo --language de" }

type mailCommands struct {
	Preview  mailPreview  `cmd:"" help:"Show the mail that a buyer gets, without sending it."`
	Template mailTemplate `cmd:"" help:"Print a built-in template of the mail with the codes."`
	Test     mailTest     `cmd:"" help:"Send a test mail now."`
	Digest   mailDigest   `cmd:"" help:"Show the next daily digest, without sending it."`
	List     mailList     `cmd:"" help:"List the mails found in mailboxes, and what happened to them."`
	Show     mailShow     `cmd:"" help:"Show a mail and what was read from it."`
	Approve  mailApprove  `cmd:"" help:"Create an order from a held or refused mail."`
	Dismiss  mailDismiss  `cmd:"" help:"Dismiss a held or refused mail."`
}

type mailPreview struct {
	jsonFlag
	Product     string `arg:"" help:"The product, by its id."`
	Store       string `arg:"" optional:"" help:"To show an order's codes: its store …"`
	Transaction string `arg:"" optional:"" help:"… its transaction id …"`
	Line        *int   `arg:"" optional:"" help:"… and the line of the sale, from 1."`
	Language    string `help:"The buyer's language: de, pt-BR."`
	HTML        bool   `help:"Show the HTML part, to open in a browser."`
}

func (mailPreview) Help() string {
	return "Without an order, it shows a mail with made-up codes. It reads the templates from disk; the daemon reads them again on SIGHUP.\n\n" +
		"Example: keypost mail preview demo --language de"
}

func (c mailPreview) Run(a *app) error {
	l, err := c.letter(a)
	if err != nil {
		return err
	}
	if l.Refunded { // whatever else is read, a person sees this
		fmt.Fprintln(a.err, "This order was refunded: its codes are revoked, and this mail is no longer sent.")
	}
	switch {
	case c.JSON:
		return printJSON(a.out, l)
	case c.HTML && l.HTML == nil:
		return errors.New("the template has no HTML part")
	case c.HTML:
		_, err = fmt.Fprint(asIs(a.out), *l.HTML)
		return err
	}
	return printLetter(a, l)
}

func (c mailPreview) letter(a *app) (admin.Letter, error) {
	conf, err := a.load()
	if err != nil {
		return admin.Letter{}, err
	}
	if c.Store == "" {
		return admin.PreviewMail(conf.Admin(), c.Product, c.Language)
	}
	if c.Transaction == "" {
		return admin.Letter{}, usageError{errors.New("name the order by its store and its transaction id: keypost mail preview demo kagi CH0123456789")}
	}
	o, err := a.open()
	if err != nil {
		return admin.Letter{}, err
	}
	defer o.Close()
	return o.PreviewOrderMail(a, c.Product, c.Language, admin.OrderName{Store: c.Store, Transaction: c.Transaction, Line: c.Line})
}

func printLetter(a *app, l admin.Letter) error {
	_, err := fmt.Fprintf(a.out, "Subject: %s\n\n%s", safe(l.Subject), lineSafe(l.Text))
	return err
}

type mailTemplate struct {
	jsonFlag
	Name string `arg:"" optional:"" help:"Its file name (default: all names)."`
}

func (mailTemplate) Help() string {
	return "A file of the same name in [mail] templates takes its place.\n\nExample: keypost mail template codes.de.txt"
}

func (c mailTemplate) Run(a *app) error {
	if c.Name == "" && c.JSON {
		return printJSON(a.out, admin.MailTemplates())
	}
	if c.Name == "" {
		_, err := fmt.Fprintln(a.out, strings.Join(admin.MailTemplates(), "\n"))
		return err
	}
	text, err := admin.MailTemplate(c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Name string `json:"name"`
			Text string `json:"template"`
		}{c.Name, text})
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}

type mailTest struct {
	jsonFlag
	Address string `arg:"" optional:"" help:"The recipient (default: [mail] vendor)."`
}

func (mailTest) Help() string {
	return "The mail does not go through the outbox. Exit code 1: the mail server did not accept it.\n\nExample: keypost mail test me@example.com"
}

func (c mailTest) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	done, err := admin.TestMail(a, conf.Admin(), c.Address)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, done)
	}
	fmt.Fprintf(a.out, "%s accepted a mail for %s\n", done.Server, safe(done.To))
	return nil
}

type mailDigest struct {
	jsonFlag
}

func (mailDigest) Help() string {
	return "The daemon sends it once a day, after 7:00 UTC, if there is something to report. Only the daemon can report that a mailbox is not watched.\n\nExample: keypost mail digest"
}

func (c mailDigest) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	l, err := o.Digest(a)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, l)
	}
	return printLetter(a, l)
}
