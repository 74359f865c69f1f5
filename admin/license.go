package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A License is one activation code with its policy.
type License struct {
	Code      string     `json:"code"`
	Product   string     `json:"product"`
	Status    string     `json:"status"` // active, suspended, revoked; one that has expired stays active
	Type      string     `json:"type"`
	Test      bool       `json:"test"`
	Limit     int        `json:"limit"` // machines; 0: any number
	Used      int        `json:"used"`
	Order     OrderRef   `json:"order"`
	ExpiresAt *time.Time `json:"expires_at"`
	CreatedAt time.Time  `json:"created_at"`
}

// Statuses of a [License].
const (
	Active    = store.Active
	Suspended = store.Suspended
	Revoked   = store.Revoked
)

// Expired tells whether a license that is active has expired.
func (l License) Expired(now time.Time) bool {
	return l.Status == Active && l.ExpiresAt != nil && !l.ExpiresAt.After(now)
}

// A LicenseDetail is a license with its machines and its history.
type LicenseDetail struct {
	License
	Reasons     []string     `json:"reasons"`     // why it is not active
	UpgradedBy  *OrderRef    `json:"upgraded_by"` // null: no order upgraded it
	Activations []Activation `json:"activations"`

	Shares []Share `json:"-"` // the orders that share it
}

// An Activation is a machine on a license.
type Activation struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Platform     string     `json:"platform"`
	AppVersion   string     `json:"app_version"`
	CreatedAt    time.Time  `json:"created_at"`
	LeaseExpires *time.Time `json:"lease_expires_at"`
}

// A Share is what one order brought to a license that several share.
type Share struct {
	Order    OrderRef
	Seats    int // 0: no limit
	Refunded bool
}

func newLicense(l store.License) License {
	return License{
		Code: l.Code, Product: l.Product, Status: l.Status, Type: l.Type, Test: l.Test, Limit: l.Limit, Used: l.Used,
		Order: OrderRef(l.Order), ExpiresAt: l.ExpiresAt, CreatedAt: l.CreatedAt,
	}
}

func newLicenses(list []store.License) []License {
	out := []License{}
	for _, l := range list {
		out = append(out, newLicense(l))
	}
	return out
}

func newActivations(machines []store.Activation) []Activation {
	list := []Activation{}
	for _, m := range machines {
		a := Activation{ID: m.ID, Name: m.Machine.Name, Platform: m.Machine.Platform, AppVersion: m.Machine.AppVersion, CreatedAt: m.CreatedAt}
		if !m.LeaseExpires.IsZero() {
			a.LeaseExpires = &m.LeaseExpires
		}
		list = append(list, a)
	}
	return list
}

// A LicenseName is how a person names a license: by its code in any form.
type LicenseName struct {
	Code    string
	Product string // where several products have the code
}

// SeveralLicenses is the cause of an [Ambiguous] error: all that have the code.
type SeveralLicenses struct{ List []License }

func (s *SeveralLicenses) Error() string { return count(len(s.List), "license") }

func (a *Admin) findLicense(ctx context.Context, n LicenseName) (l store.License, err error) {
	if store.NormalCode(n.Code) == "" {
		return l, invalid("the code is empty")
	}
	list, err := a.db.Licenses(ctx, store.LicenseFilter{Code: n.Code, Product: n.Product})
	switch {
	case err != nil:
		return l, err
	case len(list) == 0:
		return l, &Error{NotFound, "license " + n.Code + ": not found", "see {license list}", store.ErrNotFound}
	case len(list) > 1:
		return l, &Error{Ambiguous, fmt.Sprintf("%d products have this code", len(list)), "name one with --product", &SeveralLicenses{newLicenses(list)}}
	}
	return list[0], nil
}

// A LicenseFilter narrows a list of licenses; zero values do not.
type LicenseFilter struct {
	Product, Status string
	Limit           int // at most so many; 0: all
}

// Licenses lists licenses, newest first.
func (a *Admin) Licenses(ctx context.Context, f LicenseFilter) ([]License, error) {
	list, err := a.db.Licenses(ctx, store.LicenseFilter{Product: f.Product, Status: f.Status, Limit: f.Limit})
	return newLicenses(list), err
}

// License is one license with its machines.
func (a *Admin) License(ctx context.Context, n LicenseName) (LicenseDetail, error) {
	l, err := a.findLicense(ctx, n)
	if err != nil {
		return LicenseDetail{}, err
	}
	return a.detail(ctx, l)
}

