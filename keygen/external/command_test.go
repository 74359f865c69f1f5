//go:build linux

package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/keygen"
)

// script writes a program for sh.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gen")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func command(t *testing.T, text string, l Limits, args ...string) *Command {
	t.Helper()
	c, err := NewCommand(append([]string{script(t, text)}, args...), "", l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var patience = Limits{Timeout: 30 * time.Second}

func TestCommand(t *testing.T) {
	if got := good(t, command(t, `read -r line; echo "A-1 $1"; echo A-2`, patience, "two words"), request(2)); got[0] != "A-1 two words" {
		t.Error(got)
	}
	good(t, command(t, "echo A; exec >&- 2>&-", patience), request(1)) // it reads nothing
	bad(t, command(t, "cat >/dev/null", patience), request(1), "the program gen: it printed no code")
	bad(t, command(t, "echo A; echo why >&2", patience), request(2), "made 1 codes, 2 were wanted: why")
	bad(t, command(t, "printf 'A\\033[31m\\n'", patience), request(1), "control character")
	bad(t, command(t, `read -r line; printf "no: %s \033[31m" "$line" >&2; exit 1`, patience), request(1), "exit code 1: no: {", `\x1b[31m`)
	bad(t, command(t, "kill -SEGV $$", patience), request(1), "signal: segmentation fault")
	bad(t, command(t, "exec yes", patience), request(1), "more than 64 KiB of output")
	bad(t, command(t, "exec yes >&2", patience), request(1), "more than 64 KiB of output")
	bad(t, command(t, "head -c 20000 /dev/zero | tr '\\0' x >&2; exit 1", patience), request(1), "exit code 1: xxx")
	lacking := command(t, "echo 'no machine for Ada Lovelace' >&2; echo more >&2; exit 65", patience)
	if _, err := lacking.Generate(t.Context(), request(1)); !errors.Is(err, keygen.ErrRequest) || !strings.HasSuffix(err.Error(), ": no machine for …") {
		t.Error(err)
	}
	r := request(1)
	r.OEMSeed = strings.Repeat("x", 1<<20) // more than a pipe holds, read by nobody
	good(t, command(t, "echo A", patience), r)
}

// The time limit ends the whole family.
func TestCommandTimeout(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := command(t, `sleep 1000 & echo $! >"$1"; wait`, Limits{Timeout: limit}, pid)
	stoppedInTime(t, func() { bad(t, c, request(1), "it took more than 100ms") })
	gone(t, pid)
	// The end of the caller does so, too.
	c = command(t, `sleep 1000 & echo $! >"$1"; wait`, patience, pid)
	os.Remove(pid)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if b, _ := os.ReadFile(pid); len(b) > 0 {
				cancel()
			}
			runtime.Gosched()
		}
	}()
	if _, err := c.Generate(ctx, request(1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	gone(t, pid)
	// What a good program leaves behind is ended as well, and holds up nobody.
	good(t, command(t, `sleep 1000 & echo $! >"$1"; echo A`, patience, pid), request(1))
	gone(t, pid)
	// Not even what left the group: its pipe is not waited for.
	start := time.Now()
	good(t, command(t, `setsid sleep 2 & echo A`, patience), request(1))
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

// gone wants the process dead whose number is in a file.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	for end := time.Now().Add(5 * time.Second); ; runtime.Gosched() { // a signal is on its way
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") { // or nobody has reaped it
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s lives: %s", pid, stat)
		}
	}
}

// The memory limit is in force, and a Go program lives within the default.
func TestCommandMemory(t *testing.T) {
	c, err := NewCommand([]string{guest(t, runtime.GOOS, runtime.GOARCH)}, "", patience)
	if err != nil {
		t.Fatal(err)
	}
	good(t, c, request(2))
	bad(t, c, request(1, "memory"), "exit code 2", "out of …")
}

func TestCommandLimits(t *testing.T) {
	got := good(t, command(t, "grep -E 'Max (data|core)' /proc/self/limits | tr -s ' '", Limits{Memory: 64 << 20}), request(2))
	if got[0] != "Max data size 67108864 67108864 bytes" || got[1] != "Max core file size 0 0 bytes" {
		t.Errorf("%q", got)
	}
}

