package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keypost/keypost/store/storetest"
)

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never happens: " + what)
		}
	}
}

// A steady load writes and reads, without a break.
type steady struct {
	t        *testing.T
	db       *DB
	name     string
	orders   atomic.Int64 // that were acknowledged
	reads    atomic.Int64
	writeGap atomic.Int64 // the longest time from one success to the next, in ns
	readGap  atomic.Int64
	stop     context.CancelFunc
	ended    chan bool
}

func newSteady(t *testing.T, db *DB, name string) *steady {
	ctx, stop := context.WithCancel(t.Context())
	s := &steady{t: t, db: db, name: name, stop: stop, ended: make(chan bool, 2)}
	known := mustAdd(t, db, newOrder(name, name, name)).Licenses[0]
	go s.run(ctx, &s.orders, &s.writeGap, func(n int64) error {
		id := fmt.Sprintf("%s-%d", name, n)
		_, added, err := db.AddOrder(ctx, newOrder(id, id, id))
		if err == nil && !added {
			err = errors.New("its own order was taken for a duplicate")
		}
		return err
	})
	go s.run(ctx, &s.reads, &s.readGap, func(int64) error {
		_, err := db.FindLicense(ctx, "demo", known.Code)
		return err
	})
	return s
}

func (s *steady) run(ctx context.Context, done, gap *atomic.Int64, do func(n int64) error) {
	defer func() { s.ended <- true }()
	last := time.Now()
	for ctx.Err() == nil {
		if err := do(done.Load()); err != nil {
			if ctx.Err() == nil {
				s.t.Errorf("%s: call %d: %v", s.name, done.Load(), err)
			}
			return
		}
		done.Add(1)
		now := time.Now()
		gap.Store(max(gap.Load(), int64(now.Sub(last))))
		last = now
	}
}

// goesOn waits until so many more orders are taken.
func (s *steady) goesOn() {
	s.t.Helper()
	until(s.t, s.name+" goes on", func() bool { return len(s.ended) > 0 || s.orders.Load() > 20 })
	begin := s.orders.Load()
	until(s.t, s.name+" goes on", func() bool { return len(s.ended) > 0 || s.orders.Load() > begin+20 })
}

// end ends the load and finds all that was acknowledged.
func (s *steady) end() {
	s.t.Helper()
	s.stop()
	<-s.ended
	<-s.ended
	for n := range s.orders.Load() {
		if _, err := s.db.FindLicense(Sure(s.t.Context()), "demo", fmt.Sprintf("%s-%d", s.name, n)); err != nil {
			s.t.Errorf("%s: order %d was acknowledged: %v", s.name, n, err)
		}
	}
	s.t.Logf("%s: writes stood still for %v at the most, reads for %v", s.name, time.Duration(s.writeGap.Load()).Round(10*time.Millisecond), time.Duration(s.readGap.Load()).Round(10*time.Millisecond))
}

// A store goes on with the next node, without an error, when the one in use is
// killed, hangs or is locked by a backup; and comes back to the first.
func TestGaleraNodesInTurn(t *testing.T) {
	c, url := storetest.Galera(t)
	db := mustOpen(t, url, Options{Create: true})
	used := func(n int) func() bool { return func() bool { return db.nodes.best.Load().addr == c.Nodes[n].Addr() } }
	until(t, "the first node is used", used(0))

	for _, n := range CheckNodes(t.Context(), url) {
		if n.Err != nil || n.Lags || n.Detail != "it is well, in a cluster of 3" {
			t.Errorf("check: %+v", n)
		}
	}

	s := newSteady(t, db, "kill")
	s.goesOn()
	c.Nodes[0].Kill()
	s.goesOn()
	for i, n := range CheckNodes(t.Context(), url) {
		if n.Addr != c.Nodes[i].Addr() || (n.Err != nil) != (i == 0) {
			t.Errorf("check, after the kill: %+v", n)
		}
	}
	if !used(1)() {
		t.Errorf("after the kill %s is used", db.nodes.best.Load().addr)
	}
	s.end()
	if err := c.Synced(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the first node is used again", used(0))

	s = newSteady(t, db, "freeze")
	s.goesOn()
	thaw, err := c.Nodes[0].Freeze()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the second node is used", used(1))
	s.goesOn()
	thaw()
	s.end()
	if err := c.Synced(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the first node is used again", used(0))

	s = newSteady(t, db, "backup")
	s.goesOn()
	end, err := c.Nodes[0].Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the second node is used", used(1))
	s.goesOn()
	end()
	until(t, "the first node is used again", used(0))
	s.goesOn()
	s.end()
}

// Where no node takes writes, validations go on, and writes say why they do not.
func TestGaleraNodesReadOnly(t *testing.T) {
	c, url := storetest.Galera(t)
	db := mustOpen(t, url, Options{Create: true})
	known := mustAdd(t, db, newOrder("T1", "k1", "SOLD")).Licenses[0]
	writable := storetest.ReadOnly(t, c.Nodes...)
	until(t, "all nodes are known to be read-only", func() bool {
		return !slices.ContainsFunc(db.nodes.list, func(n *node) bool { return n.graded() != gradeReads })
	})
	for _, db := range []*DB{db, mustOpen(t, url, Options{})} { // one that was there before, and one that comes
		if _, err := db.FindLicense(t.Context(), "demo", known.Code); err != nil {
			t.Errorf("a read: %v", err)
		}
		if err := db.TryWrite(t.Context()); WhyNoWrites(err) != "it is read-only" {
			t.Errorf("a write: %v", err)
		}
	}
	for _, n := range CheckNodes(t.Context(), url) {
		if n.Err == nil {
			t.Errorf("check: %+v", n)
		}
	}
	writable()
	until(t, "a node is well again", func() bool { return db.nodes.best.Load().graded() == gradeGood })
	if err := db.TryWrite(t.Context()); err != nil {
		t.Error(err)
	}
}

// Hosts that are not of one cluster are found out: each would sell the same codes.
func TestCheckNodesFindsOtherDatabases(t *testing.T) {
	source := storetest.MariaDB(t)
	begin, end := strings.LastIndex(source, "@")+1, strings.LastIndex(source, "/")
	_, port, _ := strings.Cut(source[begin:end], ":")
	twice := source[:begin] + source[begin:end] + ",localhost:" + port + source[end:]
	for _, n := range CheckNodes(t.Context(), twice) {
		if n.Err == nil || !strings.Contains(n.Err.Error(), "no node of a Galera cluster") && n.Addr != "localhost:"+port {
			t.Errorf("%+v", n)
		}
	}
	if list := CheckNodes(t.Context(), source); list != nil {
		t.Errorf("one host: %+v", list)
	}
}
