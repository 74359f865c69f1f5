package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/krps"
)

func (postCommands) Help() string {
	return "Example: keypost post krps http://127.0.0.1:8080/in/kagi"
}

type postCommands struct {
	KRPS postKRPS `cmd:"" name:"krps" help:"Post a KRPS order as Kagi does."`
}

type postKRPS struct {
	jsonFlag
	krps.Play
	URL   string  `arg:"" help:"The channel's URL: http://127.0.0.1:8080/in/kagi."`
	File  *string `help:"Post this file unchanged; - is standard input." placeholder:"FILE"`
	Codes bool    `help:"Print only the codes, one per line."`
}

func (postKRPS) Help() string {
	return "Fields that you do not set have the values of the specification's example order. " +
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
	answer, status, err := krps.Send(a, target, body, basic)
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
		return errors.New("the order was not accepted: see the message above")
	case status == admin.Held:
		return errHeld
	case c.Codes && len(answer.Lines) == 0, c.Codes && status == admin.Rejected:
		return errors.New("the answer has no codes")
	}
	return nil
}

// body is the form to post, signed as the channel of the URL's last part is.
func (c postKRPS) body(a *app, channelName string) (body, basic string, err error) {
	if c.Codes && c.JSON {
		return "", "", usageError{errors.New("use --codes or --json, not both")}
	}
	if err := c.CheckBasic(); err != nil {
		return "", "", usageError{err}
	}
	if c.File != nil {
		if c.Changes() {
			return "", "", usageError{errors.New("--file posts the file unchanged: it cannot be combined with fields, a secret or a digest")}
		}
		b, err := readInput(a, *c.File)
		return string(b), c.Basic, err
	}
	conf, err := a.load()
	if err != nil {
		return "", "", err
	}
	ch, _ := conf.Channel(channelName)
	settings, _ := ch.Settings.(*krps.Settings)
	if body, basic, err = c.Play.Body(settings); err != nil {
		return "", "", usageError{err}
	}
	return body, basic, nil
}

func (c postKRPS) print(a *app, answer krps.Answer, status string) error {
	word := "BAD"
	if answer.Good {
		word = "GOOD"
	}
	switch {
	case c.Codes && status != admin.Held && status != admin.Rejected:
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
			fmt.Fprintf(a.out, "The order is %s.\n", safe(status))
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
