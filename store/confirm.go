package store

import (
	"context"

	"github.com/keypost/keypost/store/queries"
)

// InnoDB lets others see a commit a moment before it is on disk, unless it keeps
// a binary log. A caller that is told yes because another one's order or seat is
// there must not hear it before that is on disk: the server may die in between. A
// commit of one's own, of a change to any row, is on disk after all that was
// seen before it, the log being one; what is told is read again in that
// transaction, which may run after such a death. SQLite's commits are on disk
// when they are seen.

// Confirm returns an order that was read as it is on disk: perhaps it is not what
// was read. ErrNotFound: it is gone.
func (db *DB) Confirm(ctx context.Context, o Order) (Order, error) {
	if !db.dialect.early {
		return o, nil
	}
	var out Order // not o: a try that failed must not take the next one's id away
	err := db.write(ctx, func(ctx context.Context, t *tx) (err error) {
		if err = t.touchSale(ctx, o.ID); err == nil {
			out, err = loadOrder(ctx, t.Queries, o.ID)
		}
		return err
	})
	return out, err
}

// seat returns the seat that a machine has on disk; ErrNotFound.
func (db *DB) seat(ctx context.Context, a Activation) (out Activation, err error) {
	machine := queries.ActivationByMachineParams{LicenseID: a.License, FpMac: a.FPMAC}
	read := func(ctx context.Context, q *queries.Queries) error {
		r, err := q.ActivationByMachine(ctx, machine)
		out = activation(r)
		return err
	}
	if !db.dialect.early {
		return out, db.explain(read(ctx, db.read))
	}
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.lockLicense(ctx, a.License); err != nil {
			return err
		}
		return read(ctx, t.Queries)
	})
	return out, err
}
