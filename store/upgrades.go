package store

import (
	"context"

	"github.com/keypost/keypost/store/queries"
)

// claimUpgrades bars the licenses that an order upgrades from a second
// upgrade, unless it has done so before. ErrUpgradeUsed: another order did;
// ErrRevoked: one of them is not in force any more.
func (t *tx) claimUpgrades(ctx context.Context, orderID string, licenses []string) error {
	for _, id := range licenses {
		if err := t.lockLicense(ctx, id); err != nil {
			return err
		}
		l, err := t.LicenseByID(ctx, id)
		if err != nil {
			return err
		}
		if l.Status != Active {
			return ErrRevoked
		}
		err = t.InsertUpgrade(ctx, queries.InsertUpgradeParams{LicenseID: id, OrderID: orderID, CreatedAt: t.now})
		if !t.db.dialect.duplicate(err) {
			if err != nil {
				return err
			}
			continue
		}
		u, err := t.UpgradeOfLicense(ctx, id)
		if err != nil {
			return err
		}
		if u.OrderID != orderID {
			return ErrUpgradeUsed
		}
	}
	return nil
}

// UpgradedBy is the order that upgraded a license; ErrNotFound: none did.
func (db *DB) UpgradedBy(ctx context.Context, licenseID string) (Order, error) {
	u, err := db.read.UpgradeOfLicense(ctx, licenseID)
	if err != nil {
		return Order{}, db.explain(err)
	}
	return db.Order(ctx, u.OrderID)
}
