package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Cluster is a private MariaDB Galera cluster of three nodes on loopback.
type Cluster struct {
	Nodes  []*Server
	folder string
}

const (
	galeraNodes    = 3
	galeraProvider = "/usr/lib/galera/libgalera_smm.so" // Debian's galera-4
	// galeraTimes are much shorter than Galera's own, so that tests need not wait
	// until a dead node is given up.
	galeraTimes = "evs.suspect_timeout=PT4S;evs.inactive_timeout=PT8S;evs.inactive_check_period=PT0.5S;evs.keepalive_period=PT0.5S"
)

var (
	clusterOnce   sync.Once
	cluster       *Cluster
	clusterFailed error
)

// Galera is the cluster that a package's tests share, all of its nodes in step,
// and the URL of a new, empty database on it that names all nodes. Where Galera
// is missing the test is left out, or fails if nothing may be left out.
func Galera(t testing.TB) (c *Cluster, url string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster: make test does it")
	}
	clusterOnce.Do(func() { cluster, clusterFailed = StartCluster() })
	if errors.Is(clusterFailed, exec.ErrNotFound) {
		LeaveOut(t, "Galera is missing: make test installs it")
	}
	if clusterFailed != nil {
		t.Fatal(clusterFailed)
	}
	if err := cluster.Synced(t.Context()); err != nil { // an earlier test may have killed a node
		t.Fatal(err)
	}
	url, err := cluster.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cluster, url
}

// StartCluster installs and starts a cluster in a temporary folder, and waits
// until its nodes are in step.
func StartCluster() (_ *Cluster, err error) {
	if _, err := os.Stat(galeraProvider); err != nil {
		return nil, fmt.Errorf("%w: %w", exec.ErrNotFound, err)
	}
	for _, program := range []string{"mariadb-install-db", "mariadbd", "rsync"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err
		}
	}
	folder, err := os.MkdirTemp("", "keypost-galera-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	ports, err := freePorts(4 * galeraNodes)
	if err != nil {
		return nil, err
	}
	var group []string
	for i := range galeraNodes {
		group = append(group, fmt.Sprintf("127.0.0.1:%d", ports[i]))
	}
	for i := range galeraNodes {
		// The ports at which a node talks to the others, takes in the last
		// changes, and takes in all data.
		own := ports[galeraNodes*(i+1):]
		s := &Server{folder: filepath.Join(folder, strconv.Itoa(i+1)), addr: fmt.Sprintf("127.0.0.1:%d", own[0])}
		s.args = []string{
			"--wsrep-on=ON", "--wsrep-provider=" + galeraProvider, "--wsrep-cluster-address=gcomm://" + strings.Join(group, ","),
			"--wsrep-node-address=" + group[i], "--wsrep-node-name=" + strconv.Itoa(i+1), "--wsrep-sst-method=rsync", fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", own[1]),
			fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://%s;ist.recv_addr=127.0.0.1:%d;gcache.size=32M;%s", group[i], own[2], galeraTimes),
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
		}
		if os.Getuid() == 0 { // rsync, which carries the data to a node, drops root's rights
			s.account = "mysql"
		}
		c.Nodes = append(c.Nodes, s)
	}
	if err := c.install(); err != nil {
		return nil, err
	}
	if err := c.Nodes[0].run("--wsrep-new-cluster"); err != nil {
		return nil, err
	}
	for _, s := range c.Nodes[1:] {
		if err := s.Run(); err != nil {
			return nil, err
		}
	}
	return c, c.Synced(context.Background())
}

// install makes the first node's data; the others get them from it.
func (c *Cluster) install() error {
	for _, s := range c.Nodes {
		if err := os.MkdirAll(s.data(), 0o700); err != nil {
			return err
		}
	}
	if c.Nodes[0].account != "" {
		if err := give(c.folder, c.Nodes[0].account); err != nil {
			return err
		}
	}
	return c.Nodes[0].install()
}

