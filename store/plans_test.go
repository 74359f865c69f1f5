package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// No list and no search reads a whole table, a whole index, or sorts more than a
// page: the database is asked how it would read, with rows enough that it decides
// as it does with a million. Every query of package queries is explained, and
// every text that lists and searches make: [TestMain] fails when any test of the suite has
// made one that this one has not.

// asked are the reads of the whole suite outside of transactions whose texts are
// made for each search, explained those that TestPlans has explained.
var (
	askedMu          sync.Mutex
	asked, explained = map[string]bool{}, map[string]bool{}
)

var (
	places = regexp.MustCompile(`\?(?:, ?\?)+`)
	named  = regexp.MustCompile(`^-- name: (\w+)`)
)

// shape is a text whatever the number of values in its lists; "": it is one of
// package queries, whose texts are all known.
func shape(text string) string {
	if named.MatchString(text) {
		return ""
	}
	return places.ReplaceAllString(text, "?…")
}

func record(text string, _ []any) {
	if s := shape(text); s != "" {
		askedMu.Lock()
		defer askedMu.Unlock()
		asked[s] = true
	}
}

// unplanned are the texts that were asked and not explained; none where TestPlans did
// not run.
func unplanned() (list []string) {
	if len(explained) == 0 {
		return nil
	}
	for s := range asked {
		if !explained[s] {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list
}

// wholes are the queries that read a whole table or index, or sort it, and why
// that is right.
var wholes = map[string]string{
	"Pauses":               "three rows at the most",
	"SigningKeys":          "a row a rotation",
	"ClaimsLike":           "a row a running process",
	"LastSeal":             "newest first, and the newest is the one",
	"CountSeals":           "audit verify reads all of them",
	"CountSealed":          "audit verify reads all of them",
	"PoolLevels":           "it counts all codes, in the index",
	"MailNumbers":          "it reads the running numbers of some days, which are those in force",
	"CountHeld":            "it counts by channel and reason, in the index of those that are held",
	"CountNoticesByKind":   "likewise",
	"CountRefusedSince":    "likewise",
	"StaleProducts":        "of the orders whose reservation ran out",
	"DueMails":             "likewise",
	"DueWebhooks":          "likewise",
	"DueMailsOfKind":       "likewise",
	"ActivationsOfLicense": "it sorts the machines of one license",
	"MessagesOfOrder":      "it sorts the messages of one order",
	"MoneyEventsOfSale":    "it sorts the refunds of one sale",
	"LicensesOfOrder":      "it sorts the codes of one order",
	"SharersOfLicense":     "it sorts the orders of one license",
	"SharesOfLicense":      "it sorts the orders of one license",
	"ReasonsOfLicense":     "it sorts the reasons of one license",
	"AuditOfSeal":          "it sorts the rows of one second",
}

const (
	planRows = 6000 // orders; MariaDB's choices stay the same with a million
	planPage = 100
)

func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills a database")
	}
	for _, b := range backends[:2] {
		t.Run(b.name, func(t *testing.T) {
			db := mustOpen(t, b.new(t), Options{Create: true})
			p := fillForPlans(t, db)
			type read struct {
				text string
				args []any
			}
			var reads []read
			db.asked = func(text string, args []any) { reads = append(reads, read{text, args}) }
			seen := map[string]bool{}
			explain := func(call, text string, args []any) {
				key := "text " + shape(text)
				if m := named.FindStringSubmatch(text); m != nil {
					key = m[1]
					seen[key] = true
				} else {
					askedMu.Lock()
					explained[shape(text)] = true
					askedMu.Unlock()
				}
				faults := planFaults(t, db, text, args)
				if len(faults) > 0 && wholes[key] == "" {
					t.Errorf("%s:\n%s\n%v\n%s", call, strings.TrimSpace(text), args, strings.Join(faults, "\n"))
				}
			}
			for call, do := range p.calls(db) {
				reads = nil
				if err := do(t.Context()); err != nil {
					t.Fatalf("%s: %v", call, err)
				}
				if len(reads) == 0 {
					t.Errorf("%s asks nothing", call)
				}
				for _, r := range reads {
					explain(call, r.text, r.args)
				}
			}
			db.asked = nil
			for name, text := range selects(t) {
				if !seen[name] {
					explain("in queries", text, p.argsFor(text))
				}
			}
		})
	}
}

