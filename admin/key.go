package admin

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/store"
)

// A Key signs leases, or did.
type Key struct {
	activation.JWK
	Slot      string    `json:"slot"` // current, next, retired
	CreatedAt time.Time `json:"created_at"`
}

// Keys lists the lease-signing keys, oldest first.
func (a *Admin) Keys(ctx context.Context) ([]Key, error) {
	keys, err := a.db.SigningKeys(ctx)
	list := []Key{}
	for _, key := range keys {
		slot := key.Slot
		if slot == key.ID {
			slot = "retired"
		}
		list = append(list, Key{activation.NewJWK(key), slot, key.CreatedAt})
	}
	return list, err
}

// RotateKeys makes the next key current and a new one next.
func (a *Admin) RotateKeys(ctx context.Context, actor string) ([]Key, error) {
	ring, err := a.Keyring(ctx, a.db)
	if err != nil {
		return nil, err
	}
	err = ring.Rotate(ctx, actor)
	if errors.Is(err, store.ErrStale) {
		return nil, &Error{Conflict, "someone else rotated the keys at the same time", "see {keys list}", err}
	}
	if err != nil {
		return nil, err
	}
	return a.Keys(ctx)
}

// An Audit is what the audit log looks like.
type Audit struct {
	Seals    int      `json:"seals"`
	Rows     int      `json:"rows"`
	Unsealed int      `json:"unsealed"`
	Head     string   `json:"head"`
	Faults   []string `json:"faults"` // what was changed, removed or truncated
}

var headShape = regexp.MustCompile(`^([0-9a-f]{32})?$`)

// VerifyAudit compares the audit log with its seals, up to a head that a daemon
// logged; "": as far as it goes. With [Broken] the result is there all the same.
func (a *Admin) VerifyAudit(ctx context.Context, head string) (Audit, error) {
	if !headShape.MatchString(head) {
		return Audit{}, invalid("--head must be the 32 hex digits that the daemon logged")
	}
	keys, err := a.auditKeys(ctx, a.db)
	if err != nil {
		return Audit{}, err
	}
	r, err := a.db.VerifyAudit(ctx, head, keys...)
	if err != nil {
		return Audit{}, err
	}
	out := Audit{r.Seals, r.Rows, r.Unsealed, r.Head, all(r.Faults)}
	if len(r.Faults) > 0 {
		return out, fail(Broken, "", "the audit log was changed after it was sealed: %d problems", len(r.Faults))
	}
	return out, nil
}
