package mailbox_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/keypost/keypost/ingest/mailbox"
)

// A fake is a scripted IMAP server, for what a real one does not do: it lies,
// floods, falls silent, and has mailboxes of any size.
type fake struct {
	caps     string
	auth     string                                      // of the capabilities; "": PLAIN
	validity func() uint32                               // of each SELECT; nil: 7
	uidNext  uint32                                      // 0: is not told
	uids     []uint32                                    // what is there
	body     func(uint32) string                         // nil: a small one
	size     func(uint32) string                         // what is said of it; nil: the truth
	date     string                                      // "": a good one; "-": none
	hook     func(c *fakeConn, tag, command string) bool // true: it has answered
	addr     string
	greeting string // "": OK
	tells    bool   // the capabilities, without being asked

	mu       sync.Mutex
	commands []string
	conns    int
}

type fakeConn struct {
	*fake
	net.Conn
	r *bufio.Reader
	w *bufio.Writer
	n int // of the connection, from 1
}

func (f *fake) start(t testing.TB) mailbox.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f.addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			f.welcome(conn)
		}
	}()
	return mailbox.Config{Address: f.addr, TLS: mailbox.NoTLS, User: "ada", Password: fixed("secret"), Log: quiet}
}

func (f *fake) welcome(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns++
	c := &fakeConn{fake: f, Conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn), n: f.conns}
	go c.serve()
}

// piped is for synctest: the connection is within the process.
func (f *fake) piped() mailbox.Config {
	f.tells = true
	return mailbox.Config{
		Address: "127.0.0.1:143", TLS: mailbox.NoTLS, User: "ada", Password: fixed("secret"), Log: quiet,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			f.welcome(theirs)
			return ours, nil
		},
	}
}

// there are the messages; have sets them.
func (f *fake) there() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uids
}

func (f *fake) have(uids []uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uids = uids
}

// sent are the commands that came.
func (f *fake) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

func (f *fake) got(word string) int {
	n := 0
	for _, c := range f.sent() {
		if strings.Contains(c, word) {
			n++
		}
	}
	return n
}

func (c *fakeConn) say(format string, args ...any) { fmt.Fprintf(c.w, format+"\r\n", args...) }

func (c *fakeConn) serve() {
	defer c.Close()
	c.say("* %s %sready", cmp.Or(c.greeting, "OK"), c.told())
	for {
		if c.w.Flush() != nil {
			return
		}
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		c.mu.Lock()
		c.commands = append(c.commands, command)
		c.mu.Unlock()
		if c.hook != nil && c.hook(c, tag, command) {
			continue
		}
		if c.answer(command) {
			said := ""
			if strings.HasPrefix(command, "AUTHENTICATE") {
				said = c.told()
			}
			c.say("%s OK %sdone", tag, said)
		}
	}
}

func (f *fake) capabilities() string {
	return strings.TrimSpace("IMAP4rev1 " + cmp.Or(f.auth, "AUTH=PLAIN SASL-IR") + " " + f.caps)
}

// told: go-imap asks for the capabilities behind our back where it is not told
// them, and then waits for IDLE to end, which stops synctest's clock.
func (f *fake) told() string {
	if !f.tells {
		return ""
	}
	return "[CAPABILITY " + f.capabilities() + "] "
}

func (c *fakeConn) answer(command string) bool {
	words := strings.Fields(command)
	switch words[0] {
	case "CAPABILITY":
		c.say("* CAPABILITY %s", c.capabilities())
	case "SELECT":
		validity := uint32(7)
		if c.validity != nil {
			validity = c.validity()
		}
		c.say("* %d EXISTS", len(c.there()))
		c.say("* OK [UIDVALIDITY %d] ok", validity)
		if c.uidNext > 0 {
			c.say("* OK [UIDNEXT %d] ok", c.uidNext)
		}
		c.say(`* OK [PERMANENTFLAGS (\Seen \Deleted)] ok`)
	case "IDLE":
		c.say("+ idling")
		_ = c.w.Flush()
		_, _ = c.r.ReadString('\n')
	case "UID":
		if words[1] == "FETCH" {
			c.fetch(words[2], command)
		}
	}
	return true
}

// fetch answers for what is in the set, in the order of uids.
func (c *fakeConn) fetch(set, command string) {
	uids := c.there()
	if len(uids) == 0 {
		return
	}
	within := ranges(set, slices.Max(uids))
	for i, uid := range uids {
		if within(uid) {
			c.tell(i+1, uid, command)
		}
	}
}

func (c *fakeConn) tell(seq int, uid uint32, command string) {
	body := c.text(uid)
	size := strconv.Itoa(len(body))
	if c.size != nil {
		size = c.size(uid)
	}
	fmt.Fprintf(c.w, "* %d FETCH (UID %d RFC822.SIZE %s", seq, uid, size)
	if strings.Contains(command, "INTERNALDATE") && c.date != "-" {
		date := c.date
		if date == "" {
			date = `"03-Feb-2026 04:05:06 +0000"`
		}
		fmt.Fprintf(c.w, " INTERNALDATE %s", date)
	}
	switch {
	case strings.Contains(command, "BODY.PEEK[]"):
		fmt.Fprintf(c.w, " BODY[] {%d}\r\n%s", len(body), body)
	case strings.Contains(command, "BODY.PEEK[HEADER]"):
		head, _, _ := strings.Cut(body, "\r\n\r\n")
		fmt.Fprintf(c.w, " BODY[HEADER]<0> {%d}\r\n%s\r\n\r\n", len(head)+4, head)
	}
	c.say(")")
}

func (f *fake) text(uid uint32) string {
	if f.body != nil {
		return f.body(uid)
	}
	return mail(fmt.Sprint(uid))
}

func inSet(set string, uid, last uint32) bool { return ranges(set, last)(uid) }

func ranges(set string, last uint32) func(uid uint32) bool {
	var list [][2]uint32
	for part := range strings.SplitSeq(set, ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		low, high := number(from, last), number(to, last)
		list = append(list, [2]uint32{min(low, high), max(low, high)})
	}
	return func(uid uint32) bool {
		for _, r := range list {
			if r[0] <= uid && uid <= r[1] {
				return true
			}
		}
		return false
	}
}

func number(s string, last uint32) uint32 {
	if s == "*" {
		return last
	}
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

func upTo(n uint32) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(i + 1)
	}
	return list
}
