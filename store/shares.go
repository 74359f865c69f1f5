package store

import (
	"context"
	"errors"

	"github.com/keypost/keypost/store/queries"
)

// A Share is an order's part of a license that several orders share.
type Share struct {
	OrderID  string
	Order    OrderRef
	Seats    int // 0: no limit
	Refunded bool
}

// Shares are the orders that share a license, oldest first; none where it is
// not shared.
func (db *DB) Shares(ctx context.Context, licenseID string) (list []Share, err error) {
	rows, err := db.read.SharersOfLicense(ctx, licenseID)
	for _, r := range rows {
		list = append(list, Share{r.Share.OrderID, OrderRef{r.Store, r.TransactionID, r.Line}, r.Share.Seats, r.Share.Refunded})
	}
	return list, db.explain(err)
}

// share adds an order, by a license l that could not be added, to the license
// that has its code. ErrCodeTaken: the two are not alike, or that one is not in
// force for another reason than that its money went back.
func (t *tx) share(ctx context.Context, l License, refunded bool) error {
	there, err := t.lockByCode(ctx, l)
	if err != nil {
		return err
	}
	if alike, err := t.alike(ctx, there, l); err != nil || !alike {
		return errors.Join(err, ErrCodeTaken)
	}
	shares, err := t.SharesOfLicense(ctx, there.ID)
	if err != nil {
		return err
	}
	if len(shares) == 0 {
		first, err := loadOrder(ctx, t.Queries, there.OrderID)
		if err != nil {
			return err
		}
		if err := t.addShare(ctx, NewID(), there, there.ID, first.Refunded); err != nil {
			return err
		}
	}
	l.CreatedAt = fromMicros(t.now)
	err = t.addShare(ctx, l.ID, l, there.ID, refunded)
	if t.db.dialect.duplicate(err) {
		return ErrCodeTaken // by this very order: it would have one code twice
	}
	if err != nil {
		return err
	}
	return t.countShares(ctx, there.ID)
}

// lockByCode locks the license that has l's code before it is read.
func (t *tx) lockByCode(ctx context.Context, l License) (License, error) {
	hash := codeHash(l.Code)
	_, err := t.TouchLicenseByCode(ctx, queries.TouchLicenseByCodeParams{UpdatedAt: t.now, Product: l.Product, CodeHash: hash})
	if err != nil {
		return License{}, err
	}
	r, err := t.LicenseByCode(ctx, queries.LicenseByCodeParams{Product: l.Product, CodeHash: hash})
	return license(r), err
}

func (t *tx) addShare(ctx context.Context, id string, l License, licenseID string, refunded bool) error {
	return t.InsertShare(ctx, queries.InsertShareParams{
		ID: id, LicenseID: licenseID, OrderID: l.OrderID, Ordinal: l.Ordinal, Seats: l.Limit, Refunded: refunded, CreatedAt: micros(l.CreatedAt),
	})
}

// alike tells whether an order may share a license: what it sold is the same
// but for the seats, and nobody has decided against the license.
func (t *tx) alike(ctx context.Context, there, l License) (bool, error) {
	sameEnd := there.ExpiresAt == nil && l.ExpiresAt == nil ||
		there.ExpiresAt != nil && l.ExpiresAt != nil && there.ExpiresAt.Equal(*l.ExpiresAt)
	if there.Replaced || there.Test != l.Test || there.Type != l.Type || !sameEnd {
		return false, nil
	}
	reasons, err := t.ReasonsOfLicense(ctx, there.ID)
	for _, r := range reasons {
		if r.Source != refundSource {
			return false, nil
		}
	}
	return true, err
}

// countShares gives a shared license the seats of those orders whose money did
// not go back, and revokes it when there are none. Machines that have a seat
// keep it, though they may be more than the seats that are left.
func (t *tx) countShares(ctx context.Context, licenseID string) error {
	shares, err := t.SharesOfLicense(ctx, licenseID)
	if err != nil {
		return err
	}
	seats, unlimited, paid := 0, false, false
	for _, s := range shares {
		if s.Refunded {
			continue
		}
		seats, unlimited, paid = seats+s.Seats, unlimited || s.Seats == 0, true
	}
	if !paid {
		return t.addReason(ctx, licenseID, reason{refundSource, "manual", Revoked})
	}
	if unlimited {
		seats = 0
	}
	if err := t.SetSeats(ctx, queries.SetSeatsParams{SeatMax: seats, UpdatedAt: t.now, ID: licenseID}); err != nil {
		return err
	}
	if _, err := t.DeleteReasons(ctx, queries.DeleteReasonsParams{LicenseID: licenseID, Source: refundSource}); err != nil {
		return err
	}
	return t.computeStatus(ctx, licenseID)
}

// setRefunded takes back what an order brought to a license, all of it or the
// order's share, or gives it back.
func (t *tx) setRefunded(ctx context.Context, licenseID string, refunded bool) error {
	if err := t.lockLicense(ctx, licenseID); err != nil {
		return err
	}
	shares, err := t.SharesOfLicense(ctx, licenseID)
	if err != nil {
		return err
	}
	if len(shares) > 0 {
		return t.countShares(ctx, licenseID)
	}
	if refunded {
		return t.addReason(ctx, licenseID, reason{refundSource, "manual", Revoked})
	}
	if _, err := t.DeleteReasons(ctx, queries.DeleteReasonsParams{LicenseID: licenseID, Source: refundSource}); err != nil {
		return err
	}
	return t.computeStatus(ctx, licenseID)
}
