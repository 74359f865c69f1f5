package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

const pageHead = `<!-- Written by make bench: do not edit. -->

# Benchmarks

For vendors and developers who want to know what Keypost itself costs: each row compares it with the least that the same work takes without it.
Both sides were measured in turn by one run of ` + "`make bench`" + ` on one machine. Most figures are ratios of calls a second, since those hold on
other machines too: 1.00 is as fast, more is faster. Codes a second are this machine's own.

| what | against | target | measured | from - to | | beside an empty handler |
|---|---|---|---|---|---|---|
`

const pageFoot = `
## How it is measured

- The load comes from a process of its own, by %[1]d connections that are kept and that wait for each answer; every answer is looked at. The daemon is
  the shipped binary with its default config, its log goes to a file. Both sides and the load share the machine's %[2]d processors.
- A ratio is the median of %[3]d pairs of rounds of about %[4]s each, one side after the other, after both are warm; beside it the least and the greatest.
- The plain server for validate is the least that answers from the database: the same router, the same JSON read and written, and the same SELECT
  by a prepared statement, over as many connections as the daemon reads with and with the same settings. It keeps no log, counts nothing, limits
  nobody and has no deadlines. To renew, it updates the machine's row in a durable transaction of its own (synchronous=FULL), and signs nothing.
- The empty handler, in the last column, is the same server without the database: it reads the JSON and answers a fixed text. It shows how much of
  a call is HTTP. It has no target, since a read from a database cannot be free.
- Plain SQL writes the same rows as the call in one transaction, on the same driver, durably: on MariaDB by %[1]d connections, on SQLite by the one
  that writes, with synchronous=FULL. It speaks no HTTP and prepares no statements, where Keypost does; it reads nothing back, signs nothing and
  checks nothing.
- Databases have %[6]d licenses unless the row says otherwise, at most %[5]d. Each license has its sale, its order and a machine; licenses are
  asked for in random order. A large file is read once before, as far as the system's file cache holds it: 10,000,000 licenses are 12 GiB.
- Memory is read after %[7]d calls, of which one in ten writes. It is RssAnon in /proc/PID/status: what the process holds that is no file's. The
  database's file is mapped into memory, which tools count as resident, too (RssFile); the system takes that back when memory is short.
- The start ends with the first good answer of /readyz.
- Codes are made by one caller, one a call, by the generators that the daemon has, in the load's process and on one processor (GOMAXPROCS=1); a program
  is a process of its own. Of random codes %[12]d are held against each other, by hashes of 64 bits: ten million that all differ look alike once in 370,000 runs.
  The module and the program are the example in C of [external.md](external.md); each code has a new instance, or process. A looping module is one
  with a limit of 100 ms; after each time the next order must be served.
- Of mails to orders there are %[13]d in one INBOX of a Dovecot on this machine, each signed (DKIM, Ed25519) and about a sale of its own. The clock runs
  from the daemon's start, its database set up, until the last order is durable; log-in, signatures and codes are in it, and mails to buyers are not: they
  wait in the outbox. mbsync copies the folder with its default settings, which sync each file to the disk, over the same TLS; it verifies nothing. Both
  in turn, in %[14]d pairs of rounds, after mbsync once to warm Dovecot up. The daemon files nothing there, as mbsync does not; told to move each mail to
  a folder, it took them in at %.2[15]f of that speed.
- Lists and searches are asked of the store, without HTTP, with each set of filters that may be given together, for pages that begin anywhere. There are as
  many orders, notices and mails as licenses, in several stores, products and statuses. The figure is the slowest one's median.
- One mail is read from %[16]d samples (plain, with the headers of its way, quoted-printable, with HTML beside it) on one processor; the parser takes each apart
  and decodes all its parts.
- From the new mail to the buyer's code a mail lies down in a quiet INBOX, and the clock ends when the buyer's mail lies in the SMTP server's folder (Exim, TLS,
  log-in); the median of %[17]d. Half a second of it is Dovecot's, which gathers news for so long before it tells of them.
- The memory over messages is the most that was ever resident (VmHWM) while %[18]d small messages were walked, of which one in %[19]d is an order, on SQLite.
- Versions: keypost %[8]s, %[9]s, SQLite %[10]s, MariaDB %[11]s.
`

