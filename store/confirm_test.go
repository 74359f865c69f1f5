package store

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// What a second caller was told stays, though the first one's commit was seen
// before it was on disk and the server died right then.
func TestConfirm(t *testing.T) {
	server, err := storetest.Start()
	if errors.Is(err, exec.ErrNotFound) {
		storetest.LeaveOut(t, "MariaDB is missing: make test installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	source, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := mustOpen(t, source, Options{Create: true}), mustOpen(t, source, Options{})
	licensed := mustAdd(t, first, newOrder("T0", "k0", "AAA-0")).Licenses[0]
	// flush has commits of all that follows wait for the disk, or not.
	flush := func(how string) {
		t.Helper()
		if err := server.Exec(t.Context(), "SET GLOBAL innodb_flush_log_at_trx_commit = "+how); err != nil {
			t.Fatal(err)
		}
	}
	die := func() {
		t.Helper()
		server.Kill()
		if err := server.Run(); err != nil {
			t.Fatal(err)
		}
	}

	flush("0")
	mustAdd(t, first, newOrder("T1", "k1", "AAA-1"))
	seat := machine(licensed, "m1")
	if _, _, err := first.Activate(t.Context(), seat, licensed); err != nil {
		t.Fatal(err)
	}
	flush("1")
	o, added, err := second.AddOrder(t.Context(), newOrder("T1", "k1", "AAA-2"))
	if err != nil || added {
		t.Fatalf("the repeat: added %v, %v", added, err)
	}
	if _, err := second.Confirm(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	die()
	if _, err := second.Order(t.Context(), o.ID); err != nil {
		t.Errorf("the order that the repeat was told of: %v", err)
	}

	flush("0")
	if _, err := first.Deactivate(t.Context(), licensed.ID, seat.FPMAC); err != nil {
		t.Fatal(err)
	}
	other := machine(licensed, "m2")
	if _, _, err := first.Activate(t.Context(), other, licensed); err != nil {
		t.Fatal(err)
	}
	flush("1")
	told, _, err := second.Activate(t.Context(), machine(licensed, "m2"), licensed)
	if err != nil || told.ID != other.ID {
		t.Fatalf("the machine again: %+v, %v", told, err)
	}
	die()
	if _, a, err := second.FindSeat(t.Context(), "demo", "AAA-0", other.FPMAC); err != nil || a.ID != other.ID {
		t.Errorf("the seat that the repeat was told of: %+v, %v", a, err)
	}

	flush("0")
	if _, err := first.Deactivate(t.Context(), licensed.ID, other.FPMAC); err != nil {
		t.Fatal(err)
	}
	flush("1")
	if _, err := second.Deactivate(t.Context(), licensed.ID, other.FPMAC); err != nil {
		t.Fatal(err)
	}
	die()
	if _, a, err := second.FindSeat(t.Context(), "demo", "AAA-0", other.FPMAC); err != nil || a.ID != "" {
		t.Errorf("the seat that the repeat was told is free: %+v, %v", a, err)
	}

	// What died before it was on disk is not confirmed afterwards.
	flush("0")
	lost := mustAdd(t, first, newOrder("T2", "k2", "AAA-3"))
	seat = machine(licensed, "m3")
	if _, _, err := first.Activate(t.Context(), seat, licensed); err != nil {
		t.Fatal(err)
	}
	die()
	if _, err := second.Confirm(t.Context(), lost); !errors.Is(err, ErrNotFound) {
		t.Errorf("an order that is lost: %v; want ErrNotFound", err)
	}
	if _, err := second.seat(t.Context(), seat); !errors.Is(err, ErrNotFound) {
		t.Errorf("a seat that is lost: %v; want ErrNotFound", err)
	}
}
