package store

import (
	"context"
	"errors"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Slots of a signing key; a retired key's slot is its own id.
const (
	SlotCurrent = "current"
	SlotNext    = "next"
)

// A SigningKey signs leases. Its private half is sealed by the master key,
// which is not in the database.
type SigningKey struct {
	ID, Slot       string
	Public, Sealed []byte
	CreatedAt      time.Time
}

// SigningKeys lists all signing keys, oldest first.
func (db *DB) SigningKeys(ctx context.Context) (keys []SigningKey, err error) {
	var rows []queries.SigningKey
	err = db.found(ctx, func(ctx context.Context) (err error) {
		if rows, err = db.read.SigningKeys(ctx); err == nil && len(rows) == 0 {
			err = ErrNotFound // another daemon may have just made them
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	for _, r := range rows {
		keys = append(keys, SigningKey{r.Kid, r.Slot, r.Public, r.Sealed, fromMicros(r.CreatedAt)})
	}
	return keys, db.explain(err)
}

// FirstSigningKeys stores the first current and the first next key. When
// another process was first, its keys stay.
func (db *DB) FirstSigningKeys(ctx context.Context, current, next SigningKey) error {
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.addSigningKey(ctx, current, SlotCurrent); err != nil {
			return err
		}
		return t.addSigningKey(ctx, next, SlotNext)
	})
	if errors.Is(err, errDuplicate) {
		return nil
	}
	return err
}

// RotateSigningKeys retires the current key, makes the next one current and
// stores the one to come after it. ErrStale: the keys are not those that the
// caller saw.
func (db *DB) RotateSigningKeys(ctx context.Context, currentID, nextID string, n SigningKey, actor string) error {
	return db.act(ctx, actor, "keys.rotate", nextID, func(ctx context.Context, t *tx) error {
		for _, m := range []queries.MoveSigningKeyParams{
			{Slot: currentID, Slot_2: SlotCurrent, Kid: currentID},
			{Slot: SlotCurrent, Slot_2: SlotNext, Kid: nextID},
		} {
			rows, err := t.MoveSigningKey(ctx, m)
			if err := one(rows, err, ErrStale); err != nil {
				return err
			}
		}
		return t.addSigningKey(ctx, n, SlotNext)
	})
}

func (t *tx) addSigningKey(ctx context.Context, k SigningKey, slot string) error {
	return t.InsertSigningKey(ctx, queries.InsertSigningKeyParams{
		Kid: k.ID, Slot: slot, Public: k.Public, Sealed: k.Sealed, CreatedAt: t.now,
	})
}
