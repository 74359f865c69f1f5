package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
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
	{"validate on SQLite", "an empty handler", 0.55, "", validate(sqlite)},
	{"validate on MariaDB", "an empty handler", 0.4, "", validate(mariadb)},
	{"activate on MariaDB", "the same rows by 64 plain connections", 0.6, "", writes(mariadb, activate, activationRows)},
	{"activate on SQLite", "the same rows, one transaction each", 1, "", writes(sqlite, activate, activationRows)},
	{"KRPS order on MariaDB", "the same rows by 64 plain connections", 0.5, "", writes(mariadb, order, orderRows)},
	{"KRPS order on SQLite", "the same rows, one transaction each", 0.5, "", writes(sqlite, order, orderRows)},
	{"validate with many licenses", "with few", 0.9, "", growth},
	{"memory with many licenses, after many calls", "", 100, "MiB", memory},
	{"start with many licenses", "", 0.5, "s", starting},
}

// A result is what came out of a row.
type result struct {
	row
	measured, low, high float64
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

// ratio lets both sides work in turn and compares each pair of rounds: what
// else the machine does meets both.
func (b *bench) ratio(ctx context.Context, base, subject side) (result, error) {
	var counts [2]int
	for i, s := range []side{base, subject} {
		var err error
		if counts[i], err = b.warm(ctx, s, b.round/4); err != nil {
			return result{}, err
		}
	}
	var figures []float64
	for range b.rounds {
		var rates [2]float64
		for i, s := range []side{base, subject} {
			took, err := s(ctx, counts[i])
			if err != nil {
				return result{}, err
			}
			rates[i] = float64(counts[i]) / took.Seconds()
		}
		figures = append(figures, rates[1]/rates[0])
	}
	return median(figures), nil
}

// against compares a base with calls of a daemon on a database, and profiles
// the daemon where the target is missed.
func (b *bench) against(ctx context.Context, target float64, base side, database string, calls func(*load) side) (result, error) {
	d, err := b.keypost(ctx, database)
	if err != nil {
		return result{}, err
	}
	l, err := newLoad(d.addr)
	if err != nil {
		d.stop()
		return result{}, err
	}
	got, err := b.ratio(ctx, base, calls(l))
	l.close()
	d.stop()
	if err != nil {
		return got, fmt.Errorf("%w\n%s", err, d.errors())
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

// large is the large database, filled once.
func (b *bench) large(ctx context.Context) (string, error) {
	if b.million != "" {
		return b.million, nil
	}
	fmt.Fprintf(b.out, "filling a database with %d licenses\n", b.many)
	database, err := b.filled(ctx, sqlite, b.many)
	b.million = database
	return database, err
}

// call is a request of the activation API.
func call(name, code, fingerprint string) []byte {
	body, _ := json.Marshal(map[string]any{ // strings always marshal
		"product": "demo", "code": code, "fingerprint": fingerprint,
		"machine": map[string]string{"name": "bench", "platform": "linux", "app_version": "1.0"},
	})
	return post("/v1/"+name, "application/json", string(body))
}

// validations are calls about the machines of n licenses, in no order.
func validations(n int, good string) func(*load) side {
	return func(l *load) side {
		return l.side(func(int) []byte {
			i := rand.IntN(n)
			return call("validate", code(i), fingerprint(i))
		}, good)
	}
}

// goodAnswer is how the answers of validate and activate begin.
const goodAnswer = `{"activation":{"id":"`

// activate is calls of new machines on n licenses.
func activate(n int) func(*load) side {
	return func(l *load) side {
		return l.side(func(int) []byte { return call("activate", code(rand.IntN(n)), store.NewID()) }, goodAnswer)
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

func validate(kind string) figure {
	return func(ctx context.Context, b *bench, target float64) (result, error) {
		database, err := b.filled(ctx, kind, b.few)
		if err != nil {
			return result{}, err
		}
		e, err := b.empty(ctx)
		if err != nil {
			return result{}, err
		}
		defer e.stop()
		l, err := newLoad(e.addr)
		if err != nil {
			return result{}, err
		}
		defer l.close()
		return b.against(ctx, target, validations(b.few, "{")(l), database, validations(b.few, goodAnswer))
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
		return b.against(ctx, target, p.side(rows), databases[1], calls(b.few))
	}
}

// growth compares a daemon on the large database with one on a small one.
func growth(ctx context.Context, b *bench, target float64) (result, error) {
	small, err := b.filled(ctx, sqlite, b.few)
	if err != nil {
		return result{}, err
	}
	large, err := b.large(ctx)
	if err != nil {
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
	return b.against(ctx, target, validations(b.few, goodAnswer)(l), large, validations(b.many, goodAnswer))
}

// memory is a daemon's after many calls, of which one in ten writes.
func memory(ctx context.Context, b *bench, _ float64) (result, error) {
	large, err := b.large(ctx)
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
		i := rand.IntN(b.many)
		if n%10 == 0 {
			return call("activate", code(i), store.NewID())
		}
		return call("validate", code(i), fingerprint(i))
	}, goodAnswer)
	if _, err := mixed(ctx, b.calls); err != nil {
		return result{}, err
	}
	mib, err := d.memory("VmRSS")
	return median([]float64{mib}), err
}

// starting is the time from the start of the process to the first good answer
// of /readyz.
func starting(ctx context.Context, b *bench, _ float64) (result, error) {
	large, err := b.large(ctx)
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
