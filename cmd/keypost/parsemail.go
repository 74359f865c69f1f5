package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
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

// parsedMailJSON is what parse mail shows, as scripts see it.
type parsedMailJSON struct {
	Verdict  string           `json:"verdict"` // issued, brings_code, held, refund, refused, later, not_recognised
	Reason   *string          `json:"reason"`
	Problems []string         `json:"problems"`
	Profile  string           `json:"profile"`
	Subject  string           `json:"subject"`
	Fields   []mailFieldJSON  `json:"fields"`
	Orders   []mailOrderJSON  `json:"orders"`
	Refunds  []mailRefundJSON `json:"refunds"`
	Attached int              `json:"attached"`

	Domain *string     `json:"domain"` // that signed it, in Channel's eyes; null: none
	Checks []checkJSON `json:"checks"` // of authenticity; null: no channel judges it

	Mails []parsedMailJSON `json:"attached_mails"` // each judged by itself
}

// checkJSON is one step of judging whether a mail is authentic.
type checkJSON struct {
	Name   string `json:"name"`
	Result string `json:"result"` // passed, failed, not reached
	Detail string `json:"detail"`
}

type mailFieldJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Where string `json:"where"`
}

// mailOrderJSON is one product of a mail.
type mailOrderJSON struct {
	Store        string   `json:"store"`
	Transaction  string   `json:"transaction"`
	StoreProduct string   `json:"store_product"`
	Product      *string  `json:"product"`
	Quantity     int      `json:"quantity"`
	Name         string   `json:"name"`
	Email        string   `json:"email"`
	LicenseType  string   `json:"license_type"`
	Price        string   `json:"price"`
	Currency     string   `json:"currency"`
	Test         bool     `json:"test"`
	Seeds        []string `json:"seeds"`
	Sequences    []string `json:"sequences"`
}

func newMailOrderJSON(o ingest.Order) mailOrderJSON {
	return mailOrderJSON{
		o.Store, o.Transaction, o.StoreProduct, nil, o.Quantity, o.Name, o.Email, o.LicenseType, o.Price, o.Currency, o.Test,
		append([]string{}, o.Seeds...), sequences(o.Sequences),
	}
}

type mailRefundJSON struct {
	Store       string   `json:"store"`
	Transaction string   `json:"transaction"`
	Sequences   []string `json:"sequences"`
	Product     string   `json:"product"`
	Amount      string   `json:"amount"`
	Currency    string   `json:"currency"`
	Reference   string   `json:"reference"`
}

func sequences(list []ingest.Sequence) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, fmt.Sprintf("%s %04d", s.Name, s.Number))
	}
	return out
}

func (c parseMail) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	ch, err := c.channel(conf)
	if err != nil {
		return err
	}
	raw, err := readMail(a, c.File)
	if err != nil {
		return err
	}
	if _, err := tfyp.Open(raw); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	reader, err := c.reader(ch)
	if err != nil {
		return err
	}
	arrived := time.Now()
	if c.Arrived != "" {
		if arrived, err = time.Parse(time.RFC3339, c.Arrived); err != nil {
			return usageError{fmt.Errorf("--arrived %s: it must be like 2026-03-02T10:00:00Z", c.Arrived)}
		}
	}
	read := func(r intake.Reader, raw []byte) parsedMailJSON {
		f := r.Recognise(raw)
		if ch != nil {
			f = r.Read(a, raw, arrived)
		}
		return newParsedMail(conf.desk(), f, r.Profiles[0].Name)
	}
	out := read(reader, raw)
	known := out.Verdict != intake.OutcomeNotRecognised
	for _, attached := range tfyp.Attached(raw) {
		one := read(reader.Attached(), attached)
		out.Mails, known = append(out.Mails, one), known || one.Verdict != intake.OutcomeNotRecognised
	}
	if c.JSON {
		err = printJSON(a.out, out)
	} else {
		err = out.printAll(a)
	}
	if err == nil && !known {
		err = fmt.Errorf("%s: the profile %s is not for this mail: neither its subject nor its lines are known", c.File, out.Profile)
	}
	return err
}

// channel is the one whose mailbox the mail is of; nil: there is none.
func (c parseMail) channel(conf *config) (*channelConfig, error) {
	var found []channelConfig
	for _, ch := range conf.Channels {
		if ch.Kind == "imap" && (c.Channel == "" || ch.Name == c.Channel) {
			found = append(found, ch)
		}
	}
	switch {
	case len(found) == 0 && c.Channel != "":
		return nil, fmt.Errorf("channel %s of kind imap: %w in the config", c.Channel, store.ErrNotFound)
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, usageError{errors.New("several channels are of kind imap: name one by --channel")}
	}
	return &found[0], nil
}

