package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store"
)

// The databases.
const (
	sqlite  = "SQLite"
	mariadb = "MariaDB"
)

// A row is a line of the page.
type row struct {
	what, against string
	target        float64
	unit          string // "": a ratio, at least the target; "…/s": a rate, at least that; else a figure under it
	figure        figure
}

// A figure is measured; a ratio under the target is profiled.
type figure func(ctx context.Context, b *bench, target float64) (result, error)

// rows are all of the page.
var rows = slices.Concat(daemonRows, listRows, codeRows, mailRows)

var daemonRows = []row{
	{"validate on SQLite", "a plain server with the same SELECT", 0.9, "", validate(sqlite, false)},
	{"validate on MariaDB", "a plain server with the same SELECT", 0.9, "", validate(mariadb, false)},
	{"validate with renew on SQLite", "the same and one durable UPDATE, one transaction each", 1, "", validate(sqlite, true)},
	{"activate on MariaDB", "the same rows by 64 plain connections, no HTTP", 0.55, "", writes(mariadb, activate, activationRows)},
	{"activate on SQLite", "the same rows, one transaction each", 1.4, "", writes(sqlite, activate, activationRows)},
	{"KRPS order on MariaDB", "the same rows by 64 plain connections", 0.9, "", writes(mariadb, order, orderRows)},
	{"KRPS order on SQLite", "the same rows, one transaction each", 0.9, "", writes(sqlite, order, orderRows)},
	{"validate with 1,000,000 licenses", "with 10,000", 0.9, "", growth(func(s size) int { return s.many })},
	{"start with 1,000,000 licenses", "", 0.5, "s", starting},
	{"validate with 10,000,000 licenses", "with 10,000", 0.85, "", growth(func(s size) int { return s.most })},
	{"memory with 10,000,000 licenses, after many calls", "", 100, "MiB", memory},
}

// A result is what came out of a row.
type result struct {
	row
	measured, low, high float64
	empty               float64 // the same beside an empty handler; 0: it was not measured
	profile             string
}

// rate tells whether more is better, and the figure this machine's own.
func (r row) rate() bool { return strings.HasSuffix(r.unit, "/s") }

// shown is a figure with its unit's digits.
func (r row) shown(figure float64) string {
	if r.rate() {
		return fmt.Sprintf("%.0f", figure)
	}
	return fmt.Sprintf("%.2f", figure)
}

func (r result) met() bool {
	if r.unit == "" || r.rate() {
		return r.measured >= r.target
	}
	return r.measured < r.target
}

func (r result) String() string {
	verdict := "met"
	if !r.met() {
		verdict = "MISSED"
	}
	return fmt.Sprintf("%-45s %8s %s (%s-%s), target %s: %s", r.what, r.shown(r.measured), r.unit, r.shown(r.low), r.shown(r.high), r.shown(r.target), verdict)
}

func (b *bench) measure(ctx context.Context, r row) (result, error) {
	got, err := r.figure(ctx, b, r.target)
	got.row = r
	return got, err
}

// median of figures, with their bounds.
func median(figures []float64) result {
	slices.Sort(figures)
	return result{measured: figures[len(figures)/2], low: figures[0], high: figures[len(figures)-1]}
}

// warm lets a side work for so long at least, and finds out how many calls a
// round has.
func (b *bench) warm(ctx context.Context, s side, long time.Duration) (count int, err error) {
	for n := connections; ; n *= 2 {
		took, err := s(ctx, n)
		if err != nil {
			return 0, err
		}
		if took > long {
			return max(connections, int(float64(n)*b.round.Seconds()/took.Seconds())), nil
		}
	}
}

// ratio compares one side with another.
func (b *bench) ratio(ctx context.Context, base, subject side) (result, error) {
	all, err := b.ratios(ctx, subject, base)
	if err != nil {
		return result{}, err
	}
	return all[0], nil
}

