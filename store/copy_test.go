package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled puts something into each table.
func filled(t *testing.T, db *DB) {
	t.Helper()
	n := newOrder("ÖRDER 'x' \\ \"y\"", "k1", "A-1", "A-2")
	n.Order.Name, n.Message.Raw = "Åsa 漢字 \x00 \\' 😀", []byte{0, 0xff, '\'', '\\'}
	o := mustAdd(t, db, n)
	held := newOrder("T2", "k2")
	held.Order.Seeds = nil
	held.Order.Differs = []Difference{{"price", "9.00 \"USD\"", "1.00 'EUR'"}}
	held.Outcome = Outcome{Held: "price", Prose: "Wait.", Notices: []Notice{{ID: NewID(), Kind: NoticeHeld, Audience: ToVendor}}}
	mustAdd(t, db, held)
	for i := range 3 {
		if _, _, err := db.Activate(t.Context(), machine(o.Licenses[0], fmt.Sprint("machine", i)), o.Licenses[0]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.SuspendLicense(t.Context(), o.Licenses[1].ID, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.RefundOrder(t.Context(), o.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if err := db.FirstSigningKeys(t.Context(), SigningKey{ID: "b", Public: []byte{1}, Sealed: []byte{2}}, SigningKey{ID: "B", Public: []byte{0xff}, Sealed: []byte{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SealAudit(t.Context(), sealKey()); err != nil {
		t.Fatal(err)
	}
}

func TestCopy(t *testing.T) {
	for _, b := range backends {
		for _, to := range backends {
			t.Run(b.name+" to "+to.name, func(t *testing.T) {
				source, target := b.new(t), to.new(t)
				db := mustOpen(t, source, Options{Create: true})
				filled(t, db)
				var last, all, rows int64
				list, err := Copy(t.Context(), source, target, CopyOptions{Progress: func(_ string, done, total int64) {
					if done < last {
						t.Errorf("%d rows are done after %d", done, last)
					}
					last, all = done, total
				}})
				if err != nil {
					t.Fatal(err)
				}
				if file, ok := strings.CutPrefix(target, "sqlite:"); ok {
					// One file, with nothing beside it that could be left behind.
					if beside, err := filepath.Glob(filepath.Dir(file) + "/*"); err != nil || len(beside) != 1 {
						t.Errorf("beside the copy: %v, %v", beside, err)
					}
				}
				got := mustOpen(t, target, Options{})
				sound(t, got)
				var tables []string
				for _, c := range list {
					tables = append(tables, c.Table)
					rows += c.Rows
				}
				if last != rows || all != rows {
					t.Errorf("%d rows, progress told of %d of %d", rows, last, all)
				}
				if diff := cmp.Diff(copied, tables); diff != "" {
					t.Error(diff)
				}
				want, err := db.Orders(t.Context(), OrderFilter{})
				if err != nil {
					t.Fatal(err)
				}
				have, err := got.Orders(t.Context(), OrderFilter{})
				if err != nil || len(want) != 2 {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, have); diff != "" {
					t.Error(diff)
				}
				if pauses, err := got.Pauses(t.Context()); err != nil || len(pauses) != 0 {
					t.Errorf("pauses = %v, %v", pauses, err)
				}
				if r, err := got.VerifyAudit(t.Context(), "", sealKey().Public().(publicKey)); err != nil || len(r.Faults) > 0 || r.Seals != 1 {
					t.Errorf("audit = %+v, %v", r, err)
				}
				// Never into a database with rows.
				if _, err := Copy(t.Context(), source, target, CopyOptions{}); !errors.Is(err, ErrNotEmpty) {
					t.Errorf("a second copy: %v", err)
				}
			})
		}
	}
}

// Every table is copied, or left out on purpose.
func TestCopyKnowsAllTables(t *testing.T) {
	db := mustOpen(t, backends[0].new(t), Options{Create: true})
	rows, err := db.reader.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		n++
		if !slices.Contains(copied, name) && !slices.Contains([]string{"claim", "pause", "goose_db_version", "sqlite_sequence"}, name) {
			t.Errorf("table %s is not copied: add it to copied, or here", name)
		}
	}
	if n < len(copied) {
		t.Errorf("%d tables", n)
	}
}

// A copy that was broken off cannot be opened, nor copied from; copied again, it
// is whole.
func TestCopyUnfinished(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source, target := backends[0].new(t), b.new(t)
			filled(t, mustOpen(t, source, Options{Create: true}))
			ctx, cancel := context.WithCancel(t.Context())
			_, err := Copy(ctx, source, target, CopyOptions{Progress: func(table string, _, _ int64) {
				if table == "license" {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("a broken-off copy: %v", err)
			}
			if b.name == "sqlite" { // nothing is left of it
				if _, err := Open(t.Context(), target, Options{}); !errors.Is(err, ErrNoDatabase) {
					t.Errorf("half a copy is left: %v", err)
				}
				// Left by a process that was killed.
				half := mustOpen(t, target, Options{Create: true})
				if err := errors.Join(half.mark(t.Context(), PauseCopy, "killed"), half.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Open(t.Context(), target, Options{Create: true}); !errors.Is(err, ErrUnfinished) {
				t.Errorf("it is opened: %v", err)
			}
			if _, err := Copy(t.Context(), target, backends[0].new(t), CopyOptions{}); !errors.Is(err, ErrUnfinished) {
				t.Errorf("it is copied from: %v", err)
			}
			if _, err := Copy(t.Context(), source, target, CopyOptions{}); err != nil {
				t.Fatalf("copied again: %v", err)
			}
			whole := mustOpen(t, target, Options{})
			sound(t, whole)
			whole.Close()
			if _, err := Copy(t.Context(), source, target, CopyOptions{}); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("copied into a whole one: %v", err)
			}
		})
	}
}

// A database that was made and never used counts as empty: its keys have signed
// nothing.
func TestCopyIntoAFreshDatabase(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source, target := backends[0].new(t), b.new(t)
			from := mustOpen(t, source, Options{Create: true})
			filled(t, from)
			fresh := mustOpen(t, target, Options{Create: true})
			current, next := SigningKey{ID: "fresh-1", Public: []byte{1}, Sealed: []byte{1}}, SigningKey{ID: "fresh-2", Public: []byte{2}, Sealed: []byte{2}}
			if err := errors.Join(fresh.FirstSigningKeys(t.Context(), current, next), fresh.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := Copy(t.Context(), source, target, CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			ids := func(db *DB) (list []string) {
				keys, err := db.SigningKeys(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range keys {
					list = append(list, k.ID)
				}
				return list
			}
			if diff := cmp.Diff(ids(from), ids(mustOpen(t, target, Options{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A backup of an older keypost is brought up to date by the copy.
func TestCopyOfAnOlderSchema(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source, target := b.new(t), backends[0].new(t)
			firstSchema(t, source)
			if _, err := Copy(t.Context(), source, target, CopyOptions{Pause: "restored"}); err != nil {
				t.Fatal(err)
			}
			db := mustOpen(t, target, Options{})
			sound(t, db)
			pauses, err := db.Pauses(t.Context())
			if err != nil || len(pauses) != 2 || pauses[0].Name != PauseOutbox || pauses[0].Reason != "restored" {
				t.Errorf("pauses = %v, %v", pauses, err)
			}
			if err := db.EndPauses(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			if err := db.EndPauses(t.Context(), "test"); !errors.Is(err, ErrNotFound) {
				t.Errorf("nothing is paused: %v", err)
			}
		})
	}
}

// While a copy runs, orders go on coming in; what is there at its beginning is
// in it, whole.
func TestCopyWhileRunning(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source, target := b.new(t), "sqlite:"+filepath.Join(t.TempDir(), "backup.db")
			db := mustOpen(t, source, Options{Create: true})
			for i := range 20 {
				mustAdd(t, db, newOrder(fmt.Sprint("A", i), fmt.Sprint("a", i), fmt.Sprint("CODE-A", i)))
			}
			n := 0
			_, err := Copy(t.Context(), source, target, CopyOptions{Progress: func(string, int64, int64) {
				n++
				mustAdd(t, db, newOrder(fmt.Sprint("B", n), fmt.Sprint("b", n), fmt.Sprint("CODE-B", n)))
			}})
			if err != nil {
				t.Fatal(err)
			}
			got := mustOpen(t, target, Options{})
			sound(t, got)
			orders, err := got.Orders(t.Context(), OrderFilter{})
			if err != nil || n < 10 || len(orders) < 20 || len(orders) > 21 {
				t.Errorf("%d orders came in meanwhile, %d were copied, %v", n, len(orders), err)
			}
		})
	}
}

// A rule that does not hold is found.
func TestVerifyFinds(t *testing.T) {
	const stray = `INSERT INTO activation SELECT 'x', 'nobody', fp_mac, salt, fp_hash, lease_id, lease_issued_at, lease_expires_at,
  machine_name, platform, app_version, created_at FROM activation LIMIT 1`
	for _, d := range []struct{ damage, what string }{
		{"UPDATE license SET used = used + 1 WHERE ordinal = 1", "as many seats"},
		{"UPDATE license SET used = 4, seat_max = 3 WHERE ordinal = 1", "more machines than seats"},
		{"UPDATE orders SET quantity = 9 WHERE status = 'issued'", "has its codes"},
		{"UPDATE orders SET status = 'held' WHERE status = 'issued'", "that was not issued"},
		{"DELETE FROM order_key", "order has a key"},
		{"INSERT INTO order_key (hash, order_id, created_at) VALUES ('x', 'y', 0)", "key has an order"},
		{"UPDATE sale SET line_count = 7", "counts its lines"},
		{"UPDATE license SET status = 'active'", "worst of its reasons"},
		{"UPDATE license SET code = 'OTHER'", "normal form"},
		{"UPDATE orders SET email_fold = 'other'", "by its buyer"},
		{"INSERT INTO upgrade SELECT id, 'nobody', 0 FROM license LIMIT 1", "upgrade belongs"},
		{stray, "on a license"},
	} {
		t.Run(d.what, func(t *testing.T) {
			each(t, func(t *testing.T, db, _ *DB) {
				filled(t, db)
				sound(t, db)
				if _, err := db.writer.ExecContext(t.Context(), d.damage); err != nil {
					t.Fatal(err)
				}
				list, err := db.Verify(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range list {
					if strings.Contains(v.What, d.what) && v.Broken > 0 && len(v.Some) > 0 && v.Rows > 0 {
						return
					}
				}
				t.Errorf("not found after %s: %+v", d.damage, list)
			})
		})
	}
}
