package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/keypost/keypost/store"
)

func (auditCommands) Help() string { return "Example: keypost audit verify" }

type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Show what was changed, removed or cut off in the audit log."`
}

type auditVerify struct {
	jsonFlag
	Head string `help:"A head that the daemon logged: is the log whole up to it?" placeholder:"HEX"`
}

func (auditVerify) Help() string {
	return "The daemon logs a head with each seal (audit log sealed head=…). Without --head, an end that was cut off is not found. Exit code 1: something is wrong.\n\nExample: keypost audit verify --head 8a1f0b3c5d7e9f102a4b6c8d0e1f3a5b"
}

type auditJSON struct {
	Seals    int      `json:"seals"`
	Rows     int      `json:"rows"`
	Unsealed int      `json:"unsealed"`
	Head     string   `json:"head"`
	Faults   []string `json:"faults"`
}

var headShape = regexp.MustCompile(`^([0-9a-f]{32})?$`)

func (c auditVerify) Run(a *app) error {
	if !headShape.MatchString(c.Head) {
		return usageError{errors.New("--head must be the 32 digits that the daemon logged")}
	}
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := conf.auditKeys(a, db)
	if err != nil {
		return err
	}
	r, err := db.VerifyAudit(a, c.Head, keys...)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(a.out, auditJSON{r.Seals, r.Rows, r.Unsealed, r.Head, append([]string{}, r.Faults...)})
	} else {
		err = printAudit(a, r)
	}
	if err == nil && len(r.Faults) > 0 {
		err = fmt.Errorf("the audit log is not as it was sealed: %d faults", len(r.Faults))
	}
	return err
}

func printAudit(a *app, r store.AuditReport) error {
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
	if len(r.Faults) == 0 {
		fmt.Fprintln(a.out, "Each sealed row is as it was.")
	}
	return nil
}

// auditKeys are all that may have sealed: that of audit_file, and the one that
// hangs on the master key, which seals where there is no such file.
func (c *config) auditKeys(ctx context.Context, db *store.DB) (keys []ed25519.PublicKey, err error) {
	key, err := c.auditKey(ctx, db, false)
	if err != nil {
		return nil, err
	}
	derived, err := c.derivedAuditKey()
	if err != nil {
		return nil, err
	}
	return []ed25519.PublicKey{key.Public().(ed25519.PublicKey), derived.Public().(ed25519.PublicKey)}, nil
}
