package admin

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// ParsedMail is what parse mail shows, as scripts see it.
type ParsedMail struct {
	Verdict  string       `json:"verdict"` // issued, brings_code, held, refund, refused, later, not_recognised
	Reason   *string      `json:"reason"`
	Problems []string     `json:"problems"`
	Profile  string       `json:"profile"`
	Subject  string       `json:"subject"`
	Fields   []MailField  `json:"fields"`
	Orders   []MailOrder  `json:"orders"`
	Refunds  []MailRefund `json:"refunds"`
	Attached int          `json:"attached"`

	Domain *string     `json:"domain"` // that signed it, in Channel's eyes; null: none
	Checks []MailCheck `json:"checks"` // of authenticity; null: no channel judges it

	Mails []ParsedMail `json:"attached_mails"` // each judged by itself
}

// MailCheck is one step of judging whether a mail is authentic.
type MailCheck struct {
	Name   string `json:"name"`
	Result string `json:"result"` // passed, failed, not reached
	Detail string `json:"detail"`
}

type MailField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Where string `json:"where"`
}

// MailOrder is one product of a mail.
type MailOrder struct {
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

func newMailOrder(o ingest.Order) MailOrder {
	return MailOrder{
		o.Store, o.Transaction, o.StoreProduct, nil, o.Quantity, o.Name, o.Email, o.LicenseType, o.Price, o.Currency, o.Test,
		append([]string{}, o.Seeds...), sequences(o.Sequences),
	}
}

type MailRefund struct {
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

// newParsedMail is what was found out about a mail, and what the config would make
// of it; profile is the name of the one that was tried where none knows it.
func newParsedMail(desk ingest.Catalog, f intake.Finding, profile string) ParsedMail {
	r, outcome := f.Reading, f.Outcome(desk)
	out := ParsedMail{
		Verdict: outcome.Verdict, Reason: orNull(outcome.Reason), Problems: append([]string{}, r.Problems...), Profile: profile, Subject: f.Mail.Subject,
		Fields: []MailField{}, Orders: []MailOrder{}, Refunds: []MailRefund{}, Attached: f.Mail.Attached, Mails: []ParsedMail{},
		Domain: orNull(f.Judgement.Domain),
	}
	if f.Profile != nil {
		out.Profile = f.Profile.Name
	}
	if f.Broken != nil {
		out.Problems = append(out.Problems, f.Broken.Error())
	}
	for _, field := range r.Fields {
		out.Fields = append(out.Fields, MailField{field.Name, field.Value, field.Where()})
	}
	for i, o := range r.Orders {
		j := newMailOrder(o)
		j.Product = orNull(outcome.Products[i].ID)
		out.Orders = append(out.Orders, j)
	}
	for _, f := range r.Refunds {
		out.Refunds = append(out.Refunds, MailRefund{f.Store, f.Transaction, sequences(f.Sequences), f.Product, f.Amount, f.Currency, f.Reference})
	}
	for _, check := range f.Judgement.Checks {
		out.Checks = append(out.Checks, MailCheck{check.Name, string(check.Result), check.Detail})
	}
	return out
}

// A MailTrial is how a mail is to be read.
type MailTrial struct {
	Profile string    // a file, or the name of a built-in one; "": the channel's
	Channel string    // whose mailbox it is of; "": the only one there is, or none
	Arrived time.Time // at the mail server
}

// ParseMail shows what would be taken of a mail, and of each that is attached to
// it. It touches nothing. judged is false where no channel says whom to trust.
// Its error is [NotFound] with a result where no profile is for the mail.
func ParseMail(ctx context.Context, c Config, raw []byte, t MailTrial) (out ParsedMail, err error) {
	if _, err := tfyp.Open(raw); err != nil {
		return out, err
	}
	mails, err := c.mailbox(t.Channel)
	if err != nil {
		return out, err
	}
	var reader intake.Reader
	if mails != nil {
		reader = mails.Reader()
	}
	if t.Profile != "" || mails == nil {
		p, err := intake.LoadProfile(cmp.Or(t.Profile, intake.DefaultProfile))
		if err != nil {
			return out, err
		}
		reader.Profiles = []*tfyp.Profile{p}
	}
	read := func(r intake.Reader, raw []byte) ParsedMail {
		f := r.Recognise(raw)
		if mails != nil {
			f = r.Read(ctx, raw, t.Arrived)
		}
		return newParsedMail(c.Catalog, f, r.Profiles[0].Name)
	}
	out = read(reader, raw)
	known := out.Verdict != intake.OutcomeNotRecognised
	for _, attached := range tfyp.Attached(raw) {
		one := read(reader.Attached(), attached)
		out.Mails, known = append(out.Mails, one), known || one.Verdict != intake.OutcomeNotRecognised
	}
	if !known {
		err = fail(State, "neither its subject nor its lines match", "the profile %s does not recognise this mail", out.Profile)
	}
	return out, err
}

// mailbox is the channel whose mailbox a mail is of; nil: there is none.
func (c Config) mailbox(name string) (*intake.Settings, error) {
	var found []*intake.Settings
	for _, ch := range c.Channels {
		if mails, ok := ch.Settings.(*intake.Settings); ok && (name == "" || ch.Name == name) {
			found = append(found, mails)
		}
	}
	switch {
	case len(found) == 0 && name != "":
		return nil, notFound("the config has no channel %s of kind %s", name, intake.Kind.Name)
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, invalid("several channels are of kind %s: name one with --channel", intake.Kind.Name)
	}
	return found[0], nil
}

// Explained says why a mail would be held or refused, and what to do; "": it
// would not.
func (p ParsedMail) Explained() string {
	switch p.Verdict {
	case intake.OutcomeRefused:
		return explainMail(*p.Reason, false)
	case intake.OutcomeHeld:
		return cmp.Or(tfyp.Explain(*p.Reason), explainOrder(*p.Reason))
	case intake.OutcomeBringsCode:
		return explainMail(intake.ReasonCode, false)
	}
	return ""
}

// What would become of a mail: stable words.
const (
	OutcomeIssued        = intake.OutcomeIssued
	OutcomeBringsCode    = intake.OutcomeBringsCode
	OutcomeHeld          = intake.OutcomeHeld
	OutcomeRefund        = intake.OutcomeRefund
	OutcomeRefused       = intake.OutcomeRefused
	OutcomeLater         = intake.OutcomeLater
	OutcomeNotRecognised = intake.OutcomeNotRecognised
)

// Profiles are the names of the built-in profiles of notification mails.
func Profiles() []string { return tfyp.Builtins() }

// ProfileText is the text of a built-in profile, and what it leaves open.
func ProfileText(name string) (text string, warnings []string, err error) {
	b, ok := tfyp.BuiltinText(name)
	p, _ := tfyp.Builtin(name)
	if !ok {
		return "", nil, notFound("there is no built-in profile %s. The built-in profiles are: %s", name, strings.Join(tfyp.Builtins(), ", "))
	}
	return string(b), p.Warnings(), nil
}

// DraftProfile proposes a profile by one mail. Nothing personal of it is in it.
func DraftProfile(raw []byte) (string, error) {
	m, err := tfyp.Open(raw)
	if err != nil {
		return "", err
	}
	return string(tfyp.Draft(m)), nil
}

// MaxMail is how many bytes of a mail are read.
const MaxMail = tfyp.MaxMail

// TestedMail is what profile test says of a mail, as scripts see it.
type TestedMail struct {
	File     string      `json:"file"`
	Verdict  string      `json:"verdict"` // taken, brings_code, held, not_recognised, unreadable
	Reason   *string     `json:"reason"`
	Problems []string    `json:"problems"`
	Orders   []MailOrder `json:"orders"`
	Refunds  int         `json:"refunds"`
}

// TestProfile reads each mail of a folder, or of an mbox file, by a profile, and
// those that are attached to them. The warnings are what the profile leaves open.
func TestProfile(profile, folder string) (list []TestedMail, warnings []string, err error) {
	p, err := intake.LoadProfile(profile)
	if err != nil {
		return nil, nil, err
	}
	list = []TestedMail{}
	err = eachMail(folder, func(m oldMail) error {
		list = append(list, tested(p, m.name, m.raw))
		for i, attached := range tfyp.Attached(m.raw) {
			list = append(list, tested(p, fmt.Sprintf("%s, attached %d", m.name, i+1), attached))
		}
		return nil
	})
	return list, p.Warnings(), err
}

func tested(p *tfyp.Profile, name string, raw []byte) TestedMail {
	t := TestedMail{File: name, Verdict: "taken", Problems: []string{}, Orders: []MailOrder{}}
	f := intake.Reader{Profiles: []*tfyp.Profile{p}}.Recognise(raw)
	t.Refunds = len(f.Reading.Refunds)
	t.Problems = append(t.Problems, f.Reading.Problems...)
	for _, o := range f.Reading.Orders {
		t.Orders = append(t.Orders, newMailOrder(o))
	}
	switch {
	case f.Broken != nil:
		t.Verdict, t.Problems = "unreadable", []string{f.Broken.Error()}
	case f.Profile == nil:
		t.Verdict = intake.OutcomeNotRecognised
		if f.Mail.Attached > 0 {
			t.Problems = append(t.Problems, "another mail is attached; it is judged separately")
		}
	case f.Verdict == store.MailHeld:
		t.Verdict, t.Reason = "held", orNull(f.Reason)
	case f.Reason == intake.ReasonCode:
		t.Verdict = intake.OutcomeBringsCode
	}
	return t
}
