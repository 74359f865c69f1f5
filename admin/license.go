package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

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
	Note        string       `json:"note"` // the vendor's own

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
	Beginning       string // of the code; then the list is in the codes' order
	Limit           int    // at most so many; 0: all
}

// Licenses lists licenses, newest first.
func (a *Admin) Licenses(ctx context.Context, f LicenseFilter) ([]License, error) {
	list, err := a.db.Licenses(ctx, store.LicenseFilter{Product: f.Product, Status: f.Status, Beginning: f.Beginning, Limit: f.Limit})
	return newLicenses(list), err
}

// License is one license with its machines.
func (a *Admin) License(ctx context.Context, n LicenseName) (LicenseDetail, error) {
	l, err := a.findLicense(ctx, n)
	if CodeOf(err) == NotFound {
		l, err = a.nearest(ctx, n, err)
	}
	if err != nil {
		return LicenseDetail{}, err
	}
	return a.detail(ctx, l)
}

// minBeginning is how many letters and digits of a code are worth a search by its
// beginning.
const minBeginning = 4

// nearest finds the license whose code begins as what was typed, if there is one
// alone. Else the error says how far a code agrees: where it was mistyped.
func (a *Admin) nearest(ctx context.Context, n LicenseName, missing error) (l store.License, err error) {
	typed := []rune(store.NormalCode(n.Code))
	begin := func(letters int) ([]store.License, error) {
		return a.db.Licenses(ctx, store.LicenseFilter{Beginning: string(typed[:letters]), Product: n.Product, Limit: 2})
	}
	if len(typed) < minBeginning {
		return l, missing
	}
	list, err := begin(len(typed))
	switch {
	case err != nil:
		return l, err
	case len(list) == 1:
		return list[0], nil
	case len(list) > 1:
		return l, &Error{Ambiguous, "several codes start with " + n.Code, "see {license list --beginning CODE}", &SeveralLicenses{newLicenses(list)}}
	}
	// A code that agrees with the first letters agrees with fewer of them, too.
	agree, beyond := 0, len(typed)
	for beyond-agree > 1 {
		middle := (agree + beyond) / 2
		list, err := begin(middle)
		if err != nil {
			return l, err
		}
		if len(list) == 0 {
			beyond = middle
		} else {
			agree, l = middle, list[0]
		}
	}
	if agree < minBeginning {
		return l, missing
	}
	return l, &Error{
		NotFound, fmt.Sprintf("license %s: not found. Its first %d letters and digits match %s, but the next one does not", n.Code, agree, l.Code),
		"see {license list --beginning " + string(typed[:agree]) + "}", store.ErrNotFound,
	}
}

func (a *Admin) detail(ctx context.Context, l store.License) (d LicenseDetail, err error) {
	d.License, d.Note = newLicense(l), l.Note
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
		return LicenseDetail{}, &Error{State, "the code was already replaced", "see the order's codes with {order show}", err}
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrSuspended):
		reasons, _ := a.db.Reasons(ctx, old.ID)
		e := &Error{State, fmt.Sprintf("%v (%s), but a new code would not be", err, strings.Join(reasons, ", ")), "", err}
		if len(reasons) > 0 && strings.HasPrefix(reasons[0], "manual") {
			e.Do = "{license restore} undoes revoke and suspend"
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

// A LicenseEdit is what is to be changed of a license; nil: not that.
type LicenseEdit struct {
	Limit     *int       // machines; 0: no limit
	ExpiresAt *time.Time // when it ends, which may be in the past
	NoExpiry  bool       // it never ends
	Type      *string
	Note      *string // the vendor's own; "": none
}

// EditLicense changes a license's limit, end, type or note. Its order, and what the
// store is answered, stay as they are.
func (a *Admin) EditLicense(ctx context.Context, actor string, n LicenseName, e LicenseEdit) (LicenseDetail, error) {
	switch {
	case e.Limit == nil && e.ExpiresAt == nil && !e.NoExpiry && e.Type == nil && e.Note == nil:
		return LicenseDetail{}, invalid("give --limit, --expires, --type or --note")
	case e.Limit != nil && *e.Limit < 0:
		return LicenseDetail{}, invalid("--limit must be 0 (no limit) or more")
	case e.Type != nil && strings.TrimSpace(*e.Type) == "":
		return LicenseDetail{}, invalid("--type is empty")
	case e.Note != nil && (utf8.RuneCountInString(*e.Note) > store.MaxNote || !utf8.ValidString(*e.Note)):
		return LicenseDetail{}, invalid("--note must have at most %d characters", store.MaxNote)
	}
	return a.change(ctx, actor, n, func(ctx context.Context, id, actor string) (store.License, error) {
		l, err := a.db.EditLicense(ctx, id, store.LicenseEdit(e), actor)
		switch {
		case errors.Is(err, store.ErrLimit):
			return l, &Error{State, "the license has more machines than --limit allows", "release some with {license release CODE ACTIVATION}", err}
		case errors.Is(err, store.ErrShared):
			return l, &Error{State, "the limit cannot be edited: several orders share this license, and each adds its own machines", "issue another license with {license issue}", err}
		}
		return l, err
	})
}

// ReleaseMachine takes one machine off a license. Until its lease ends it works on.
func (a *Admin) ReleaseMachine(ctx context.Context, actor string, n LicenseName, activation string) (LicenseDetail, error) {
	return a.change(ctx, actor, n, func(ctx context.Context, id, actor string) (store.License, error) {
		l, err := a.db.ReleaseActivation(ctx, id, activation, actor)
		if isNotFound(err) {
			err = &Error{NotFound, "the license has no activation " + activation, "see {license show}", err}
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
