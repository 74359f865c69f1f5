package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store/storetest"
)

// A torture remembers what was promised.
type torture struct {
	binary, config, log string
	second              string // the second daemon's config; "": the same

	server  *storetest.Server  // nil: the database is a file, or a cluster
	cluster *storetest.Cluster // nil: the database is none
	daemons []*daemon          // on one database: two, or one where it is a file; nil: killed
	running []*daemon          // as they were when the load began

	mu        sync.Mutex
	attempted []string            // transactions
	acks      map[string][]string // transaction → the codes that its answer carried; empty: held
	products  map[string]string   // code → the product that it is for
	seats     map[seat]string     // → the activation's id
	released  map[seat]bool       // machines that were told that they have no seat any more
	kills     map[string]int      // by what was killed
	strikes   int                 // at nodes
	approvals int
}

// lives tells whether a daemon does.
func (t *torture) lives() bool {
	return slices.ContainsFunc(t.daemons, func(d *daemon) bool { return d != nil })
}

type seat struct{ code, machine string }

const workers = 8

// afterwards is how many answers the survivors of a kill must give.
const afterwards = 10

// round sends load to all daemons at once, kills something after so many
// answers, and waits until what lives answers again.
func (t *torture) round(ctx context.Context, round int, random *rand.Rand) error {
	if err := t.startAll(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	l := t.load(ctx, round, random.Uint64())
	var approving sync.WaitGroup
	approving.Go(func() { t.approve(ctx) })
	err := l.answers(ctx, random.IntN(150)+1)
	if err == nil {
		var heal func() error
		if heal, err = t.strike(random); err == nil && t.lives() {
			err = l.answers(ctx, afterwards)
		}
		err = errors.Join(err, heal())
	}
	cancel()
	<-l.gone
	approving.Wait()
	if err == nil && len(l.failed) > 0 {
		err = <-l.failed
	}
	return err
}

// strike kills one daemon, both, the database, or all of them; or it kills, stops
// or locks a node of a cluster. A database comes back at once, and a node when
// heal is called; what was killed of the daemons is started by the next round.
func (t *torture) strike(random *rand.Rand) (heal func() error, err error) {
	victims := []string{"a daemon"}
	if len(t.daemons) > 1 {
		victims = append(victims, "both daemons")
	}
	if t.server != nil {
		victims = append(victims, "the database", "everything")
	}
	victim := victims[random.IntN(len(victims))]
	if t.cluster != nil {
		return t.strikeNode(random)
	}
	t.kills[victim]++
	heal = func() error { return nil }
	switch victim {
	case "a daemon":
		i := random.IntN(len(t.daemons))
		t.daemons[i].kill()
		t.daemons[i] = nil
		return heal, nil
	case "both daemons":
		t.killDaemons()
		return heal, nil
	case "everything":
		t.server.Kill()
		t.killDaemons()
	default:
		t.server.Kill()
	}
	return heal, t.server.Run()
}

// strikeNode strikes one of the nodes, in turn in each of the ways, and a daemon
// now and then.
func (t *torture) strikeNode(random *rand.Rand) (heal func() error, err error) {
	ways := []string{"a node", "a node, stopped", "a node, locked", "a daemon"}
	way := ways[t.strikes%len(ways)]
	t.strikes++
	t.kills[way]++
	node := t.cluster.Nodes[random.IntN(2)] // the two that are in use
	switch way {
	case "a node":
		node.Kill()
		return func() error { return t.cluster.Synced(context.Background()) }, nil
	case "a node, stopped":
		thaw, err := node.Freeze()
		return func() error { thaw(); return t.cluster.Synced(context.Background()) }, err
	case "a node, locked":
		unlock, err := node.Lag(context.Background())
		if err != nil {
			return func() error { return nil }, err
		}
		return func() error { unlock(); return t.cluster.Synced(context.Background()) }, nil
	default:
		i := random.IntN(len(t.daemons))
		t.daemons[i].kill()
		t.daemons[i] = nil
		return func() error { return nil }, nil
	}
}

// A load is workers that post and activate.
type load struct {
	answered chan bool
	failed   chan error // broken promises
	gone     chan bool  // closed when no worker is left
}

func (t *torture) load(ctx context.Context, round int, seed uint64) *load {
	l := &load{make(chan bool), make(chan error, workers), make(chan bool)}
	t.running = slices.Clone(t.daemons) // a strike takes them out of the other list
	var all sync.WaitGroup
	for w := range workers {
		d := t.daemons[w%len(t.daemons)]
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 0; ; n++ {
				// Each transaction is two workers': the same order at two daemons at once.
				ok, err := t.once(ctx, d, named(round, w/2, n), w, random)
				if err != nil {
					l.failed <- err
				}
				if !ok {
					return // the daemon is gone
				}
				select {
				case l.answered <- true:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() { all.Wait(); close(l.gone) }()
	return l
}

// answers waits for so many.
func (l *load) answers(ctx context.Context, n int) error {
	for range n {
		select {
		case <-l.answered:
		case <-l.gone:
			return errors.New("the daemons died by themselves")
		case err := <-l.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", ctx.Err())
		}
	}
	return nil
}

// once posts one order and activates its codes. ok is false when the daemon
// did not answer: then nothing was promised. The error is a broken promise.
func (t *torture) once(ctx context.Context, d *daemon, transaction string, worker int, random *rand.Rand) (ok bool, err error) {
	t.mu.Lock()
	t.attempted = append(t.attempted, transaction)
	t.mu.Unlock()
	codes, ok := post(ctx, d, transaction)
	if !ok {
		return false, nil
	}
	d = t.elsewhere(d)
	if err := t.acknowledged(transaction, codes); err != nil {
		return false, err
	}
	for _, code := range codes {
		// A machine of this worker's own comes and goes.
		if ok, err := t.comeAndGo(ctx, d, seat{code, fmt.Sprintf("machine-of-%d", worker)}); !ok || err != nil {
			return false, err
		}
		// Five machines want the three seats of a code; two workers send three each.
		for _, n := range random.Perm(5)[:3] {
			ok, _, err := t.activate(ctx, d, seat{code, fmt.Sprintf("machine-%d", n)})
			if !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// elsewhere is who a daemon's codes are activated at: with a cluster the other
// one, whose node may not know of them yet, as long as it lives.
func (t *torture) elsewhere(d *daemon) *daemon {
	if t.cluster == nil {
		return d
	}
	for _, other := range t.running {
		if other != d {
			return &daemon{url: other.url, next: d}
		}
	}
	return d
}

// activate asks for a seat and notes the one that was given; none where all
// are taken.
func (t *torture) activate(ctx context.Context, d *daemon, s seat) (ok, given bool, err error) {
	id, status, ok := activate(ctx, d, "activate", t.product(s.code), s.code, s.machine)
	if !ok || status == http.StatusConflict {
		return ok, false, nil
	}
	if status != http.StatusOK {
		return false, false, fmt.Errorf("activate %s: status %d", s.code, status)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, known := t.seats[s]; known && before != id {
		return false, false, fmt.Errorf("machine %s of %s had activation %s and has %s", s.machine, s.code, before, id)
	}
	t.seats[s] = id
	return true, true, nil
}

// comeAndGo activates a machine that nobody else speaks for, and deactivates
// it again. While that is on the way nothing is known of its seat.
func (t *torture) comeAndGo(ctx context.Context, d *daemon, s seat) (ok bool, err error) {
	t.mu.Lock()
	delete(t.released, s)
	t.mu.Unlock()
	ok, given, err := t.activate(ctx, d, s)
	if !ok || err != nil || !given {
		return ok, err
	}
	t.mu.Lock()
	delete(t.seats, s)
	t.mu.Unlock()
	_, status, ok := activate(ctx, d, "deactivate", t.product(s.code), s.code, s.machine)
	if !ok {
		return false, nil
	}
	if status != http.StatusOK {
		return false, fmt.Errorf("deactivate %s: status %d", s.code, status)
	}
	t.mu.Lock()
	t.released[s] = true
	t.mu.Unlock()
	return true, nil
}

func (t *torture) product(code string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.products[code]
}

// acknowledged notes an answer and holds it against an earlier one.
func (t *torture) acknowledged(transaction string, codes []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.acks[transaction]
	if len(before) > 0 && strings.Join(before, " ") != strings.Join(codes, " ") {
		return fmt.Errorf("order %s had %v and has %v", transaction, before, codes)
	}
	t.acks[transaction] = codes
	for _, code := range codes {
		t.products[code] = productOf(transaction)
	}
	return nil
}

// approve approves held orders, one after another, by the command line.
func (t *torture) approve(ctx context.Context) {
	approved := map[string]bool{}
	for ctx.Err() == nil {
		transaction := ""
		t.mu.Lock()
		for txn, codes := range t.acks {
			if len(codes) == 0 && !approved[txn] {
				transaction = txn
				break
			}
		}
		t.mu.Unlock()
		if transaction == "" {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond): // look again
			}
			continue
		}
		approved[transaction] = true
		// The context's end kills it, too.
		err := exec.CommandContext(ctx, t.binary, "--config", t.config, "order", "approve", "kagi", transaction).Run()
		if err == nil {
			t.mu.Lock()
			t.approvals++
			t.mu.Unlock()
		}
	}
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}

// send posts a form; ok is false when no whole answer came.
func send(ctx context.Context, target, body string) (status int, answer []byte, header http.Header, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, false
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, nil, false
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header, err == nil
}

// post posts an order; a held one has no codes. BAD is no promise.
func post(ctx context.Context, d *daemon, transaction string) (codes []string, ok bool) {
	form := krps.Encode(orderFields(transaction))
	for ctx.Err() == nil {
		_, body, header, ok := send(ctx, d.url+"/in/kagi", form)
		if !ok {
			return nil, false
		}
		a, err := krps.ParseReply(body)
		if err != nil || !a.Good {
			continue // come again, as Kagi does
		}
		if header.Get(krps.StatusHeader) == "issued" {
			for _, l := range a.Lines {
				codes = append(codes, l.RegNumber)
			}
		}
		return codes, true
	}
	return nil, false
}

// activate calls activate, validate or deactivate, again while the daemon is
// without its database.
func activate(ctx context.Context, d *daemon, call, product, code, machine string) (id string, status int, ok bool) {
	form := url.Values{"product": {product}, "code": {code}, "fingerprint": {machine}}
	for ctx.Err() == nil {
		status, body, _, ok := send(ctx, d.url+"/v1/"+call, form.Encode())
		if !ok && d.next != nil {
			d = d.next
			continue
		}
		if ok && status == http.StatusServiceUnavailable {
			continue
		}
		var a struct {
			Activation struct{ ID string }
			Lease      string
		}
		if err := json.Unmarshal(body, &a); err != nil {
			return "", status, false
		}
		return a.Activation.ID, status, ok && (status != http.StatusOK || call != "activate" || a.Lease != "")
	}
	return "", 0, false
}