func (a *Admin) detail(ctx context.Context, l store.License) (d LicenseDetail, err error) {
	d.License = newLicense(l)
	machines, err := a.db.Activations(ctx, l.ID)
	if err != nil {
		return d, err
	}
	d.Activations = newActivations(machines)
	reasons, err := a.db.Reasons(ctx, l.ID)
	if err != nil {
		return d, err
	}
	d.Reasons = all(reasons)
	o, err := a.db.UpgradedBy(ctx, l.ID)
	switch {
	case err == nil:
		d.UpgradedBy = &OrderRef{o.Store, o.Transaction, o.Line}
	case !isNotFound(err):
		return d, err
	}
	shares, err := a.db.Shares(ctx, l.ID)
	if err != nil {
		return d, err
	}
	for _, s := range shares {
		d.Shares = append(d.Shares, Share{OrderRef(s.Order), s.Seats, s.Refunded})
	}
	return d, nil
}

// ReplaceLicense revokes a code and puts a new one in its place. Its machines
// must activate again.
func (a *Admin) ReplaceLicense(ctx context.Context, actor string, n LicenseName) (LicenseDetail, error) {
	old, err := a.findLicense(ctx, n)
	if err != nil {
		return LicenseDetail{}, err
	}
	l, err := a.desk.Replace(ctx, old, actor)
	switch {
	case errors.Is(err, store.ErrStale):
		return LicenseDetail{}, &Error{State, "the code was replaced before", "see the order's codes with {order show}", err}
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrSuspended):
		reasons, _ := a.db.Reasons(ctx, old.ID)
		e := &Error{State, fmt.Sprintf("%v (%s), and a new code would not be", err, strings.Join(reasons, ", ")), "", err}
		if len(reasons) > 0 && strings.HasPrefix(reasons[0], "manual") {
			e.Do = "{license restore} takes a person's decision back"
		}
		return LicenseDetail{}, e
	case err != nil:
		return LicenseDetail{}, err
	}
	l.Order = old.Order
	return a.detail(ctx, l)
}

// change is what revoke, suspend, restore and reset share.
func (a *Admin) change(ctx context.Context, actor string, n LicenseName, do func(context.Context, string, string) (store.License, error)) (LicenseDetail, error) {
	l, err := a.findLicense(ctx, n)
	if err != nil {
		return LicenseDetail{}, err
	}
	changed, err := do(ctx, l.ID, actor)
	if err != nil {
		return LicenseDetail{}, err
	}
	changed.Order = l.Order
	return a.detail(ctx, changed)
}

// RevokeLicense revokes a license for good.
func (a *Admin) RevokeLicense(ctx context.Context, actor string, n LicenseName) (LicenseDetail, error) {
	return a.change(ctx, actor, n, a.db.RevokeLicense)
}

// SuspendLicense suspends a license for a while.
func (a *Admin) SuspendLicense(ctx context.Context, actor string, n LicenseName) (LicenseDetail, error) {
	return a.change(ctx, actor, n, a.db.SuspendLicense)
}

// RestoreLicense takes revoke and suspend back. A refund or a replacement stays
// in force.
func (a *Admin) RestoreLicense(ctx context.Context, actor string, n LicenseName) (LicenseDetail, error) {
	return a.change(ctx, actor, n, func(ctx context.Context, id, actor string) (store.License, error) {
		l, err := a.db.RestoreLicense(ctx, id, actor)
		if err != nil || l.Status == store.Active {
			return l, err
		}
		reasons, err := a.db.Reasons(ctx, id)
		if err == nil {
			err = fail(State, "", "it is still %s: %s", l.Status, strings.Join(reasons, ", "))
		}
		return l, err
	})
}

// ResetLicense takes all machines off a license.
func (a *Admin) ResetLicense(ctx context.Context, actor string, n LicenseName) (LicenseDetail, error) {
	return a.change(ctx, actor, n, a.db.ResetLicense)
}

// A File goes with a license, where its product has one.
type File struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // its MIME type
	Content []byte `json:"content"`
}

// LicenseFile is the file that goes with a license. It is made of the order as it
// is now, and is the same each time.
func (a *Admin) LicenseFile(ctx context.Context, n LicenseName) (File, error) {
	l, err := a.findLicense(ctx, n)
	if err != nil {
		return File{}, err
	}
	o, err := a.db.Order(ctx, l.OrderID)
	if err != nil {
		return File{}, err
	}
	f, err := a.Catalog.File(o, l)
	if errors.Is(err, keygen.ErrRequest) {
		return File{}, &Error{State, err.Error(), "see {customer edit}", err}
	}
	return File{f.Name, f.Type, f.Content}, err
}
