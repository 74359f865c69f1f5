package ingest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keypost/keypost/store"
)

// An Upgrade says that a product is sold to those who have an older one: each
// copy names an old code, which is used up by it.
type Upgrade struct {
	From    []string // ids of the older products
	Keyword string   // of the seed that holds the old code
}

// oldCodes are the codes that the seeds name: one for each copy, or nil.
func (u Upgrade) oldCodes(seeds []string, quantity int) []string {
	var codes []string
	for _, item := range seeds {
		key, code := Seed(item)
		if strings.EqualFold(key, u.Keyword) && store.NormalCode(code) != "" {
			codes = append(codes, code)
		}
	}
	if len(codes) != quantity {
		return nil
	}
	return codes
}

// upgrades finds the licenses that an order upgrades; reason is why it must be
// held instead. Whether one was upgraded before is for the transaction to say.
func (d *Desk) upgrades(ctx context.Context, p Product, seeds []string, quantity int, test bool) (ids []string, reason string, err error) {
	if p.Upgrade == nil || test { // a test order uses nothing up
		return nil, "", nil
	}
	codes := p.Upgrade.oldCodes(seeds, quantity)
	if codes == nil {
		return nil, HeldUpgradeUnknown, nil
	}
	for _, code := range codes {
		l, err := d.oldLicense(ctx, p, code)
		if errors.Is(err, store.ErrNotFound) {
			return nil, HeldUpgradeUnknown, nil
		}
		if err != nil {
			return nil, "", err
		}
		if slices.Contains(ids, l.ID) {
			return nil, HeldUpgradeUsed, nil
		}
		ids = append(ids, l.ID)
	}
	return ids, "", nil
}

// oldLicense is one that may be upgraded; store.ErrNotFound.
func (d *Desk) oldLicense(ctx context.Context, p Product, code string) (store.License, error) {
	for _, from := range p.Upgrade.From {
		l, err := d.db.FindLicense(ctx, from, code)
		if errors.Is(err, store.ErrNotFound) || err == nil && (l.Test || l.Status != store.Active) {
			continue
		}
		return l, err
	}
	return store.License{}, store.ErrNotFound
}

// upgradeReason is why an order is held whose licenses could not be upgraded,
// or "".
func upgradeReason(err error) string {
	switch {
	case errors.Is(err, store.ErrUpgradeUsed):
		return HeldUpgradeUsed
	case errors.Is(err, store.ErrRevoked):
		return HeldUpgradeUnknown
	}
	return ""
}
