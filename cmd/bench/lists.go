package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// Lists and searches, as the command line and the dashboard ask the store for
// them.

var listRows = []row{
	{"any list or search of 100 rows, many licenses, SQLite", "", 50, "ms", lists(sqlite)},
	{"any list or search of 100 rows, many licenses, MariaDB", "", 50, "ms", lists(mariadb)},
}

const listed = 100 // rows

// lists measures the slowest of all lists, each by its median over pages that begin
// anywhere.
func lists(kind string) figure {
	return func(ctx context.Context, b *bench, _ float64) (result, error) {
		source, err := b.database(ctx, kind)
		if err != nil {
			return result{}, err
		}
		fmt.Fprintf(b.out, "filling %s with %d licenses, orders, notices and mails\n", kind, b.many)
		ids, err := b.fillLists(ctx, source, b.many)
		if err != nil {
			return result{}, err
		}
		db, err := store.Open(ctx, source, store.Options{})
		if err != nil {
			return result{}, err
		}
		defer db.Close()
		var slowest result
		name := ""
		for _, l := range allLists(db) {
			var figures []float64
			for range 3 * b.rounds {
				begin := time.Now()
				n, err := l.page(ctx, ids[len(ids)/4+rand.IntN(len(ids)/2)])
				took := time.Since(begin)
				if err != nil {
					return result{}, fmt.Errorf("%s: %w", l.name, err)
				}
				if n > listed {
					return result{}, fmt.Errorf("%s: %d rows", l.name, n)
				}
				figures = append(figures, float64(took.Microseconds())/1000)
			}
			got := median(figures)
			if got.measured > slowest.measured {
				slowest, name = got, l.name
			}
		}
		fmt.Fprintln(b.out, "the slowest:", name)
		return slowest, nil
	}
}

// A list is one set of filters; page shows 100 rows behind an id.
type list struct {
	name string
	page func(ctx context.Context, after string) (rows int, err error)
}

// fillProducts and fillStores are those of the filled rows, the most frequent one
// first.
var (
	fillProducts = []string{"demo", "pro", "rare"}
	fillStores   = []string{"kagi", "fastspring", "stripe"}
)

func allLists(db *store.DB) (all []list) {
	any := func(list []string) []string { return append([]string{""}, list...) }
	for _, s := range any(fillStores) {
		for _, p := range any(fillProducts) {
			for _, status := range any([]string{store.Issued, store.Held, store.Rejected}) {
				for _, who := range []store.OrderFilter{{}, {Name: "Buyer 77"}, {Email: "Buyer77@Example.com"}} {
					f := store.OrderFilter{Store: s, Product: p, Status: status, Name: who.Name, Email: who.Email, Limit: listed}
					all = append(all, list{fmt.Sprintf("orders %+v", f), func(ctx context.Context, after string) (int, error) {
						f.After = after
						l, err := db.Orders(ctx, f)
						return len(l), err
					}})
				}
			}
		}
	}
	for _, p := range any(fillProducts) {
		for _, status := range any([]string{store.Active, store.Revoked}) {
			f := store.LicenseFilter{Product: p, Status: status, Limit: listed}
			all = append(all, list{fmt.Sprintf("licenses %+v", f), func(ctx context.Context, after string) (int, error) {
				f.After = after
				l, err := db.Licenses(ctx, f)
				return len(l), err
			}})
			for _, begins := range []string{"B", "bench-00", "bench-00077"} {
				f := store.LicenseFilter{Product: p, Status: status, Beginning: begins, Limit: listed}
				all = append(all, list{fmt.Sprintf("licenses %+v", f), func(ctx context.Context, _ string) (int, error) {
					l, err := db.Licenses(ctx, f)
					return len(l), err
				}})
			}
		}
	}
	for _, channel := range []string{"", "mails"} {
		for _, verdict := range []string{"", store.MailTaken, store.MailHeld} {
			f := store.MailFilter{Channel: channel, Verdict: verdict, Limit: listed}
			all = append(all, list{fmt.Sprintf("mails %+v", f), func(ctx context.Context, after string) (int, error) {
				f.After = after
				l, err := db.Mails(ctx, f)
				return len(l), err
			}})
		}
	}
	for _, status := range []string{"", store.NoticeSent, store.NoticeDead} {
		for _, f := range []store.NoticeFilter{{}, {Kind: store.NoticeCodes}, {Endpoint: "crm"}, {Endpoint: "crm", Kind: string(store.EventOrderIssued)}} {
			f.Status, f.Limit = status, listed
			all = append(all, list{fmt.Sprintf("notices %+v", f), func(ctx context.Context, after string) (int, error) {
				f.After = after
				l, err := db.Outbox(ctx, f)
				return len(l), err
			}})
		}
	}
	return all
}