// reader is the channel's, or one with the profile that was asked for.
func (c parseMail) reader(ch *channelConfig) (r intake.Reader, err error) {
	if ch != nil {
		r = ch.reader()
	}
	if c.Profile != "" || ch == nil {
		p, err := loadProfile(cmp.Or(c.Profile, defaultProfile))
		if err != nil {
			return r, err
		}
		r.Profiles = []*tfyp.Profile{p}
	}
	return r, nil
}

// newParsedMail is what was found out about a mail, and what the config would make
// of it; profile is the name of the one that was tried where none knows it.
func newParsedMail(desk ingest.Catalog, f intake.Finding, profile string) parsedMailJSON {
	r, outcome := f.Reading, f.Outcome(desk)
	out := parsedMailJSON{
		Verdict: outcome.Verdict, Reason: orNull(outcome.Reason), Problems: append([]string{}, r.Problems...), Profile: profile, Subject: f.Mail.Subject,
		Fields: []mailFieldJSON{}, Orders: []mailOrderJSON{}, Refunds: []mailRefundJSON{}, Attached: f.Mail.Attached, Mails: []parsedMailJSON{},
		Domain: orNull(f.Judgement.Domain),
	}
	if f.Profile != nil {
		out.Profile = f.Profile.Name
	}
	if f.Broken != nil {
		out.Problems = append(out.Problems, f.Broken.Error())
	}
	for _, field := range r.Fields {
		out.Fields = append(out.Fields, mailFieldJSON{field.Name, field.Value, field.Where()})
	}
	for i, o := range r.Orders {
		j := newMailOrderJSON(o)
		j.Product = orNull(outcome.Products[i].ID)
		out.Orders = append(out.Orders, j)
	}
	for _, f := range r.Refunds {
		out.Refunds = append(out.Refunds, mailRefundJSON{f.Store, f.Transaction, sequences(f.Sequences), f.Product, f.Amount, f.Currency, f.Reference})
	}
	for _, check := range f.Judgement.Checks {
		out.Checks = append(out.Checks, checkJSON{check.Name, string(check.Result), check.Detail})
	}
	return out
}

// printAll shows a mail, and those that are attached to it.
func (p parsedMailJSON) printAll(a *app) error {
	if err := p.print(a); err != nil {
		return err
	}
	for i, one := range p.Mails {
		fmt.Fprintf(a.out, "\nattached mail %d of %d: %s\n\n", i+1, len(p.Mails), safe(one.Subject))
		if err := one.print(a); err != nil {
			return err
		}
	}
	return nil
}

// print shows where each field was found, what the mail is about, and the
// verdict.
func (p parsedMailJSON) print(a *app) error {
	if err := p.printRead(a); err != nil {
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
	return p.printVerdict(a)
}

// printRead shows what was read, and what is wrong with it.
func (p parsedMailJSON) printRead(a *app) error {
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
		if err := o.print(a); err != nil {
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

func (o mailOrderJSON) print(a *app) error {
	fmt.Fprintln(a.out)
	pairs := []string{
		"order", strings.TrimSpace(o.Store + " " + o.Transaction), "number", strings.Join(o.Sequences, ", "), "test", yes(o.Test), "product", deref(o.Product),
		"store's product", o.StoreProduct, "quantity", copies(o.Quantity), "license type", o.LicenseType, "price", strings.TrimSpace(o.Price + " " + o.Currency),
		"name", o.Name, "e-mail", o.Email,
	}
	for _, item := range o.Seeds {
		key, value := ingest.Seed(item)
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

func (p parsedMailJSON) printVerdict(a *app) error {
	unless := ""
	if p.Checks == nil {
		unless = "; no channel of kind imap says whom to trust, so that it was not judged whether the mail is authentic"
	}
	verdict, explained := "codes would be issued, unless the order came before"+unless, ""
	switch p.Verdict {
	case intake.OutcomeRefused:
		verdict, explained = "refused: "+*p.Reason, explainMail(*p.Reason, false)
	case intake.OutcomeLater:
		verdict = "the DNS does not answer: it would be judged again, for three days"
	case intake.OutcomeHeld:
		verdict, explained = "held: "+*p.Reason, tfyp.Explain(*p.Reason)
		if explained == "" {
			explained = explainOrder(*p.Reason)
		}
	case intake.OutcomeRefund:
		verdict = "the refund would be noted" + unless
	case intake.OutcomeBringsCode:
		verdict = "no order: it brings its own code; it is held, " + intake.ReasonCode + ", where nobody here knows that code" + unless
		explained = explainMail(intake.ReasonCode, false)
	case intake.OutcomeNotRecognised:
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
