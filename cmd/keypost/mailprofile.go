package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

func (profileCommands) Help() string { return "Example: keypost profile test tfyp old-mails" }

type profileCommands struct {
	Show  profileShow  `cmd:"" help:"Print a built-in profile, to start one's own from."`
	Test  profileTest  `cmd:"" help:"Run a profile over a folder of old mails."`
	Draft profileDraft `cmd:"" help:"Propose a profile by a sample."`
}

type profileShow struct {
	jsonFlag
	Name string `arg:"" optional:"" help:"Its name (default: all names)."`
}

func (profileShow) Help() string { return "Example: keypost profile show tfyp" }

func (c profileShow) Run(a *app) error {
	if c.Name == "" && c.JSON {
		return printJSON(a.out, tfyp.Builtins())
	}
	if c.Name == "" {
		_, err := fmt.Fprintln(a.out, strings.Join(tfyp.Builtins(), "\n"))
		return err
	}
	text, ok := tfyp.BuiltinText(c.Name)
	if !ok {
		return fmt.Errorf("built-in profile %s: %w; there are: %s", c.Name, store.ErrNotFound, strings.Join(tfyp.Builtins(), ", "))
	}
	if p, ok := tfyp.Builtin(c.Name); ok {
		warn(a, p)
	}
	return c.print(a, profileJSON{c.Name, string(text)})
}

// profileJSON is a profile's text, as scripts see it.
type profileJSON struct {
	Name string `json:"name,omitempty"` // of a built-in one
	Text string `json:"profile"`
}

func (j jsonFlag) print(a *app, p profileJSON) error {
	if j.JSON {
		return printJSON(a.out, p)
	}
	_, err := io.WriteString(a.out, p.Text)
	return err
}

// warn tells what a profile leaves open.
func warn(a *app, p *tfyp.Profile) {
	for _, w := range p.Warnings() {
		fmt.Fprintf(a.err, "warning: the profile %s: %s\n", safe(p.Name), safe(w))
	}
}

type profileDraft struct {
	jsonFlag
	File string `arg:"" help:"One mail, as the mailbox keeps it (.eml); - is standard input."`
}

func (profileDraft) Help() string {
	return "It goes by words, so go through each line of it, and try it: keypost profile test. Nothing personal of the sample is in it.\n\n" +
		"Example: keypost profile draft order.eml"
}

func (c profileDraft) Run(a *app) error {
	m, err := openMail(a, c.File)
	if err == nil {
		err = c.print(a, profileJSON{Text: string(tfyp.Draft(m))})
	}
	return err
}

// loadProfile reads a profile from a file, or finds a built-in one.
func loadProfile(name string) (*tfyp.Profile, error) {
	if p, ok := tfyp.Builtin(name); ok {
		return p, nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("profile %s: %w: it is no file, and none of the built-in ones: %s", name, store.ErrNotFound, strings.Join(tfyp.Builtins(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return tfyp.ParseProfile(name, text)
}

// openMail reads one mail.
func openMail(a *app, file string) (tfyp.Mail, error) {
	raw, err := readMail(a, file)
	if err != nil {
		return tfyp.Mail{}, err
	}
	m, err := tfyp.Open(raw)
	if err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func readMail(a *app, file string) ([]byte, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, tfyp.MaxMail+1))
}

type profileTest struct {
	jsonFlag
	Profile string `arg:"" help:"A profile's file, or the name of a built-in one."`
	Folder  string `arg:"" help:"A folder of mails, a file each (.eml) or mbox files, or one such file."`
}

func (profileTest) Help() string {
	return "Shows which mails would be taken, which held and why, and which the profile is not for. It opens no database and judges no " +
		"signature: whether a mail is authentic, and whether its order came before, it does not say.\n\n" +
		"Example: keypost profile test tfyp old-mails"
}

// testedMailJSON is what profile test says of a mail, as scripts see it.
type testedMailJSON struct {
	File     string          `json:"file"`
	Verdict  string          `json:"verdict"` // taken, brings_code, held, not_recognised, unreadable
	Reason   *string         `json:"reason"`
	Problems []string        `json:"problems"`
	Orders   []mailOrderJSON `json:"orders"`
	Refunds  int             `json:"refunds"`
}

func (c profileTest) Run(a *app) error {
	p, err := loadProfile(c.Profile)
	if err != nil {
		return err
	}
	warn(a, p)
	list := []testedMailJSON{}
	err = eachMail(c.Folder, func(m oldMail) error {
		list = append(list, tested(p, m.name, m.raw))
		for i, attached := range tfyp.Attached(m.raw) {
			list = append(list, tested(p, fmt.Sprintf("%s, attached %d", m.name, i+1), attached))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, list)
	}
	rows := [][]string{{"FILE", "VERDICT", "ORDERS", "WHY"}}
	by := map[string]int{}
	for _, t := range list {
		by[t.Verdict]++
		rows = append(rows, []string{t.File, t.verdict(), t.sold(), strings.Join(t.Problems, "; ")})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\n%s: %d taken, %d held, %d not recognised, %d unreadable",
		count(len(list), "mail"), by["taken"], by["held"], by[intake.OutcomeNotRecognised], by["unreadable"])
	if n := by[intake.OutcomeBringsCode]; err == nil && n > 0 {
		_, err = fmt.Fprintf(a.out, ", %d bring their own code (no order is made of those)", n)
	}
	fmt.Fprintln(a.out)
	return err
}

func tested(p *tfyp.Profile, name string, raw []byte) testedMailJSON {
	t := testedMailJSON{File: name, Verdict: "taken", Problems: []string{}, Orders: []mailOrderJSON{}}
	f := intake.Reader{Profiles: []*tfyp.Profile{p}}.Recognise(raw)
	t.Refunds = len(f.Reading.Refunds)
	t.Problems = append(t.Problems, f.Reading.Problems...)
	for _, o := range f.Reading.Orders {
		t.Orders = append(t.Orders, newMailOrderJSON(o))
	}
	switch {
	case f.Broken != nil:
		t.Verdict, t.Problems = "unreadable", []string{f.Broken.Error()}
	case f.Profile == nil:
		t.Verdict = intake.OutcomeNotRecognised
		if f.Mail.Attached > 0 {
			t.Problems = append(t.Problems, "a mail is attached to it, which is judged by itself")
		}
	case f.Verdict == store.MailHeld:
		t.Verdict, t.Reason = "held", orNull(f.Reason)
	case f.Reason == intake.ReasonCode:
		t.Verdict = intake.OutcomeBringsCode
	}
	return t
}

func (t testedMailJSON) verdict() string {
	if t.Reason != nil {
		return t.Verdict + ": " + *t.Reason
	}
	return strings.ReplaceAll(t.Verdict, "_", " ")
}

// sold says in short what a mail is about.
func (t testedMailJSON) sold() string {
	var list []string
	for _, o := range t.Orders {
		list = append(list, fmt.Sprintf("%d %s", o.Quantity, o.StoreProduct))
	}
	if t.Refunds > 0 {
		list = append(list, "refund")
	}
	return strings.Join(list, ", ")
}