// The buyer is on standard input and nowhere else, and nothing of ours is in
// the environment.
func TestCommandPrivacy(t *testing.T) {
	t.Setenv("KEYPOST_TEST_SECRET", "geheim")
	t.Setenv("TZ", "")
	seen := filepath.Join(t.TempDir(), "seen")
	c := command(t, `{ tr '\0' '\n' </proc/$$/cmdline; echo; tr '\0' '\n' </proc/$$/environ; pwd; ls /proc/$$/fd; } >"$1"; echo A`, patience, seen)
	good(t, c, request(1, "MACHINE-7"))
	b, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"Ada", "ada@", "MACHINE", "oem", "geheim", "01ORDER"} {
		if strings.Contains(string(b), private) {
			t.Errorf("%q is in\n%s", private, b)
		}
	}
	if !strings.Contains(string(b), "\nPATH=/usr/local/bin:/usr/bin:/bin\nLANG=C.UTF-8\nTZ=UTC\nHOME=/nonexistent\n/\n0\n1\n") {
		t.Errorf("%s", b)
	}
}

// Another user runs it, with no group of root's.
func TestCommandRunAs(t *testing.T) {
	if os.Getuid() != 0 {
		c, err := NewCommand([]string{script(t, "echo A")}, "root", patience)
		if err != nil || !strings.Contains(c.Warning(), "only root") {
			t.Fatal(err)
		}
		bad(t, c, request(1), "operation not permitted")
		return
	}
	file := script(t, `echo "$(id -un) $(id -G)"`)
	for dir := filepath.Dir(file); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c, err := NewCommand([]string{file}, "nobody", patience)
	if err != nil {
		t.Fatal(err)
	}
	if got := good(t, c, request(1))[0]; !strings.HasPrefix(got, "nobody ") || len(strings.Fields(got)) != 2 || strings.HasSuffix(got, " 0") || c.Warning() != "" {
		t.Errorf("%q, %q", got, c.Warning())
	}
	if c, err = NewCommand([]string{file}, "", patience); err != nil || !strings.Contains(c.Warning(), `run_as = "nobody"`) {
		t.Error(err)
	}
}

// Where tracing is forbidden the limits are set all the same.
func TestCommandUntraced(t *testing.T) {
	c := command(t, "read -r line; echo A", patience)
	p, err := c.startTraced(false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil || !strings.Contains(string(b), strconv.Itoa(commandMemory)) {
		t.Errorf("%v\n%s", err, b)
	}
	p.in.Close()
	if err := p.wait(t.Context()); err != nil {
		t.Error(err)
	}
	p.close()
}

func TestNewCommand(t *testing.T) {
	no := func(want string, runAs string, args ...string) {
		t.Helper()
		if _, err := NewCommand(args, runAs, Limits{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	no("command: it must begin", "")
	no("command: it must begin", "", "sh")
	no("command: stat ", "", text+".none")
	no("command: "+text+" is not a program", "", text)
	no("command: ", "", t.TempDir())
	no("run_as: ", "no-such-user", "/bin/sh")
	c := command(t, "", Limits{})
	if err := os.WriteFile(c.args[0], []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	bad(t, c, request(1), "no such file")
}

// Many at once, no more processes than slots, and none of them mixed up.
func TestCommandMany(t *testing.T) {
	c := command(t, `read -r line; line=${line#*order\":\"}; echo "${line%%\"*}"`, patience)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			r := request(1)
			r.OrderID = fmt.Sprint("ORDER-", i)
			if got, err := c.Generate(t.Context(), r); err != nil || got[0] != r.OrderID {
				t.Errorf("%s: %v, %v", r.OrderID, got, err)
			}
		})
	}
	all.Wait()
}

func BenchmarkCommand(b *testing.B) {
	file := filepath.Join(b.TempDir(), "gen")
	if err := os.WriteFile(file, []byte("#!/bin/sh\nread -r line\necho A\n"), 0o755); err != nil {
		b.Fatal(err)
	}
	c, err := NewCommand([]string{file}, "", patience)
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Generate(b.Context(), request(1)); err != nil {
				b.Error(err)
			}
		}
	})
}
