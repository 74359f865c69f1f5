package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrServed is what [Serve] answers for an embedded database that another daemon
// serves.
var ErrServed = errors.New("a daemon serves it already")

// errLocked: another process holds a file's lock.
var errLocked = errors.New("locked")

// Serve keeps other daemons from serving the same embedded database until end is
// called or the process is gone: a second one would watch the same mailboxes and
// send the same mails from a config of its own. On a server's database it does
// nothing: daemons share that. Its error is [ErrServed], and says which process
// it is.
func Serve(source string) (end func(), err error) {
	path, ok := strings.CutPrefix(source, "sqlite:")
	if !ok {
		return func() {}, nil
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) {
		return func() {}, nil // validations need no lock: a daemon starts on a full or read-only disk, too
	}
	if err != nil {
		return nil, err
	}
	err = lockFile(f)
	if errors.Is(err, errLocked) {
		b, _ := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		who := ""
		if pid := strings.TrimSpace(string(b)); pid != "" {
			who = " (process " + pid + ")"
		}
		return nil, fmt.Errorf("database %s: %w%s: an embedded database is one daemon's; for several, use MySQL", path, ErrServed, who)
	}
	if err == nil {
		_ = f.Truncate(0)
		_, _ = fmt.Fprintln(f, os.Getpid()) // for people: a full disk may refuse it
	}
	return func() { _ = f.Close() }, err
}
