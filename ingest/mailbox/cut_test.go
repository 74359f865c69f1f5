package mailbox_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

// A proxy stands before a server and cuts its first connection.
type proxy struct {
	addr, to string
	commands int   // the connection is cut after so many lines of the client; 0: never
	heard    bool  // the last of them reaches the server
	bytes    int64 // after so many of the server's bytes; 0: never
	cut      atomic.Bool
}

func newProxy(t *testing.T, p *proxy) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p.addr = l.Addr().String()
	go func() {
		for first := true; ; first = false {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn, first)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn, first bool) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		if first && p.bytes > 0 {
			if n, _ := io.CopyN(client, server, p.bytes); n == p.bytes {
				p.cut.Store(true)
			}
			return
		}
		_, _ = io.Copy(client, server)
	}()
	r := bufio.NewReader(client)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		last := first && n == p.commands
		if !last || p.heard {
			_, _ = io.WriteString(server, line)
		}
		if last {
			if p.heard { // the server does it, and its answer is lost
				_ = server.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, server)
			}
			p.cut.Store(true)
			return
		}
	}
}

// whole is one life of a mailbox in which the connection was cut: whatever was
// cut, all is handed over whole, and filed.
func whole(t *testing.T, server *mailboxtest.Server, p *proxy, copies bool) (cut bool) {
	t.Helper()
	a, c := accountOn(t, server)
	p.to = server.Addr
	c.Address, c.TLS = newProxy(t, p).addr, mailbox.NoTLS
	c.MaxSize, c.Failed = 64<<10, "Failed"
	big := "Subject: big failed\r\n\r\n" + strings.Repeat("x", 100<<10)
	raws := []string{mail("processed 1"), mail("held"), big, mail("left"), mail("processed 2"), mail("processed 3")}
	deliver(t, a, raws...)
	d := &desk{judge: func(m mailbox.Message) (mailbox.Filing, error) {
		for word, filing := range map[string]mailbox.Filing{"processed": mailbox.Processed, "held": mailbox.Held, "failed": mailbox.Failed} {
			if strings.Contains(string(m.Raw), word) {
				return filing, nil
			}
		}
		return mailbox.Leave, nil
	}}
	places := &kept{}
	first := watcher(t, c, d, places).Pass(t.Context())
	pass(t, watcher(t, c, d, places)) // after a restart
	for i, raw := range raws {
		if i == 2 {
			raw = "Subject: big failed\r\n\r\n"
		}
		if d.times[raw] == 0 {
			t.Errorf("%+v: message %d was not handed over (first %v)", p, i+1, first)
		}
		delete(d.times, raw)
	}
	for raw := range d.times {
		t.Errorf("%+v: handed over: %q", p, raw)
	}
	for folder, want := range map[string][]int{"INBOX": {3}, "Keypost.Processed": {0, 4, 5}, "Keypost.Held": {1}, "Failed": {2}} {
		var names []string
		seen := map[string]bool{}
		for _, m := range stored(t, a, folder) {
			if m.Flags != "" {
				t.Errorf("%+v: in %s flagged %s: %.40q", p, folder, m.Flags, m.Raw)
			}
			if copies && seen[m.Raw] {
				continue
			}
			seen[m.Raw] = true
			names = append(names, m.Raw)
		}
		var wanted []string
		for _, i := range want {
			wanted = append(wanted, raws[i])
		}
		slices.Sort(names)
		slices.Sort(wanted)
		if !slices.Equal(names, wanted) {
			t.Errorf("%+v: %s has %d messages, want %d (first %v)", p, folder, len(names), len(wanted), first)
		}
	}
	return p.cut.Load()
}

func TestCutAtEachCommand(t *testing.T) {
	for _, row := range []struct {
		name, config string
		copies       bool
	}{{name: "move"}, {name: "copy", config: "imap_capability = IMAP4rev1 SASL-IR LITERAL+ UIDPLUS NAMESPACE", copies: true}} {
		t.Run(row.name, func(t *testing.T) {
			server := mailboxtest.Dovecot(t)
			if row.config != "" {
				server = mailboxtest.New(t, row.config)
			}
			for _, heard := range []bool{true, false} {
				n := 1
				for whole(t, server, &proxy{commands: n, heard: heard}, row.copies) {
					n++
				}
				if n < 12 {
					t.Errorf("the whole of it took %d commands: that cannot be", n)
				}
			}
		})
	}
}

func TestCutWithinAnswers(t *testing.T) {
	step := int64(61)
	if testing.Short() {
		step = 397
	}
	server := mailboxtest.Dovecot(t)
	n := int64(1)
	for whole(t, server, &proxy{bytes: n}, false) {
		n += step
	}
	if n < 2000 {
		t.Errorf("the whole of it took %d bytes: that cannot be", n)
	}
}
