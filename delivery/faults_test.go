package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/keypost/keypost/store"
)

// A faulty server takes mails, but for what a test wants it to do.
type mailhost struct {
	mu                   sync.Mutex
	atMail, atRcpt, data error
	onData               func() // when a mail has come, before the yes
	account              string // user:password; "": it has none
	takesUTF8            bool
	utf8                 []bool   // was SMTPUTF8 asked for, mail by mail
	cut                  bool     // the connection, after a mail's last byte and before the yes
	got                  []string // Message-IDs, in order
	mails                []string
	to                   []string
	sessions             int
	logins               int
	most                 int  // mails on one connection, which is cut off at the next; 0: any number
	bye                  bool // … with 421 first
}

func (f *mailhost) NewSession(c *smtp.Conn) (smtp.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions++
	return &mailSession{mailhost: f, conn: c}, nil
}

type mailSession struct {
	*mailhost
	conn  *smtp.Conn
	count int // of mails on this connection
}

// AuthMechanisms are those of a host that has an account.
func (s *mailSession) AuthMechanisms() []string {
	if s.account == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.set(func() { s.logins++ })
		if user+":"+password != s.account {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(_ string, o *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.utf8 = append(s.utf8, o.UTF8)
	if s.count++; s.most > 0 && s.count > s.most {
		if s.bye {
			return answer(421, "so many are enough")
		}
		s.conn.Conn().Close()
	}
	return s.atMail
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.atRcpt == nil {
		s.to = append(s.to, to)
	}
	return s.atRcpt
}

func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data != nil {
		return s.data
	}
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		return err
	}
	s.got = append(s.got, m.Header.Get("Message-Id"))
	s.mails = append(s.mails, string(b))
	if s.onData != nil {
		s.onData()
	}
	if s.cut {
		s.conn.Conn().Close()
	}
	return nil
}

func (f *mailhost) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// faultyHost serves f on loopback, unencrypted.
func faultyHost(t *testing.T, f *mailhost) MailServer {
	t.Helper()
	s := smtp.NewServer(f)
	s.Domain, s.AllowInsecureAuth, s.EnableSMTPUTF8 = "localhost", true, f.takesUTF8
	s.ErrorLog = quietLog{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return at(t, l.Addr().String(), MailServer{TLS: NoTLS})
}

type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}

func answer(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// What a server's answer means, at each stage.
func TestFaults(t *testing.T) {
	f := &mailhost{}
	server := faultyHost(t, f)
	for _, c := range []struct {
		name           string
		atMail, atRcpt error
		data           error
		status         string
		tries          int
		rests          bool // the sender, the server being in trouble
		why            string
	}{
		{name: "all is well", status: store.NoticeSent, tries: 1},
		{name: "sender refused", atMail: answer(550, "not you"), status: store.NoticeWaiting, rests: true},
		{name: "busy", atMail: answer(451, "busy"), status: store.NoticeWaiting, rests: true},
		{name: "log in", atRcpt: answer(530, "log in"), status: store.NoticeWaiting, rests: true},
		{name: "no such user", atRcpt: answer(550, "<ada@example.com> unknown"), status: store.NoticeDead, tries: 1, why: "550 5.1.1 <a…@example.com> unknown"},
		{name: "greylisted", atRcpt: answer(450, "later"), status: store.NoticeWaiting, tries: 1, why: "450 4.1.1 later"},
		{name: "going down", atRcpt: answer(421, "bye"), status: store.NoticeWaiting, tries: 1, rests: true, why: "421 4.1.1 bye"},
		{name: "refused text", data: answer(554, "spam"), status: store.NoticeDead, tries: 1, why: "554 5.1.1 spam"},
		{name: "full", data: answer(452, "full"), status: store.NoticeWaiting, tries: 1, why: "452 4.1.1 full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPost(t, sqlite(t), server)
			_, n := p.add("T1", nil)
			f.set(func() { f.atMail, f.atRcpt, f.data = c.atMail, c.atRcpt, c.data })
			p.mail()
			got := p.notice(n.ID)
			if got.Status != c.status || got.Tries != c.tries || got.Error != c.why || p.mailer.until.IsZero() == c.rests {
				t.Errorf("%+v, rests until %v\n%s", got, p.mailer.until, p.log)
			}
			f.set(func() { f.atMail, f.atRcpt, f.data = nil, nil, nil })
			if c.status == store.NoticeWaiting {
				p.wait(time.Hour)
				if p.mail(); p.notice(n.ID).Status != store.NoticeSent {
					t.Errorf("not sent later: %+v", p.notice(n.ID))
				}
			}
		})
	}
}

