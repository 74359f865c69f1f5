package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/keypost/keypost/store/storetest"
)

// A wire stands between the store and its server, and can be cut.
type wire struct {
	listener net.Listener
	server   string
	cutAt    atomic.Pointer[string]
	cuts     atomic.Int64
	sent     atomic.Int64 // statements, each of which waits for its answer
	then     func()       // what happens before the store notices; may be nil
}

// newWire leads to the server of a database's URL; the URL that comes back leads
// through the wire.
func newWire(t *testing.T, source string) (*wire, string) {
	t.Helper()
	begin, end := strings.LastIndex(source, "@")+1, strings.LastIndex(source, "/")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &wire{listener: listener, server: source[begin:end]}
	go w.serve()
	return w, source[:begin] + listener.Addr().String() + source[end:]
}

// cut has the connection break that next sends a statement with a text in it;
// the server does not get the statement.
func (w *wire) cut(text string) { w.cutAt.Store(&text) }

func (w *wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			client.Close()
			continue
		}
		var held atomic.Bool
		go func() {
			_, _ = io.Copy(client, server)
			if !held.Load() {
				client.Close()
			}
		}()
		go func() {
			defer client.Close()
			defer server.Close()
			b := make([]byte, 1<<16)
			for {
				n, err := client.Read(b)
				if err != nil {
					return
				}
				if text := w.cutAt.Load(); text != nil && bytes.Contains(b[:n], []byte(*text)) && w.cutAt.CompareAndSwap(text, nil) {
					w.cuts.Add(1)
					held.Store(true) // the store must not notice before it is told
					server.Close()
					if w.then != nil {
						w.then()
					}
					return
				}
				w.sent.Add(1)
				if _, err := server.Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// A duplicate is told its own order, though the connection broke while it was
// confirmed.
func TestConfirmAfterBrokenConnection(t *testing.T) {
	w, source := newWire(t, storetest.MariaDB(t))
	db := mustOpen(t, source, Options{Create: true})
	o := mustAdd(t, db, newOrder("T1", "k1", "AAA-1"))
	l := o.Licenses[0]
	seat := machine(l, "m1")
	if _, _, err := db.Activate(t.Context(), seat, l); err != nil {
		t.Fatal(err)
	}
	w.cut("-- name: OrderByID")
	got, err := db.Confirm(t.Context(), o)
	if err != nil || got.ID != o.ID || len(got.Licenses) != 1 {
		t.Errorf("the order: %+v, %v", got, err)
	}
	w.cut("-- name: ActivationByMachine")
	a, err := db.seat(t.Context(), seat)
	if err != nil || a.ID != seat.ID {
		t.Errorf("the seat: %+v, %v", a, err)
	}
	if n := w.cuts.Load(); n != 2 {
		t.Errorf("%d connections broke, not 2", n)
	}
}

// An activation waits for the server three times after the license is found:
// INSERT, UPDATE and COMMIT. A try that breaks costs the license once more, which may
// have changed meanwhile.
func TestActivateRoundTrips(t *testing.T) {
	source := storetest.MariaDB(t)
	w, through := newWire(t, source)
	db := mustOpen(t, through, Options{Create: true})
	other := mustOpen(t, source, Options{})
	l := issued(t, db, 5)
	for _, warm := range []string{"m1", "m2"} { // statements are prepared after their first use
		if _, _, err := db.Activate(t.Context(), machine(l, warm), l); err != nil {
			t.Fatal(err)
		}
	}
	before := w.sent.Load()
	_, after, err := db.Activate(t.Context(), machine(l, "m3"), l)
	if n := w.sent.Load() - before; err != nil || n != 3 || after.Used != 3 || after.Limit != 5 {
		t.Errorf("%d round trips, %+v, %v; want 3", n, after, err)
	}
	w.then = func() {
		if _, err := other.SuspendLicense(t.Context(), l.ID, "test"); err != nil {
			t.Error(err)
		}
	}
	w.cut("\x03COMMIT")
	if _, after, err = db.Activate(t.Context(), machine(l, "m4"), l); !errors.Is(err, ErrSuspended) || after.Status != Suspended {
		t.Errorf("suspended in between: %+v, %v", after, err)
	}
	checkSeats(t, other, l.ID, 3)
}

// The head of a seal that was never committed is given to nobody.
func TestSealAfterBrokenConnection(t *testing.T) {
	source := storetest.MariaDB(t)
	w, through := newWire(t, source)
	db := mustOpen(t, through, Options{Create: true})
	other := mustOpen(t, source, Options{})
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := mustAdd(t, db, newOrder("T1", "k1", "AAA-1"))
	if err := db.EditCustomer(t.Context(), o.ID, "Ada", "ada@example.com", "test"); err != nil {
		t.Fatal(err)
	}
	type sealed struct {
		head string
		err  error
	}
	theirs := make(chan sealed, 1)
	w.then = func() { // another process is faster; what the connection had open is undone by then
		head, err := other.SealAudit(t.Context(), key)
		theirs <- sealed{head, err}
	}
	w.cut("\x03COMMIT") // COM_QUERY
	head, err := db.SealAudit(t.Context(), key)
	if other := <-theirs; head != "" || err != nil || other.head == "" || other.err != nil {
		t.Errorf("the head is %q, %v; the other's %+v", head, err, other)
	}
}

// A read whose connection breaks is made again, as a write is.
func TestReadAfterBrokenConnection(t *testing.T) {
	w, source := newWire(t, storetest.MariaDB(t))
	db := mustOpen(t, source, Options{Create: true})
	o := mustAdd(t, db, newOrder("T1", "k1", "AAA-1"))
	for name, read := range map[string]func() error{
		"FindLicense":  func() error { _, err := db.FindLicense(t.Context(), "demo", "AAA-1"); return err },
		"FindSeat":     func() error { _, _, err := db.FindSeat(t.Context(), "demo", "AAA-1", []byte("m")); return err },
		"OrderByKey":   func() error { _, err := db.OrderByKey(t.Context(), newOrder("T1", "k1").Keys[0]); return err },
		"Orders":       func() error { _, err := db.Orders(t.Context(), OrderFilter{Store: "kagi"}); return err },
		"SigningKeys":  func() error { _, err := db.SigningKeys(t.Context()); return err },
		"Order":        func() error { _, err := db.Order(t.Context(), o.ID); return err },
		"CountNotices": func() error { _, err := db.CountNotices(t.Context(), NoticeDead); return err },
	} {
		if err := read(); err != nil { // it is prepared by that
			t.Fatal(err)
		}
		before := w.cuts.Load()
		w.cut("")
		if err := read(); err != nil || w.cuts.Load() != before+1 {
			t.Errorf("%s: %v, cuts %d", name, err, w.cuts.Load()-before)
		}
	}
}

// What the server says of itself, or of another's commit, is no fault of what was
// asked.
func TestTransientOnMySQL(t *testing.T) {
	for _, code := range []uint16{1213, 1205, 1020, 1040, 1047, 1053, 1180, 1203, 1290, 1836, 1927, 2006, 2013} {
		if !mysqlDialect.transient(&mysql.MySQLError{Number: code}) {
			t.Errorf("error %d is not tried again", code)
		}
	}
	for _, err := range []error{nil, ErrNotFound, errors.New("x"), &mysql.MySQLError{Number: 1062}, &mysql.MySQLError{Number: 1146}} {
		if mysqlDialect.transient(err) {
			t.Errorf("%v is tried again", err)
		}
	}
}
