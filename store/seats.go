package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keypost/keypost/store/queries"
)

func activation(r queries.Activation) Activation {
	return Activation{
		ID: r.ID, License: r.LicenseID, FPMAC: r.FpMac, Salt: r.Salt, FPHash: r.FpHash, LeaseID: r.LeaseID,
		LeaseIssued: fromMicros(r.LeaseIssuedAt), LeaseExpires: fromMicros(r.LeaseExpiresAt),
		Machine: Machine{r.MachineName, r.Platform, r.AppVersion}, CreatedAt: fromMicros(r.CreatedAt),
	}
}

// usable tells why a license may not be used now: ErrRevoked, ErrSuspended, ErrExpired.
func (l License) usable(now time.Time) error {
	switch {
	case l.Status == Revoked:
		return ErrRevoked
	case l.Status == Suspended:
		return ErrSuspended
	case l.ExpiresAt != nil && !l.ExpiresAt.After(now):
		return ErrExpired
	}
	return nil
}

// errKnown: the machine has a seat already.
var errKnown = errors.New("the machine is known")

// Activate gives a machine a seat on a license that was just found, or finds the
// one that it has: the activation that comes back is the stored one, and the
// license as it is afterwards. ErrLimit, ErrRevoked, ErrSuspended and ErrExpired
// come with the license.
func (db *DB) Activate(ctx context.Context, a Activation, on License) (Activation, License, error) {
	a.License = on.ID
	for range writeTries {
		got, l, err := db.activate(ctx, a, on)
		if !errors.Is(err, errAgain) {
			return got, l, err
		}
	}
	return Activation{}, License{}, fmt.Errorf("%w: the machine comes and goes", ErrUnavailable)
}

// activate is one try; errAgain: the machine was known and went meanwhile.
func (db *DB) activate(ctx context.Context, a Activation, on License) (Activation, License, error) {
	tries := 0
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		tries++
		a.CreatedAt = fromMicros(t.now)
		err := t.InsertActivation(ctx, queries.InsertActivationParams{
			ID: a.ID, LicenseID: a.License, FpMac: a.FPMAC, Salt: a.Salt, FpHash: a.FPHash,
			LeaseID: a.LeaseID, LeaseIssuedAt: micros(a.LeaseIssued), LeaseExpiresAt: micros(a.LeaseExpires),
			MachineName: a.Machine.Name, Platform: a.Machine.Platform, AppVersion: a.Machine.AppVersion, CreatedAt: t.now,
		})
		if db.dialect.duplicate(err) {
			return errKnown
		}
		if err != nil {
			return err
		}
		// One UPDATE decides on the seat: nothing to look up, nothing to lock.
		used, err := db.dialect.takeSeat(ctx, t.raw, a.License, t.now)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrLimit
		}
		on.Used = int(used)
		return err
	})
	// The UPDATE has judged the license and says what changed: it is not read again,
	// unless another write, perhaps by way of another node, came in between.
	if err == nil && tries == 1 {
		return a, on, nil
	}
	if err != nil && !errors.Is(err, errKnown) && !errors.Is(err, ErrLimit) {
		return Activation{}, License{}, err
	}
	l, readErr := db.usableLicense(ctx, a.License)
	switch {
	case readErr != nil:
		return Activation{}, l, readErr
	case errors.Is(err, ErrLimit):
		return Activation{}, l, ErrLimit
	case err == nil:
		return a, l, nil
	}
	got, err := db.seat(ctx, a)
	if errors.Is(err, ErrNotFound) {
		err = errAgain
	}
	return got, l, err
}

// usableLicense reads a license; ErrRevoked, ErrSuspended and ErrExpired come
// with it, and are final.
func (db *DB) usableLicense(ctx context.Context, id string) (l License, err error) {
	read := func(ctx context.Context) error {
		if l, err = db.License(ctx, id); err != nil {
			return err
		}
		return l.usable(db.now())
	}
	if err = read(ctx); absent(err) && db.Lags() && !db.sure(ctx) {
		err = surely(ctx, read)
	}
	return l, err
}