// ratios lets all sides work in turn and compares the rounds of each turn: what
// else the machine does meets all of them.
func (b *bench) ratios(ctx context.Context, subject side, bases ...side) ([]result, error) {
	sides := append(slices.Clone(bases), subject)
	counts := make([]int, len(sides))
	for i, s := range sides {
		var err error
		if counts[i], err = b.warm(ctx, s, b.round/4); err != nil {
			return nil, err
		}
	}
	figures := make([][]float64, len(bases))
	for range b.rounds {
		rates := make([]float64, len(sides))
		for i, s := range sides {
			took, err := s(ctx, counts[i])
			if err != nil {
				return nil, err
			}
			rates[i] = float64(counts[i]) / took.Seconds()
		}
		for i := range bases {
			figures[i] = append(figures[i], rates[len(bases)]/rates[i])
		}
	}
	var all []result
	for _, f := range figures {
		all = append(all, median(f))
	}
	return all, nil
}

// against compares a base with calls of a daemon on a database, and profiles
// the daemon where the target is missed. empty is an empty handler, or nil.
func (b *bench) against(ctx context.Context, target float64, base, empty side, database string, calls func(*load) side) (result, error) {
	d, err := b.keypost(ctx, database)
	if err != nil {
		return result{}, err
	}
	l, err := newLoad(d.addr)
	if err != nil {
		d.stop()
		return result{}, err
	}
	bases := []side{base}
	if empty != nil {
		bases = append(bases, empty)
	}
	all, err := b.ratios(ctx, calls(l), bases...)
	l.close()
	d.stop()
	if err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, d.errors())
	}
	got := all[0]
	if empty != nil {
		got.empty = all[1].measured
	}
	if got.measured < target {
		got.profile, err = b.profile(ctx, database, "", func(d *server) error { return b.called(ctx, d, calls) })
	}
	return got, err
}

// filled is a new database with n licenses.
func (b *bench) filled(ctx context.Context, kind string, n int) (string, error) {
	database, err := b.database(ctx, kind)
	if err != nil {
		return "", err
	}
	return database, b.fill(ctx, database, n)
}

// with is a large database of so many licenses, filled once.
func (b *bench) with(ctx context.Context, n int) (string, error) {
	if database := b.large[n]; database != "" {
		return database, nil
	}
	fmt.Fprintf(b.out, "filling a database with %d licenses\n", n)
	database, err := b.filled(ctx, sqlite, n)
	b.large[n] = database
	return database, err
}

// call is a request of the activation API.
func call(name, code, fingerprint string, renew bool) []byte {
	q := map[string]any{
		"product": "demo", "code": code, "fingerprint": fingerprint,
		"machine": map[string]string{"name": "bench", "platform": "linux", "app_version": "1.0"},
	}
	if renew {
		q["renew"] = true
	}
	body, _ := json.Marshal(q) // these always marshal
	return post("/v1/"+name, "application/json", string(body))
}

// validations are calls about the machines of n licenses, in no order.
func validations(n int, renew bool, good string) func(*load) side {
	return func(l *load) side {
		return l.side(func(int) []byte {
			i := rand.IntN(n)
			return call("validate", code(i), fingerprint(i), renew)
		}, good)
	}
}

// goodAnswer is how the answers of validate and activate begin.
const goodAnswer = `{"activation":{"id":"`

// activate is calls of new machines on n licenses.
func activate(n int) func(*load) side {
	return func(l *load) side {
		return l.side(func(int) []byte { return call("activate", code(rand.IntN(n)), store.NewID(), false) }, goodAnswer)
	}
}

// order is posts of new orders.
func order(int) func(*load) side {
	return func(l *load) side {
		return l.side(func(int) []byte {
			return post("/in/kagi", "application/x-www-form-urlencoded", orderPost(store.NewID()))
		}, "kagiRemotePostStatus=GOOD")
	}
}

// orderPost is a store's post of an order.
func orderPost(transaction string) string {
	fields := krps.Example()
	fields["ACG:TransactionID"] = transaction
	krps.Digest("SHA-512").Sign(fields, "bench")
	return krps.Encode(fields)
}

