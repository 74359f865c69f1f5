package store

import (
	"context"
	"errors"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// ErrShared is what [DB.EditLicense] answers for the limit of a license that
// several orders share: it is what they brought.
var ErrShared = errors.New("several orders share the license")

// A LicenseEdit changes what is not nil.
type LicenseEdit struct {
	Limit     *int       // seats; 0: no limit
	ExpiresAt *time.Time // when it ends, which may be in the past
	NoExpiry  bool       // it never ends, whatever ExpiresAt says
	Type      *string
	Note      *string // at most [MaxNote] characters
}

// EditLicense changes a license by hand; its order, and what the store is answered,
// stay as they were. The event is written when limit, type or end change: a note is the
// vendor's own. ErrLimit: more machines are on the license than the new limit;
// ErrShared; ErrNotFound.
func (db *DB) EditLicense(ctx context.Context, id string, e LicenseEdit, actor string) (License, error) {
	return db.change(ctx, id, actor, EventLicenseEdited, func(ctx context.Context, t *tx) (bool, error) {
		r, err := t.LicenseByID(ctx, id) // it is locked: no machine comes meanwhile
		if err != nil {
			return false, err
		}
		shares, err := t.SharesOfLicense(ctx, id)
		if err != nil {
			return false, err
		}
		now := e.apply(r)
		switch {
		case now.SeatMax == r.SeatMax: // it may be below what is used, after a refund of a share
		case len(shares) > 0:
			return false, ErrShared
		case now.SeatMax > 0 && now.SeatMax < r.Used:
			return false, ErrLimit
		}
		err = t.EditLicense(ctx, queries.EditLicenseParams{
			Type: now.Type, SeatMax: now.SeatMax, ExpiresAt: now.ExpiresAt, Note: now.Note, UpdatedAt: t.now, ID: id,
		})
		return now.SeatMax != r.SeatMax || now.ExpiresAt != r.ExpiresAt || now.Type != r.Type, err
	})
}

func (e LicenseEdit) apply(r queries.License) queries.License {
	if e.Limit != nil {
		r.SeatMax = *e.Limit
	}
	if e.NoExpiry {
		r.ExpiresAt = nullTime(nil)
	} else if e.ExpiresAt != nil {
		r.ExpiresAt = nullTime(e.ExpiresAt)
	}
	if e.Type != nil {
		r.Type = *e.Type
	}
	if e.Note != nil {
		r.Note = *e.Note
	}
	return r
}

// ReleaseActivation takes one machine off a license and frees its seat, once.
// ErrNotFound: the license has no such activation, or not any more.
func (db *DB) ReleaseActivation(ctx context.Context, licenseID, activationID, actor string) (l License, err error) {
	err = db.act(ctx, actor, "license.release", activationID, func(ctx context.Context, t *tx) error {
		// The row that goes gates the decrement.
		n, err := t.DeleteActivationByID(ctx, queries.DeleteActivationByIDParams{ID: activationID, LicenseID: licenseID})
		if err := one(n, err, ErrNotFound); err != nil {
			return err
		}
		_, err = t.releaseSeats(ctx, licenseID, n)
		return err
	})
	if err != nil {
		return License{}, err
	}
	return db.License(ctx, licenseID)
}
