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
	File    string `arg:"" help:"A raw mail (.eml); - is standard input."`
	Profile string `help:"A profile file, or the name of a built-in profile (default: the channel's, or tfyp)."`
	Channel string `help:"The channel whose settings decide which senders are trusted (default: the only channel of kind imap)."`
	Arrived string `help:"When the mail server received it (default: now)." placeholder:"2026-03-02T10:00:00Z"`
}

func (parseMail) Help() string {
	return "Shows the profile's fields and where each was found, whether the mail is authentic, and what would happen to it. " +
		"It does the same for each attached mail. It does not open the database, so it cannot detect duplicates. " +
		"Exit code 1: the profile recognises neither the mail nor an attached mail.\n\n" +
		"Example: keypost parse mail order.eml --profile tfyp"
}

func (c parseMail) Run(a *app) error {
	arrived := time.Now()
	if c.Arrived != "" {
		var err error
		if arrived, err = time.Parse(time.RFC3339, c.Arrived); err != nil {
			return usageError{fmt.Errorf("--arrived %s: it must look like 2026-03-02T10:00:00Z", c.Arrived)}
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
		unless = ". There is no channel of kind imap that says which senders to trust, so the mail was not checked for authenticity"
	}
	verdict, explained := "codes would be issued, unless the order is a duplicate"+unless, a.worded(p.Explained())
	switch p.Verdict {
	case admin.OutcomeRefused:
		verdict = "refused: " + *p.Reason
	case admin.OutcomeLater:
		verdict = "the DNS does not answer: the mail would be checked again, for three days"
	case admin.OutcomeHeld:
		verdict = "held: " + *p.Reason
	case admin.OutcomeRefund:
		verdict = "the refund would be recorded" + unless
	case admin.OutcomeBringsCode:
		verdict = "no order: the mail contains a code of its own. If that code is unknown, the mail is held (reason: code)" + unless
	case admin.OutcomeNotRecognised:
		verdict = "not recognised"
	}
	if p.Attached > 0 {
		p.Problems = append(p.Problems, fmt.Sprintf("has %s attached; each is judged separately", count(p.Attached, "mail")))
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
