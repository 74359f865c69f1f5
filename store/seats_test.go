package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machine asks for a seat on a license.
func machine(l License, name string) Activation {
	at := time.Now().UTC().Truncate(time.Second)
	return Activation{
		ID: NewID(), License: l.ID, FPMAC: []byte(name), Salt: []byte("salt"), FPHash: []byte("hash of " + name),
		LeaseID: NewID(), LeaseIssued: at, LeaseExpires: at.Add(time.Hour), Machine: Machine{Name: name},
	}
}

func issued(t *testing.T, db *DB, limit int) License {
	t.Helper()
	n := newOrder(NewID(), NewID(), NewID())
	n.Order.Limit = limit
	return mustAdd(t, db, n).Licenses[0]
}

func TestActivateAgainIsTheSameSeat(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		l := issued(t, db, 1)
		first, after, err := db.Activate(t.Context(), machine(l, "m1"), l)
		if err != nil || after.Used != 1 {
			t.Fatalf("first = %+v, %v", after, err)
		}
		again, after, err := other.Activate(t.Context(), machine(l, "m1"), l)
		if err != nil || after.Used != 1 || again.ID != first.ID || again.LeaseID != first.LeaseID || again.CreatedAt != first.CreatedAt {
			t.Errorf("again = %+v, %+v, %v; want %+v", again, after, err, first)
		}
		_, after, err = db.Activate(t.Context(), machine(l, "m2"), l)
		if !errors.Is(err, ErrLimit) || after.Used != 1 || after.Limit != 1 {
			t.Errorf("one too many = %+v, %v", after, err)
		}
		if list, err := db.Activations(t.Context(), l.ID); err != nil || len(list) != 1 || list[0].Machine.Name != "m1" {
			t.Errorf("machines = %+v, %v", list, err)
		}
	})
}

// 64 machines, each asking twice, race for 3 seats by two openings.
func TestSeatsRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		l := issued(t, db, 3)
		var good, full atomic.Int32
		parallel(128, func(i int) {
			use := []*DB{db, other}[i%2]
			_, _, err := use.Activate(context.Background(), machine(l, fmt.Sprint("m", i/2)), l)
			switch {
			case err == nil:
				good.Add(1)
			case errors.Is(err, ErrLimit):
				full.Add(1)
			default:
				t.Error(err)
			}
		})
		if good.Load() != 6 || full.Load() != 122 {
			t.Errorf("%d calls got a seat and %d none, want 6 and 122", good.Load(), full.Load())
		}
		checkSeats(t, db, l.ID, 3)
	})
}

// checkSeats compares the license's counter with its rows.
func checkSeats(t *testing.T, db *DB, id string, want int) {
	t.Helper()
	l, err := db.License(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Activations(t.Context(), id)
	if err != nil || l.Used != want || len(rows) != want {
		t.Errorf("used = %d, rows = %d, %v; want %d", l.Used, len(rows), err, want)
	}
}

func TestDeactivate(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		l := issued(t, db, 3)
		for _, m := range []string{"m1", "m2"} {
			if _, _, err := db.Activate(t.Context(), machine(l, m), l); err != nil {
				t.Fatal(err)
			}
		}
		parallel(8, func(i int) {
			use := []*DB{db, other}[i%2]
			if _, err := use.Deactivate(context.Background(), l.ID, []byte("m1")); err != nil {
				t.Error(err)
			}
		})
		checkSeats(t, db, l.ID, 1)
		if after, err := db.Deactivate(t.Context(), l.ID, []byte("never there")); err != nil || after.Used != 1 {
			t.Errorf("an unknown machine = %+v, %v", after, err)
		}
		if after, err := db.ResetLicense(t.Context(), l.ID, "test"); err != nil || after.Used != 0 {
			t.Errorf("reset = %+v, %v", after, err)
		}
		checkSeats(t, db, l.ID, 0)
	})
}

func TestActivateOnlyWhatMayBeUsed(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { activateOnlyWhatMayBeUsed(t, b.new(t)) })
	}
}

