package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// A Claim is the right to do alone what several processes could: watch a
// mailbox, send the outbox, migrate. It is a row with an owner and a version
// that the owner raises; the owner is dead when the version stood still for
// the whole term on the observer's own clock, and no other clock counts. What
// is done under a claim must bear to be done twice: a process that was stopped
// for longer than the term wakes up believing that it still owns it.
//
// A Claim is for one goroutine.
type Claim struct {
	db    *DB
	name  string
	owner string
	term  time.Duration
	seen  queries.Claim // as last read
	since time.Time     // when it was first seen so
}

// NewClaim makes a claim, which nobody owns by that. The owner must call Hold
// several times in each term.
func (db *DB) NewClaim(name string, term time.Duration) *Claim {
	return &Claim{db: db, name: name, owner: NewID(), term: term}
}

// Hold takes the claim, or raises its version if it is the caller's already;
// false: somebody else holds it.
func (c *Claim) Hold(ctx context.Context) (held bool, err error) {
	row, err := c.db.read.ClaimByName(ctx, c.name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, c.db.explain(err)
	}
	if err == nil && row.Owner != c.owner && !c.stoodStill(row) {
		return false, nil
	}
	err = c.db.write(ctx, func(ctx context.Context, t *tx) error {
		held = false
		now, err := t.ClaimByName(ctx, c.name)
		if errors.Is(err, sql.ErrNoRows) {
			err := t.InsertClaim(ctx, queries.InsertClaimParams{Name: c.name, Owner: c.owner, UpdatedAt: t.now})
			if c.db.dialect.duplicate(err) {
				return errAgain
			}
			held = err == nil
			return err
		}
		if err != nil || now.Owner != c.owner && now != row { // somebody was faster
			return err
		}
		n, err := t.TakeClaim(ctx, queries.TakeClaimParams{
			Owner: c.owner, UpdatedAt: t.now, Name: c.name, Owner_2: now.Owner, Version: now.Version,
		})
		held = n > 0
		return one(n, err, errAgain)
	})
	return held && err == nil, err
}

// stoodStill tells whether a row's owner is dead.
func (c *Claim) stoodStill(row queries.Claim) bool {
	now := c.db.now()
	if row != c.seen {
		c.seen, c.since = row, now
	}
	return now.Sub(c.since) >= c.term
}

// Release gives the claim up, if it is the caller's.
func (c *Claim) Release(ctx context.Context) error {
	return c.db.write(ctx, func(ctx context.Context, t *tx) error {
		return t.DeleteClaim(ctx, queries.DeleteClaimParams{Name: c.name, Owner: c.owner})
	})
}

// alone runs fn while it holds the claim, which it waits for and keeps alive
// meanwhile; unless somebody else has done the work by then.
func (c *Claim) alone(ctx context.Context, done func(context.Context) (bool, error), fn func(context.Context) error) error {
	beat := time.NewTicker(c.term / 50)
	defer beat.Stop()
	for {
		if done, err := done(ctx); done || err != nil {
			return err
		}
		if held, err := c.Hold(ctx); held || err != nil {
			if err != nil {
				return err
			}
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- fn(ctx) }()
	beat.Reset(c.term / 5)
	for {
		select {
		case err := <-ended:
			return errors.Join(err, c.Release(context.WithoutCancel(ctx)))
		case <-beat.C:
			// One that cannot be raised is taken over by somebody whose work
			// bears ours; ours ends by itself.
			_, _ = c.Hold(ctx)
		}
	}
}

// daemonClaims begin the name of the claim that each daemon holds for itself
// while it runs, for [Alive].
const daemonClaims = "daemon-"

// NewDaemonClaim makes the claim by which a daemon shows that it lives; those
// of daemons that died a day ago or more are cleared away.
func (db *DB) NewDaemonClaim(ctx context.Context, term time.Duration) (*Claim, error) {
	err := db.write(ctx, func(ctx context.Context, t *tx) error {
		return t.DeleteOldClaims(ctx, queries.DeleteOldClaimsParams{Name: daemonClaims + "%", UpdatedAt: t.now - (24 * time.Hour).Microseconds()})
	})
	return db.NewClaim(daemonClaims+NewID(), term), err
}

// Alive tells whether a daemon runs on a database: whether one of their claims
// moves, or goes, while it looks, for somewhat longer than beat, the longest
// time in which each raises its own. It does not look where there is none.
func Alive(ctx context.Context, source string, beat time.Duration) (bool, error) {
	db, err := connect(source, opening{readOnly: true}, nil)
	if err != nil {
		return false, err
	}
	defer db.Close()
	if err := db.learn(ctx); err != nil {
		return false, fmt.Errorf("database %s: %w", Name(source), err)
	}
	db.always = true // on a node that lags no claim moves
	if v, err := db.schemaVersion(ctx); err != nil || v == 0 {
		if err == nil {
			err = ErrNoDatabase
		}
		return false, fmt.Errorf("database %s: %w", Name(source), err)
	}
	first, err := db.read.ClaimsLike(ctx, daemonClaims+"%")
	if err != nil || len(first) == 0 {
		return false, db.explain(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(beat + time.Second); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
		now, err := db.read.ClaimsLike(ctx, daemonClaims+"%")
		if err != nil || !slices.Equal(now, first) {
			return err == nil, db.explain(err)
		}
	}
	return false, nil
}
