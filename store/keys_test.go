package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSigningKeys(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		ctx := t.Context()
		key := func(id string) SigningKey { return SigningKey{ID: id, Public: []byte(id), Sealed: []byte("s")} }
		for i, use := range []*DB{db, other} { // the second comes too late and changes nothing
			if err := use.FirstSigningKeys(ctx, key(fmt.Sprint("a", i)), key(fmt.Sprint("b", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.RotateSigningKeys(ctx, "a0", "b0", key("c"), "test"); err != nil {
			t.Fatal(err)
		}
		if err := other.RotateSigningKeys(ctx, "a0", "b0", key("d"), "test"); !errors.Is(err, ErrStale) {
			t.Errorf("a rotation from what was: %v", err)
		}
		keys, err := db.SigningKeys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		slots := map[string]string{}
		for _, k := range keys {
			slots[k.ID] = k.Slot
		}
		if diff := cmp.Diff(map[string]string{"a0": "a0", "b0": SlotCurrent, "c": SlotNext}, slots); diff != "" {
			t.Error(diff)
		}
	})
}

// An order may get further keys, each of which is one order's alone.
func TestAddKeys(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		first := mustAdd(t, db, newOrder("K1", "k1", "CODE-K1"))
		second := mustAdd(t, db, newOrder("K2", "k2", "CODE-K2"))
		more := []Key{sha256.Sum256([]byte("k1")), sha256.Sum256([]byte("k3"))}
		for range 2 {
			if err := db.AddKeys(t.Context(), first.ID, more); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := db.OrderByKey(t.Context(), more[1]); err != nil || got.ID != first.ID {
			t.Errorf("%+v, %v", got, err)
		}
		// All of them or none.
		if err := db.AddKeys(t.Context(), second.ID, []Key{sha256.Sum256([]byte("k4")), more[1]}); !errors.Is(err, ErrStale) {
			t.Errorf("another order's key: %v", err)
		}
		if _, err := db.OrderByKey(t.Context(), sha256.Sum256([]byte("k4"))); !errors.Is(err, ErrNotFound) {
			t.Errorf("half of them were added: %v", err)
		}
	})
}
