package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A crowd are writers that wait at the same time: the queue does not move until
// the gate is opened.
type crowd struct {
	t    *testing.T
	db   *DB
	gate chan bool
	wg   sync.WaitGroup
	n    int
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{
		t: t, gate: make(chan bool),
		db: mustOpen(t, "sqlite:"+filepath.Join(t.TempDir(), "keypost.db"), Options{Create: true}),
	}
	return c
}

// hold stops the queue until release.
func (c *crowd) hold() {
	entered := make(chan bool)
	c.wg.Go(func() {
		once := sync.OnceFunc(func() { close(entered); <-c.gate })
		err := c.db.write(context.Background(), func(context.Context, *tx) error { once(); return nil })
		if err != nil {
			c.t.Error(err)
		}
	})
	<-entered
}

// add starts a writer and returns when it waits.
func (c *crowd) add(do func()) {
	c.wg.Go(do)
	c.n++
	for c.waiting() < c.n {
		runtime.Gosched()
	}
}

func (c *crowd) waiting() int {
	c.db.sharing.mu.Lock()
	defer c.db.sharing.mu.Unlock()
	return len(c.db.sharing.waiting)
}

func (c *crowd) release() {
	close(c.gate)
	c.wg.Wait()
}

// commits counts those from now on.
func (c *crowd) commits() *atomic.Int32 {
	var n atomic.Int32
	c.db.afterCommit = func() error { n.Add(1); return nil }
	return &n
}

func note(id string) func(context.Context, *tx) error {
	return func(ctx context.Context, t *tx) error { return t.audit(ctx, id, "test", "a"+id, "") }
}

// Members that fail undo their own work alone, and hear their own reason.
func TestSharedByGoodAndBad(t *testing.T) {
	c := newCrowd(t)
	full, free := issued(t, c.db, 1), issued(t, c.db, 3)
	if _, _, err := c.db.Activate(t.Context(), machine(full, "first"), full); err != nil {
		t.Fatal(err)
	}
	commits := c.commits()
	c.hold()
	for i := range 10 {
		c.add(func() {
			if _, _, err := c.db.Activate(context.Background(), machine(full, fmt.Sprint("m", i)), full); !errors.Is(err, ErrLimit) {
				t.Errorf("a full license: %v", err)
			}
		})
		c.add(func() {
			if _, l, err := c.db.Activate(context.Background(), machine(free, fmt.Sprint("m", i%3)), free); err != nil || l.Used < 1 {
				t.Errorf("a free license: %+v, %v", l, err)
			}
		})
		c.add(func() {
			_, added, err := c.db.AddOrder(context.Background(), newOrder(fmt.Sprint("T", i), fmt.Sprint("k", i), "A", fmt.Sprint("B", i)))
			if added != (i == 0) || (err != nil) != (i > 0) || err != nil && !errors.Is(err, ErrCodeTaken) {
				t.Errorf("order %d: %v, %v", i, added, err)
			}
		})
	}
	c.release()
	if n := commits.Load(); n >= 31 {
		t.Errorf("31 writers made %d commits", n)
	}
	checkSeats(t, c.db, full.ID, 1)
	checkSeats(t, c.db, free.ID, 3)
	if list, err := c.db.Licenses(t.Context(), LicenseFilter{}); err != nil || len(list) != 4 { // two above, A and B0
		t.Errorf("%d licenses, %v", len(list), err)
	}
}

// Where one member makes the COMMIT fail, it fails alone in the end.
func TestSharedCommitFails(t *testing.T) {
	for name, spoiled := range map[string]string{
		"at its commit": "INSERT INTO deferred VALUES ('no sale')",
		"before it":     "SELECT RAISE(ROLLBACK, 'the disk is full')",
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t)
			for _, s := range []string{
				"CREATE TABLE deferred (sale_id CHAR(26) REFERENCES sale (id) DEFERRABLE INITIALLY DEFERRED)",
				"CREATE TRIGGER spoil AFTER INSERT ON audit WHEN NEW.action = 'a10' BEGIN " + spoiled + "; END",
			} {
				if _, err := c.db.writer.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			c.hold()
			for i := range 20 {
				c.add(func() {
					err := c.db.write(context.Background(), note(fmt.Sprint(i)))
					if (i == 10) != errors.Is(err, ErrUnavailable) || i != 10 && err != nil {
						t.Errorf("member %d: %v", i, err)
					}
				})
			}
			c.release()
			if n := len(audited(t, c.db)); n != 19 {
				t.Errorf("%d of 19 wrote", n)
			}
		})
	}
}