// give makes a folder and all in it an account's.
func give(folder, account string) error {
	u, err := user.Lookup(account)
	if err != nil {
		return fmt.Errorf("%w: %w", exec.ErrNotFound, err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return filepath.Walk(folder, func(path string, _ os.FileInfo, err error) error {
		return cmp.Or(err, os.Chown(path, uid, gid))
	})
}

// Stop ends all nodes and removes their data.
func (c *Cluster) Stop() {
	for _, s := range c.Nodes {
		s.Stop()
	}
	_ = os.RemoveAll(c.folder)
}

// Synced starts the nodes that were killed and waits until all are in step.
func (c *Cluster) Synced(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	running := slices.DeleteFunc(slices.Clone(c.Nodes), func(s *Server) bool { return !s.Runs() })
	// A node that comes back before the others have given it up can part the
	// whole cluster.
	if err := inStep(ctx, running); err != nil {
		return err
	}
	for _, s := range c.Nodes {
		if !s.Runs() {
			if err := s.Run(); err != nil {
				return err
			}
			running = append(running, s)
			if err := inStep(ctx, running); err != nil {
				return err
			}
		}
	}
	return nil
}

// inStep waits until nodes, and they alone, are a cluster and in step.
func inStep(ctx context.Context, nodes []*Server) error {
	for _, s := range nodes {
		for {
			state, size, err := s.state(ctx)
			if err == nil && state == "Synced" && size == strconv.Itoa(len(nodes)) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("node %s is %q in a cluster of %s, not %d: %w", s.addr, state, size, len(nodes), cmp.Or(err, ctx.Err()))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// state is a node's state, and how many nodes it sees.
func (s *Server) state(ctx context.Context) (state, size string, err error) {
	db, err := s.root()
	if err != nil {
		return "", "", err
	}
	defer db.Close()
	var name string
	for key, value := range map[string]*string{"wsrep_local_state_comment": &state, "wsrep_cluster_size": &size} {
		err := db.QueryRowContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name = ?", key).Scan(&name, value)
		if err != nil {
			return state, size, err
		}
	}
	return state, size, nil
}

// NewDatabase makes a database as [Server.NewDatabase] does; its URL names all
// nodes in their order.
func (c *Cluster) NewDatabase(ctx context.Context) (string, error) {
	url, err := c.Nodes[0].NewDatabase(ctx)
	return c.URL(url, 0, 1, 2), err
}

// URL is a database's URL by way of nodes, which are numbered from 0.
func (c *Cluster) URL(url string, nodes ...int) string {
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, c.Nodes[n].addr)
	}
	begin, end := strings.LastIndex(url, "@")+1, strings.LastIndex(url, "/")
	return url[:begin] + strings.Join(hosts, ",") + url[end:]
}

// Runs tells whether a server was started and not killed.
func (s *Server) Runs() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Addr is where a server listens, host:port.
func (s *Server) Addr() string { return s.addr }

// Freeze stops a server as a machine that hangs is stopped: its connections stay
// open and nothing answers on them. The returned function lets it go on.
func (s *Server) Freeze() (thaw func(), err error) {
	err = s.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }, err
}

// Lag keeps a node of a cluster from applying what others commit, as a backup
// does that locks all tables. The returned function ends that.
func (s *Server) Lag(ctx context.Context) (end func(), err error) {
	db, err := s.root()
	if err != nil {
		return nil, err
	}
	// The lock is the session's.
	session, err := db.Conn(ctx)
	if err == nil {
		for _, stage := range []string{"START", "BLOCK_COMMIT"} {
			if err == nil {
				_, err = session.ExecContext(ctx, "BACKUP STAGE "+stage)
			}
		}
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return func() {
		_, _ = session.ExecContext(context.WithoutCancel(ctx), "BACKUP STAGE END")
		_ = session.Close()
		_ = db.Close()
	}, nil
}

// freePorts are so many, none twice.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them when there are enough
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
