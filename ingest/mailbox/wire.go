package mailbox

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	connectTime = 30 * time.Second
	silence     = time.Minute // with a command under way and nothing coming
	maxLine     = 64 << 10    // of the server's, literals apart
)

var (
	errSilent = errors.New("the server does not answer in time")
	errFlood  = errors.New("the server sends more than was asked for")
	errCut    = errors.New("the connection was cut") // in so many words, lest the log repeats it for each port
	errLine   = errors.New("the server sends a line without an end")
)

// A limit is what one command may cost. A server, or whoever sits in its
// place, can neither hold us for ever nor fill the memory.
type limit struct {
	time    time.Duration // in all; meanwhile something must come each minute
	quiet   time.Duration // instead of that minute
	bytes   int64         // in all
	literal int64         // the largest
}

// A wire is the connection as the IMAP client sees it, in clear text. It
// watches over the limit of the command under way. go-imap has no limits of
// its own on lines and literals, and between two answers no deadline.
type wire struct {
	net.Conn          // what is read and written
	raw      net.Conn // below TLS: closing it never waits
	alarm    *time.Timer

	mu       sync.Mutex
	failure  error
	limit    limit
	end      time.Time
	left     int64
	line     int64  // of the line under way
	tail     []byte // its last bytes
	head     []byte // the first of the answer
	literal  int64  // what is still to come of a literal
	inFlight bool
}

func newWire(conn, raw net.Conn) *wire {
	w := &wire{Conn: conn, raw: raw}
	w.alarm = time.AfterFunc(connectTime, func() { w.abort(errSilent) })
	return w
}

// begin starts the clock of a command.
func (w *wire) begin(l limit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.quiet == 0 {
		l.quiet = silence
	}
	w.limit, w.left, w.end, w.inFlight = l, l.bytes, time.Now().Add(l.time), true
	w.alarm.Reset(min(l.quiet, l.time))
}

// done stops it. What comes without being asked for counts on.
func (w *wire) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight = false
	w.alarm.Stop()
}

// abort ends the connection at once.
func (w *wire) abort(why error) {
	w.fail(why)
	w.alarm.Stop()
	_ = w.raw.Close()
}

func (w *wire) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// Read fills up a literal that was cut off, and only then tells that the
// connection is gone. Go-imap takes such a literal for whole, goes on, and reads
// the buffer from two goroutines at once. The command fails all the same, and
// nothing of a failed command counts.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		if tooMuch := w.count(p[:n]); tooMuch != nil {
			w.abort(tooMuch)
			n, err = 0, tooMuch
		}
	}
	if n == 0 && err != nil {
		if n = w.fill(p); n > 0 {
			return n, nil
		}
	}
	if err != nil {
		w.fail(errCut)
	}
	return n, err
}

// fail notes why the connection is gone; the first reason stays.
func (w *wire) fail(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failure = why
	}
}

func (w *wire) fill(p []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(w.literal, int64(len(p)))
	w.literal -= n
	clear(p[:n])
	return int(n)
}

// count holds what came against the limit. After an error none of p came.
func (w *wire) count(p []byte) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.literal
	defer func() {
		if err != nil {
			w.literal = before
		}
	}()
	if w.inFlight {
		w.alarm.Reset(max(0, min(w.limit.quiet, time.Until(w.end))))
	}
	if w.left -= int64(len(p)); w.left < 0 {
		return errFlood
	}
	for len(p) > 0 {
		if w.literal > 0 {
			n := min(w.literal, int64(len(p)))
			w.literal -= n
			p = p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		part := p[:max(end, 0)]
		if end == 0 {
			part = p
		}
		p = p[len(part):]
		if w.line += int64(len(part)); w.line > maxLine {
			return errLine
		}
		w.head = append(w.head, part[:min(len(part), 32-len(w.head))]...)
		w.tail = append(w.tail, part...)
		w.tail = w.tail[max(0, len(w.tail)-32):]
		if end == 0 {
			break
		}
		if !text(w.head) {
			w.literal = literalSize(w.tail)
		}
		if w.literal > w.limit.literal {
			return fmt.Errorf("%w: a literal of %d bytes", errFlood, w.literal)
		}
		w.line, w.tail = 0, w.tail[:0]
		if w.literal == 0 {
			w.head = w.head[:0]
		}
	}
	return nil
}

// text: an answer that ends in text for people, which may end in {n} and mean
// nothing by it.
//
// RFC 3501, 9: resp-cond-state, resp-cond-bye, greeting, continue-req.
func text(head []byte) bool {
	tag, rest, _ := bytes.Cut(head, []byte(" "))
	word, _, _ := bytes.Cut(bytes.TrimRight(rest, "\r\n"), []byte(" "))
	switch strings.ToUpper(string(word)) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return string(tag) == "+"
}

// literalSize: RFC 3501, 4.3: a line that ends in {n} goes on after n bytes.
func literalSize(line []byte) int64 {
	line, found := bytes.CutSuffix(bytes.TrimRight(line, " \r\n"), []byte("}")) // go-imap takes a space, too
	digits := line[len(bytes.TrimRight(line, "0123456789")):]
	switch {
	case !found || len(digits) == 0:
		return 0
	case len(digits) == len(line):
		return math.MaxInt64 // longer than what is kept of the line
	case line[len(line)-len(digits)-1] != '{':
		return 0
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

// Write: a plain EXPUNGE would take away what others have marked as deleted.
// Nothing here sends one; go-imap's Move does, where it believes that the
// server has no MOVE.
func (w *wire) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte(" EXPUNGE\r\n")) {
		w.abort(errExpunge)
		return 0, errExpunge
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		w.fail(errCut)
	}
	return n, err
}

var errExpunge = errors.New("EXPUNGE is not ours to send")

// SetReadDeadline does nothing: go-imap's deadlines would undo the alarm's
// sense, as it lifts them between two answers.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// Close does not wait for TLS to say good-bye to a server that does not read.
func (w *wire) Close() error {
	w.alarm.Stop()
	return w.raw.Close()
}
