package store

import (
	"context"

	"github.com/keypost/keypost/store/queries"
)

func license(r queries.License) License {
	return License{
		ID: r.ID, OrderID: r.OrderID, Product: r.Product, Code: r.Code, Type: r.Type, Ordinal: r.Ordinal, Status: r.Status,
		Test: r.Test, Replaced: r.Replaced, Limit: r.SeatMax, Used: r.Used, CreatedAt: fromMicros(r.CreatedAt),
		ExpiresAt: timeOrNil(r.ExpiresAt), Generation: r.Generation, Note: r.Note,
	}
}

// addLicense inserts a license; one whose sale was refunded before it came is
// revoked from the start.
func (t *tx) addLicense(ctx context.Context, l License, refunded bool) error {
	row := queries.InsertLicenseParams{
		ID: l.ID, OrderID: l.OrderID, Ordinal: l.Ordinal, Generation: l.Generation, Product: l.Product, Code: l.Code,
		CodeHash: codeHash(l.Code), CodeFold: nullText(NormalCode(l.Code)), Type: l.Type, Status: Active, Test: l.Test, SeatMax: l.Limit,
		ExpiresAt: nullTime(l.ExpiresAt), Note: l.Note, CreatedAt: t.now, UpdatedAt: t.now,
	}
	err := t.InsertLicense(ctx, row)
	if t.db.dialect.duplicate(err) {
		return ErrCodeTaken
	}
	if err == nil && refunded {
		err = t.addReason(ctx, l.ID, reason{refundSource, "manual", Revoked})
	}
	return err
}

// A reason is why a license is suspended or revoked.
type reason struct{ source, reference, effect string }

const refundSource = "refund"

// addReason notes a reason, once, and computes the license's status anew.
func (t *tx) addReason(ctx context.Context, licenseID string, r reason) error {
	_, err := t.newReason(ctx, licenseID, r)
	return err
}

// newReason is addReason, and tells whether the reason is new.
func (t *tx) newReason(ctx context.Context, licenseID string, r reason) (added bool, err error) {
	// The license's row first: two changes of its reasons cannot pass each other.
	if err := t.lockLicense(ctx, licenseID); err != nil {
		return false, err
	}
	err = t.InsertReason(ctx, queries.InsertReasonParams{
		ID: NewID(), LicenseID: licenseID, Source: r.source, Reference: r.reference, Effect: r.effect, CreatedAt: t.now,
	})
	if err != nil && !t.db.dialect.duplicate(err) {
		return false, err
	}
	return err == nil, t.computeStatus(ctx, licenseID)
}

func (t *tx) lockLicense(ctx context.Context, id string) error {
	n, err := t.TouchLicense(ctx, queries.TouchLicenseParams{UpdatedAt: t.now, ID: id})
	return one(n, err, ErrNotFound)
}

// computeStatus: the worst of all reasons in force wins.
func (t *tx) computeStatus(ctx context.Context, licenseID string) error {
	reasons, err := t.ReasonsOfLicense(ctx, licenseID)
	if err != nil {
		return err
	}
	status := Active
	for _, r := range reasons {
		if r.Effect == Revoked || status == Active {
			status = r.Effect
		}
	}
	return t.SetLicenseStatus(ctx, queries.SetLicenseStatusParams{Status: status, UpdatedAt: t.now, ID: licenseID})
}

// FindLicense finds a license by its product and code, in whatever case and
// with whatever spaces and dashes; ErrNotFound, which is final under [Sure] alone:
// strangers ask for codes that do not exist, and the caller decides how often a
// node is asked twice.
func (db *DB) FindLicense(ctx context.Context, product, code string) (License, error) {
	r, err := db.read.LicenseByCode(ctx, queries.LicenseByCodeParams{Product: product, CodeHash: codeHash(code)})
	return license(r), db.explain(err)
}

// change runs fn on a license in a transaction and returns what it became. The
// event is written only where fn changed something.
func (db *DB) change(ctx context.Context, id, actor string, event Event, fn func(context.Context, *tx) (changed bool, err error)) (License, error) {
	err := db.act(ctx, actor, actions[event], id, func(ctx context.Context, t *tx) error {
		if err := t.lockLicense(ctx, id); err != nil {
			return err
		}
		changed, err := fn(ctx, t)
		if err != nil || !changed {
			return err
		}
		return t.licenseEvent(ctx, event, id)
	})
	if err != nil {
		return License{}, err
	}
	return db.License(ctx, id)
}

