package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/admin"
)

func (parseCommands) Help() string { return "Example: keypost parse krps post.txt" }

type parseCommands struct {
	KRPS parseKRPS `cmd:"" name:"krps" help:"Read a KRPS post as the daemon would."`
	Mail parseMail `cmd:"" help:"Read a notification mail with a profile."`
}

type parseKRPS struct {
	jsonFlag
	File    string `arg:"" help:"The body of a post; - is standard input."`
	Channel string `help:"The channel that it was posted to (default: the first of kind krps)."`
}

func (parseKRPS) Help() string {
	return "Reads the post, checks it against the channel, and shows what was read and what would happen to the order. " +
		"It does not open the database, so it cannot detect duplicates. Exit code 1: the store would get the answer BAD.\n\n" +
		"Example: keypost parse krps post.txt --channel kagi"
}

func (c parseKRPS) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	body, err := readInput(a, c.File)
	if err != nil {
		return err
	}
	out, err := admin.ParsePost(conf.Admin(), "krps", c.Channel, body)
	if err != nil && admin.CodeOf(err) != admin.State {
		return err
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, out), err)
	}
	return errors.Join(c.print(a, out), err)
}

func (parseKRPS) print(a *app, p admin.ParsedPost) error {
	rows := [][]string{{"FIELD", "VALUE"}}
	for _, f := range p.Listed {
		rows = append(rows, []string{f.Name, f.Value})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	verdict := "a code would be issued, unless the order is a duplicate"
	explained := a.worded(p.Explained())
	switch p.Verdict {
	case "bad":
		verdict = "BAD"
	case "held":
		verdict = "held: " + *p.Reason
	case "information":
		verdict = "GOOD without codes: the post only asks for information"
	}
	pairs := []string{
		"verdict", verdict, "because", explained, "channel", p.Channel, "order", strings.TrimSpace(p.Store + " " + p.Transaction),
		"test", yes(p.Test), "product", deref(p.Product), "quantity", strconv.Itoa(p.Quantity), "license type", p.LicenseType,
		"price", p.Price, "name", p.Name, "e-mail", p.Email,
	}
	for _, s := range []struct {
		label string
		items []string
	}{{"seed", p.Seeds}, {"OEM seed", p.OEMSeeds}} {
		for _, item := range s.items {
			key, value := admin.Seed(item)
			pairs = append(pairs, strings.TrimSpace(s.label+" "+key), value)
		}
	}
	return fields(a.out, pairs...)
}
