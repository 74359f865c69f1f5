package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keypost/keypost/admin"
)

type checkCommand struct {
	jsonFlag
}

func (checkCommand) Help() string {
	return "Changes nothing. Exit code 1: something failed.\n\nExample: keypost check --config /etc/keypost.toml"
}

func (c checkCommand) Run(a *app) error {
	list, err := c.findings(a)
	for i := range list {
		list[i].Detail = a.worded(list[i].Detail)
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, list), err)
	}
	for _, f := range list {
		fmt.Fprintf(a.out, "%-8s%s: %s\n", f.Result, safe(f.Subject), safe(f.Detail))
	}
	return err
}

func (checkCommand) findings(a *app) ([]admin.Finding, error) {
	conf, err := a.load()
	if err == nil {
		return admin.Check(a, conf.Admin())
	}
	list := []admin.Finding{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		list = append(list, admin.Finding{Subject: "config", Result: admin.Failed, Detail: line})
	}
	return list, admin.Failures(list)
}
