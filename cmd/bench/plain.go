package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/keypost/keypost/store"
)

// Plain SQL: the same rows as Keypost's, on the same driver with the same
// settings, and nothing else.

// A plain is a database that keypost set up and this program writes to.
type plain struct {
	*sql.DB
	lite     bool
	licenses []string // ids
	conns    []*sql.Conn
}

// openPlain opens a database; what it commits is durable, as the daemon's is.
func openPlain(source string) (*plain, error) {
	if path, lite := strings.CutPrefix(source, "sqlite:"); lite {
		pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}}
		db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode()+"&_txlock=immediate")
		if err == nil {
			db.SetMaxOpenConns(1)
		}
		return &plain{DB: db, lite: true}, err
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr, c.DBName = "tcp", u.Host, u.Path[1:]
	c.Collation, c.ClientFoundRows, c.InterpolateParams = "utf8mb4_bin", true, true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(connections)
	return &plain{DB: db}, nil
}

// Close closes the callers' connections, too.
func (p *plain) Close() error {
	for _, c := range p.conns {
		c.Close()
	}
	return p.DB.Close()
}

// Statements of the same rows as in store/queries.
const (
	insertSale = `INSERT INTO sale (id, store, transaction_id, transaction_fold, line_count, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	addLine    = `UPDATE sale SET line_count = line_count + 1, updated_at = ? WHERE store = ? AND transaction_fold = ?`
	insertKey  = `INSERT INTO order_key (hash, order_id, created_at) VALUES (?, ?, ?)`
	insertText = `INSERT INTO message (id, channel, verdict, reason, order_id, raw, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	insertSeat = `INSERT INTO activation (id, license_id, fp_mac, salt, fp_hash, lease_id, lease_issued_at, lease_expires_at,
 machine_name, platform, app_version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	takeSeat = `UPDATE license SET used = used + 1
 WHERE id = ? AND status = 'active' AND (expires_at IS NULL OR expires_at > ?) AND (seat_max = 0 OR used < seat_max)`
	insertOrder = `INSERT INTO orders (id, sale_id, line, channel, store_product, product, license_type, name, email, price, currency,
 seeds, oem_seed, quantity, seat_max, test, eight_bit, status, reason, prose, created_at, updated_at, store, email_fold, name_fold) VALUES `
	insertLicense = `INSERT INTO license (id, order_id, ordinal, generation, product, code, code_hash, type, status, test, seat_max,
 used, created_at, updated_at, code_fold) VALUES `
)

func places(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

func orderRow(id, sale string, now int64) []any {
	return []any{
		id, sale, 1, "kagi", "Product_Name", "demo", "single", "Fred Fragola", "email@domain.com", "149.000", "USD",
		"[]", "", 1, 0, false, false, "issued", "", "", now, now, "kagi", "email@domain.com", "fred fragola",
	}
}

func licenseRow(id, order, code string, used int, now int64) []any {
	hash := codeHash(code)
	return []any{id, order, 1, 0, "demo", code, hash[:], "single", "active", false, 0, used, now, now, store.NormalCode(code)}
}

func codeHash(code string) [sha256.Size]byte { return sha256.Sum256([]byte(store.NormalCode(code))) }

// code is the license code of a number.
func code(i int) string { return fmt.Sprintf("BENCH-%08d", i) }

// fingerprint is that of the machine which a license's number has.
func fingerprint(i int) string { return fmt.Sprintf("machine-of-%08d", i) }

func (b *bench) seatRow(license string, i int, now int64) []any {
	mac := b.keys.MAC(fingerprint(i))
	return []any{store.NewID(), license, mac, random(16), mac, store.NewID(), now, now + term.Microseconds(), "bench", "linux", "1.0", now}
}

// term of a lease: longer than the run, so that validate signs none.
const term = 168 * time.Hour

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
		if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF"); err != nil {
			return err
		}
	}
	// In the order of their hashes: an index is written from left to right.
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
	for batch := range slices.Chunk(numbers, 10_000) {
		if err := b.fillBatch(ctx, conn, batch); err != nil {
			return err
		}
	}
	if p.lite {
		_, err = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	} else {
		_, err = conn.ExecContext(ctx, "ANALYZE TABLE license")
	}
	return err
}

func (b *bench) fillBatch(ctx context.Context, conn *sql.Conn, numbers []int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now := time.Now().UnixMicro()
	const rows = 100 // a statement
	for part := range slices.Chunk(numbers, rows) {
		var keys, sales, orders, licenses, seats []any
		for _, i := range part {
			sale, order := store.NewID(), store.NewID()
			txn := fmt.Sprint("fill", i)
			key := codeHash(code(i)) // any that are in the order of the numbers
			keys = append(keys, key[:], order, now)
			sales = append(sales, sale, "kagi", txn, txn, 1, now, now)
			orders = append(orders, orderRow(order, sale, now)...)
			license := store.NewID()
			licenses = append(licenses, licenseRow(license, order, code(i), 1, now)...)
			seats = append(seats, b.seatRow(license, i, now)...)
		}
		for _, s := range []struct {
			text string
			args []any
		}{
			{strings.TrimSuffix(insertKey, places(3)), keys},
			{strings.TrimSuffix(insertSale, places(7)), sales},
			{insertOrder, orders},
			{insertLicense, licenses},
			{strings.TrimSuffix(insertSeat, places(12)), seats},
		} {
			row := places(len(s.args) / len(part))
			text := s.text + row + strings.Repeat(", "+row, len(part)-1)
			if _, err := tx.ExecContext(ctx, text, s.args...); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// prepare reads the licenses' ids, and opens all connections.
func (p *plain) prepare(ctx context.Context) error {
	rows, err := p.QueryContext(ctx, "SELECT id FROM license")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		p.licenses = append(p.licenses, id)
	}
	if err := rows.Err(); err != nil || p.lite {
		return err
	}
	for range connections {
		conn, err := p.Conn(ctx)
		if err != nil {
			return err
		}
		p.conns = append(p.conns, conn)
	}
	return nil
}

// side makes n transactions: on MariaDB each caller has a connection, on
// SQLite all have the one that writes.
func (p *plain) side(rows plainRows) side {
	return func(ctx context.Context, n int) (time.Duration, error) {
		return all(ctx, n, func(worker, _ int) error {
			begin := p.BeginTx
			if !p.lite {
				begin = p.conns[worker].BeginTx
			}
			tx, err := begin(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if err := do(ctx, tx, rows(p, time.Now().UnixMicro())); err != nil {
				return err
			}
			return tx.Commit()
		})
	}
}

// plainRows are the statements of one transaction.
type plainRows func(p *plain, now int64) []statement

// activationRows are those of a new machine on a license.
func activationRows(p *plain, now int64) []statement {
	license := p.licenses[rand.IntN(len(p.licenses))]
	mac := random(32)
	return []statement{
		{insertSeat, []any{store.NewID(), license, mac, random(16), mac, store.NewID(), now, now, "bench", "linux", "1.0", now}},
		{takeSeat, []any{license, now}},
	}
}

// orderRows are those of a new order of one code.
func orderRows(_ *plain, now int64) []statement {
	sale, order := store.NewID(), store.NewID()
	raw := orderPost(order)
	return []statement{
		{insertKey, []any{random(32), order, now}},
		{insertSale, []any{sale, "kagi", order, order, 0, now, now}},
		{addLine, []any{now, "kagi", order}},
		{insertOrder + places(25), orderRow(order, sale, now)},
		{insertLicense + places(15), licenseRow(store.NewID(), order, order, 0, now)},
		{insertText, []any{store.NewID(), "kagi", "accepted", "", order, raw, now}},
	}
}

type statement struct {
	text string
	args []any
}

func do(ctx context.Context, tx *sql.Tx, list []statement) error {
	for _, s := range list {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, rand.Uint64())
	}
	return b
}
