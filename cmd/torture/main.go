// Command torture kills daemons and their database with SIGKILL, again and
// again, and stops and locks the nodes of a cluster, while orders are posted to two daemons at once, machines come and go
// and held orders are approved, and then counts: every acknowledged order must
// be there with the same codes, none twice, and every seat must be held by
// exactly the machine that was told so.
//
//	go run ./cmd/torture -keypost bin/keypost -database mariadb -rounds 50
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/keypost/keypost/store/storetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// config has a free port, and orders of three copies are held; the products
// come after it.
const config = `[server]
listen = "127.0.0.1:0"
[database]
url = %q
[keys]
master_file = "master.key"
[[channel]]
name = "kagi"
kind = "krps"
secret = "torture"
digest = "md5"
max_quantity = 2
`

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	binary := flags.String("keypost", "bin/keypost", "the keypost to torture")
	database := flags.String("database", "sqlite", "sqlite; mariadb: a private server, which is killed too; or galera: a private cluster, whose nodes are killed, stopped and locked too")
	rounds := flags.Int("rounds", 20, "how often something is killed")
	seed := flags.Uint64("seed", rand.Uint64(), "of the random choices")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "keypost-torture-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	t := &torture{
		binary: path, config: filepath.Join(folder, "keypost.toml"), second: filepath.Join(folder, "second.toml"), log: filepath.Join(folder, "log"),
		acks: map[string][]string{}, products: map[string]string{}, seats: map[seat]string{}, released: map[seat]bool{}, kills: map[string]int{},
	}
	t.daemons = make([]*daemon, 2)
	url := "sqlite:keypost.db"
	other := "" // the second daemon's, where it is not the same
	switch *database {
	case "sqlite":
		t.daemons = t.daemons[:1] // an embedded database is one daemon's
	case "mariadb":
		if t.server, err = storetest.Start(); err != nil {
			return err
		}
		defer t.server.Stop()
		if url, err = t.server.NewDatabase(ctx); err != nil {
			return err
		}
	case "galera":
		if t.cluster, err = storetest.StartCluster(); err != nil {
			return err
		}
		defer t.cluster.Stop()
		if url, err = t.cluster.NewDatabase(ctx); err != nil {
			return err
		}
		other = t.cluster.URL(url, 1, 2, 0) // the two work on two nodes at once
	default:
		return fmt.Errorf("-database %s: it must be sqlite, mariadb or galera", *database)
	}
	maker := newMaker()
	defer maker.Close()
	if err := t.fill(folder); err != nil {
		return err
	}
	configOf := func(url string) string { return fmt.Sprintf(config, url) + productsConfig(maker.URL) }
	if err := errors.Join(
		os.WriteFile(t.second, []byte(configOf(cmp.Or(other, url))), 0o600),
		t.create(ctx, configOf(url)),
	); err != nil {
		return err
	}
	defer t.killDaemons()
	random := rand.New(rand.NewPCG(*seed, 0))
	fmt.Fprintf(out, "seed %d\n", *seed)
	for round := range *rounds {
		if err := t.round(ctx, round, random); err != nil {
			return fmt.Errorf("round %d: %w%s", round, err, t.lastLog())
		}
	}
	if t.cluster != nil {
		if err := t.cluster.Synced(ctx); err != nil {
			return err
		}
	}
	if err := t.startAll(ctx); err != nil {
		return err
	}
	for i := range products { // each kind works after all that, whatever chance gave it before
		t.attempted = append(t.attempted, fmt.Sprintf("LAST%c1", 'A'+i))
	}
	return t.verify(ctx, t.daemons[0], out)
}

// generator makes codes by chance, as many as there are lines to be read in the
// quantity: a program of a vendor's.
const generator = `#!/bin/sh
read -r line
n=$(printf '%s' "$line" | sed 's/.*"quantity":\([0-9]*\).*/\1/')
i=0
while [ $i -lt "$n" ]; do
	od -An -N12 -tx1 /dev/urandom | tr -d ' \n'
	echo
	i=$((i+1))
done
`

// poolSize is more codes than the orders of many rounds take.
const poolSize = 20_000

// fill writes the program, the module, the pool's codes and the keys.
func (t *torture) fill(folder string) error {
	var codes strings.Builder
	for i := range poolSize {
		fmt.Fprintf(&codes, "POOL-%06d\n", i)
	}
	return errors.Join(
		newKeys(folder),
		newModule(folder),
		os.WriteFile(filepath.Join(folder, "generator"), []byte(generator), 0o700),
		os.WriteFile(filepath.Join(folder, "codes.txt"), []byte(codes.String()), 0o600),
	)
}

// create writes the config and makes its database.
func (t *torture) create(ctx context.Context, config string) error {
	if err := os.WriteFile(t.config, []byte(config), 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, t.binary, "--config", t.config, "db", "create").CombinedOutput(); err != nil {
		return fmt.Errorf("db create: %w\n%s", err, out)
	}
	return nil
}

// startAll starts the daemons that do not run.
func (t *torture) startAll(ctx context.Context) error {
	for i, d := range t.daemons {
		if d != nil {
			continue
		}
		config := t.config
		if i == 1 && t.second != "" {
			config = t.second
		}
		d, err := t.start(ctx, config)
		if err != nil {
			return err
		}
		t.daemons[i] = d
	}
	return nil
}

func (t *torture) killDaemons() {
	for i, d := range t.daemons {
		if d != nil {
			d.kill()
		}
		t.daemons[i] = nil
	}
}

// A daemon is a real process.
type daemon struct {
	url  string
	cmd  *exec.Cmd
	next *daemon // asked where this one does not answer; nil: none is
}

// start starts keypost serve and waits until it says where it is.
func (t *torture) start(ctx context.Context, config string) (*daemon, error) {
	cmd := exec.CommandContext(ctx, t.binary, "--config", config, "serve")
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Keypost is ready at "); ok {
			d.url, _, _ = strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return d, nil
		}
	}
	d.kill()
	return nil, errors.New("keypost serve ended" + t.lastLog())
}

// kill ends the process with no warning.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

func (t *torture) lastLog() string {
	b, _ := os.ReadFile(t.log)
	return "; its log ends:\n" + string(b[max(0, len(b)-2000):])
}
