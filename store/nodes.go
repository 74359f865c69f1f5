package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A database's URL may name several nodes of a cluster. All connections go to
// the first of them that is well: daemons with the same URL write to the same
// node, where their writes wait for each other and do not collide. Each node is
// looked at once a second. When the one in use is not well, its connections are
// cut, so that nobody waits for a machine that hangs, and what was under way is
// tried again on the next one. When it is well again for a while, connections
// go back to it as they are next used.

const (
	lookEvery   = time.Second
	lookTimeout = 3 * time.Second // a node that does not answer in this time hangs
	backAfter   = 3 * time.Second // that a node must have been well for, until it is used again
)

// A grade is how well a node is.
type grade int32

const (
	gradeDown  grade = iota // it does not answer, is not ready, or is not with the others
	gradeReads              // it takes no writes; validations go on where nothing is better
	gradePoor               // it works, and lags: it is a donor, or a backup locks its tables
	gradeGood
)

// nodes are those of one URL.
type nodes struct {
	list []*node
	best atomic.Pointer[node]
	mu   sync.Mutex // for changes of grades
	stop context.CancelFunc
	gone sync.WaitGroup
}

// A node is one host of a URL.
type node struct {
	nodes *nodes
	addr  string
	plain driver.Connector
	sure  driver.Connector // with wsrep_sync_wait = 1
	hurry chan bool        // look at once

	grade atomic.Int32
	since time.Time // when it was first found to be well again; of watch alone

	mu   sync.Mutex
	open map[net.Conn]bool
}

// newNodes watches hosts, which are reached as the config says.
func newNodes(c *mysql.Config, hosts []string) (*nodes, error) {
	ctx, stop := context.WithCancel(context.Background())
	ns := &nodes{stop: stop}
	for _, addr := range hosts {
		n := &node{nodes: ns, addr: addr, hurry: make(chan bool, 1), open: map[net.Conn]bool{}}
		n.grade.Store(int32(gradeGood)) // until it is known
		c := c.Clone()
		c.Addr, c.DialFunc = addr, n.dial
		var err error
		if n.plain, err = mysql.NewConnector(c); err != nil {
			return nil, err
		}
		if n.sure, err = mysql.NewConnector(sureConfig(c)); err != nil {
			return nil, err
		}
		ns.list = append(ns.list, n)
	}
	ns.best.Store(ns.list[0])
	for _, n := range ns.list {
		ns.gone.Go(func() { n.watch(ctx) })
	}
	return ns, nil
}

// close ends the watch.
func (ns *nodes) close() {
	ns.stop()
	ns.gone.Wait()
}

// doubt has all nodes looked at now: one of them has failed.
func (ns *nodes) doubt() {
	for _, n := range ns.list {
		select {
		case n.hurry <- true:
		default: // it is going to be
		}
	}
}

// connect connects to the best node that there is.
func (ns *nodes) connect(ctx context.Context, sure bool) (driver.Conn, error) {
	var failed nodeErrors
	for _, least := range []grade{gradeGood, gradePoor, gradeReads} {
		for _, n := range ns.order(least) {
			conn, err := n.connect(ctx, sure, least)
			if err == nil || ctx.Err() != nil || isOneOf(err, 1040, 1203) { // one that is full is well
				return conn, err
			}
			failed = append(failed, fmt.Errorf("%s: %w", n.addr, err))
		}
	}
	return nil, failed
}

// order is that in which nodes are tried: as in the URL, and those that are
// known to be down last. For reads alone only those are worth a try that were
// just found to take no writes.
func (ns *nodes) order(least grade) []*node {
	list := slices.Clone(ns.list)
	switch least {
	case gradeGood:
		return slices.DeleteFunc(list, func(n *node) bool { return n.graded() < gradeGood })
	case gradeReads:
		return slices.DeleteFunc(list, func(n *node) bool { return n.graded() != gradeReads })
	}
	slices.SortStableFunc(list, func(a, b *node) int { return cmp.Compare(b.graded(), a.graded()) })
	return list
}

// nodeErrors are what all nodes said, on one line.
type nodeErrors []error

func (e nodeErrors) Error() string {
	var texts []string
	for _, err := range e {
		if text := err.Error(); !slices.Contains(texts, text) { // it was tried twice
			texts = append(texts, text)
		}
	}
	return "no node of the database can be used: " + strings.Join(texts, "; ")
}

