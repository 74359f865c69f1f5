package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/keypost/keypost/admin"
)

func (auditCommands) Help() string { return "Example: keypost audit verify" }

type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Check whether the audit log was changed or truncated."`
}

type auditVerify struct {
	jsonFlag
	Head string `help:"Check that the log is complete up to this head, which the daemon logged." placeholder:"HEX"`
}

func (auditVerify) Help() string {
	return "The daemon logs a head with each seal (audit log sealed head=…). Without --head, a truncated log is not detected. Exit code 1: something is wrong.\n\nExample: keypost audit verify --head 8a1f0b3c5d7e9f102a4b6c8d0e1f3a5b"
}

func (c auditVerify) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	r, err := o.VerifyAudit(a, c.Head)
	if err != nil && admin.CodeOf(err) != admin.Broken {
		return err
	}
	if c.JSON {
		return errors.Join(printJSON(a.out, r), err)
	}
	unsealed := ""
	if r.Unsealed > 0 {
		unsealed = fmt.Sprintf("%d (a running daemon seals them within a second)", r.Unsealed)
	}
	if err := fields(a.out, "seals", strconv.Itoa(r.Seals), "sealed rows", strconv.Itoa(r.Rows), "unsealed rows", unsealed, "head", r.Head); err != nil {
		return err
	}
	for _, f := range r.Faults {
		fmt.Fprintf(a.out, "WRONG  %s\n", safe(f))
	}
	if err == nil {
		fmt.Fprintln(a.out, "No sealed row was changed.")
	}
	return err
}
