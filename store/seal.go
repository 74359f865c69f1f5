package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// The audit log is sealed: a seal signs a root over some rows, together with
// the signature of the seal before it. The key is not in the database, so who
// can write there can neither change nor remove a sealed row unseen; who knows
// a later head also sees that the end was cut off.

// SealAudit seals what was not sealed yet; head names the new seal, and is ""
// where there was nothing to seal. Two processes may call it at once.
func (db *DB) SealAudit(ctx context.Context, key ed25519.PrivateKey) (head string, err error) {
	if n, err := db.read.CountUnsealed(ctx); err != nil || n == 0 {
		return "", db.explain(err)
	}
	id := NewID()
	err = db.write(ctx, func(ctx context.Context, t *tx) error {
		head = ""                                      // a try that failed has made none
		if s, err := t.SealByID(ctx, id); err == nil { // an earlier try of ours was applied though it failed
			head = headOf(s.Signature)
			return nil
		}
		last, err := t.LastSeal(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := t.Queries.SealAudit(ctx, id); err != nil {
			return err
		}
		rows, err := t.AuditOfSeal(ctx, id)
		if err != nil || len(rows) == 0 {
			return err
		}
		s := queries.AuditSeal{ID: id, Previous: last.ID, Root: root(rows), CreatedAt: t.now}
		s.Signature = ed25519.Sign(key, sealed(s, last.Signature))
		err = t.InsertSeal(ctx, queries.InsertSealParams(s))
		if db.dialect.duplicate(err) {
			return errAgain // another process has sealed meanwhile
		}
		head = headOf(s.Signature)
		return err
	})
	return head, err
}

// sealed is what a seal's signature is over.
func sealed(s queries.AuditSeal, previous []byte) []byte {
	return fmt.Appendf(nil, "keypost audit seal\n%s\n%s\n%x\n%x\n%d\n", s.ID, s.Previous, previous, s.Root, s.CreatedAt)
}

// root is a hash over rows, each field behind its length.
func root(rows []queries.Audit) []byte {
	h := sha256.New()
	for _, r := range rows {
		for _, field := range []string{r.ID, r.Actor, r.Action, r.Subject, strconv.FormatInt(r.CreatedAt, 10)} {
			fmt.Fprintf(h, "%d:%s", len(field), field)
		}
	}
	return h.Sum(nil)
}

func headOf(signature []byte) string {
	sum := sha256.Sum256(signature)
	return hex.EncodeToString(sum[:16])
}

// An AuditReport is what [DB.VerifyAudit] found.
type AuditReport struct {
	Seals, Rows int
	Unsealed    int      // rows that wait for their seal
	Head        string   // the last seal's; "": there is none
	Faults      []string // what is not as it was sealed
}

// VerifyAudit walks the chain of seals and compares each with its rows; keys
// are all that may have signed. With a head that was given out before, it also
// finds whether the end was cut off.
func (db *DB) VerifyAudit(ctx context.Context, head string, keys ...ed25519.PublicKey) (r AuditReport, err error) {
	// All as it is at one moment: a daemon may be sealing.
	snapshot, err := db.reader.BeginTx(ctx, &sql.TxOptions{Isolation: db.dialect.snapshot, ReadOnly: true})
	if err != nil {
		return r, db.explain(err)
	}
	defer snapshot.Rollback()
	r, err = verifyAudit(ctx, queries.New(snapshot), head, keys)
	return r, db.explain(err)
}

func verifyAudit(ctx context.Context, q *queries.Queries, head string, keys []ed25519.PublicKey) (r AuditReport, err error) {
	var previous queries.AuditSeal
	found := head == ""
	for {
		s, err := q.SealByPrevious(ctx, previous.ID)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return r, err
		}
		rows, err := q.AuditOfSeal(ctx, s.ID)
		if err != nil {
			return r, err
		}
		at := "seal " + s.ID + " of " + fromMicros(s.CreatedAt).Format(time.RFC3339)
		signed := func(key ed25519.PublicKey) bool {
			return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, sealed(s, previous.Signature), s.Signature)
		}
		if !slices.ContainsFunc(keys, signed) {
			r.Faults = append(r.Faults, at+": its signature does not fit: the seal was changed, or the one before it was removed, or another key signed it")
		}
		if !slices.Equal(root(rows), s.Root) {
			r.Faults = append(r.Faults, fmt.Sprintf("%s: rows that it sealed were changed or removed; it has %d now", at, len(rows)))
		}
		r.Seals++
		r.Rows += len(rows)
		r.Head = headOf(s.Signature)
		found = found || r.Head == head
		previous = s
	}
	err = verifyEnds(ctx, q, &r, found)
	return r, err
}

// verifyEnds finds what the walk did not meet.
func verifyEnds(ctx context.Context, q *queries.Queries, r *AuditReport, found bool) error {
	seals, err := q.CountSeals(ctx)
	if err != nil {
		return err
	}
	if n := int(seals) - r.Seals; n > 0 {
		r.Faults = append(r.Faults, fmt.Sprintf("%d seals do not hang together with the first one: seals between were removed", n))
	}
	rows, err := q.CountSealed(ctx)
	if err != nil {
		return err
	}
	if n := int(rows) - r.Rows; n > 0 {
		r.Faults = append(r.Faults, fmt.Sprintf("%d rows were sealed by seals that are gone", n))
	}
	unsealed, err := q.CountUnsealed(ctx)
	r.Unsealed = int(unsealed)
	if !found {
		r.Faults = append(r.Faults, "the head that was given is not there: the end of the log was cut off, or it is another database's")
	}
	return err
}

// SealedBy tells whether one of the keys signed the last seal, or there is none.
func (db *DB) SealedBy(ctx context.Context, keys ...ed25519.PublicKey) (bool, error) {
	last, err := db.read.LastSeal(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, db.explain(err)
	}
	var before queries.AuditSeal
	if last.Previous != "" {
		if before, err = db.read.SealByID(ctx, last.Previous); err != nil {
			return false, db.explain(err)
		}
	}
	return slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool {
		return ed25519.Verify(key, sealed(last, before.Signature), last.Signature)
	}), nil
}
