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
	var wrong []error
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	slices.Sort(t.attempted)
	transactions := slices.Compact(t.attempted)
	owner := map[string]string{} // code → transaction
	orders, codes := 0, 0
	for _, txn := range transactions {
		before, acknowledged := t.acks[txn]
		got, ok := post(ctx, d, txn)
		if !ok {
			return fmt.Errorf("order %s: the daemon does not answer", txn)
		}
		want, _ := strconv.Atoi(quantity(txn))
		if acknowledged {
			orders++
		}
		codes += len(got)
		switch {
		case len(before) > 0 && !slices.Equal(before, got):
			fault("order %s was acknowledged with %v and has %v", txn, before, got)
		case len(got) != want && (want < 3 || len(got) != 0):
			fault("order %s has %d codes, not %d", txn, len(got), want)
		}
		for _, code := range got {
			if other, taken := owner[code]; taken {
				fault("code %s belongs to %s and %s", code, other, txn)
			}
			owner[code] = txn
		}
	}

	licenses, err := t.licenses(ctx)
	if err != nil {
		return err
	}
	if len(licenses) != codes {
		fault("the store has %d licenses, the orders have %d codes", len(licenses), codes)
	}
	machines := map[string]int{}
	for s, id := range t.seats {
		machines[s.code]++
		if got, status, ok := activate(ctx, d, "validate", t.products[s.code], s.code, s.machine); !ok || got != id {
			fault("machine %s of %s lost its seat %s: it has %q (status %d)", s.machine, s.code, id, got, status)
		}
	}
	for s := range t.released {
		if _, status, ok := activate(ctx, d, "validate", t.products[s.code], s.code, s.machine); !ok || status != http.StatusNotFound {
			fault("machine %s of %s was deactivated and is there (status %d)", s.machine, s.code, status)
		}
	}
	for _, l := range licenses {
		switch {
		case owner[l.Code] == "":
			fault("license %s has no order", l.Code)
		case l.Used > l.Limit:
			fault("license %s has %d seats taken of %d", l.Code, l.Used, l.Limit)
		case l.Used < machines[l.Code]:
			fault("license %s counts %d seats, %d machines were told that they have one", l.Code, l.Used, machines[l.Code])
		}
	}
	var rules []struct {
		What   string
		Broken int
	}
	if err := t.command(ctx, &rules, "db", "verify"); err != nil {
		wrong = append(wrong, err)
	}
	for _, r := range rules {
		if r.Broken > 0 {
			fault("not so for %d rows: %s", r.Broken, r.What)
		}
	}
	made := map[string]int{}
	for code := range owner {
		made[product(owner[code])]++
	}
	for _, p := range products {
		fmt.Fprintf(out, "codes %s: %d\n", p, made[p])
		if made[p] == 0 {
			fault("no code is from %s", p)
		}
	}
	killed := 0
	for _, victim := range slices.Sorted(maps.Keys(t.kills)) {
		fmt.Fprintf(out, "%d times killed: %s\n", t.kills[victim], victim)
		killed += t.kills[victim]
	}
	fmt.Fprintf(out, "kills %d, orders attempted %d, acknowledged %d, approved by hand %d, codes %d, seats %d, given back %d, broken promises %d\n",
		killed, len(transactions), orders, t.approvals, codes, len(t.seats), len(t.released), len(wrong))
	if orders == 0 || len(t.seats) == 0 || len(t.released) == 0 {
		fault("nothing was acknowledged: there was nothing to lose")
	}
	return errors.Join(wrong...)
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