func (e nodeErrors) Unwrap() []error { return e }

func (n *node) graded() grade { return grade(n.grade.Load()) }

// set grades a node. Connections to one that has become worse are cut, unless
// there is no better one.
func (n *node) set(g grade, why string) {
	ns := n.nodes
	ns.mu.Lock()
	before := grade(n.grade.Swap(int32(g)))
	best := slices.MaxFunc(ns.list, func(a, b *node) int { return cmp.Compare(a.graded(), b.graded()) }) // the first of equals
	was := ns.best.Swap(best)
	ns.mu.Unlock()
	if best != was {
		slog.Warn("the database is used by way of another node", "from", was.addr, "to", best.addr, "because", n.addr+": "+why)
	}
	if g < before && (g == gradeDown || best != n) {
		n.cut()
	}
}

// cut ends all connections, whatever is under way on them.
func (n *node) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.open {
		_ = conn.Close()
	}
	clear(n.open)
}

// watch looks at a node until the store is closed.
func (n *node) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	l := look{node: n}
	defer l.close()
	for {
		g, why := l.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if g != gradeGood {
			n.since = time.Time{}
		} else if n.since.IsZero() {
			n.since = time.Now()
		}
		// One that has just come back may not know yet what it has missed.
		if g != n.graded() && (g != gradeGood || time.Since(n.since) >= backAfter) {
			n.set(g, why)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.hurry:
		}
	}
}

// A look keeps the connection by which a node is looked at.
type look struct {
	node *node
	conn driver.Conn
}

func (l *look) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

func (l *look) look(ctx context.Context) (g grade, why string) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if l.conn != nil {
		if s, err := stateOf(ctx, l.conn); err == nil {
			return s.grade()
		}
		l.close() // it may have been cut
	}
	conn, err := l.node.plain.Connect(ctx)
	if isOneOf(err, 1040, 1203) {
		return l.node.graded(), "" // it is full, not gone
	}
	if err != nil {
		return gradeDown, err.Error()
	}
	l.conn = conn
	s, err := stateOf(ctx, conn)
	if err != nil {
		l.close()
		return gradeDown, err.Error()
	}
	return s.grade()
}

// connect makes a connection, if the node is well enough.
func (n *node) connect(ctx context.Context, sure bool, least grade) (_ driver.Conn, err error) {
	connector := n.plain
	if sure {
		connector = n.sure
	}
	try, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := readCommitted{connector}.Connect(try)
	if err != nil {
		n.nodes.doubt() // it is for the watch to say what this means
		return nil, err
	}
	s, err := stateOf(try, conn)
	if err == nil {
		g, why := s.grade()
		if g != n.graded() { // the watch has not seen it yet, or waits until it is well for long
			n.set(g, why)
		}
		if g < least {
			err = errors.New(why)
		}
	}
	if err != nil {
		conn.Close()
		n.nodes.doubt()
		return nil, err
	}
	return nodeConn{conn.(mysqlConn), n}, nil
}

// A mysqlConn is what the driver's connections can do.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// A nodeConn is used as long as its node is the best one.
type nodeConn struct {
	mysqlConn
	node *node
}

func (c nodeConn) ResetSession(ctx context.Context) error {
	if c.node.nodes.best.Load() != c.node {
		return driver.ErrBadConn
	}
	return c.mysqlConn.ResetSession(ctx)
}

func (c nodeConn) IsValid() bool { return c.node.nodes.best.Load() == c.node && c.mysqlConn.IsValid() }

// A watchedConn is a connection that can be cut.
type watchedConn struct {
	*net.TCPConn
	node *node
}

func (c watchedConn) Close() error {
	c.node.mu.Lock()
	delete(c.node.open, c.TCPConn)
	c.node.mu.Unlock()
	return c.TCPConn.Close()
}

func (n *node) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn) // the network is always tcp
	n.mu.Lock()
	n.open[tcp] = true
	n.mu.Unlock()
	return watchedConn{tcp, n}, nil
}

// A nodesConnector is the connector of a pool.
type nodesConnector struct {
	nodes *nodes
	sure  bool
}

func (c nodesConnector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.nodes.connect(ctx, c.sure)
}

func (c nodesConnector) Driver() driver.Driver { return mysql.MySQLDriver{} }
