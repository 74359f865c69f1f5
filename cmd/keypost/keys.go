package main

import (
	"errors"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/store"
)

func (keysCommands) Help() string { return "Example: keypost keys list" }

type keysCommands struct {
	List   keysList   `cmd:"" help:"List the lease-signing keys, oldest first."`
	Rotate keysRotate `cmd:"" help:"Make the next key current and a new one next."`
}

type keyJSON struct {
	activation.JWK
	Slot      string    `json:"slot"` // current, next, retired
	CreatedAt time.Time `json:"created_at"`
}

type keysList struct {
	jsonFlag
}

func (keysList) Help() string {
	return "Ship the public halves of the current and the next key with your software: it can then check leases offline, also after a rotation.\n\nExample: keypost keys list --json"
}

func (c keysList) Run(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	return listKeys(a, db, c.JSON)
}

func listKeys(a *app, db *store.DB, asJSON bool) error {
	keys, err := db.SigningKeys(a)
	if err != nil {
		return err
	}
	list := []keyJSON{}
	rows := [][]string{{"SLOT", "KEY ID", "PUBLIC KEY (base64url)", "CREATED"}}
	for _, key := range keys {
		slot := key.Slot
		if slot == key.ID {
			slot = "retired"
		}
		jwk := activation.NewJWK(key)
		list = append(list, keyJSON{jwk, slot, key.CreatedAt})
		rows = append(rows, []string{slot, key.ID, jwk.X, when(key.CreatedAt)})
	}
	if asJSON {
		return printJSON(a.out, list)
	}
	return table(a.out, rows)
}

type keysRotate struct {
	changing
	jsonFlag
}

func (keysRotate) Help() string {
	return "A running daemon signs with the new key after a second at the latest. Leases that the old key signed stay good for software that has it. Before you rotate, ship the next key: keypost keys list.\n\nExample: keypost keys rotate"
}

func (c keysRotate) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	ring, err := conf.keyring(a, db, false)
	if err != nil {
		return err
	}
	if err := ring.Rotate(a, actor); err != nil {
		if errors.Is(err, store.ErrStale) {
			err = errors.New("somebody else rotated the keys at this moment: see keypost keys list")
		}
		return err
	}
	return listKeys(a, db, c.JSON)
}