// Cut off between the mail's end and the server's yes, and killed between the
// yes and the note of it: it goes out again, under the same Message-ID.
func TestAtLeastOnce(t *testing.T) {
	f := &mailhost{cut: true}
	eachPost(t, faultyHost(t, f), func(t *testing.T, p *post) {
		f.set(func() { f.cut, f.got = true, nil })
		_, n := p.add("T1", nil)
		p.mail()
		if got := p.notice(n.ID); got.Status != store.NoticeWaiting || got.Tries != 1 {
			t.Fatalf("%+v", got)
		}
		f.set(func() { f.cut = false })
		p.wait(time.Hour)
		p.mailer.store = &forgetful{p.db}
		if err := p.mailer.Send(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		p.mail() // it rests: no flood where nothing can be noted
		p.start()
		p.mail()
		p.mail()
		want := strings.Repeat("<"+n.ID+"@example.com> ", 3)
		if got := strings.Join(f.got, " ") + " "; got != want || p.notice(n.ID).Status != store.NoticeSent {
			t.Errorf("%v, %+v", f.got, p.notice(n.ID))
		}
	})
}

// forgetful is a store that takes no word of what was sent.
type forgetful struct{ *store.DB }

func (forgetful) NoticesWereSent(context.Context, []store.Notice) error { return store.ErrUnavailable }

// While the server is away nothing is tried in vain, and many mails need few
// connections.
func TestFewConnections(t *testing.T) {
	f := &mailhost{}
	server := faultyHost(t, f)
	away := server
	away.Port = 1
	p := newPost(t, sqlite(t), away)
	var ids []string
	for i := range 20 {
		_, n := p.add(fmt.Sprint("T", i), nil)
		ids = append(ids, n.ID)
	}
	var pauses []time.Duration
	for range 12 {
		p.mail()
		pauses = append(pauses, p.mailer.until.Sub(p.now()))
		p.mail()
		p.wait(p.mailer.until.Sub(p.now()))
	}
	if pauses[0] > 10*time.Second || pauses[11] < maxRest || strings.Count(p.log.String(), "mail is delayed") != 12 {
		t.Errorf("pauses %v\n%s", pauses, p.log)
	}
	p.config.Server = server
	p.start()
	p.mail()
	for _, id := range ids {
		if n := p.notice(id); n.Status != store.NoticeSent || n.Tries != 1 {
			t.Errorf("%+v", n)
		}
	}
	if f.sessions != len(ids)/perConnection || len(f.got) != len(ids) {
		t.Errorf("%d connections for %d mails", f.sessions, len(f.got))
	}
}

// A server that takes so many mails on a connection, and closes it, is in no
// trouble.
func TestConnectionClosed(t *testing.T) {
	for name, bye := range map[string]bool{"421": true, "no word": false} {
		t.Run(name, func(t *testing.T) {
			f := &mailhost{most: 3, bye: bye}
			p := newPost(t, sqlite(t), faultyHost(t, f))
			for i := range 10 {
				p.add(fmt.Sprint("T", i), nil)
			}
			p.mail()
			n, err := p.db.CountNotices(t.Context(), store.NoticeSent)
			if n != 10 || err != nil || len(f.got) != 10 || f.sessions != 4 || strings.Contains(p.log.String(), "level=ERROR") {
				t.Errorf("%d are sent, %v, %d came in %d connections\n%s", n, err, len(f.got), f.sessions, p.log)
			}
			f.set(func() { f.most, f.atMail = 0, answer(421, "not now") })
			p.add("T10", nil)
			p.mail()
			if !strings.Contains(p.log.String(), "level=ERROR") || f.sessions != 5 {
				t.Errorf("one that takes nothing, %d connections\n%s", f.sessions, p.log)
			}
		})
	}
}

// A server without STARTTLS, or a stranger on the way who takes it out, gets
// neither a password nor a mail.
func TestNoSTARTTLS(t *testing.T) {
	f := &mailhost{account: "shop:local-hush"}
	s := faultyHost(t, f)
	s.TLS, s.Username, s.Password = StartTLS, "shop", "local-hush"
	p := newPost(t, sqlite(t), s)
	_, n := p.add("T1", nil)
	p.mail()
	if got := p.notice(n.ID); got.Status != store.NoticeWaiting || got.Tries != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := s.Check(t.Context(), "shop@example.com"); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("check: %v", err)
	}
	if f.logins > 0 || len(f.utf8) > 0 || len(f.got) > 0 || f.sessions != 2 || !strings.Contains(p.log.String(), "does not support STARTTLS") {
		t.Errorf("%d log-ins, %d mails were begun, %d connections\n%s", f.logins, len(f.utf8), f.sessions, p.log)
	}
}

// When the daemon ends, what is in hand is finished, and nothing is begun.
func TestMailEnds(t *testing.T) {
	f := &mailhost{}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	_, first := p.add("T1", nil)
	_, second := p.add("T2", nil)
	ctx, cancel := context.WithCancel(t.Context())
	f.onData = cancel
	if err := p.mailer.Send(ctx); err != nil {
		t.Fatal(err)
	}
	if done, waiting := p.notice(first.ID), p.notice(second.ID); done.Status != store.NoticeSent || waiting.Tries != 0 || len(f.got) != 1 {
		t.Errorf("%+v, %+v, %v", done, waiting, f.got)
	}
}

// A server that says nothing holds up neither the daemon's end nor, for long,
// the other mails.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			accepted <- c
		}
	}()
	p := newPost(t, sqlite(t), at(t, l.Addr().String(), MailServer{TLS: NoTLS}))
	_, n := p.add("T1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.mailer.Send(ctx) }()
	c := <-accepted
	cancel()
	if err := <-ended; err != nil || strings.Contains(p.log.String(), "trouble") {
		t.Errorf("%v %s", err, p.log)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %v", err)
	}
	p.config.Server.timeout = 10 * time.Millisecond
	p.start()
	p.mail()
	if got := p.notice(n.ID); got.Tries != 0 || !strings.Contains(p.log.String(), "mail is delayed") {
		t.Errorf("%+v\n%s", got, p.log)
	}
}
