package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A server is a process that is called.
type server struct {
	cmd  *exec.Cmd
	addr string
	log  string
}

// config is the daemon's: what it takes by default, and a free port.
const config = `[server]
listen = "127.0.0.1:0"
[database]
url = %q
[keys]
master_file = %q
[[product]]
id = "demo"
aliases = ["Product_Name"]
generator = { kind = "random" }
[[channel]]
name = "kagi"
kind = "krps"
secret = "bench"
digest = "sha-512"
`

// keypost starts the daemon on a database, with its log in a file as a service has it.
func (b *bench) keypost(ctx context.Context, database string, env ...string) (*server, error) {
	return b.keypostWith(ctx, database, "", env...)
}

// keypostWith has more in its config.
func (b *bench) keypostWith(ctx context.Context, database, more string, env ...string) (*server, error) {
	folder, err := os.MkdirTemp(b.folder, "keypost-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "keypost.toml")
	if err := os.WriteFile(file, append(fmt.Appendf(nil, config, database, b.master), more...), 0o600); err != nil {
		return nil, err
	}
	// It may be there already: with the rows of an earlier server.
	if out, err := exec.CommandContext(ctx, b.binary, "--config", file, "db", "create").CombinedOutput(); err != nil && !bytes.Contains(out, []byte("already exists")) {
		return nil, fmt.Errorf("db create: %w\n%s", err, out)
	}
	binary := b.binary
	if len(env) > 0 {
		binary = b.profiled
	}
	cmd := exec.CommandContext(ctx, binary, "--config", file, "serve")
	cmd.Env = append(os.Environ(), env...)
	return start(cmd, "Keypost is ready at http://", filepath.Join(folder, "log"))
}

// plain starts this program as another server: see floor.go.
func (b *bench) plain(env ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), env...)
	return start(cmd, "http://", filepath.Join(b.folder, "plain.log"))
}

// start starts a process and waits until it prints where it is.
func start(cmd *exec.Cmd, before, log string) (*server, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stderr = file
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, log: log}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), before); ok {
			s.addr, _, _ = strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return s, nil
		}
	}
	s.stop()
	text, _ := os.ReadFile(log)
	return nil, fmt.Errorf("%s ended:\n%s", cmd.Path, text)
}

// stop ends a process in good order, and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// errors are the first lines of the log that tell one.
func (s *server) errors() string {
	text, _ := os.ReadFile(s.log)
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=ERROR") && len(found) < 3 {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// memory is a figure of a process's memory, in MiB: VmRSS is what is resident
// now, RssAnon what of it is no file's, VmHWM the most that ever was.
func (s *server) memory(figure string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(figure+":")); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(v)), "kB")))
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("the system does not say how much memory a process has")
}
