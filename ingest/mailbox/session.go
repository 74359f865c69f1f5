package mailbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// brief is the limit of a command with a short answer.
var brief = limit{time: 2 * time.Minute, bytes: 1 << 20, literal: 64 << 10}

// A session is one connection, logged in, with the folder open.
type session struct {
	config Config
	wire   *wire
	client *imapclient.Client
	caps   imap.CapSet
	news   chan struct{} // the server has told of messages

	mu        sync.Mutex // one command at a time
	fell      bool       // over an answer, in the midst of it
	validity  uint32
	uidNext   uint32 // as far as was told
	keywords  func(string) bool
	prefix    string // of our folders
	delimiter string
	created   map[string]bool // folders that were made or found out about
}

// open connects, logs in and opens the folder.
func open(ctx context.Context, c Config) (*session, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{config: c, news: make(chan struct{}, 1), created: map[string]bool{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	clear, err := c.secure(ctx, conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, cause(ctx, err)
	}
	s.wire = newWire(clear, conn)
	s.wire.begin(brief)
	s.client = imapclient.New(s.wire, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				s.wake()
			}
		},
	}})
	for _, step := range []func(context.Context) error{s.login, s.capabilities, s.names, s.selectFolder} {
		if err := step(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *session) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// close ends the connection without waiting for the server. It waits for
// go-imap's goroutine, unless that may wait for us.
func (s *session) close() {
	_ = s.wire.Close()
	if !s.fell {
		_ = s.client.Close()
	}
}

// logout says good-bye first.
func (s *session) logout(ctx context.Context) {
	l := brief
	l.time = time.Second
	_ = s.do(ctx, "log out", l, func(c *imapclient.Client) error { return c.Logout().Wait() })
	s.close()
}

// do runs one command within its limit. What it returns can be shown.
func (s *session) do(ctx context.Context, what string, l limit, f func(*imapclient.Client) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.wire.begin(l)
	stop := context.AfterFunc(ctx, func() { s.wire.abort(ctx.Err()) })
	err := s.guarded(f)
	stop()
	s.wire.done()
	if err == nil {
		return nil
	}
	if why := s.wire.why(); why != nil && said(err) == nil {
		err = why
	}
	return &commandError{what: what, err: cause(ctx, err)}
}

// guarded: go-imap recovers from panics over what a server sends in its own
// goroutine, but not in ours.
func (s *session) guarded(f func(*imapclient.Client) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.fell = true
			err = fmt.Errorf("the IMAP client fell over the answer: %v", v)
			s.wire.abort(err)
		}
	}()
	return f(s.client)
}

// cause: when ctx ended, that is why a connection broke.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// A commandError is an error in which the server's own text is escaped and cut.
type commandError struct {
	what string
	err  error
}

func (e *commandError) Unwrap() error { return e.err }

func (e *commandError) Error() string {
	if refused, ok := errors.AsType[*imap.Error](e.err); ok {
		return e.what + ": " + answer(refused)
	}
	return e.what + ": " + shown(e.err.Error())
}

// answer is a refusal in the server's words.
func answer(e *imap.Error) string {
	code := ""
	if e.Code != "" {
		code = "[" + string(e.Code) + "] "
	}
	return "the server says " + shown(string(e.Type)+" "+code+e.Text)
}

const maxShown = 200

// shown makes a server's text fit for a log.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	more := ""
	if len(text) > maxShown {
		text, more = strings.ToValidUTF8(text[:maxShown], ""), "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		text = fmt.Sprintf("%+q", text)
	}
	return text + more
}

// said is the server's NO or BAD, or nil: with anything else the connection is
// of no more use.
func said(err error) *imap.Error {
	e, _ := errors.AsType[*imap.Error](err)
	return e
}

// secure puts TLS on the connection as far as it is wanted.
func (c Config) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if c.TLS == NoTLS {
		return conn, nil
	}
	_ = conn.SetDeadline(time.Now().Add(connectTime))
	if c.TLS == StartTLS {
		if err := startTLS(conn); err != nil {
			return nil, fmt.Errorf("start TLS with %s: %w", c.Address, err)
		}
	}
	host, _, _ := net.SplitHostPort(c.Address)
	t := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"imap"}})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, &commandError{what: "TLS with " + c.Address, err: err}
	}
	_ = conn.SetDeadline(time.Time{})
	if c.TLS == StartTLS {
		return greeted{t, io.MultiReader(strings.NewReader("* OK \r\n"), t)}, nil
	}
	return t, nil
}

// startTLS asks for TLS. It reads byte by byte, so that nothing that came in
// clear text is taken for an answer that TLS protects; go-imap's own way puts
// no limit on the greeting.
//
// RFC 3501, 6.2.1; a greeting with PREAUTH would leave no room for STARTTLS
// (RFC 9051, 7.1.4).
func startTLS(conn net.Conn) error {
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "* OK") {
		return fmt.Errorf("the server greets with %s", shown(line))
	}
	if _, err := io.WriteString(conn, "S1 STARTTLS\r\n"); err != nil {
		return err
	}
	for range 20 {
		if line, err = readLine(conn); err != nil {
			return err
		}
		if status, found := strings.CutPrefix(line, "S1 "); found {
			if !strings.HasPrefix(status, "OK") {
				return fmt.Errorf("the server says %s", shown(status))
			}
			return nil
		}
	}
	return errFlood
}

func readLine(conn net.Conn) (string, error) {
	r := bufio.NewReaderSize(io.LimitReader(oneByte{conn}, 4<<10), 16)
	line, err := r.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the connection was cut")
	}
	return strings.TrimRight(line, "\r\n"), err
}

// oneByte gives a buffered reader no more than it was asked for.
type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(1, len(p))]) }

// greeted is a connection whose greeting was read already: after STARTTLS
// there is no second one, and go-imap waits for one.
type greeted struct {
	net.Conn
	r io.Reader
}

func (g greeted) Read(p []byte) (int, error) { return g.r.Read(p) }
