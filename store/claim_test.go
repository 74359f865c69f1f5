package store

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// hold calls Hold and fails the test on an error.
func hold(t *testing.T, c *Claim) bool {
	t.Helper()
	held, err := c.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func TestClaimIsTakenOverWhenItsOwnerIsDead(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		clock := time.Now()
		other.now = func() time.Time { return clock }
		mine, theirs := db.NewClaim("x", time.Minute), other.NewClaim("x", time.Minute)
		for range 2 {
			if !hold(t, mine) {
				t.Fatal("a free claim was not taken, or not kept")
			}
		}
		if hold(t, theirs) {
			t.Fatal("a claim was taken from its owner")
		}
		// As long as the version rises the owner lives, however long it takes.
		for range 3 {
			clock = clock.Add(50 * time.Second)
			if !hold(t, mine) || hold(t, theirs) {
				t.Fatal("the owner lives, and lost its claim")
			}
		}
		clock = clock.Add(59 * time.Second)
		if hold(t, theirs) {
			t.Fatal("it was taken before the term was over")
		}
		clock = clock.Add(time.Second)
		if !hold(t, theirs) {
			t.Fatal("a dead owner kept it")
		}
		// The old owner wakes up: it is the observer now.
		if hold(t, mine) {
			t.Fatal("two owners")
		}
		if err := mine.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !hold(t, theirs) {
			t.Fatal("somebody else's release took it away")
		}
		if err := theirs.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !hold(t, mine) {
			t.Fatal("a released claim was not taken")
		}
	})
}

func TestClaimRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		var owners atomic.Int32
		parallel(16, func(i int) {
			held, err := []*DB{db, other}[i%2].NewClaim("x", time.Minute).Hold(context.Background())
			if err != nil {
				t.Error(err)
			}
			if held {
				owners.Add(1)
			}
		})
		if owners.Load() != 1 {
			t.Errorf("%d of 16 took the claim", owners.Load())
		}
	})
}

// A write that was applied though it came back as an error is known again.
func TestClaimAfterAnAppliedFailure(t *testing.T) {
	each(t, func(t *testing.T, db, _ *DB) {
		c := db.NewClaim("x", time.Minute)
		for range 2 {
			failOnce(db)
			if !hold(t, c) {
				t.Fatal("the claim was lost to its owner's own retry")
			}
		}
	})
}

// failOnce has the next commit done and come back as an error.
func failOnce(db *DB) {
	db.afterCommit = func() error {
		db.afterCommit = nil
		return again{errors.New("the connection broke after the commit")}
	}
}

// Each daemon shows that it lives, whichever of them does the chores.
func TestAlive(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source := b.new(t)
			if _, err := Alive(t.Context(), source, 0); !errors.Is(err, ErrNoDatabase) {
				t.Errorf("no database: %v", err)
			}
			db := mustOpen(t, source, Options{Create: true})
			alive := func(want bool) {
				t.Helper()
				if got, err := Alive(t.Context(), source, 0); err != nil || got != want {
					t.Errorf("alive = %v, %v, want %v", got, err, want)
				}
			}
			alive(false)
			dead, err := db.NewDaemonClaim(t.Context(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			hold(t, dead)
			alive(false) // its version stands still
			second, err := db.NewDaemonClaim(t.Context(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			beating := make(chan bool)
			go func() {
				defer close(beating)
				for ctx.Err() == nil {
					_, _ = second.Hold(ctx)
				}
			}()
			alive(true)
			stop()
			<-beating
			// What died long ago is cleared away.
			if _, err := db.writer.ExecContext(t.Context(), "UPDATE claim SET updated_at = 0"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.NewDaemonClaim(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if left, err := db.read.ClaimsLike(t.Context(), "daemon-%"); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
