package store

import (
	"context"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// Calls that meet a query at the same time prepare it once: one that closed
// what it had prepared too much would wait for that connection with the others
// behind it.
func TestPrepareOnce(t *testing.T) {
	db := mustOpen(t, storetest.MariaDB(t), Options{Create: true})
	prepared := func() (n int) {
		var name string
		if err := db.reader.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := prepared()
	parallel(32, func(int) { db.stmts.prepare(context.Background(), "SELECT 1 + 1") })
	if n := prepared() - before; n != 1 {
		t.Errorf("one query was prepared %d times", n)
	}
	if db.stmts.find("SELECT 1 + 1") == nil {
		t.Error("and is not kept")
	}
}
