package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keypost/keypost/keygen"
)

const (
	commandTimeout = 10 * time.Second
	commandMemory  = 256 << 20
)

// A Command runs a program for each request, without a shell: in a process
// group of its own that is killed whole, in /, with four environment
// variables, perhaps as another user.
type Command struct {
	args   []string
	as     *identity // nil: who we are
	limits Limits
	gate   gate
}

// identity is the user that a program runs as, with its own group alone.
type identity struct {
	name     string
	uid, gid uint32
}

// NewCommand makes a generator of a program, an absolute path, and its
// arguments. It runs as the user of the name runAs; "": as this process.
func NewCommand(args []string, runAs string, l Limits) (*Command, error) {
	if len(args) == 0 || !filepath.IsAbs(args[0]) {
		return nil, errors.New("command: it must begin with a program's path")
	}
	info, err := os.Stat(args[0])
	switch {
	case err != nil:
		return nil, fmt.Errorf("command: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("command: %s is not a program (chmod +x?)", args[0])
	}
	c := &Command{args: args, limits: l.or(commandTimeout, commandMemory), gate: make(gate, slots)}
	if runAs == "" {
		return c, nil
	}
	u, err := user.Lookup(runAs)
	if err != nil {
		return nil, fmt.Errorf("run_as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run_as: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run_as: %w", err)
	}
	if c.as = (&identity{runAs, uint32(uid), uint32(gid)}); int(uid) == os.Getuid() && uid != 0 {
		c.as = nil
	}
	return c, nil
}

// Warning is what a person should know of the set-up; "": nothing.
func (c *Command) Warning() string {
	switch {
	case os.Getuid() == 0 && (c.as == nil || c.as.uid == 0):
		return `it runs as root: give it a user of its own (run_as = "nobody")`
	case os.Getuid() != 0 && c.as != nil:
		return fmt.Sprintf("only root can run it as %s", c.as.name)
	}
	return ""
}

// Generate runs the program once.
func (c *Command) Generate(ctx context.Context, r keygen.Request) ([]string, error) {
	in, err := encode(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTerm, errBusy)
	defer cancel()
	leave, err := c.gate.enter(ctx)
	if err != nil {
		return nil, c.failed(err)
	}
	defer leave()
	codes, err := c.run(ctx, in, r)
	if err != nil {
		return nil, c.failed(err)
	}
	return codes, nil
}

// failed names the program, but where the order is at fault.
func (c *Command) failed(err error) error {
	if errors.Is(err, keygen.ErrRequest) {
		return err
	}
	return fmt.Errorf("the program %s: %w", filepath.Base(c.args[0]), err)
}

// environment is all that a program finds of ours.
func environment() []string {
	zone := os.Getenv("TZ")
	if zone == "" {
		zone = "UTC"
	}
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TZ=" + zone, "HOME=/nonexistent"}
}
