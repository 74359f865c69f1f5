// Package storetest starts real databases for tests: private ones, on free
// loopback ports, in temporary folders, that end with the tests.
package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // as root, to make databases and users
	"github.com/oklog/ulid/v2"
)

// A Server is a private MariaDB.
type Server struct {
	folder, addr string
	account      string   // that it runs as; "": this process's
	args         []string // beside those of every server
	cmd          *exec.Cmd
	exited       chan struct{}
}

var (
	once   sync.Once
	shared *Server
	failed error
)

// Main runs a package's tests and ends the servers that they shared. It is for
// TestMain.
func Main(m *testing.M) int {
	defer func() {
		if shared != nil {
			shared.Stop()
		}
		if cluster != nil {
			cluster.Stop()
		}
	}()
	return m.Run()
}

// MariaDB is the URL of a new, empty database on the server that a package's
// tests share. Where MariaDB is missing the test is left out, or fails if
// nothing may be left out.
func MariaDB(t testing.TB) string {
	t.Helper()
	url, err := Shared(t).NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Shared is the server that a package's tests share; see [MariaDB].
func Shared(t testing.TB) *Server {
	t.Helper()
	once.Do(func() { shared, failed = Start() })
	if errors.Is(failed, exec.ErrNotFound) {
		LeaveOut(t, "MariaDB is missing: make test installs it")
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return shared
}

// ReadOnly makes servers take no writes until the test ends, or writable is
// called. Without any named it is the shared one.
func ReadOnly(t testing.TB, servers ...*Server) (writable func()) {
	t.Helper()
	if len(servers) == 0 {
		servers = []*Server{Shared(t)}
	}
	set := func(on string) {
		for _, s := range servers {
			if err := s.Exec(context.Background(), "SET GLOBAL read_only = "+on); err != nil {
				t.Error(err)
			}
		}
	}
	set("ON")
	writable = sync.OnceFunc(func() { set("OFF") })
	t.Cleanup(writable)
	return writable
}

// LeaveOut skips the rest of a test, or fails it where nothing may be left out.
func LeaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("KEYPOST_TEST_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}

// Start installs and starts a server in a temporary folder.
func Start() (*Server, error) {
	for _, program := range []string{"mariadb-install-db", "mariadbd"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err
		}
	}
	folder, err := os.MkdirTemp("", "keypost-mariadb-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	if err := s.install(); err != nil {
		s.Stop()
		return nil, err
	}
	if err := s.Run(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// install makes the server's data.
func (s *Server) install() error {
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+s.data(), "--auth-root-authentication-method=normal",
		"--skip-test-db", s.user(), "--tmpdir="+s.folder) // in /tmp, two packages' installs take each other's tables away
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// user is root's own name for a server that root starts; others start it as they are.
func (s *Server) user() string {
	if s.account != "" {
		return "--user=" + s.account
	}
	if os.Getuid() == 0 {
		return "--user=root"
	}
	return "--skip-external-locking" // any option that changes nothing
}

// Run starts the server on its data, again after a kill, and waits until it answers.
func (s *Server) Run() error { return s.run() }

func (s *Server) run(once ...string) error {
	var log bytes.Buffer
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{
		"--no-defaults", s.user(), "--datadir=" + s.data(), "--socket=" + filepath.Join(s.folder, "socket"),
		"--port=" + port, "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=64M",
	}, s.args...)
	s.cmd = exec.Command("mariadbd", append(args, once...)...)
	s.cmd.Stderr = &log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	db, err := s.root()
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for db.PingContext(ctx) != nil {
		select {
		case <-s.exited:
			return fmt.Errorf("mariadbd ended:\n%s", log.String())
		case <-ctx.Done():
			return fmt.Errorf("mariadbd does not answer:\n%s", log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Kill ends the server with no warning; its data stay for Run.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.folder)
}

// Rights are what the store needs on its database, as docs/mysql.md says.
const Rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES"

// NewDatabase makes an empty database and a user with Rights alone, and returns its URL. Its character set is not the one that the store
// wants: the store must set that right.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	db, err := s.root()
	if err != nil {
		return "", err
	}
	defer db.Close()
	name := "t" + ulid.Make().String()
	for _, statement := range []string{
		"CREATE DATABASE " + name + " CHARACTER SET latin1",
		"CREATE USER '" + name + "'@'127.0.0.1' IDENTIFIED BY 'p@ss/word'",
		"GRANT " + Rights + " ON " + name + ".* TO '" + name + "'@'127.0.0.1'",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return "", err
		}
	}
	return "mysql://" + name + ":p%40ss%2Fword@" + s.addr + "/" + name, nil
}

// Exec runs a statement as root.
func (s *Server) Exec(ctx context.Context, statement string) error {
	db, err := s.root()
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func (s *Server) root() (*sql.DB, error) { return sql.Open("mysql", "root@tcp("+s.addr+")/") }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
