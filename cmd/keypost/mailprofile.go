package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (profileCommands) Help() string { return "Example: keypost profile test tfyp old-mails" }

type profileCommands struct {
	Show  profileShow  `cmd:"" help:"Print a built-in profile, as a start for your own."`
	Test  profileTest  `cmd:"" help:"Test a profile on a folder of old mails."`
	Draft profileDraft `cmd:"" help:"Draft a profile from a sample mail."`
}

type profileShow struct {
	jsonFlag
	Name string `arg:"" optional:"" help:"The profile's name (default: list all names)."`
}

func (profileShow) Help() string { return "Example: keypost profile show tfyp" }

func (c profileShow) Run(a *app) error {
	if c.Name == "" && c.JSON {
		return printJSON(a.out, admin.Profiles())
	}
	if c.Name == "" {
		_, err := fmt.Fprintln(a.out, strings.Join(admin.Profiles(), "\n"))
		return err
	}
	text, warnings, err := admin.ProfileText(c.Name)
	if err != nil {
		return err
	}
	warn(a, c.Name, warnings)
	return c.print(a, profileJSON{c.Name, text})
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
func warn(a *app, profile string, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(a.err, "warning: the profile %s: %s\n", safe(profile), safe(w))
	}
}

type profileDraft struct {
	jsonFlag
	File string `arg:"" help:"A raw mail (.eml); - is standard input."`
}

func (profileDraft) Help() string {
	return "The draft is guessed from the mail's words. Check each line, then test it: keypost profile test. It contains no personal data from the sample.\n\n" +
		"Example: keypost profile draft order.eml"
}

func (c profileDraft) Run(a *app) error {
	raw, err := readMail(a, c.File)
	if err != nil {
		return err
	}
	text, err := admin.DraftProfile(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return c.print(a, profileJSON{Text: text})
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
	return io.ReadAll(io.LimitReader(in, admin.MaxMail+1))
}

type profileTest struct {
	jsonFlag
	Profile string `arg:"" help:"A profile file, or the name of a built-in profile."`
	Folder  string `arg:"" help:"A folder of mails (.eml) or mbox files, or one such file."`
}

func (profileTest) Help() string {
	return "Shows which mails would be taken, which would be held and why, and which the profile does not recognise. It does not open the database or check " +
		"signatures, so it cannot say whether a mail is authentic or its order is a duplicate.\n\n" +
		"Example: keypost profile test tfyp old-mails"
}

func (c profileTest) Run(a *app) error {
	list, warnings, err := admin.TestProfile(c.Profile, c.Folder)
	if err != nil {
		return err
	}
	warn(a, c.Profile, warnings)
	if c.JSON {
		return printJSON(a.out, list)
	}
	rows := [][]string{{"FILE", "VERDICT", "ORDERS", "WHY"}}
	by := map[string]int{}
	for _, t := range list {
		by[t.Verdict]++
		rows = append(rows, []string{t.File, verdictOf(t), soldBy(t), strings.Join(t.Problems, "; ")})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\n%s: %d taken, %d held, %d not recognised, %d unreadable",
		count(len(list), "mail"), by["taken"], by["held"], by[admin.OutcomeNotRecognised], by["unreadable"])
	if n := by[admin.OutcomeBringsCode]; err == nil && n > 0 {
		_, err = fmt.Fprintf(a.out, ", %d contain a code of their own (these create no order)", n)
	}
	fmt.Fprintln(a.out)
	return err
}

func verdictOf(t admin.TestedMail) string {
	if t.Reason != nil {
		return t.Verdict + ": " + *t.Reason
	}
	return strings.ReplaceAll(t.Verdict, "_", " ")
}

// soldBy says in short what a mail is about.
func soldBy(t admin.TestedMail) string {
	var list []string
	for _, o := range t.Orders {
		list = append(list, fmt.Sprintf("%d %s", o.Quantity, o.StoreProduct))
	}
	if t.Refunds > 0 {
		list = append(list, "refund")
	}
	return strings.Join(list, ", ")
}