// validate compares with a plain server on the same database, and with one that
// does nothing.
func validate(kind string, renew bool) figure {
	return func(ctx context.Context, b *bench, target float64) (result, error) {
		database, err := b.filled(ctx, kind, b.few)
		if err != nil {
			return result{}, err
		}
		var sides []side
		for _, s := range []struct{ name, value, good string }{{floorServer, database, goodAnswer}, {emptyServer, "1", "{"}} {
			p, err := b.plain(s.name+"="+s.value, floorMaster+"="+b.master)
			if err != nil {
				return result{}, err
			}
			defer p.stop()
			l, err := newLoad(p.addr)
			if err != nil {
				return result{}, err
			}
			defer l.close()
			sides = append(sides, validations(b.few, renew, s.good)(l))
		}
		return b.against(ctx, target, sides[0], sides[1], database, validations(b.few, renew, goodAnswer))
	}
}

// writes compares a daemon's durable calls with the same rows by plain SQL, on
// a database of its own.
func writes(kind string, calls func(n int) func(*load) side, rows plainRows) figure {
	return func(ctx context.Context, b *bench, target float64) (result, error) {
		var databases [2]string
		for i := range databases {
			var err error
			if databases[i], err = b.filled(ctx, kind, b.few); err != nil {
				return result{}, err
			}
		}
		p, err := openPlain(databases[0])
		if err != nil {
			return result{}, err
		}
		defer p.Close()
		if err := p.prepare(ctx); err != nil {
			return result{}, err
		}
		return b.against(ctx, target, p.side(rows), nil, databases[1], calls(b.few))
	}
}

// growth compares a daemon on a large database with one on a small one.
func growth(licenses func(size) int) figure {
	return func(ctx context.Context, b *bench, target float64) (result, error) {
		small, err := b.filled(ctx, sqlite, b.few)
		if err != nil {
			return result{}, err
		}
		n := licenses(b.size)
		large, err := b.with(ctx, n)
		if err != nil {
			return result{}, err
		}
		if err := readThrough(large); err != nil {
			return result{}, err
		}
		d, err := b.keypost(ctx, small)
		if err != nil {
			return result{}, err
		}
		defer d.stop()
		l, err := newLoad(d.addr)
		if err != nil {
			return result{}, err
		}
		defer l.close()
		return b.against(ctx, target, validations(b.few, false, goodAnswer)(l), nil, large, validations(n, false, goodAnswer))
	}
}

// readThrough reads an SQLite file once, so that the file cache has it as it has
// that of a daemon which ran for days.
func readThrough(database string) error {
	f, err := os.Open(strings.TrimPrefix(database, "sqlite:"))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// memory is a daemon's own after many calls, of which one in ten writes: what
// the system's file cache may take back is none of it.
func memory(ctx context.Context, b *bench, _ float64) (result, error) {
	large, err := b.with(ctx, b.most)
	if err != nil {
		return result{}, err
	}
	d, err := b.keypost(ctx, large)
	if err != nil {
		return result{}, err
	}
	defer d.stop()
	l, err := newLoad(d.addr)
	if err != nil {
		return result{}, err
	}
	defer l.close()
	mixed := l.side(func(n int) []byte {
		i := rand.IntN(b.most)
		if n%10 == 0 {
			return call("activate", code(i), store.NewID(), false)
		}
		return call("validate", code(i), fingerprint(i), false)
	}, goodAnswer)
	if _, err := mixed(ctx, b.calls); err != nil {
		return result{}, err
	}
	mib, err := d.memory("RssAnon")
	return median([]float64{mib}), err
}

// starting is the time from the start of the process to the first good answer
// of /readyz.
func starting(ctx context.Context, b *bench, _ float64) (result, error) {
	large, err := b.with(ctx, b.many)
	if err != nil {
		return result{}, err
	}
	var figures []float64
	for range b.starts {
		begin := time.Now()
		d, err := b.keypost(ctx, large)
		if err != nil {
			return result{}, err
		}
		answer, err := http.Get("http://" + d.addr + "/readyz")
		took := time.Since(begin)
		d.stop()
		if err != nil {
			return result{}, err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return result{}, fmt.Errorf("/readyz: %s", answer.Status)
		}
		figures = append(figures, took.Seconds())
	}
	return median(figures), nil
}
