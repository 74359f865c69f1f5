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

// oldCodes are the codes that the seeds name: there must be one for each copy.
func (u Upgrade) oldCodes(seeds []string) (codes []string) {
	for _, item := range seeds {
		key, code := Seed(item)
		if strings.EqualFold(key, u.Keyword) && store.NormalCode(code) != "" {
			codes = append(codes, code)
		}
	}
	return codes
}

// upgrades finds the licenses that an order upgrades; reason is why it must be
// held instead, and then ids are those that there are. Whether one was upgraded
// before is for the transaction to say.
func (d *Desk) upgrades(ctx context.Context, p Product, seeds []string, quantity int, test bool) (ids []string, reason string, err error) {
	if p.Upgrade == nil || test { // a test order uses nothing up
		return nil, "", nil
	}
	codes := p.Upgrade.oldCodes(seeds)
	if len(codes) != quantity {
		reason = HeldUpgradeUnknown
	}
	for _, code := range codes {
		l, err := d.oldLicense(ctx, p, code)
		switch {
		case errors.Is(err, store.ErrNotFound):
			reason = HeldUpgradeUnknown
		case err != nil:
			return nil, "", err
		case slices.Contains(ids, l.ID):
			reason = HeldUpgradeUsed
		default:
			ids = append(ids, l.ID)
		}
	}
	return ids, reason, nil
}

// oldLicense is one that may be upgraded; store.ErrNotFound.
func (d *Desk) oldLicense(ctx context.Context, p Product, code string) (store.License, error) {
	for _, from := range p.Upgrade.From {
		l, err := d.db.FindLicense(store.Sure(ctx), from, code)
		ended := l.ExpiresAt != nil && !l.ExpiresAt.After(d.now())
		if errors.Is(err, store.ErrNotFound) || err == nil && (l.Test || l.Status != store.Active || ended) {
			continue
		}
		return l, err
	}
	return store.License{}, store.ErrNotFound
}