// fillLists puts n orders with a license, a notice and a mail each into a new database,
// of which some are unlike the others, and returns some of their ids. One id is an order's,
// a license's, a notice's and a mail's.
func (b *bench) fillLists(ctx context.Context, source string, n int) (ids []string, err error) {
	db, err := store.Open(ctx, source, store.Options{Create: true})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	p, err := openPlain(source)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	settings := "SET foreign_key_checks = 0, unique_checks = 0"
	if p.lite {
		settings = "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF"
	}
	if _, err := conn.ExecContext(ctx, settings); err != nil {
		return nil, err
	}
	for first := 0; first < n; first += 10_000 {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		for part := first; part < min(first+10_000, n); part += 100 {
			id, err := fillListed(ctx, tx, part, min(part+100, n))
			if err != nil {
				tx.Rollback()
				return nil, err
			}
			ids = append(ids, id)
		}
		if err := tx.Commit(); err != nil {
			return nil, err
		}
	}
	if p.lite {
		_, err = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		return ids, err
	}
	for _, table := range []string{"sale", "orders", "license", "outbox", "mail"} {
		if _, err := conn.ExecContext(ctx, "ANALYZE TABLE "+table); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// oneOf is the frequent one mostly, and one of the others every so often.
func oneOf(list []string, i, often int) string {
	if i%often != 0 {
		return list[0]
	}
	return list[1+i/often%(len(list)-1)]
}

const (
	insertNotice = `INSERT INTO outbox (id, kind, audience, order_id, status, next_at, endpoint, created_at, updated_at) VALUES `
	insertMail   = `INSERT INTO mail (id, channel, content_hash, folder, uid_validity, uid, message_id, domain, body_hash, profile, verdict, reason, detail,
 store, sale_fold, told, arrived_at, created_at) VALUES `
)

// fillListed inserts the rows of some numbers, by a statement a table.
func fillListed(ctx context.Context, tx *sql.Tx, from, until int) (id string, err error) {
	rows := map[string][]any{}
	order := []string{strings.TrimSuffix(insertSale, places(7)), insertOrder, insertLicense, insertNotice, insertMail}
	now := time.Now().UnixMicro()
	for i := from; i < until; i++ {
		id = store.NewID()
		txn, sold, product := fmt.Sprint("fill", i), oneOf(fillStores, i, 50), oneOf(fillProducts, i, 70)
		o := orderRow(id, id, now)
		buyer := i / 3
		for at, v := range map[int]any{
			5: product, 7: fmt.Sprint("Buyer ", buyer%1000), 8: fmt.Sprintf("Buyer%d@Example.com", buyer),
			17: oneOf([]string{store.Issued, store.Held, store.Rejected}, i, 30), 22: sold, 23: fmt.Sprintf("buyer%d@example.com", buyer), 24: fmt.Sprint("buyer ", buyer%1000),
		} {
			o[at] = v
		}
		l := licenseRow(id, id, code(i), 0, now)
		l[4], l[8] = product, oneOf([]string{store.Active, store.Revoked, store.Suspended}, i, 40)
		hash := codeHash(code(i))
		for table, row := range map[string][]any{
			order[0]: {id, sold, txn, txn, 1, now, now},
			order[1]: o,
			order[2]: l,
			order[3]: {
				id, oneOf([]string{store.NoticeCodes, string(store.EventOrderIssued), string(store.EventOrderHeld)}, i, 3), "buyer", id,
				oneOf([]string{store.NoticeSent, store.NoticeDead, store.NoticeWaiting}, i, 45), now, oneOf([]string{"", "crm", "chat"}, i, 3), now, now,
			},
			order[4]: {
				id, oneOf([]string{"mails", "more", "other"}, i, 20), hash[:], "INBOX", 1, i, "", "", hash[:], "",
				oneOf([]string{store.MailTaken, store.MailHeld, store.MailRefused, store.MailUnknown}, i, 35), "", "", sold, txn, "", now, now,
			},
		} {
			rows[table] = append(rows[table], row...)
		}
	}
	for _, text := range order {
		row := places(len(rows[text]) / (until - from))
		if _, err := tx.ExecContext(ctx, text+row+strings.Repeat(", "+row, until-from-1), slices.Clone(rows[text])...); err != nil {
			return "", err
		}
	}
	return id, nil
}
