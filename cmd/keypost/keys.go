package main

import (
	"context"
	"fmt"
	"time"

	"github.com/keypost/keypost/admin"
)

func (keysCommands) Help() string { return "Example: keypost keys list" }

type keysCommands struct {
	List   keysList   `cmd:"" help:"List the lease-signing keys, oldest first."`
	Rotate keysRotate `cmd:"" help:"Make the next key current and create a new next key."`
}

type keysList struct {
	jsonFlag
}

func (keysList) Help() string {
	return "Ship the current and the next public key with your software. It can then check leases offline, even after a rotation.\n\nExample: keypost keys list --json"
}

func (c keysList) Run(a *app) error {
	return c.keys(a, (*admin.Admin).Keys)
}

// keys does an operation on the keys and lists them.
func (j jsonFlag) keys(a *app, operation func(*admin.Admin, context.Context) ([]admin.Key, error)) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	keys, err := operation(o, a)
	if err != nil {
		return err
	}
	if j.JSON {
		return printJSON(a.out, keys)
	}
	rows := [][]string{{"SLOT", "KEY ID", "PUBLIC KEY (base64url)", "CREATED"}}
	for _, key := range keys {
		rows = append(rows, []string{key.Slot, key.ID, key.X, when(key.CreatedAt)})
	}
	return table(a.out, rows)
}

type keysRotate struct {
	changing
	jsonFlag
	confirmed
}

func (keysRotate) Help() string {
	return "Before you rotate, ship the next public key: keypost keys list shows it. A running daemon uses the new key within a second. Leases signed by the old key stay valid in software that has that key.\n\nExample: keypost keys rotate"
}

// soon is so soon after a rotation that the next key may not have reached all
// machines: software that was shipped before it does not know the key.
const soon = 30 * 24 * time.Hour

func (c keysRotate) Run(a *app) error {
	return c.keys(a, func(o *admin.Admin, ctx context.Context) ([]admin.Key, error) {
		keys, err := o.Keys(ctx)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			age := time.Since(key.CreatedAt)
			if key.Slot == "next" && len(keys) > 2 && age < soon {
				question := fmt.Sprintf("The next key is only %s old. Software that you shipped before then does not know it and will reject new leases. Rotate anyway?", count(int(age.Hours()/24), "day"))
				if err := c.confirm(a, question); err != nil {
					return nil, err
				}
			}
		}
		return o.RotateKeys(ctx, actor)
	})
}
