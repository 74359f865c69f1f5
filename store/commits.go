package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// Shared commits. SQLite has one writer, and what a write costs is its COMMIT,
// which waits for the disk: so the writers that wait share one. Each is a
// member, under a savepoint of its own, which is what is undone when it fails;
// all answers, the failures too, wait for the COMMIT, for a member may have
// failed by what another one wrote. When the whole fails, each is tried again
// alone. A member runs under no caller's context: the end of one would undo the
// others' work.

// Bounds on one transaction; whoever still waits then is first in the next.
const (
	shareMembers = 64
	shareFor     = 10 * time.Millisecond
)

// errClosed: the store is closed, or about to be.
var errClosed = errors.New("the store is closed")

// apart is the failure of a transaction that several shared.
type apart struct{ again }

// A member is one call of [DB.write] that waits for its turn.
type member struct {
	ctx   context.Context
	fn    func(context.Context, *tx) error
	alone bool
	done  chan struct{} // closed when err and panicked are set

	err      error
	panicked any
}

// sharing is the queue of members and the goroutine that runs them, in the
// order in which they came.
type sharing struct {
	db    *DB
	ended chan struct{}

	mu      sync.Mutex
	arrived sync.Cond
	waiting []*member
	closed  bool
}

func newSharing(db *DB) *sharing {
	s := &sharing{db: db, ended: make(chan struct{})}
	s.arrived.L = &s.mu
	go s.run()
	return s
}

// write is [DB.writeOnce], by the queue. A caller whose context ends while it
// waits leaves; one that has begun stays until it knows how it ended.
func (s *sharing) write(ctx context.Context, alone bool, fn func(context.Context, *tx) error) error {
	m := &member{ctx: ctx, fn: fn, alone: alone, done: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	s.waiting = append(s.waiting, m)
	s.arrived.Signal()
	s.mu.Unlock()
	select {
	case <-m.done:
	case <-ctx.Done():
		if s.leave(m) {
			return ctx.Err()
		}
		<-m.done
	}
	if m.panicked != nil {
		panic(m.panicked)
	}
	return m.err
}

// leave takes a member out of the queue; false: it has begun.
func (s *sharing) leave(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, m)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	return i >= 0
}

// close ends the goroutine after those that wait had their turn.
func (s *sharing) close() {
	s.mu.Lock()
	s.closed = true
	s.arrived.Signal()
	s.mu.Unlock()
	<-s.ended
}

func (s *sharing) run() {
	defer close(s.ended)
	for s.wait() {
		members, err := s.transaction()
		for _, m := range members {
			if err != nil {
				m.err, m.panicked = err, nil
			}
			close(m.done)
		}
	}
}

// wait waits for a member; false: there will be none any more.
func (s *sharing) wait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed {
		s.arrived.Wait()
	}
	return len(s.waiting) > 0
}

// next takes the first of those that wait, if it may join n others: one that
// must be alone joins nobody, and nobody joins it.
func (s *sharing) next(n int) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 || n == shareMembers || n > 0 && s.waiting[0].alone {
		return nil
	}
	m := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	return m
}

// transaction runs those that wait, and those that come meanwhile, in one
// transaction. The error is the whole's, and then no member's own counts.
func (s *sharing) transaction() (members []*member, err error) {
	// No deadline: BEGIN waits no longer than busy_timeout, and a disk that
	// hangs cannot be interrupted.
	sqlTx, err := s.db.transactions.BeginTx(context.Background(), nil)
	if err != nil {
		for m := s.next(0); m != nil; m = s.next(0) {
			members = append(members, m)
		}
		return members, err
	}
	t := s.db.stmts.in(sqlTx)
	defer t.end()
	begin := time.Now()
	for m := s.next(0); m != nil; m = s.next(len(members)) {
		members = append(members, m)
		if err = s.member(t, m); err != nil || m.alone || time.Since(begin) > shareFor {
			break
		}
	}
	if err == nil {
		err = sqlTx.Commit()
	}
	if err == nil && s.db.afterCommit != nil {
		err = s.db.afterCommit()
	}
	if err != nil && len(members) > 1 {
		err = apart{again{err}} // one of them may be the reason
	}
	return members, err
}

// member runs one member under its savepoint. The error is the transaction's:
// some failures of SQLite's (a full disk, for one) undo all of it, and then the
// savepoint is gone.
func (s *sharing) member(t *txStatements, m *member) error {
	ctx := context.WithoutCancel(m.ctx)
	if m.err = m.ctx.Err(); m.err != nil {
		return nil // nobody waits for it
	}
	if _, err := t.ExecContext(ctx, "SAVEPOINT member"); err != nil {
		return err
	}
	func() {
		defer func() {
			if v := recover(); v != nil {
				m.panicked = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
			}
		}()
		m.err = m.fn(ctx, &tx{queries.New(t), t, s.db, micros(s.db.now())})
	}()
	if m.err != nil || m.panicked != nil {
		if _, err := t.ExecContext(ctx, "ROLLBACK TO member"); err != nil {
			return errors.Join(m.err, err) // the first is why there is no savepoint any more
		}
	}
	_, err := t.ExecContext(ctx, "RELEASE member")
	return err
}
