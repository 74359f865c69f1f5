package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keypost/keypost/keygen"
)

// drain is how long what a dead process left in its pipes is read: longer only
// if a process that left the group holds them open.
const drain = 50 * time.Millisecond

// run runs the program to its end or ctx's.
func (c *Command) run(ctx context.Context, in []byte, r keygen.Request) ([]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, c.limits.Timeout, errTimeout)
	defer stop()
	p, err := c.start()
	if err != nil {
		return nil, err
	}
	out := &capped{kept: maxOutput, max: maxOutput, over: func() { cancel(errOutput) }}
	errs := &capped{kept: keptErrors, max: maxErrors, over: func() { cancel(errOutput) }}
	var pipes sync.WaitGroup
	pipes.Go(func() { _, _ = p.in.Write(in); p.in.Close() }) // who does not read its request may still print codes
	pipes.Go(func() { _, _ = io.Copy(out, p.out) })
	pipes.Go(func() { _, _ = io.Copy(errs, p.errs) })
	err = p.wait(ctx)
	p.drain()
	pipes.Wait()
	p.out.Close()
	p.errs.Close()
	if ctx.Err() != nil {
		return nil, stopped(ctx, c.limits.Timeout)
	}
	said := errs.buf.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if exit.Exited() {
			return nil, exited(exit.ExitCode(), said, r)
		}
		return nil, fmt.Errorf("%s%s", exit, because(said, r))
	}
	if err != nil {
		return nil, err
	}
	codes, err := lines(out.buf.Bytes(), r.Quantity)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, because(said, r))
	}
	return codes, nil
}

// A process is the program, running, with our ends of its pipes.
type process struct {
	cmd           *exec.Cmd
	in, out, errs *os.File
}

// start starts the program with its limits in force before its first
// instruction. Go has no hook between fork and exec; so the child asks to be
// traced, the kernel stops it at the end of exec, prlimit(2) sets its limits
// from here, and it is let go. Where tracing is forbidden (a seccomp filter)
// the limits are set right after the start.
func (c *Command) start() (*process, error) {
	p, err := c.startTraced(true)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		p, err = c.startTraced(false)
	}
	return p, err
}

func (c *Command) startTraced(traced bool) (*process, error) {
	p := &process{cmd: exec.Command(c.args[0], c.args[1:]...)}
	p.cmd.Dir, p.cmd.Env = "/", environment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Ptrace: traced}
	if c.as != nil {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.as.uid, Gid: c.as.gid} // and no other group
	}
	theirs, err := p.connect()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	runtime.LockOSThread() // whoever traces is a thread, not a process
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		p.close()
		return nil, notStarted(err)
	}
	err = c.limit(p.cmd.Process.Pid, traced)
	if err != nil {
		p.kill()
		_ = p.cmd.Wait()
		p.close()
		return nil, fmt.Errorf("limits: %w", err)
	}
	return p, nil
}

// notStarted says what to do about what the kernel says of a file that is there.
func notStarted(err error) error {
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w: it is no program of this machine; a script needs a #! line first, such as #!/bin/sh", err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: if the file is there, what its #! line names is not (has the line a CR at its end?)", err)
	}
	return err
}

// connect makes the three pipes; theirs are to be closed here once the child
// has them.
func (p *process) connect() (theirs []*os.File, err error) {
	for _, end := range []struct {
		ours  **os.File
		write bool
	}{{&p.in, true}, {&p.out, false}, {&p.errs, false}} {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			for _, f := range theirs {
				f.Close()
			}
			return nil, err
		}
		if end.write {
			*end.ours, theirs = w, append(theirs, r)
		} else {
			*end.ours, theirs = r, append(theirs, w)
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	return theirs, nil
}

func (p *process) close() {
	for _, f := range []*os.File{p.in, p.out, p.errs} {
		if f != nil {
			f.Close()
		}
	}
}

// limit sets a child's limits. Memory is RLIMIT_DATA, what it can write to and
// shares with nobody: RLIMIT_AS counts what is only reserved too, and Go, Java
// and Node reserve more than half a gigabyte before they do anything. No core
// is dumped: there would be a buyer in it.
func (c *Command) limit(pid int, traced bool) error {
	if traced {
		// WNOWAIT: whatever happened to it, cmd.Wait reaps it.
		if err := waitid(pid, unix.WSTOPPED|unix.WEXITED); err != nil {
			return err
		}
		defer func() { _ = unix.PtraceDetach(pid) }() // one that was killed meanwhile is not there
	}
	memory := uint64(c.limits.Memory)
	for resource, most := range map[int]uint64{unix.RLIMIT_DATA: memory, unix.RLIMIT_CORE: 0} {
		set := func() error { return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil) }
		err := set()
		if errors.Is(err, unix.EPERM) && c.as != nil {
			err = c.as.during(set)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// during makes a call with the real ids of the identity, on this thread alone
// (the caller has locked it). Root in a container often lacks CAP_SYS_RESOURCE,
// and then may set limits of processes of its own real ids only: prlimit(2).
// The effective ids, and so all rights, stay.
func (i *identity) during(call func() error) error {
	ids := func(uid, gid uint32) error {
		const same = ^uintptr(0)
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), same, same); e != 0 {
			return e
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), same, same); e != 0 {
			return e
		}
		return nil
	}
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	err := ids(i.uid, i.gid)
	if err == nil {
		err = call()
	}
	if back := ids(uid, gid); back != nil {
		runtime.LockOSThread() // once more than it is unlocked: nobody else gets this thread
		return back
	}
	return err
}

// wait waits for the program, or kills it once ctx ends, and in both cases the
// whole group: nothing that it started stays behind. It is killed while its
// leader is not reaped, so that the group's number is nobody else's yet.
func (p *process) wait(ctx context.Context) error {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.kill(); close(killed) })
	err := waitid(p.cmd.Process.Pid, unix.WEXITED)
	if !stop() {
		<-killed
	}
	p.kill()
	return errors.Join(p.cmd.Wait(), err)
}

func (p *process) kill() { _ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) }

// drain lets the pipes be read to their end, but not for long.
func (p *process) drain() {
	end := time.Now().Add(drain)
	for _, f := range []*os.File{p.in, p.out, p.errs} {
		_ = f.SetDeadline(end) // an input that is closed has none
	}
}

// waitid waits for a child to change without reaping it.
func waitid(pid, options int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