// selects are the queries of package queries that read, by name.
func selects(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	files, err := filepath.Glob("queries/*.sql.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("const (\\w+) = `([^`]*)`").FindAllStringSubmatch(string(b), -1) {
			if regexp.MustCompile(`(?m)^SELECT`).MatchString(m[2]) {
				list[m[1]] = regexp.MustCompile(`/\*SLICE:\w+\*/\?`).ReplaceAllString(m[2], "?,?,?")
			}
		}
	}
	return list
}

// planFaults says what is wrong with how the database would run a query.
func planFaults(t *testing.T, db *DB, text string, args []any) (faults []string) {
	t.Helper()
	explain := "EXPLAIN "
	if db.dialect.shared {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.writer.QueryContext(t.Context(), explain+text, args...)
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, text, args)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan []map[string]string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		step := map[string]string{}
		for i, c := range columns {
			step[c] = values[i].String
		}
		plan = append(plan, step)
	}
	if db.dialect.shared {
		return liteFaults(plan)
	}
	return mariaFaults(plan)
}

// derived are the tables that a statement makes itself: a page of each.
var derived = regexp.MustCompile(`^(?:page[a-z]?|pages|\(subquery-\d+\)|CONSTANT ROW)$`)

func liteFaults(plan []map[string]string) (faults []string) {
	for _, step := range plan {
		detail := step["detail"]
		fields := strings.Fields(detail)
		switch {
		case fields[0] == "SCAN" && detail != "SCAN CONSTANT ROW" && !derived.MatchString(fields[1]):
			faults = append(faults, detail)
		case strings.HasPrefix(detail, "USE TEMP B-TREE") && !slices.ContainsFunc(plan, func(other map[string]string) bool {
			return other["parent"] == step["parent"] && strings.HasPrefix(other["detail"], "SCAN page")
		}) && !strings.Contains(detail, "GROUP BY") && !strings.Contains(detail, "LAST TERM"): // the last term sorts equal codes, of which each product has one
			faults = append(faults, detail)
		}
	}
	if len(faults) > 0 {
		for _, step := range plan {
			faults = append(faults, "  | "+step["id"]+" "+step["parent"]+" "+step["detail"])
		}
	}
	return faults
}

func mariaFaults(plan []map[string]string) (faults []string) {
	for _, step := range plan {
		if strings.HasPrefix(step["table"], "<") { // rows that the statement has made: a page of each
			continue
		}
		var rows int
		fmt.Sscan(step["rows"], &rows)
		if step["type"] == "ALL" || step["type"] == "index" && rows > 2*planPage || strings.Contains(step["Extra"], "filesort") && rows > planPage {
			faults = append(faults, "a scan or a sort")
		}
	}
	if len(faults) > 0 {
		for _, step := range plan {
			faults = append(faults, fmt.Sprintf("  | %s %s type %s key %s rows %s %s", step["select_type"], step["table"], step["type"], step["key"], step["rows"], step["Extra"]))
		}
	}
	return faults
}

// plans are values out of the rows that a database was filled with.
type plans struct {
	orders, licenses, mails, notices, sales []string
	hash                                    []byte
	from, to                                time.Time
}

// calls are all lists and searches, with each set of filters that may be given
// together.
func (p *plans) calls(db *DB) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{}
	middle := len(p.orders) / 2
	add := func(name string, do func(context.Context) error) { calls[name] = do }
	either := func(s string) []string { return []string{"", s} }
	for _, store := range either("kagi") {
		for _, status := range []string{"", Issued, Held, Reserved} {
			for _, product := range either("demo") {
				for _, who := range []OrderFilter{{}, {Email: "Buyer7@Example.com"}, {Name: "fred"}, {Email: "Buyer7@Example.com", Name: "fred"}} {
					for _, after := range either(p.orders[middle]) {
						for _, dated := range []bool{false, true} {
							f := OrderFilter{Store: store, Status: status, Product: product, Email: who.Email, Name: who.Name, After: after, Limit: planPage}
							if dated {
								f.From, f.To = p.from, p.to
							}
							add(fmt.Sprintf("Orders %+v", f), func(ctx context.Context) error {
								_, err := db.Orders(ctx, f)
								return err
							})
						}
					}
				}
			}
		}
	}
	for _, f := range []OrderFilter{
		{Store: "kagi", Fold: "t7"},
		{Store: "kagi", Fold: "t7", Line: 1},
		{Store: "kagi", Fold: "t7", Status: Issued, Product: "demo", Email: "buyer7@example.com", Name: "fred", After: lastID, From: p.from, To: p.to},
	} {
		add(fmt.Sprintf("Orders %+v", f), func(ctx context.Context) error {
			_, err := db.Orders(ctx, f)
			return err
		})
	}
	for _, product := range either("demo") {
		for _, status := range []string{"", Active, Revoked} {
			for _, code := range []LicenseFilter{{}, {Code: "code-0007"}, {Beginning: "code-00"}, {Beginning: "c"}} {
				for _, after := range either(p.licenses[middle]) {
					f := LicenseFilter{Code: code.Code, Beginning: code.Beginning, Product: product, Status: status, After: after, Limit: planPage}
					add(fmt.Sprintf("Licenses %+v", f), func(ctx context.Context) error {
						_, err := db.Licenses(ctx, f)
						return err
					})
					add(fmt.Sprintf("EachSold %+v", f), func(ctx context.Context) error {
						return db.EachSold(ctx, f, func(Sold) error { return nil })
					})
				}
			}
		}
	}
	for _, channel := range either("mails") {
		for _, verdict := range []string{"", MailTaken, MailHeld} {
			for _, after := range either(p.mails[middle]) {
				f := MailFilter{channel, verdict, after, planPage}
				add(fmt.Sprintf("Mails %+v", f), func(ctx context.Context) error {
					_, err := db.Mails(ctx, f)
					return err
				})
			}
		}
	}
	for _, status := range []string{"", NoticeSent, NoticeDead} {
		for _, kind := range either(NoticeCodes) {
			for _, endpoint := range either("crm") {
				for _, after := range either(p.notices[middle]) {
					f := NoticeFilter{status, kind, endpoint, after, planPage}
					add(fmt.Sprintf("Outbox %+v", f), func(ctx context.Context) error {
						_, err := db.Outbox(ctx, f)
						return err
					})
				}
			}
		}
	}
	some := []Order{{ID: p.orders[1]}, {ID: p.orders[2]}, {ID: p.orders[3]}}
	add("MessagesOf", func(ctx context.Context) error { _, err := db.MessagesOf(ctx, some); return err })
	add("ActivationsOf", func(ctx context.Context) error {
		_, err := db.ActivationsOf(ctx, []License{{ID: p.licenses[1]}, {ID: p.licenses[2]}})
		return err
	})
	add("OrdersOf", func(ctx context.Context) error { _, err := db.OrdersOf(ctx, "buyer7@example.com"); return err })
	add("LastDigest", func(ctx context.Context) error { _, err := db.LastDigest(ctx); return err })
	add("Shares", func(ctx context.Context) error { _, err := db.Shares(ctx, p.licenses[1]); return err })
	add("Activations", func(ctx context.Context) error { _, err := db.Activations(ctx, p.licenses[1]); return err })
	add("Notices", func(ctx context.Context) error { _, err := db.Notices(ctx, p.orders[1]); return err })
	add("Messages", func(ctx context.Context) error { _, err := db.Messages(ctx, p.orders[1]); return err })
	add("Refunds", func(ctx context.Context) error { _, err := db.Refunds(ctx, p.orders[1]); return err })
	return calls
}

var comparison = regexp.MustCompile(`(\w+) ?(?:=|<|<=|>|>=|LIKE|IN) ?\(?[?,]*$|(LIMIT) $`)

// argsFor are values for a query's places, by the columns that they are compared
// with.
func (p *plans) argsFor(text string) (args []any) {
	parts := strings.Split(text, "?")
	for i := range parts[:len(parts)-1] {
		m := comparison.FindStringSubmatch(strings.Join(parts[:i+1], "?"))
		column := ""
		if m != nil {
			column = m[1] + m[2]
		}
		var v any = p.orders[len(p.orders)/2]
		switch {
		case column == "LIMIT":
			v = planPage
		case column == "product":
			v = "demo"
		case column == "store":
			v = "kagi"
		case column == "transaction_fold", column == "sale_fold":
			v = "t7"
		case column == "status":
			v = NoticeSent
		case column == "channel":
			v = "mails"
		case column == "kind":
			v = NoticeCodes
		case column == "endpoint":
			v = "crm"
		case strings.HasSuffix(column, "hash"), strings.HasSuffix(column, "mac"):
			v = p.hash
		case strings.HasSuffix(column, "_at"), column == "reserved_until":
			v = time.Now().UnixMicro()
		case column == "license_id":
			v = p.licenses[7]
		case column == "sale_id":
			v = p.sales[7]
		}
		args = append(args, v)
	}
	return args
}

// fillForPlans puts rows into each table, as they are distributed in a shop.
func fillForPlans(t *testing.T, db *DB) *plans {
	t.Helper()
	ctx := t.Context()
	p := &plans{}
	tables := map[string]*batch{}
	row := func(table string, pairs ...any) {
		b := tables[table]
		if b == nil {
			b = &batch{db: db.writer, table: table}
			for i := 0; i < len(pairs); i += 2 {
				b.columns = append(b.columns, pairs[i].(string))
			}
			tables[table] = b
		}
		var values []any
		for i := 1; i < len(pairs); i += 2 {
			values = append(values, pairs[i])
		}
		if err := b.add(ctx, values); err != nil {
			t.Fatal(err)
		}
	}
	flush := func() {
		t.Helper()
		for _, table := range copied {
			if b := tables[table]; b != nil {
				if err := b.flush(ctx); err != nil {
					t.Fatalf("%s: %v", table, err)
				}
			}
		}
	}
	begin := time.Now().UTC().Truncate(time.Second).Add(-planRows * time.Minute)
	p.from, p.to = begin.Add(planRows/4*time.Minute), begin.Add(planRows/2*time.Minute)
	for i := range planRows {
		at := begin.Add(time.Duration(i) * time.Minute)
		now := at.UnixMicro()
		id := func(what string) string { return idAt(at, what, fmt.Sprint(i)) }
		hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		store, product, status, license := "kagi", "demo", Issued, Active
		if i%7 == 0 {
			store = "fastspring"
		}
		if i%5 == 0 {
			product = "pro"
		}
		if i%20 == 0 {
			status = []string{Held, Rejected, Reserved, Held}[i/20%4]
		}
		if i%50 == 0 {
			license = Revoked
		}
		name, email := fmt.Sprint("buyer ", i), fmt.Sprintf("buyer%d@example.com", i/2)
		if i%30 == 0 {
			name = "fred"
		}
		sale, order, lic := id("sale"), id("order"), id("license")
		txn := fmt.Sprint("t", i)
		row("sale", "id", sale, "store", store, "transaction_id", txn, "transaction_fold", txn, "line_count", 1, "created_at", now, "updated_at", now)
		row("orders", "id", order, "sale_id", sale, "line", 1, "channel", store, "store_product", "p", "product", product, "license_type", "single", "name", name, "email", email,
			"price", "1.00", "currency", "USD", "seeds", "", "oem_seed", "", "quantity", 1, "seat_max", 1, "test", false, "eight_bit", false, "status", status, "reason", "", "prose", "",
			"reserved_until", now, "created_at", now, "updated_at", now, "store", store, "email_fold", email, "name_fold", name)
		row("order_key", "hash", hash[:], "order_id", order, "created_at", now)
		code := fmt.Sprintf("CODE%05d", i)
		row("license", "id", lic, "order_id", order, "ordinal", 1, "generation", 0, "product", product, "code", code, "code_hash", codeHash(code), "type", "single", "status", license,
			"test", false, "seat_max", 1, "used", 1, "created_at", now, "updated_at", now, "code_fold", code)
		row("activation", "id", id("activation"), "license_id", lic, "fp_mac", hash[:], "salt", []byte{}, "fp_hash", hash[:], "lease_id", "", "lease_issued_at", 0, "lease_expires_at", 0,
			"machine_name", "", "platform", "", "app_version", "", "created_at", now)
		verdict := VerdictAccepted
		if i%10 == 0 {
			verdict = VerdictRefused
		}
		row("message", "id", id("message"), "channel", store, "verdict", verdict, "reason", "", "order_id", order, "raw", []byte("raw"), "created_at", now)
		mail := MailTaken
		if i%25 == 0 {
			mail = []string{MailHeld, MailRefused, MailUnknown, MailWaiting}[i/25%4]
		}
		channel := "mails"
		if i%3 == 0 {
			channel = "more"
		}
		row("mail", "id", id("mail"), "channel", channel, "content_hash", hash[:], "folder", "INBOX", "uid_validity", 1, "uid", i, "message_id", "", "domain", "", "body_hash", hash[:],
			"profile", "", "verdict", mail, "reason", "", "detail", "", "store", store, "sale_fold", txn, "told", "", "arrived_at", now, "created_at", now)
		row("mail_body", "hash", hash[:], "mail_id", id("mail"), "created_at", now)
		row("mail_number", "id", id("number"), "mail_id", id("mail"), "store", store, "name", "", "number", i, "dated_at", now)
		kind, endpoint, sent := NoticeCodes, "", NoticeSent
		if i%3 == 0 {
			kind, endpoint = string(EventOrderIssued), []string{"crm", "chat"}[i%2]
		}
		if i%1440 == 1 {
			kind, endpoint = NoticeDigest, ""
		}
		if i%40 == 0 {
			sent = []string{NoticeDead, NoticeWaiting}[i/40%2]
		}
		row("outbox", "id", id("notice"), "kind", kind, "audience", ToBuyer, "order_id", order, "status", sent, "next_at", now, "endpoint", endpoint, "created_at", now, "updated_at", now)
		row("pool_code", "id", id("pool"), "pool", product, "code", code, "code_hash", codeHash(code), "order_id", []string{"", order}[min(1, i%3)], "created_at", now)
		row("audit", "id", id("audit"), "actor", "me", "action", "order.refund", "subject", order, "seal_id", id("seal"), "created_at", now)
		row("audit_seal", "id", id("seal"), "previous", idAt(at.Add(-time.Minute), "seal", fmt.Sprint(i-1)), "root", hash[:], "signature", hash[:], "created_at", now)
		{
			row("share", "id", id("share"), "license_id", lic, "order_id", order, "ordinal", 1, "seats", 1, "refunded", false, "created_at", now)
			row("money_event", "id", id("event"), "sale_id", sale, "line", 1, "kind", refundKind, "reference", "r", "amount", "", "currency", "", "created_at", now)
			row("status_reason", "id", id("reason"), "license_id", lic, "source", refundSource, "reference", "", "effect", Revoked, "created_at", now)
			row("upgrade", "license_id", lic, "order_id", order, "created_at", now)
		}
		p.orders, p.licenses, p.mails, p.notices, p.sales = append(p.orders, order), append(p.licenses, lic), append(p.mails, id("mail")), append(p.notices, id("notice")), append(p.sales, sale)
		p.hash = hash[:]
		if i%batchRows == batchRows-1 {
			flush() // what others point to comes first
		}
	}
	flush()
	if !db.dialect.shared { // its statistics come by themselves, sooner or later; SQLite has none
		for _, table := range copied {
			if _, err := db.writer.ExecContext(ctx, "ANALYZE TABLE "+table); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}
