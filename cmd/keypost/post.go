package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store"
)

func (postCommands) Help() string {
	return "Example: keypost post krps http://127.0.0.1:8080/in/kagi"
}

type postCommands struct {
	KRPS postKRPS `cmd:"" name:"krps" help:"Post an order as Kagi does."`
}

type postKRPS struct {
	jsonFlag
	URL         string            `arg:"" help:"Where to: http://127.0.0.1:8080/in/kagi."`
	File        *string           `help:"Post this file's body as it is; - is standard input." placeholder:"FILE"`
	Transaction *string           `help:"The transaction id." placeholder:"ID"`
	Product     *string           `help:"The product's name at the store."`
	Quantity    *string           `help:"How many copies."`
	Type        *string           `help:"The license type."`
	Price       *string           `help:"What one copy cost: 149.000."`
	Date        *string           `help:"When it was processed: 2000-12-31."`
	Name        *string           `help:"The purchaser's name."`
	Email       *string           `help:"The purchaser's e-mail address."`
	Seed        *string           `help:"The customer seed."`
	Test        bool              `help:"A test order."`
	Set         map[string]string `help:"Any parameter of the specification's Table 4: --set ACG:Request=Information. May be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
	Secret      *string           `help:"The shared secret (default: that of the config's channel of this name, else the specification's)."`
	Digest      *string           `help:"The cipher (default: that of the channel, else md5)."`
	Basic       string            `help:"The realm's user:password." placeholder:"USER:PASSWORD"`
	Codes       bool              `help:"Print the codes alone, one a line."`
}

func (postKRPS) Help() string {
	return "What is not given is as in the specification's example order. " +
		"Exit code 4: the order is held.\n\nExample: keypost post krps http://127.0.0.1:8080/in/kagi --quantity 2"
}

func (c postKRPS) Run(a *app) error {
	target, err := url.Parse(c.URL)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return usageError{fmt.Errorf("%q is not a URL like http://127.0.0.1:8080/in/kagi", c.URL)}
	}
	body, basic, err := c.body(a, path.Base(target.Path))
	if err != nil {
		return err
	}
	answer, status, err := send(a, target, body, basic)
	if err != nil {
		return err
	}
	if err := c.print(a, answer, status); err != nil {
		return err
	}
	switch {
	case !answer.Good:
		if c.Codes {
			return fmt.Errorf("BAD: %s", answer.Message)
		}
		return errors.New("the order was not taken: see the message above")
	case status == store.Held:
		return errHeld
	case c.Codes && len(answer.Lines) == 0, c.Codes && status == store.Rejected:
		return errors.New("the answer has no codes")
	}
	return nil
}

// body is the form to post, signed as the channel of the URL's last part is.
func (c postKRPS) body(a *app, channelName string) (body, basic string, err error) {
	if c.Codes && c.JSON {
		return "", "", usageError{errors.New("--codes or --json, not both")}
	}
	if user, password, _ := strings.Cut(c.Basic, ":"); c.Basic != "" && (user == "" || password == "") {
		return "", "", usageError{errors.New("--basic must be user:password")}
	}
	if c.File != nil {
		if c.changes() {
			return "", "", usageError{errors.New("--file posts the file as it is: it takes no other field, secret or digest")}
		}
		b, err := readInput(a, *c.File)
		return string(b), c.Basic, err
	}
	conf, err := a.load()
	if err != nil {
		return "", "", err
	}
	secret, cipher, basic := exampleSecret, "md5", c.Basic
	fields := krps.Example()
	if ch, ok := conf.channel(channelName); ok && ch.Kind == "krps" {
		secret, cipher = ch.Secrets[0], ch.Digest
		if basic == "" {
			basic = ch.BasicAuth
		}
		if ch.UserName != "" {
			fields["ACG:UserName"] = ch.UserName
		}
	}
	if c.Secret != nil {
		secret = *c.Secret
	}
	if c.Digest != nil {
		cipher = *c.Digest
	}
	digest, err := krps.ParseDigest(cipher)
	if err != nil {
		return "", "", usageError{err}
	}
	if err := c.apply(fields); err != nil {
		return "", "", usageError{err}
	}
	if _, set := c.Set["ACG:Password"]; !set {
		digest.Sign(fields, secret)
	}
	return krps.Encode(fields), basic, nil
}

// changes tells whether a field of the example order was given.
func (c postKRPS) changes() bool {
	for _, v := range c.fields() {
		if v != nil {
			return true
		}
	}
	return c.Test || len(c.Set) > 0 || c.Secret != nil || c.Digest != nil
}

func (c postKRPS) fields() map[string]*string {
	return map[string]*string{
		"ACG:TransactionID": c.Transaction, "ACG:ProductName": c.Product, "ACG:QuantityOrdered": c.Quantity, "ACG:LicenseType": c.Type,
		"ACG:UnitPayment": c.Price, "ACG:DateProcessed": c.Date, "ACG:PurchaserName": c.Name, "ACG:PurchaserEmail": c.Email,
		"ACG:CustomerSeed": c.Seed,
	}
}

func (c postKRPS) apply(fields map[string]string) error {
	for name, v := range c.fields() {
		if v != nil {
			fields[name] = *v
		}
	}
	if c.Test {
		fields["ACG:Flags"] = "Test=1"
	}
	for name := range c.Set {
		if !krps.IsParameter(name) {
			return fmt.Errorf("--set %s: no parameter of Table 4 has this name, like ACG:Note", name)
		}
	}
	maps.Copy(fields, c.Set)
	return nil
}

// send posts and reads the answer. It takes no proxy and follows no redirect:
// a post that arrives elsewhere would be an order lost.
func send(ctx context.Context, to *url.URL, body, basic string) (krps.Answer, string, error) {
	client := http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(body))
	if err != nil {
		return krps.Answer{}, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user, password, ok := strings.Cut(basic, ":"); ok {
		r.SetBasicAuth(user, password)
	}
	resp, err := client.Do(r)
	if err != nil {
		return krps.Answer{}, "", fmt.Errorf("%w (is keypost serve running there?)", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return krps.Answer{}, "", err
	}
	answer, err := krps.ParseReply(reply)
	if err != nil && resp.StatusCode == http.StatusNotFound {
		return answer, "", fmt.Errorf("there is no channel at %s: the last part of the URL is a [[channel]]'s name", to)
	}
	if err != nil {
		return answer, "", fmt.Errorf("HTTP %s, and the answer is not KRPS: %w", resp.Status, err)
	}
	return answer, resp.Header.Get(krps.StatusHeader), nil
}

func (c postKRPS) print(a *app, answer krps.Answer, status string) error {
	word := "BAD"
	if answer.Good {
		word = "GOOD"
	}
	switch {
	case c.Codes && status != store.Held && status != store.Rejected:
		for _, l := range answer.Lines {
			fmt.Fprintln(a.out, safe(l.RegNumber))
		}
	case c.Codes:
		fmt.Fprintf(a.err, "The order is %s.\n", safe(status))
	case c.JSON:
		type line struct {
			UserName  string `json:"user_name"`
			RegNumber string `json:"reg_number"`
		}
		out := struct {
			Status      string  `json:"status"`
			Message     string  `json:"message"`
			OrderStatus *string `json:"order_status"`
			Lines       []line  `json:"lines"`
		}{word, answer.Message, orNull(status), []line{}}
		for _, l := range answer.Lines {
			out.Lines = append(out.Lines, line(l))
		}
		return printJSON(a.out, out)
	default:
		fmt.Fprintf(a.out, "%s  %s\n", word, safe(answer.Message))
		if status != "" {
			fmt.Fprintf(a.out, "order is %s\n", safe(status))
		}
		for _, l := range answer.Lines {
			fmt.Fprintf(a.out, "%s  %s\n", safe(l.RegNumber), safe(l.UserName))
		}
	}
	return nil
}

// readInput reads a file, or standard input for "-"; a line end after the last
// byte is the editor's.
func readInput(a *app, file string) (b []byte, err error) {
	if file == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, krps.MaxBody+2))
	} else {
		b, err = os.ReadFile(file)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), err
}