// RevokeLicense and SuspendLicense add a person's decision to a license's
// reasons; RestoreLicense takes these back, and leaves all others.
func (db *DB) RevokeLicense(ctx context.Context, id, actor string) (License, error) {
	return db.change(ctx, id, actor, EventLicenseRevoked, func(ctx context.Context, t *tx) (bool, error) {
		return t.newReason(ctx, id, reason{"manual", "revoke", Revoked})
	})
}

// SuspendLicense: see [DB.RevokeLicense].
func (db *DB) SuspendLicense(ctx context.Context, id, actor string) (License, error) {
	return db.change(ctx, id, actor, EventLicenseSuspended, func(ctx context.Context, t *tx) (bool, error) {
		return t.newReason(ctx, id, reason{"manual", "suspend", Suspended})
	})
}

// RestoreLicense: see [DB.RevokeLicense].
func (db *DB) RestoreLicense(ctx context.Context, id, actor string) (License, error) {
	return db.change(ctx, id, actor, EventLicenseRestored, func(ctx context.Context, t *tx) (bool, error) {
		n, err := t.DeleteReasons(ctx, queries.DeleteReasonsParams{LicenseID: id, Source: "manual"})
		if err != nil {
			return false, err
		}
		return n > 0, t.computeStatus(ctx, id)
	})
}

// Reasons tells why a license is suspended or revoked: "refund", "replaced",
// "manual revoke", "manual suspend", …
func (db *DB) Reasons(ctx context.Context, licenseID string) (sources []string, err error) {
	rows, err := db.read.ReasonsOfLicense(ctx, licenseID)
	for _, r := range rows {
		source := r.Source
		if source == "manual" {
			source += " " + r.Reference
		}
		sources = append(sources, source)
	}
	return sources, db.explain(err)
}

// ReplaceLicense puts a new code in the place of a leaked one, which is
// revoked: the order's duplicates get the new code from now on. The new
// license has the policy of the old one and no machines. ErrStale: it was
// replaced before; ErrRevoked and ErrSuspended: it is, and so would the new one
// have to be; ErrCodeTaken: draw another code; ErrPoolEmpty.
func (db *DB) ReplaceLicense(ctx context.Context, id string, n NewLicense, actor string) (License, error) {
	err := db.act(ctx, actor, "license.replace", id, func(ctx context.Context, t *tx) error {
		old, err := t.LicenseByID(ctx, id)
		if err != nil {
			return err
		}
		if err := t.touchSale(ctx, old.OrderID); err != nil { // a refund finds the new code, or this finds the refund
			return err
		}
		if err := t.lockLicense(ctx, id); err != nil {
			return err
		}
		old, err = t.LicenseByID(ctx, id)
		switch {
		case err != nil:
			return err
		case old.Replaced:
			return ErrStale
		case old.Status == Revoked:
			return ErrRevoked // a new code must not wash that off
		case old.Status == Suspended:
			return ErrSuspended
		}
		if err := t.MarkReplaced(ctx, queries.MarkReplacedParams{UpdatedAt: t.now, ID: id}); err != nil {
			return err
		}
		if err := t.addReason(ctx, id, reason{"replaced", n.ID, Revoked}); err != nil {
			return err
		}
		l := license(old)
		l.ID, l.Generation = n.ID, old.Generation+1
		if l.Code, err = t.codeOf(ctx, n, l.Product, old.OrderID); err != nil {
			return err
		}
		if err := t.addLicense(ctx, l, false); err != nil {
			return err
		}
		if err := t.MoveShares(ctx, queries.MoveSharesParams{LicenseID: n.ID, LicenseID_2: id}); err != nil {
			return err
		}
		// What used the old code up has used up the new one.
		if err := t.MoveUpgrade(ctx, queries.MoveUpgradeParams{LicenseID: n.ID, LicenseID_2: id}); err != nil {
			return err
		}
		return t.event(ctx, EventLicenseReplaced, old.OrderID, n.ID)
	})
	if err != nil {
		return License{}, err
	}
	return db.License(ctx, n.ID)
}
