package store

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync/atomic"
	"testing"
)

type publicKey = ed25519.PublicKey

func sealKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))) }

// act leaves a row in the audit log.
func acted(t *testing.T, db *DB) {
	t.Helper()
	o := mustAdd(t, db, newOrder("T"+NewID(), NewID(), NewID()))
	if _, err := db.SuspendLicense(t.Context(), o.Licenses[0].ID, "test"); err != nil {
		t.Fatal(err)
	}
}

func sealed3(t *testing.T, db *DB) (heads []string) {
	t.Helper()
	for range 3 {
		acted(t, db)
		acted(t, db)
		head, err := db.SealAudit(t.Context(), sealKey())
		if err != nil || head == "" {
			t.Fatalf("SealAudit = %q, %v", head, err)
		}
		heads = append(heads, head)
	}
	return heads
}

func TestAuditSeals(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		public := sealKey().Public().(publicKey)
		if head, err := db.SealAudit(t.Context(), sealKey()); err != nil || head != "" {
			t.Errorf("nothing to seal: %q, %v", head, err)
		}
		heads := sealed3(t, db)
		acted(t, db)
		for _, head := range append(heads, "") {
			r, err := db.VerifyAudit(t.Context(), head, nil, public)
			if err != nil || len(r.Faults) > 0 || r.Seals != 3 || r.Rows != 6 || r.Unsealed != 1 || r.Head != heads[2] {
				t.Errorf("head %q: %+v, %v", head, r, err)
			}
		}
		if r, _ := db.VerifyAudit(t.Context(), "", publicKey(make([]byte, 32))); len(r.Faults) != 3 {
			t.Errorf("another key: %+v", r)
		}
		// An error after the commit: the retry finds its own seal.
		failOnce(db)
		if head, err := db.SealAudit(t.Context(), sealKey()); err != nil || head == "" {
			t.Errorf("SealAudit = %q, %v", head, err)
		}
		if r, err := db.VerifyAudit(t.Context(), "", public); err != nil || len(r.Faults) > 0 || r.Seals != 4 || r.Unsealed != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestAuditTamperingIsFound(t *testing.T) {
	third := "(SELECT id FROM (SELECT id FROM audit_seal ORDER BY id DESC LIMIT 1) AS s)"
	second := "(SELECT id FROM (SELECT id FROM audit_seal ORDER BY id LIMIT 1 OFFSET 1) AS s)"
	for damage, want := range map[string]string{
		"UPDATE audit SET actor = 'nobody' WHERE seal_id = " + second:                                                                 "changed or removed",
		"DELETE FROM audit WHERE id = (SELECT id FROM (SELECT MIN(id) AS id FROM audit) AS a)":                                        "changed or removed",
		"INSERT INTO audit SELECT 'x', actor, action, subject, seal_id, created_at FROM audit WHERE seal_id = " + second + " LIMIT 1": "changed or removed",
		"UPDATE audit_seal SET created_at = created_at + 1 WHERE id = " + second:                                                      "signature does not fit",
		"DELETE FROM audit_seal WHERE id = " + second:                                                                                 "do not hang together",
		"DELETE FROM audit_seal WHERE id = " + third:                                                                                  "cut off",
		"DELETE FROM audit_seal": "sealed by seals that are gone",
	} {
		each(t, func(t *testing.T, db, _ *DB) {
			heads := sealed3(t, db)
			if _, err := db.writer.ExecContext(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
			r, err := db.VerifyAudit(t.Context(), heads[2], sealKey().Public().(publicKey))
			if err != nil || !strings.Contains(strings.Join(r.Faults, "\n"), want) {
				t.Errorf("%s: want %q, got %+v, %v", damage, want, r, err)
			}
		})
	}
}

// Two sealers at once make one chain.
func TestAuditSealRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		for range 5 {
			acted(t, db)
			var heads atomic.Int32
			parallel(4, func(i int) {
				head, err := []*DB{db, other}[i%2].SealAudit(t.Context(), sealKey())
				if err != nil {
					t.Error(err)
				}
				if head != "" {
					heads.Add(1)
				}
			})
			if heads.Load() == 0 {
				t.Error("nobody sealed")
			}
		}
		if r, err := db.VerifyAudit(t.Context(), "", sealKey().Public().(publicKey)); err != nil || len(r.Faults) > 0 || r.Rows != 5 || r.Unsealed != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Whose key sealed last.
func TestSealedBy(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		other := publicKey(make([]byte, ed25519.PublicKeySize))
		by := func(want bool, keys ...publicKey) {
			t.Helper()
			if got, err := db.SealedBy(t.Context(), keys...); err != nil || got != want {
				t.Errorf("SealedBy = %v, %v, want %v", got, err, want)
			}
		}
		by(true, other) // nobody's
		sealed3(t, db)
		by(false, other)
		by(true, other, sealKey().Public().(publicKey))
	})
}

// While a daemon seals, the log is whole at each moment.
func TestVerifyAuditWhileSealing(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		sealed := make(chan bool)
		go func() {
			defer close(sealed)
			for range 20 {
				acted(t, other)
				if _, err := other.SealAudit(context.Background(), sealKey()); err != nil {
					t.Error(err)
				}
			}
		}()
		for done := false; !done; {
			select {
			case <-sealed:
				done = true
			default:
			}
			if r, err := db.VerifyAudit(t.Context(), "", sealKey().Public().(publicKey)); err != nil || len(r.Faults) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}