// A commit that is done and says that it failed: each finds its own rows.
func TestSharedAppliedThoughItFailed(t *testing.T) {
	c := newCrowd(t)
	l := issued(t, c.db, 0)
	var once atomic.Bool
	c.hold()
	c.db.afterCommit = func() error {
		if once.CompareAndSwap(false, true) {
			return errAgain // as where the database says that it may be tried again
		}
		return nil
	}
	for i := range 20 {
		c.add(func() {
			if _, _, err := c.db.Activate(context.Background(), machine(l, fmt.Sprint("m", i)), l); err != nil {
				t.Error(err)
			}
			if _, added, err := c.db.AddOrder(context.Background(), newOrder("T", fmt.Sprint(i), NewID())); err != nil || !added {
				t.Errorf("added %v, %v", added, err)
			}
		})
	}
	c.release()
	checkSeats(t, c.db, l.ID, 20)
}

// A panic is its caller's; the others do not notice.
func TestSharedByOneThatPanics(t *testing.T) {
	c := newCrowd(t)
	c.hold()
	for i := range 10 {
		c.add(func() {
			defer func() {
				if v := recover(); (i == 5) != (v != nil) || v != nil && !strings.Contains(fmt.Sprint(v), "member five") {
					t.Errorf("member %d panicked: %v", i, v)
				}
			}()
			err := c.db.write(context.Background(), func(ctx context.Context, tx *tx) error {
				if err := note(fmt.Sprint(i))(ctx, tx); err != nil || i != 5 {
					return err
				}
				panic("member five")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	c.release()
	if got := audited(t, c.db); len(got) != 9 || slices.Contains(got, "a5") {
		t.Errorf("wrote %v", got)
	}
}

// A caller that goes away while it waits writes nothing; one that goes away
// later disturbs nobody.
func TestSharedByCallersThatGoAway(t *testing.T) {
	c := newCrowd(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	c.hold()
	c.add(func() { left <- c.db.write(ctx, note("1")) })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("it left with %v", err)
	}
	c.n--
	ctx, cancel = context.WithCancel(t.Context())
	c.add(func() {
		err := c.db.write(ctx, func(inner context.Context, tx *tx) error {
			cancel()
			if inner.Err() != nil {
				t.Error("a member's context ends with its caller")
			}
			return note("2")(inner, tx)
		})
		if err != nil {
			t.Errorf("it had begun and ended with %v", err)
		}
	})
	c.add(func() {
		if err := c.db.write(context.Background(), note("3")); err != nil {
			t.Error(err)
		}
	})
	c.release()
	if got := audited(t, c.db); !slices.Equal(got, []string{"a2", "a3"}) {
		t.Errorf("wrote %v", got)
	}
}

// Whoever came first is first, and a transaction does not grow for ever.
func TestSharedInTurn(t *testing.T) {
	c := newCrowd(t)
	commits := c.commits()
	c.hold()
	const n = 3 * shareMembers
	var order []int
	groups := map[int32]int{}
	for i := range n {
		c.add(func() {
			err := c.db.write(context.Background(), func(context.Context, *tx) error {
				order = append(order, i)
				groups[commits.Load()]++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	c.release()
	if len(order) != n || !slices.IsSorted(order) {
		t.Errorf("they had their turns in the order %v", order)
	}
	for _, members := range groups {
		if members > shareMembers {
			t.Errorf("%d members shared one transaction", members)
		}
	}
}

// Close lets those that wait have their turn, and nobody after them.
func TestSharedAtTheEnd(t *testing.T) {
	c := newCrowd(t)
	c.hold()
	for i := range 10 {
		c.add(func() {
			if err := c.db.write(context.Background(), note(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	closed := make(chan error)
	go func() { closed <- c.db.Close() }()
	for ending := false; !ending; runtime.Gosched() {
		c.db.sharing.mu.Lock()
		ending = c.db.sharing.closed
		c.db.sharing.mu.Unlock()
	}
	if err := c.db.write(t.Context(), note("late")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write after the end: %v", err)
	}
	c.release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// Seats are counted right and commits are shared when many come at once.
func TestSharedActivations(t *testing.T) {
	c := newCrowd(t)
	var licenses [64]License
	for i := range licenses {
		licenses[i] = issued(t, c.db, 1)
	}
	commits := c.commits()
	parallel(64, func(i int) {
		for n := range 4 {
			_, l, err := c.db.Activate(context.Background(), machine(licenses[i], fmt.Sprint("m", n%2)), licenses[i])
			if (n%2 == 0) != (err == nil) || n%2 == 1 && !errors.Is(err, ErrLimit) || l.Used != 1 {
				t.Errorf("license %d, call %d: %+v, %v", i, n, l, err)
			}
		}
	})
	if n := commits.Load(); n >= 256 {
		t.Errorf("256 calls made %d commits", n)
	}
	for _, l := range licenses {
		checkSeats(t, c.db, l.ID, 1)
	}
}
