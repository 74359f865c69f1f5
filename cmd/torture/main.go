// Command torture kills a daemon with SIGKILL, again and again, while orders
// are posted, machines activate and held orders are approved, and then counts:
// every acknowledged order must be there with the same codes, none twice, and
// every seat must be held by exactly the machine that was told so.
//
//	go run ./cmd/torture -keypost bin/keypost -rounds 50
package main

import (
	"bufio"
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// config has a free port, and orders of three copies are held.
const config = `[server]
listen = "127.0.0.1:0"
[database]
url = %q
[keys]
master_file = "master.key"
[[product]]
id = "demo"
aliases = ["Product_Name"]
limit = 3
generator = { kind = "random" }
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
	database := flags.String("database", "sqlite:keypost.db", "its database, which must be empty")
	rounds := flags.Int("rounds", 20, "how often it is killed")
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
	t := &torture{binary: path, config: filepath.Join(folder, "keypost.toml"), log: filepath.Join(folder, "log"), acks: map[string][]string{}, seats: map[seat]string{}}
	if err := os.WriteFile(t.config, fmt.Appendf(nil, config, *database), 0o600); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	fmt.Fprintf(out, "seed %d\n", *seed)
	for round := range *rounds {
		if err := t.round(ctx, round, random.IntN(150)+1, random.Uint64()); err != nil {
			return fmt.Errorf("round %d: %w%s", round, err, t.lastLog())
		}
	}
	d, err := t.start(ctx)
	if err != nil {
		return err
	}
	defer d.kill()
	return t.verify(ctx, d, out)
}

// A daemon is a real process.
type daemon struct {
	url string
	cmd *exec.Cmd
}

// start starts keypost serve and waits until it says where it is.
func (t *torture) start(ctx context.Context) (*daemon, error) {
	cmd := exec.CommandContext(ctx, t.binary, "--config", t.config, "serve")
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
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
