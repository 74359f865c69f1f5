package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// verify asks a fresh daemon for everything again and counts what was lost.
func (t *torture) verify(ctx context.Context, d *daemon, out io.Writer) error {
	r := reckoning{torture: t, owner: map[string]string{}}
	if err := r.everyOrder(ctx, d); err != nil {
		return err
	}
	licenses, err := t.licenses(ctx)
	if err != nil {
		return err
	}
	if len(licenses) != r.codes {
		r.fault("the store has %d licenses, the orders have %d codes", len(licenses), r.codes)
	}
	r.everySeat(ctx, d, licenses)
	r.everyRule(ctx)
	r.tell(out)
	return errors.Join(r.wrong...)
}

// A reckoning holds what is there against what was promised.
type reckoning struct {
	*torture
	owner         map[string]string // code → transaction
	orders, codes int               // acknowledged orders; codes of all
	wrong         []error
}

func (r *reckoning) fault(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Errorf(format, args...))
}

// everyOrder posts each order again: it has the codes that it had, and they are
// its alone.
func (r *reckoning) everyOrder(ctx context.Context, d *daemon) error {
	slices.Sort(r.attempted)
	r.attempted = slices.Compact(r.attempted)
	for _, txn := range r.attempted {
		before, acknowledged := r.acks[txn]
		got, ok := post(ctx, d, txn)
		if !ok {
			return fmt.Errorf("order %s: the daemon does not answer", txn)
		}
		want, _ := strconv.Atoi(copies(txn))
		if acknowledged {
			r.orders++
		}
		r.codes += len(got)
		switch {
		case len(before) > 0 && !slices.Equal(before, got):
			r.fault("order %s was acknowledged with %v and has %v", txn, before, got)
		case len(got) != want && (want < 3 || len(got) != 0):
			r.fault("order %s has %d codes, not %d", txn, len(got), want)
		}
		for _, code := range got {
			if other, taken := r.owner[code]; taken {
				r.fault("code %s belongs to %s and %s", code, other, txn)
			}
			r.owner[code] = txn
		}
	}
	return nil
}

// everySeat asks for each machine: it has the seat that it was told of, or none
// once it was told so, and no license counts others.
func (r *reckoning) everySeat(ctx context.Context, d *daemon, licenses []license) {
	machines := map[string]int{}
	for s, id := range r.seats {
		machines[s.code]++
		if got, status, ok := activate(ctx, d, "validate", r.products[s.code], s.code, s.machine); !ok || got != id {
			r.fault("machine %s of %s lost its seat %s: it has %q (status %d)", s.machine, s.code, id, got, status)
		}
	}
	for s := range r.released {
		if _, status, ok := activate(ctx, d, "validate", r.products[s.code], s.code, s.machine); !ok || status != http.StatusNotFound {
			r.fault("machine %s of %s was deactivated and is there (status %d)", s.machine, s.code, status)
		}
	}
	for _, l := range licenses {
		switch {
		case r.owner[l.Code] == "":
			r.fault("license %s has no order", l.Code)
		case l.Used > l.Limit:
			r.fault("license %s has %d seats taken of %d", l.Code, l.Used, l.Limit)
		case l.Used < machines[l.Code]:
			r.fault("license %s counts %d seats, %d machines were told that they have one", l.Code, l.Used, machines[l.Code])
		}
	}
}

// everyRule compares the database's rows with each other.
func (r *reckoning) everyRule(ctx context.Context) {
	var rules []struct {
		What   string
		Broken int
	}
	if err := r.command(ctx, &rules, "db", "verify"); err != nil {
		r.wrong = append(r.wrong, err)
	}
	for _, rule := range rules {
		if rule.Broken > 0 {
			r.fault("not so for %d rows: %s", rule.Broken, rule.What)
		}
	}
}

// tell says what was done; where nothing was promised nothing was proven.
func (r *reckoning) tell(out io.Writer) {
	made := map[string]int{}
	for _, txn := range r.owner {
		made[productOf(txn)]++
	}
	for _, p := range products {
		fmt.Fprintf(out, "codes %s: %d\n", p.id, made[p.id])
		if made[p.id] == 0 {
			r.fault("no code is from %s", p.id)
		}
	}
	killed := 0
	for _, victim := range slices.Sorted(maps.Keys(r.kills)) {
		fmt.Fprintf(out, "%d times killed: %s\n", r.kills[victim], victim)
		killed += r.kills[victim]
	}
	if r.orders == 0 || len(r.seats) == 0 || len(r.released) == 0 {
		r.fault("nothing was acknowledged: there was nothing to lose")
	}
	fmt.Fprintf(out, "kills %d, orders attempted %d, acknowledged %d, approved by hand %d, codes %d, seats %d, given back %d, broken promises %d\n",
		killed, len(r.attempted), r.orders, r.approvals, r.codes, len(r.seats), len(r.released), len(r.wrong))
}

type license struct {
	Code        string
	Limit, Used int
}

func (t *torture) licenses(ctx context.Context) (list []license, err error) {
	return list, t.command(ctx, &list, "license", "list")
}

// command runs keypost and reads its JSON.
func (t *torture) command(ctx context.Context, to any, args ...string) error {
	b, err := exec.CommandContext(ctx, t.binary, append(args, "--json", "--config", t.config)...).Output()
	if err != nil {
		return fmt.Errorf("keypost %s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(b, to)
}
