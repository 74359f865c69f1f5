package store

import (
	"context"
	"errors"

	"github.com/keypost/keypost/store/queries"
)

// claimUpgrades bars the licenses that an order upgrades from a second
// upgrade, unless it has done so before. ErrUpgradeUsed: another order did;
// ErrRevoked: one of them is not in force any more. Of what a person has
// approved, it takes what is free.
func (t *tx) claimUpgrades(ctx context.Context, orderID string, out Outcome) error {
	for _, id := range out.Upgrades {
		err := t.claimUpgrade(ctx, orderID, id)
		if out.Approved && (errors.Is(err, ErrUpgradeUsed) || errors.Is(err, ErrRevoked)) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) claimUpgrade(ctx context.Context, orderID, licenseID string) error {
	if err := t.lockLicense(ctx, licenseID); err != nil {
		return err
	}
	l, err := t.LicenseByID(ctx, licenseID)
	if err != nil {
		return err
	}
	if license(l).usable(fromMicros(t.now)) != nil {
		return ErrRevoked
	}
	err = t.InsertUpgrade(ctx, queries.InsertUpgradeParams{LicenseID: licenseID, OrderID: orderID, CreatedAt: t.now})
	if !t.db.dialect.duplicate(err) {
		return err
	}
	u, err := t.UpgradeOfLicense(ctx, licenseID)
	if err == nil && u.OrderID != orderID {
		err = ErrUpgradeUsed
	}
	return err
}

// UpgradedBy is the order that upgraded a license; ErrNotFound: none did.
func (db *DB) UpgradedBy(ctx context.Context, licenseID string) (Order, error) {
	var u queries.Upgrade
	err := db.found(ctx, func(ctx context.Context) (err error) {
		u, err = db.read.UpgradeOfLicense(ctx, licenseID)
		return err
	})
	if err != nil {
		return Order{}, db.explain(err)
	}
	return db.Order(ctx, u.OrderID)
}