// page writes the whole page.
func (b *bench) page(ctx context.Context, results []result) ([]byte, error) {
	var w bytes.Buffer
	w.WriteString(pageHead)
	for _, r := range results {
		target, verdict, unit := r.shown(r.target), "met", ""
		switch {
		case r.rate():
			target, unit = fmt.Sprintf("at least %s %s", r.shown(r.target), r.unit), " "+r.unit
		case r.unit != "":
			target, unit = fmt.Sprintf("under %g %s", r.target, r.unit), " "+r.unit
		}
		if !r.met() {
			verdict = "**missed**"
		}
		empty := ""
		if r.empty > 0 {
			empty = r.shown(r.empty)
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %s%s | %s - %s | %s | %s |\n",
			r.what, r.against, target, r.shown(r.measured), unit, r.shown(r.low), r.shown(r.high), verdict, empty)
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&w, pageFoot, connections, runtime.NumCPU(), b.rounds, b.round, b.most, b.few, b.calls,
		versions.keypost, runtime.Version(), versions.sqlite, versions.mariadb, b.unique, b.mailed, b.mailRounds, b.filing, len(profileSamples), b.starts, b.messages, ordersAmong)
	for _, r := range results {
		if r.profile != "" {
			fmt.Fprintf(&w, "\n## What stands in the way: %s\n\n%s\n\nWhere the daemon's processor time goes during these calls (go tool pprof -top):\n\n```\n%s```\n", r.what, why[r.what], r.profile)
		}
	}
	return w.Bytes(), nil
}

const manyPages = `The pages that a call reads, of two indexes and two tables, are in the processors' caches when licenses are few. With many, each is somewhere else:
in the file cache, or on disk where the file is larger than that. The daemon's own cache is bounded, for the sake of its memory.`

// why a row may be missed, in words beside the profile.
var why = map[string]string{
	"validate on SQLite":  `Beside the plain server the daemon writes a line of log, limits addresses that guess, gives each call a deadline and answers with more headers.`,
	"validate on MariaDB": `Beside the plain server the daemon writes a line of log, limits addresses that guess, and gives each call and each read from the database a deadline.`,
	"activate on MariaDB": `A call makes four round trips: the license by its code, INSERT, UPDATE and COMMIT; plain SQL makes as many, with BEGIN in the place of the first.
HTTP, JSON and the lease's signature come on top, and share the machine's processors with the database.`,
	"10,000 mails to orders, Dovecot to MariaDB": `mbsync writes a file for each mail; an order is a transaction of six rows and more, and most of the machine's time goes into MariaDB, which shares the
processors. What was found out about mails is committed before anything is done about them, so that a crash in between costs nothing, and each order is
committed by itself, as a store's post is.`,
	"validate with 1,000,000 licenses":  manyPages,
	"validate with 10,000,000 licenses": manyPages,
}

type versions struct{ keypost, sqlite, mariadb string }

func (b *bench) versions(ctx context.Context) (v versions, err error) {
	out, err := exec.CommandContext(ctx, b.binary, "version").Output()
	if err != nil {
		return v, fmt.Errorf("keypost version: %w", err)
	}
	v.keypost = strings.TrimPrefix(strings.TrimSpace(string(out)), "keypost ")
	for kind, q := range map[string]struct {
		text string
		to   *string
	}{sqlite: {"SELECT sqlite_version()", &v.sqlite}, mariadb: {"SELECT version()", &v.mariadb}} {
		if err := b.ask(ctx, kind, q.text, q.to); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (b *bench) ask(ctx context.Context, kind, query string, to *string) error {
	source, err := b.database(ctx, kind)
	if err != nil {
		return err
	}
	p, err := openPlain(source)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.QueryRowContext(ctx, query).Scan(to)
}