func activateOnlyWhatMayBeUsed(t *testing.T, source string) {
	var clock atomic.Pointer[time.Time]
	set := func(at time.Time) { clock.Store(&at) }
	set(time.Now())
	db := mustOpen(t, source, Options{Create: true, Now: func() time.Time { return *clock.Load() }})
	n := newOrder("T", "k", "CODE")
	end := clock.Load().Add(time.Hour)
	n.Order.ExpiresAt = &end
	l := mustAdd(t, db, n).Licenses[0]
	if _, _, err := db.Activate(t.Context(), machine(l, "known"), l); err != nil {
		t.Fatal(err)
	}
	// Every machine is told, the known one too.
	want := func(step string, want error) {
		t.Helper()
		for _, m := range []string{"known", "new"} {
			_, got, err := db.Activate(t.Context(), machine(l, m), l)
			if !errors.Is(err, want) || got.ID != l.ID {
				t.Errorf("%s, machine %s: %v, want %v", step, m, err, want)
			}
		}
		if got, a, err := db.FindSeat(t.Context(), "demo", "code", []byte("known")); !errors.Is(err, want) || got.ID != l.ID || a.ID == "" {
			t.Errorf("%s, find: %v, want %v", step, err, want)
		}
		checkSeats(t, db, l.ID, 1)
	}
	steps := []struct {
		name string
		do   func() (License, error)
		want error
	}{
		{"suspended", func() (License, error) { return db.SuspendLicense(t.Context(), l.ID, "test") }, ErrSuspended},
		{"revoked", func() (License, error) { return db.RevokeLicense(t.Context(), l.ID, "test") }, ErrRevoked},
	}
	for _, s := range steps {
		if _, err := s.do(); err != nil {
			t.Fatal(err)
		}
		want(s.name, s.want)
	}
	if _, err := db.RestoreLicense(t.Context(), l.ID, "test"); err != nil {
		t.Fatal(err)
	}
	set(end)
	want("expired", ErrExpired)
	set(end.Add(-time.Microsecond))
	if _, _, err := db.Activate(t.Context(), machine(l, "new"), l); err != nil {
		t.Errorf("a moment before its end: %v", err)
	}
	if got, a, err := db.FindSeat(t.Context(), "demo", "code", []byte("nobody")); err != nil || got.ID != l.ID || a.ID != "" {
		t.Errorf("a machine without a seat: %+v, %v", a, err)
	}
	if _, _, err := db.FindSeat(t.Context(), "demo", "other", []byte("known")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a code that is not: %v", err)
	}
}

// A seat is read as it was written.
func TestFindSeat(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		l := issued(t, db, 3)
		want, _, err := db.Activate(t.Context(), machine(l, "m"), l)
		if err != nil {
			t.Fatal(err)
		}
		got, a, err := other.FindSeat(t.Context(), l.Product, l.Code, []byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		want.FPMAC, want.Salt, want.FPHash, want.Machine = nil, nil, nil, Machine{}
		if diff := cmp.Diff(want, a); diff != "" {
			t.Error(diff)
		}
		l.OrderID, l.Code, l.Ordinal, l.CreatedAt, l.Used = "", "", 0, time.Time{}, 1
		if diff := cmp.Diff(l, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRenewLeaseRace(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		l := issued(t, db, 3)
		a, _, err := db.Activate(t.Context(), machine(l, "m"), l)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]Activation, 8)
		parallel(len(got), func(i int) {
			next := a
			next.LeaseID, next.LeaseExpires = NewID(), a.LeaseExpires.Add(time.Hour)
			var err error
			if got[i], err = []*DB{db, other}[i%2].RenewLease(context.Background(), next, a.LeaseID); err != nil {
				t.Error(err)
			}
		})
		for _, g := range got {
			if g.LeaseID != got[0].LeaseID || g.LeaseID == a.LeaseID || !bytes.Equal(g.Salt, a.Salt) {
				t.Errorf("renewed leases differ: %+v and %+v", g, got[0])
			}
		}
	})
}
