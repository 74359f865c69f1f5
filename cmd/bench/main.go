// Command bench measures Keypost against the least that the same work costs
// without it (the same query by a plain HTTP server, the same rows by plain SQL),
// side by side on one machine in one run, and writes docs/benchmarks.md. What it
// prints are ratios, which hold on other machines too, and how many codes a
// second each generator makes on this one. A part of the rows writes no page.
//
//	make bench
//	go run ./cmd/bench -only validate
//	go run ./cmd/bench -only 'codes|module'
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/store/storetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	size
	folder, binary, profiled string
	master                   string // file of the master key
	keys                     *activation.Keyring
	mariadb                  *storetest.Server // nil: no row needed it yet
	large                    map[int]string    // the large databases by their licenses, once they are filled
	office                   *postOffice       // nil: no row needed it yet
	filing                   float64           // the speed at which mails come in when they are filed, beside when they are not
	out                      io.Writer
}

// A size says how much is measured.
type size struct {
	few, many, most int           // licenses
	calls           int           // before memory is read
	rounds          int           // of both sides in turn
	round           time.Duration // about, for each side
	starts          int
	unique          int // random codes that are held against each other

	mailed, mailRounds int // mails that are orders, and how often they are taken in
	messages           int // in a large mailbox
}

var (
	full  = size{few: 10_000, many: 1_000_000, most: 10_000_000, calls: 100_000, rounds: 7, round: time.Second, starts: 5, unique: 10_000_000, mailed: 10_000, mailRounds: 3, messages: 100_000}
	quick = size{few: 200, many: 1000, most: 2000, calls: 500, rounds: 3, round: 50 * time.Millisecond, starts: 1, unique: 10_000, mailed: 200, mailRounds: 1, messages: 1000}
)

func run(ctx context.Context, args []string, out io.Writer) error {
	if is, err := servers(out); is {
		return err
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	binary := flags.String("keypost", "bin/keypost", "the keypost to measure")
	page := flags.String("page", "docs/benchmarks.md", "the page to write; empty: none")
	only := flags.String("only", "", "measure only the rows whose text matches this `pattern`, and write no page")
	short := flags.Bool("quick", false, "so little of each that the figures mean nothing: to try the command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	b := &bench{size: full, out: out, large: map[int]string{}}
	if *short {
		b.size = quick
	}
	if b.binary, err = filepath.Abs(*binary); err != nil {
		return err
	}
	if err := b.setUp(); err != nil {
		return err
	}
	defer b.tearDown()
	var results []result
	for _, r := range rows {
		if !pattern.MatchString(r.what) {
			continue
		}
		got, err := b.measure(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.what, err)
		}
		fmt.Fprintln(out, got)
		results = append(results, got)
	}
	if len(results) == 0 {
		return fmt.Errorf("no row matches %s", *only)
	}
	if *page == "" || *only != "" {
		return nil
	}
	text, err := b.page(ctx, results)
	if err != nil {
		return err
	}
	return os.WriteFile(*page, text, 0o644)
}

func (b *bench) setUp() (err error) {
	if b.folder, err = os.MkdirTemp("", "keypost-bench-"); err != nil {
		return err
	}
	master := make([]byte, activation.MasterSize)
	rand.Read(master) // never fails
	b.master = filepath.Join(b.folder, "master.key")
	if err := os.WriteFile(b.master, []byte(base64.StdEncoding.EncodeToString(master)), 0o600); err != nil {
		return err
	}
	b.keys, err = activation.NewKeyring(nil, master)
	return err
}

func (b *bench) tearDown() {
	if b.mariadb != nil {
		b.mariadb.Stop()
	}
	if b.office != nil {
		b.office.stop()
	}
	os.RemoveAll(b.folder)
}

// database makes an empty database's URL.
func (b *bench) database(ctx context.Context, kind string) (string, error) {
	if kind == mariadb {
		if b.mariadb == nil {
			server, err := storetest.Start()
			if err != nil {
				return "", fmt.Errorf("MariaDB: %w (make parts installs it)", err)
			}
			b.mariadb = server
		}
		return b.mariadb.NewDatabase(ctx)
	}
	folder, err := os.MkdirTemp(b.folder, "sqlite-")
	return "sqlite:" + filepath.Join(folder, "keypost.db"), err
}

// profile builds a daemon that profiles itself, lets it do the same work, with
// more in its config, and returns its top functions.
func (b *bench) profile(ctx context.Context, database, more string, work func(*server) error) (string, error) {
	if b.profiled == "" {
		b.profiled = filepath.Join(b.folder, "keypost-profiled")
		if out, err := exec.CommandContext(ctx, "go", "build", "-tags", "profile", "-o", b.profiled, "./cmd/keypost").CombinedOutput(); err != nil {
			return "", fmt.Errorf("build a daemon that profiles itself: %w\n%s", err, out)
		}
	}
	file := filepath.Join(b.folder, "profile")
	d, err := b.keypostWith(ctx, database, more, "KEYPOST_PROFILE="+file)
	if err != nil {
		return "", err
	}
	defer os.Remove(file)
	defer d.stop()
	if err := work(d); err != nil {
		return "", err
	}
	if err := d.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return "", err
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Since(begin) > answerTimeout {
			return "", errors.New("the daemon wrote no profile")
		}
	}
	text, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=12", b.profiled, file).Output()
	return string(text), err
}

// called calls a server for two rounds.
func (b *bench) called(ctx context.Context, d *server, calls func(*load) side) error {
	l, err := newLoad(d.addr)
	if err != nil {
		return err
	}
	defer l.close()
	_, err = b.warm(ctx, calls(l), 2*b.round)
	return err
}
