package store

import (
	"context"

	"github.com/keypost/keypost/store/queries"
)

// InnoDB lets others see a commit a moment before it is on disk, unless it keeps
// a binary log. A caller that is told yes because another one's order or seat is
// there must not hear it before that is on disk: the server may die in between. A
// commit of one's own, of a change to any row, is on disk after all that was
// seen before it, the log being one. SQLite's commits are on disk when they are seen.

// Confirm returns when an order that was read is on disk.
func (db *DB) Confirm(ctx context.Context, orderID string) error {
	if !db.dialect.early {
		return nil
	}
	return db.write(ctx, func(ctx context.Context, t *tx) error { return t.touchSale(ctx, orderID) })
}

// confirmSeat returns when what was read of a license's seats is on disk.
func (db *DB) confirmSeat(ctx context.Context, licenseID string) error {
	if !db.dialect.early {
		return nil
	}
	return db.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.TouchLicense(ctx, queries.TouchLicenseParams{UpdatedAt: t.now, ID: licenseID})
		return err
	})
}
