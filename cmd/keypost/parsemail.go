package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/admin"
)

type parseMail struct {
	jsonFlag
	File    string `arg:"" help:"A mail, as the mailbox keeps it (.eml); - is standard input."`
	Profile string `help:"A profile's file, or the name of a built-in one (default: the channel's, or tfyp)."`
	Channel string `help:"Of which channel's mailbox it is: whom that trusts (default: the only one of kind imap)."`
	Arrived string `help:"When the mail server took it (default: now)." placeholder:"2026-03-02T10:00:00Z"`
}

func (parseMail) Help() string {
	return "Finds the profile's fields, tells where each stands, judges whether the mail is authentic, and says what would become of it. " +
		"It does so with each mail that is attached, too. It opens no database: whether the order came before, it cannot know. " +
		"Exit code 1: the profile is neither for the mail nor for an attached one.\n\n" +
		"Example: keypost parse mail order.eml --profile tfyp"
}

func (c parseMail) Run(a *app) error {
	arrived := time.Now()
	if c.Arrived != "" {
		var err error
		if arrived, err = time.Parse(time.RFC3339, c.Arrived); err != nil {
			return usageError{fmt.Errorf("--arrived %s: it must be like 2026-03-02T10:00:00Z", c.Arrived)}
		}
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	raw, err := readMail(a, c.File)
	if err != nil {
		return err
	}
	out, err := admin.ParseMail(a, conf.Admin(), raw, admin.MailTrial{Profile: c.Profile, Channel: c.Channel, Arrived: arrived})
	if err != nil && admin.CodeOf(err) != admin.State {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, out), err)
	}
	if err := printParsedMail(a, out); err != nil {
		return err
	}
	for i, one := range out.Mails {
		fmt.Fprintf(a.out, "\nattached mail %d of %d: %s\n\n", i+1, len(out.Mails), safe(one.Subject))
		if err := printParsedMail(a, one); err != nil {
			return err
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", c.File, err)
	}
	return err
}

// printParsedMail shows where each field was found, what the mail is about, and the
// verdict.
func printParsedMail(a *app, p admin.ParsedMail) error {
	if err := printRead(a, p); err != nil {
		return err
	}
	if len(p.Checks) > 0 {
		rows := [][]string{{"AUTHENTICITY", "", "WHY"}}
		for _, c := range p.Checks {
			rows = append(rows, []string{c.Name, c.Result, c.Detail})
		}
		fmt.Fprintln(a.out)
		if err := table(a.out, rows); err != nil {
			return err
		}
	}
	return printVerdict(a, p)
}

// printRead shows what was read, and what is wrong with it.
func printRead(a *app, p admin.ParsedMail) error {
	rows := [][]string{{"FIELD", "VALUE", "FROM"}}
	for _, f := range p.Fields {
		rows = append(rows, []string{f.Name, f.Value, f.Where})
	}
	if len(p.Fields) > 0 {
		if err := table(a.out, rows); err != nil {
			return err
		}
	}
	for _, o := range p.Orders {
		if err := printMailOrder(a, o); err != nil {
			return err
		}
	}
	for _, r := range p.Refunds {
		fmt.Fprintln(a.out)
		err := fields(a.out, "refund of", strings.TrimSpace(r.Store+" "+r.Transaction), "number", strings.Join(r.Sequences, ", "), "product", r.Product,
			"amount", strings.TrimSpace(r.Amount+" "+r.Currency), "reference", r.Reference)
		if err != nil {
			return err
		}
	}
	return nil
}

func printMailOrder(a *app, o admin.MailOrder) error {
	fmt.Fprintln(a.out)
	pairs := []string{
		"order", strings.TrimSpace(o.Store + " " + o.Transaction), "number", strings.Join(o.Sequences, ", "), "test", yes(o.Test), "product", deref(o.Product),
		"store's product", o.StoreProduct, "quantity", copies(o.Quantity), "license type", o.LicenseType, "price", strings.TrimSpace(o.Price + " " + o.Currency),
		"name", o.Name, "e-mail", o.Email,
	}
	for _, item := range o.Seeds {
		key, value := admin.Seed(item)
		pairs = append(pairs, "seed "+key, value)
	}
	return fields(a.out, pairs...)
}

// copies says how many there are; 0: what was read is no quantity.
func copies(n int) string {
	if n == 0 {
		return "not known"
	}
	return strconv.Itoa(n)
}

func printVerdict(a *app, p admin.ParsedMail) error {
	unless := ""
	if p.Checks == nil {
		unless = "; no channel of kind imap says whom to trust, so that it was not judged whether the mail is authentic"
	}
	verdict, explained := "codes would be issued, unless the order came before"+unless, a.worded(p.Explained())
	switch p.Verdict {
	case admin.OutcomeRefused:
		verdict = "refused: " + *p.Reason
	case admin.OutcomeLater:
		verdict = "the DNS does not answer: it would be judged again, for three days"
	case admin.OutcomeHeld:
		verdict = "held: " + *p.Reason
	case admin.OutcomeRefund:
		verdict = "the refund would be noted" + unless
	case admin.OutcomeBringsCode:
		verdict = "no order: it brings its own code; it is held, code, where nobody here knows that code" + unless
	case admin.OutcomeNotRecognised:
		verdict = "not recognised"
	}
	if p.Attached > 0 {
		p.Problems = append(p.Problems, fmt.Sprintf("attached to it: %s, each judged by itself", count(p.Attached, "mail")))
	}
	pairs := []string{"profile", p.Profile, "verdict", verdict, "because", explained}
	for _, text := range p.Problems {
		pairs = append(pairs, "note", text)
	}
	if len(p.Fields)+len(p.Checks) > 0 {
		fmt.Fprintln(a.out)
	}
	return fields(a.out, pairs...)
}
