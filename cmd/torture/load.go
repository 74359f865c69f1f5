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
	"strings"
	"sync"
	"time"

	"github.com/keypost/keypost/krps"
)

// A torture remembers what was promised.
type torture struct {
	binary, config, log string

	mu        sync.Mutex
	attempted []string            // transactions
	acks      map[string][]string // transaction → the codes that its answer carried; empty: held
	seats     map[seat]string     // → the activation's id
	kills     int
	approvals int
}

type seat struct{ code, machine string }

const workers = 8

// quantity of a transaction is in its name: three copies are held.
func quantity(transaction string) string { return transaction[len(transaction)-1:] }

// round starts the daemon, sends load from several workers at once and kills
// the daemon, and an approval that is running, after so many answers.
func (t *torture) round(ctx context.Context, round, answers int, seed uint64) error {
	d, err := t.start(ctx)
	if err != nil {
		return err
	}
	defer d.kill()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan bool)
	failed := make(chan error, workers+1)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 0; ; n++ {
				// Half of the workers share their transactions: equal posts at once.
				transaction := fmt.Sprintf("R%dW%dN%dQ%d", round, w/2, n, n%3+1)
				ok, err := t.once(ctx, d, transaction, random)
				if err != nil {
					failed <- err
				}
				if !ok {
					return // the daemon is gone
				}
				select {
				case answered <- true:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	gone := make(chan bool) // closed when no worker is left: the daemon died by itself
	go func() { wg.Wait(); close(gone) }()
	var approving sync.WaitGroup
	approving.Go(func() { t.approve(ctx) })
	for range answers {
		select {
		case <-answered:
		case <-gone:
			err = errors.New("the daemon died by itself")
		case err = <-failed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			break
		}
	}
	d.kill()
	cancel()
	<-gone
	approving.Wait()
	t.kills++
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}

// once posts one order and activates its codes. ok is false when the daemon
// did not answer: then nothing was promised. The error is a broken promise.
func (t *torture) once(ctx context.Context, d *daemon, transaction string, random *rand.Rand) (ok bool, err error) {
	t.mu.Lock()
	t.attempted = append(t.attempted, transaction)
	t.mu.Unlock()
	codes, ok := post(ctx, d, transaction)
	if !ok {
		return false, nil
	}
	if err := t.acknowledged(transaction, codes); err != nil {
		return false, err
	}
	// Five machines want the three seats of a code; two workers send three each.
	for _, code := range codes {
		for _, n := range random.Perm(5)[:3] {
			ok, err := t.activate(ctx, d, seat{code, fmt.Sprintf("machine-%d", n)})
			if !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// activate asks for a seat and notes the one that was given.
func (t *torture) activate(ctx context.Context, d *daemon, s seat) (ok bool, err error) {
	id, status, ok := activate(ctx, d, "activate", s.code, s.machine)
	if !ok || status == http.StatusConflict {
		return ok, nil
	}
	if status != http.StatusOK {
		return false, fmt.Errorf("activate %s: status %d", s.code, status)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, known := t.seats[s]; known && before != id {
		return false, fmt.Errorf("machine %s of %s had activation %s and has %s", s.machine, s.code, before, id)
	}
	t.seats[s] = id
	return true, nil
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
	fields := krps.Example()
	fields["ACG:TransactionID"], fields["ACG:QuantityOrdered"] = transaction, quantity(transaction)
	krps.Digest("MD5").Sign(fields, "torture")
	for ctx.Err() == nil {
		_, body, header, ok := send(ctx, d.url+"/in/kagi", krps.Encode(fields))
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

// activate calls activate or validate.
func activate(ctx context.Context, d *daemon, call, code, machine string) (id string, status int, ok bool) {
	form := url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {machine}}
	status, body, _, ok := send(ctx, d.url+"/v1/"+call, form.Encode())
	var a struct {
		Activation struct{ ID string }
		Lease      string
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return "", status, false
	}
	return a.Activation.ID, status, ok && (status != http.StatusOK || call != "activate" || a.Lease != "")
}