// FindSeat finds a license by its code and on it the seat of a machine, whose
// ID is empty where it has none. It reads what validate answers from: the
// license comes without code and order, the activation without its machine,
// salt and hash. ErrNotFound: there is no such license; ErrRevoked,
// ErrSuspended and ErrExpired come with the license.
//
// What it says of a license that is there is final; that there is none is so under
// [Sure] alone, as for [DB.FindLicense].
func (db *DB) FindSeat(ctx context.Context, product, code string, fpmac []byte) (License, Activation, error) {
	l, a, err := db.findSeat(ctx, product, code, fpmac)
	no := err == nil && a.ID == "" || absent(err) && !errors.Is(err, ErrNotFound)
	if !no || !db.Lags() || db.sure(ctx) {
		return l, a, err
	}
	err = surely(ctx, func(ctx context.Context) (err error) {
		l, a, err = db.findSeat(ctx, product, code, fpmac)
		return err
	})
	return l, a, err
}

func (db *DB) findSeat(ctx context.Context, product, code string, fpmac []byte) (License, Activation, error) {
	r, err := db.read.SeatByCode(ctx, queries.SeatByCodeParams{FpMac: fpmac, Product: product, CodeHash: codeHash(code)})
	if err != nil {
		return License{}, Activation{}, db.explain(err)
	}
	l := License{
		ID: r.ID, Product: product, Type: r.Type, Status: r.Status, Test: r.Test, Limit: r.SeatMax, Used: r.Used, ExpiresAt: timeOrNil(r.ExpiresAt),
	}
	a := Activation{
		ID: r.ActivationID.String, License: r.ID, LeaseID: r.LeaseID.String, LeaseIssued: fromMicros(r.LeaseIssuedAt.Int64),
		LeaseExpires: fromMicros(r.LeaseExpiresAt.Int64), CreatedAt: fromMicros(r.CreatedAt.Int64),
	}
	return l, a, l.usable(db.now())
}

// RenewLease writes a new lease over the one that the caller saw. When two
// renew at once, the first one's lease comes back to both. ErrNotFound: the
// machine was deactivated meanwhile.
func (db *DB) RenewLease(ctx context.Context, a Activation, seen string) (Activation, error) {
	var out Activation
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.RenewLease(ctx, queries.RenewLeaseParams{
			LeaseID: a.LeaseID, LeaseIssuedAt: micros(a.LeaseIssued), LeaseExpiresAt: micros(a.LeaseExpires), ID: a.ID, LeaseID_2: seen,
		})
		if err != nil {
			return err
		}
		r, err := t.ActivationByID(ctx, a.ID)
		out = activation(r)
		return err
	})
	return out, err
}

// Deactivate takes a machine's seat away, if it has one; the license comes
// back as it is afterwards.
func (db *DB) Deactivate(ctx context.Context, licenseID string, fpmac []byte) (l License, err error) {
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		// The row that goes gates the decrement.
		n, err := t.DeleteActivation(ctx, queries.DeleteActivationParams{LicenseID: licenseID, FpMac: fpmac})
		if err != nil {
			return err
		}
		if n == 0 && db.dialect.early { // another call may have just released it: see Confirm
			if err := t.lockLicense(ctx, licenseID); err != nil {
				return err
			}
		}
		l, err = t.releaseSeats(ctx, licenseID, n)
		return err
	})
	return l, err
}

// ResetLicense takes all machines off a license.
func (db *DB) ResetLicense(ctx context.Context, id, actor string) (License, error) {
	return db.change(ctx, id, actor, EventLicenseReset, func(ctx context.Context, t *tx) (bool, error) {
		n, err := t.DeleteActivations(ctx, id)
		if err != nil {
			return false, err
		}
		_, err = t.releaseSeats(ctx, id, n)
		return n > 0, err
	})
}

func (t *tx) releaseSeats(ctx context.Context, licenseID string, n int64) (License, error) {
	if n > 0 {
		if _, err := t.ReleaseSeats(ctx, queries.ReleaseSeatsParams{Used: int(n), UpdatedAt: t.now, ID: licenseID}); err != nil {
			return License{}, err
		}
	}
	r, err := t.LicenseByID(ctx, licenseID)
	return license(r), err
}

// Activations are the machines on a license, oldest first.
func (db *DB) Activations(ctx context.Context, licenseID string) (list []Activation, err error) {
	rows, err := db.read.ActivationsOfLicense(ctx, licenseID)
	for _, r := range rows {
		list = append(list, activation(r))
	}
	return list, db.explain(err)
}

// License reads one license, without its order's name; ErrNotFound.
func (db *DB) License(ctx context.Context, id string) (License, error) {
	var r queries.License
	err := db.found(ctx, func(ctx context.Context) (err error) {
		r, err = db.read.LicenseByID(ctx, id)
		return err
	})
	return license(r), db.explain(err)
}
