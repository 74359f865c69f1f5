package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// ImportChannel is the channel of orders that were imported.
const ImportChannel = "import"

// A Past is what a license that comes from elsewhere brings along.
type Past struct {
	Used      int       // seats that are taken, by machines that nobody knows here
	Status    string    // Active, Suspended or Revoked
	CreatedAt time.Time // zero: now
}

// addPast gives a license its past. Each seat that is taken is a machine that
// has no fingerprint anybody could send: it can be reset, and not found.
func (t *tx) addPast(ctx context.Context, licenseID string, p Past) error {
	created := t.now
	if !p.CreatedAt.IsZero() {
		created = micros(p.CreatedAt)
	}
	for i := range p.Used {
		nobody := make([]byte, 32)
		rand.Read(nobody) // never fails
		err := t.InsertActivation(ctx, queries.InsertActivationParams{
			ID: NewID(), LicenseID: licenseID, FpMac: nobody, Salt: []byte{}, FpHash: []byte{},
			MachineName: fmt.Sprintf("imported %d", i+1), CreatedAt: created,
		})
		if err != nil {
			return err
		}
	}
	if err := t.SetUsed(ctx, queries.SetUsedParams{Used: p.Used, CreatedAt: created, ID: licenseID}); err != nil {
		return err
	}
	switch p.Status {
	case Suspended:
		return t.addReason(ctx, licenseID, reason{"manual", "suspend", Suspended})
	case Revoked:
		return t.addReason(ctx, licenseID, reason{"manual", "revoke", Revoked})
	}
	return nil
}
