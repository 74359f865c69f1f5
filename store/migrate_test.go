package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// firstSchema makes a database as the first keypost left it in the field.
func firstSchema(t *testing.T, source string) {
	t.Helper()
	db, err := connect(source, opening{create: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.migrateTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile("testdata/first.sql")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rows)) {
		if !strings.HasPrefix(line, "INSERT") {
			continue
		}
		// Backslashes mean nothing to SQLite and something to MySQL.
		if _, err := db.writer.ExecContext(t.Context(), strings.ReplaceAll(line, `\`, `\\`)); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
	}
}

// The first schema is in the field: what it was, it stays.
func TestFirstSchemaIsFrozen(t *testing.T) {
	file, err := migrations.ReadFile("migrations/00001_first.sql")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(file)); got != "dba725ffed3fcc736ca01b3a1e35807c608294204bc09727cdb7ec4f1fa0d3d9" {
		t.Errorf("00001_first.sql was changed (%s): write a new migration", got)
	}
}

func TestFrozenSchemaIsUpgraded(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source := b.new(t)
			firstSchema(t, source)
			_, err := Open(t.Context(), source, Options{Create: true})
			if !errors.Is(err, ErrSchema) || !errors.Is(err, ErrOlder) {
				t.Fatalf("an older database is opened: %v", err)
			}
			parallel(4, func(int) {
				if _, to, err := Migrate(t.Context(), source); err != nil || to != newest() {
					t.Errorf("Migrate = to %d, %v", to, err)
				}
			})
			db := mustOpen(t, source, Options{})
			sound(t, db)
			orders, err := db.Orders(t.Context(), OrderFilter{Store: "kagi", Fold: "first-1", Line: 1})
			if err != nil || len(orders) != 1 {
				t.Fatalf("orders = %v, %v", orders, err)
			}
			o := orders[0]
			if diff := cmp.Diff([]string{"AKXMC-XR8CR-X86AT-H4KWP-PXH7F", "44RD2-4XRAC-MKMPY-F8ATM-RY36Y"}, codesOf(o)); diff != "" {
				t.Error(diff)
			}
			if o.Licenses[0].Used != 2 || o.Licenses[1].Status != Suspended || o.Name != "Ada Lovelace" {
				t.Errorf("order = %+v", o)
			}
			// A key that was taken before stays taken.
			var key Key
			var hash []byte
			if err := db.reader.QueryRowContext(t.Context(), "SELECT hash FROM order_key WHERE order_id = ?", o.ID).Scan(&hash); err != nil {
				t.Fatal(err)
			}
			copy(key[:], hash)
			n := newOrder("FIRST-1", "", "NEW")
			n.Keys = []Key{key}
			if got, added, err := db.AddOrder(t.Context(), n); err != nil || added || got.ID != o.ID {
				t.Errorf("an order from before the upgrade: added %v, %v", added, err)
			}
			mustAdd(t, db, newOrder("AFTER", "after", "NEW"))
			sound(t, db)
		})
	}
}

// A process that died between adding a column and noting so is no hindrance.
func TestMigrateAfterACrash(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			source := b.new(t)
			db := mustOpen(t, source, Options{Create: true})
			statements := []string{"DELETE FROM goose_db_version WHERE version_id >= 6"}
			if b.name == "sqlite" {
				// One transaction there: the column and its version go together.
				statements = append(statements, "DROP INDEX outbox_by_endpoint", "DROP INDEX outbox_of_endpoint",
					"DROP INDEX orders_by_email", "DROP INDEX orders_by_name", "DROP INDEX orders_of_store", "DROP INDEX orders_of_both", "DROP INDEX license_by_beginning",
					"ALTER TABLE orders DROP COLUMN store", "ALTER TABLE orders DROP COLUMN email_fold", "ALTER TABLE orders DROP COLUMN name_fold",
					"ALTER TABLE license DROP COLUMN code_fold", "ALTER TABLE outbox DROP COLUMN endpoint", "ALTER TABLE outbox DROP COLUMN subject",
					"ALTER TABLE orders DROP COLUMN language", "ALTER TABLE orders DROP COLUMN differs", "ALTER TABLE license DROP COLUMN note")
			}
			for _, statement := range statements {
				if _, err := db.writer.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if from, to, err := Migrate(t.Context(), source); err != nil || from != 5 || to != newest() {
				t.Fatalf("Migrate = %d to %d, %v", from, to, err)
			}
			mustOpen(t, source, Options{})
		})
	}
}

// sound fails the test where a rule on the rows does not hold.
func sound(t *testing.T, db *DB) {
	t.Helper()
	list, err := db.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Broken > 0 {
			t.Errorf("not so: %s: %v", v.What, v.Some)
		}
	}
	// A list of all statuses asks for each of those that it knows.
	for column, known := range map[string][]string{
		"orders.status": orderStatuses, "license.status": licenseStatuses, "outbox.status": noticeStatuses, "mail.verdict": mailVerdicts,
	} {
		table, name, _ := strings.Cut(column, ".")
		var missed int
		text := "SELECT COUNT(*) FROM " + table + " WHERE " + name + " NOT IN ('" + strings.Join(known, "', '") + "')"
		if err := db.writer.QueryRowContext(t.Context(), text).Scan(&missed); err != nil || missed > 0 {
			t.Errorf("%d rows have a %s that lists do not know, %v", missed, column, err)
		}
	}
}
