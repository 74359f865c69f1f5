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

For vendors and developers who want to know what Keypost itself costs: each row compares it with the least that the
same work takes without it. One run of ` + "`make bench`" + ` on one machine measured both sides in turn. Most figures are
ratios of calls a second, since those hold on other machines too: 1.00 is as fast, more is faster. Codes a second
depend on the machine.

| what | against | target | measured | from - to | | beside an empty handler |
|---|---|---|---|---|---|---|
`

const pageFoot = `
## How it is measured

### Calls

- The load comes from a process of its own. Its %[1]d connections are kept open, wait for each answer, and check it.
  The daemon is the shipped binary with its default config, and logs to a file. Both sides and the load share the
  machine's %[2]d processors.
- A ratio is the median of %[3]d pairs of rounds of about %[4]s each, one side after the other, after both are warm.
  Beside it are the lowest and the highest.
- The plain server for validate is the least that answers from the database: the same router, the same JSON read and
  written, and the same SELECT by a prepared statement, with as many connections as the daemon reads with and with
  the same settings. It keeps no log, counts nothing, limits nobody and has no deadlines. To renew, it updates the
  machine's row in a durable transaction of its own (synchronous=FULL), and signs nothing.
- The empty handler, in the last column, is the same server without the database: it reads the JSON and answers a
  fixed text. It shows how much of a call is HTTP. It has no target, since a read from a database cannot be free.
- Plain SQL writes the same rows as the call in one transaction, with the same driver, durably: on MariaDB by %[1]d
  connections, on SQLite by the one that writes, with synchronous=FULL. It speaks no HTTP. It prepares no statements,
  where Keypost does. It reads nothing back, signs nothing and checks nothing.

### Many licenses

- Databases have %[6]d licenses unless the row says otherwise, at most %[5]d. Each license has its sale, its order and
  a machine. Licenses are asked for in random order. A large file is read once before, as far as the system's file
  cache holds it: 10,000,000 licenses are 12 GiB.
- Memory is read after %[7]d calls, of which one in ten writes. It is RssAnon in /proc/PID/status: what the process
  holds apart from files. The database's file is mapped into memory, which tools also count as resident (RssFile); the
  system takes that back when memory is short.
- The start ends with the first good answer of /readyz.
- Lists and searches are asked of the store, without HTTP, with each set of filters that may be given together, for
  pages that begin anywhere. There are as many orders, notices and mails as licenses, in several stores, products and
  statuses. The figure is the median of the slowest one.

### Codes

- One caller makes the codes, one a call, with the generators that the daemon has, in the load's process and on one
  processor (GOMAXPROCS=1). A program is a process of its own.
- %[12]d random codes are compared by hashes of 64 bits. Ten million different codes have two equal hashes once in
  370,000 runs.
- The module and the program are the example in C of [external.md](external.md). Each code has a new instance, or
  process. A looping module is one with a limit of 100 ms; each time, the next order must be served afterwards.

### Mail

- The %[13]d mails lie in one INBOX of a Dovecot on this machine, each signed (DKIM, Ed25519) and about a sale of its
  own. The clock runs from the daemon's start, with its database set up, until the last order is durable. Log-in,
  signatures and codes are included. Mails to buyers are not: they wait in the outbox.
- mbsync copies the folder with its default settings, which sync each file to the disk, over the same TLS; it verifies
  nothing. Both run in turn, in %[14]d pairs of rounds, after mbsync ran once to warm Dovecot up. The daemon moves no
  mail there, as mbsync moves none. When it moves each mail to a folder, it has %.2[15]f of that speed.
- One mail is read from %[16]d samples (plain, with the headers that servers add, quoted-printable, and with HTML
  beside it) on one processor. The parser takes each apart and decodes all its parts.
- From the new mail to the buyer's code: the clock starts when a mail arrives in a quiet INBOX, and ends when the
  buyer's mail lies in the SMTP server's folder (Exim, TLS, log-in). The figure is the median of %[17]d. Half a second
  of it is Dovecot's, which waits that long before it reports new mail.
- The memory over messages is the most that was ever resident (VmHWM) while %[18]d small messages were read, of which
  one in %[19]d is an order, on SQLite.

### Versions

keypost %[8]s, %[9]s, SQLite %[10]s, MariaDB %[11]s.
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

const manyPages = `The pages that a call reads, of two indexes and two tables, are in the processors' caches when licenses are few. With
many, each is somewhere else: in the file cache, or on disk where the file is larger than that. The daemon's own cache
is bounded, to keep its memory small.`

// why a row may be missed, in words beside the profile.
var why = map[string]string{
	"validate on SQLite": `Besides what the plain server does, the daemon logs a line, limits addresses that guess, gives each call a deadline and
answers with more headers.`,
	"validate on MariaDB": `Besides what the plain server does, the daemon logs a line, limits addresses that guess, and gives each call and each
read from the database a deadline.`,
	"activate on MariaDB": `A call makes four round trips: the license by its code, INSERT, UPDATE and COMMIT. Plain SQL makes as many, with BEGIN
in the place of the first. HTTP, JSON and the lease's signature come on top, and share the machine's processors with
the database.`,
	"10,000 mails to orders, Dovecot to MariaDB": `mbsync writes a file for each mail. An order is a transaction of six rows and more, and most of the machine's time goes
into MariaDB, which shares the processors. What was found out about mails is committed before anything is done about
them, so that a crash in between costs nothing, and each order is committed by itself, as a store's post is.`,
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
