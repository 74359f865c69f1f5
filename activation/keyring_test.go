package activation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keypost/keypost/store"
)

// counted is a key store that counts how often it is asked, and may fail or hang.
type counted struct {
	*store.DB
	looks atomic.Int32
	fault atomic.Pointer[func(context.Context) error]
}

func (c *counted) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	c.looks.Add(1)
	if fault := c.fault.Load(); fault != nil {
		if err := (*fault)(ctx); err != nil {
			return nil, err
		}
	}
	return c.DB.SigningKeys(ctx)
}

// ringOn is a rig's key ring whose looks are counted, by the rig's clock.
func ringOn(t *testing.T, r *rig) (*Keyring, *counted) {
	t.Helper()
	c := &counted{DB: r.db}
	ring, err := NewKeyring(c, make([]byte, MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	ring.now = r.now
	return ring, c
}

// The current key is looked up once a second, however many ask at once. What
// another process rotates counts after that second; what this one does, at once.
func TestKeyIsKeptForASecond(t *testing.T) {
	r := newRig(t)
	ring, c := ringOn(t, r)
	id := func() string {
		t.Helper()
		key, err := ring.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key.id
	}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if _, err := ring.current(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first := id()
	r.pass(keyKept - time.Nanosecond)
	if id(); c.looks.Load() != 1 {
		t.Errorf("looked %d times within a second", c.looks.Load())
	}
	if err := r.ring.Rotate(t.Context(), "another process"); err != nil {
		t.Fatal(err)
	}
	if id() != first {
		t.Error("it looked within the second")
	}
	r.pass(time.Nanosecond)
	second := id()
	if second == first || c.looks.Load() != 2 {
		t.Errorf("after a second it has %s, as before: %t; looked %d times", second, second == first, c.looks.Load())
	}
	if err := ring.Rotate(t.Context(), "this process"); err != nil {
		t.Fatal(err)
	}
	if id() == second {
		t.Error("its own rotation does not count at once")
	}
}

// Nothing is kept of an error; whoever waits for one that hangs waits no longer
// than its own caller does.
func TestKeyAfterAnError(t *testing.T) {
	r := newRig(t)
	ring, c := ringOn(t, r)
	away := errors.New("the database is away")
	fault := func(context.Context) error { return away }
	c.fault.Store(&fault)
	for range 2 {
		if _, err := ring.current(t.Context()); !errors.Is(err, away) {
			t.Error(err)
		}
	}
	asked, hang := make(chan bool), make(chan bool)
	fault = func(context.Context) error { close(asked); <-hang; return nil }
	c.fault.Store(&fault)
	got := make(chan error)
	go func() { _, err := ring.current(context.Background()); got <- err }()
	<-asked
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ring.current(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that went away: %v", err)
	}
	close(hang)
	if err := <-got; err != nil {
		t.Error(err)
	}
	c.fault.Store(nil)
	if _, err := ring.current(t.Context()); err != nil || c.looks.Load() != 3 {
		t.Errorf("looked %d times: %v", c.looks.Load(), err)
	}
	// A key that this master key does not open is no key, each time.
	other, err := NewKeyring(c, append(make([]byte, MasterSize-1), 1))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := other.Check(t.Context()); !errors.Is(err, ErrMaster) {
			t.Error(err)
		}
	}
}

// A lease of the second after a rotation is good for software that was shipped
// before it.
func TestLeaseOfTheSecondAfterARotation(t *testing.T) {
	r := newRig(t)
	ring, _ := ringOn(t, r)
	r.Server.keys = ring
	l := r.issue()
	shipped, err := r.db.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slotOfKey := func() (slot string) {
		t.Helper()
		out := r.want(r.Validate(), form(l.Code, fingerprint, "renew", "true"), 200, "")
		_, err := jwt.Parse(out["lease"].(string), func(lease *jwt.Token) (any, error) {
			for _, key := range shipped {
				if key.ID == lease.Header["kid"] {
					slot = key.Slot
					return ed25519.PublicKey(key.Public), nil
				}
			}
			return nil, errors.New("the key was not shipped")
		}, jwt.WithTimeFunc(r.now))
		if err != nil {
			t.Error(err)
		}
		return slot
	}
	r.want(r.Activate(), form(l.Code, fingerprint), 200, "")
	if err := r.ring.Rotate(t.Context(), "another process"); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []string{store.SlotCurrent, store.SlotNext} {
		if got := slotOfKey(); got != slot {
			t.Errorf("signed by the key that was %q, want %q", got, slot)
		}
		r.pass(keyKept)
	}
}
