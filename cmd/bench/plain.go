package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"net/url"
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
