package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// code is the license code of a number.
func code(i int) string { return fmt.Sprintf("BENCH-%08d", i) }

// fingerprint is that of the machine which a license's number has.
func fingerprint(i int) string { return fmt.Sprintf("machine-of-%08d", i) }

// term of a lease: longer than the run, so that validate signs none.
const term = 168 * time.Hour

// What a fill has of each license that differs; all else is the same in all rows,
// and the database copies it.
const (
	stage = `CREATE TEMPORARY TABLE stage (n BIGINT NOT NULL PRIMARY KEY, txn VARCHAR(255) NOT NULL, sale CHAR(26) NOT NULL, line CHAR(26) NOT NULL,
 license CHAR(26) NOT NULL, code VARCHAR(255) NOT NULL, hash VARBINARY(32) NOT NULL, machine CHAR(26) NOT NULL, mac VARBINARY(32) NOT NULL, salt VARBINARY(16) NOT NULL)`
	stageRow = `INSERT INTO stage (n, txn, sale, line, license, code, hash, machine, mac, salt) VALUES `
)

// unstage are the rows of store/queries, out of what is staged; ?1 is
// now, and ?2 the term of a lease.
var unstage = []string{
	`INSERT INTO order_key (hash, order_id, created_at) SELECT hash, line, ?1 FROM stage ORDER BY n`,
	`INSERT INTO sale (id, store, transaction_id, transaction_fold, line_count, created_at, updated_at)
 SELECT sale, 'kagi', txn, txn, 1, ?1, ?1 FROM stage ORDER BY n`,
	`INSERT INTO orders (id, sale_id, line, channel, store_product, product, license_type, name, email, price, currency,
 seeds, oem_seed, quantity, seat_max, test, eight_bit, status, reason, prose, created_at, updated_at)
 SELECT line, sale, 1, 'kagi', 'Product_Name', 'demo', 'single', 'Fred Fragola', 'email@domain.com', '149.000', 'USD',
 '[]', '', 1, 0, FALSE, FALSE, 'issued', '', '', ?1, ?1 FROM stage ORDER BY n`,
	`INSERT INTO license (id, order_id, ordinal, generation, product, code, code_hash, type, status, test, seat_max, used, created_at, updated_at)
 SELECT license, line, 1, 0, 'demo', code, hash, 'single', 'active', FALSE, 0, 1, ?1, ?1 FROM stage ORDER BY n`,
	`INSERT INTO activation (id, license_id, fp_mac, salt, fp_hash, lease_id, lease_issued_at, lease_expires_at,
 machine_name, platform, app_version, created_at)
 SELECT machine, license, mac, salt, mac, machine, ?1, ?1 + ?2, 'bench', 'linux', '1.0', ?1 FROM stage ORDER BY n`,
}

// fill puts n licenses, each with its sale, its order and key, and a machine, into a database that
// keypost set up, and closes it.
func (b *bench) fill(ctx context.Context, source string, n int) error {
	db, err := store.Open(ctx, source, store.Options{Create: true})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if u, err := url.Parse(source); err == nil && u.Scheme == "mysql" { // more than Keypost itself needs
		grant := fmt.Sprintf("GRANT CREATE TEMPORARY TABLES ON %s.* TO '%s'@'127.0.0.1'", u.Path[1:], u.User.Username())
		if err := b.mariadb.Exec(ctx, grant); err != nil {
			return err
		}
	}
	p, err := openPlain(source)
	if err != nil {
		return err
	}
	defer p.Close()
	conn, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if p.lite { // on this connection alone, until it is full
		if _, err := conn.ExecContext(ctx, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY"); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, stage); err != nil {
		return err
	}
	// In the order of their hashes: every index is written from left to right.
	numbers := make([]int, n)
	hashes := make([]uint64, n)
	for i := range numbers {
		h := codeHash(code(i))
		numbers[i], hashes[i] = i, binary.BigEndian.Uint64(h[:])
	}
	slices.SortFunc(numbers, func(a, b int) int {
		if hashes[a] < hashes[b] {
			return -1
		}
		return 1
	})
	first := 0
	for batch := range slices.Chunk(numbers, 10_000) {
		if err := b.fillBatch(ctx, conn, first, batch); err != nil {
			return err
		}
		first += len(batch)
	}
	if p.lite {
		_, err = conn.ExecContext(ctx, "PRAGMA journal_mode = WAL")
	} else {
		_, err = conn.ExecContext(ctx, "ANALYZE TABLE license")
	}
	return err
}

func (b *bench) fillBatch(ctx context.Context, conn *sql.Conn, first int, numbers []int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "DELETE FROM stage"); err != nil {
		return err
	}
	const rows = 100 // a statement
	for part := range slices.Chunk(numbers, rows) {
		var args []any
		for _, i := range part {
			hash := codeHash(code(i))
			args = append(args, first, fmt.Sprintf("fill%010d", first), store.NewID(), store.NewID(), store.NewID(), code(i), hash[:], store.NewID(),
				b.keys.MAC(fingerprint(i)), random(16))
			first++
		}
		row := places(len(args) / len(part))
		if _, err := tx.ExecContext(ctx, stageRow+row+strings.Repeat(", "+row, len(part)-1), args...); err != nil {
			return err
		}
	}
	figures := strings.NewReplacer("?1", fmt.Sprint(time.Now().UnixMicro()), "?2", fmt.Sprint(term.Microseconds()))
	for _, text := range unstage {
		if _, err := tx.ExecContext(ctx, figures.Replace(text)); err != nil {
			return err
		}
	}
	return tx.Commit()
}
