package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store"
)

func (parseCommands) Help() string { return "Example: keypost parse krps post.txt" }

type parseCommands struct {
	KRPS parseKRPS `cmd:"" name:"krps" help:"Read a post as the daemon would."`
	Mail parseMail `cmd:"" help:"Read a notification mail by a profile."`
}

type parseKRPS struct {
	jsonFlag
	File    string `arg:"" help:"The body of a post; - is standard input."`
	Channel string `help:"The channel that it came to (default: the first of kind krps)."`
}

func (parseKRPS) Help() string {
	return "Reads the form, checks it against the channel and shows what would be taken and what would become of it. " +
		"It opens no database: whether the order came before, it cannot know. Exit code 1: the post would be answered BAD.\n\n" +
		"Example: keypost parse krps post.txt --channel kagi"
}

// parsedJSON is what parse shows, as scripts see it.
type parsedJSON struct {
	Verdict     string            `json:"verdict"` // issued, held, bad, information
	Reason      *string           `json:"reason"`
	Channel     string            `json:"channel"`
	Fields      map[string]string `json:"fields"`
	Store       string            `json:"store"`
	Transaction string            `json:"transaction"`
	Product     *string           `json:"product"`
	Quantity    int               `json:"quantity"`
	Name        string            `json:"name"`
	Email       string            `json:"email"`
	LicenseType string            `json:"license_type"`
	Price       string            `json:"price"`
	Test        bool              `json:"test"`
	Seeds       []string          `json:"seeds"`
	OEMSeeds    []string          `json:"oem_seeds"`
}

func (c parseKRPS) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	ch, err := c.channel(conf)
	if err != nil {
		return err
	}
	body, err := readInput(a, c.File)
	if err != nil {
		return err
	}
	channel := ch.krps()
	p, bad := krps.Decode(body)
	if bad == nil {
		bad = channel.Authenticate(p)
	}
	o := channel.Order(p)
	product, reason := conf.desk().Judge(o)
	out := parsedJSON{
		Verdict: "issued", Reason: orNull(reason), Channel: ch.Name, Fields: map[string]string{}, Store: o.Store, Transaction: o.Transaction,
		Product: orNull(product.ID), Quantity: o.Quantity, Name: o.Name, Email: o.Email, LicenseType: o.LicenseType, Price: o.Price,
		Test: o.Test, Seeds: o.Seeds, OEMSeeds: krps.Seeds(o.OEMSeed),
	}
	switch {
	case bad != nil:
		out.Verdict, out.Reason = "bad", orNull(bad.Error())
	case p.Information:
		out.Verdict, out.Reason = "information", nil
	case reason != "":
		out.Verdict = "held"
	}
	for _, name := range krps.Parameters {
		if p.Has(name) {
			out.Fields[name] = p.Value(name)
		}
	}
	if _, ok := out.Fields["ACG:Password"]; ok {
		out.Fields["ACG:Password"] = "***"
	}
	if c.JSON {
		err = printJSON(a.out, out)
	} else {
		err = out.print(a)
	}
	if err == nil && bad != nil {
		err = fmt.Errorf("%s: the post would be answered BAD: %w", c.File, bad)
	}
	return err
}

func (c parseKRPS) channel(conf *config) (channelConfig, error) {
	for _, ch := range conf.Channels {
		if ch.Kind == "krps" && (c.Channel == "" || c.Channel == ch.Name) {
			return ch, nil
		}
	}
	return channelConfig{}, fmt.Errorf("krps channel %s: %w in the config", c.Channel, store.ErrNotFound)
}

func (p parsedJSON) print(a *app) error {
	rows := [][]string{{"FIELD", "VALUE"}}
	for _, name := range krps.Parameters {
		if v, ok := p.Fields[name]; ok {
			rows = append(rows, []string{name, v})
		}
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	verdict := "a code would be issued, unless the order came before"
	explained := ""
	switch p.Verdict {
	case "bad":
		verdict, explained = "BAD", *p.Reason
	case "held":
		verdict, explained = "held: "+*p.Reason, explainOrder(*p.Reason)
	case "information":
		verdict = "GOOD without codes: only information is asked for"
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
			key, value := ingest.Seed(item)
			pairs = append(pairs, strings.TrimSpace(s.label+" "+key), value)
		}
	}
	return fields(a.out, pairs...)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
