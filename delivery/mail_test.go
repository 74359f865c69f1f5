package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/store"
)

// A post is a store with a clock of its own and a mailer on it.
type post struct {
	*desk
	mailer *Mailer
	config *MailConfig
	log    *bytes.Buffer
}

// eachPost runs a test with every database, on a server.
func eachPost(t *testing.T, s MailServer, test func(t *testing.T, p *post)) {
	each(t, func(t *testing.T, d *desk) { test(t, newPost(t, d, s)) })
}

func newPost(t *testing.T, d *desk, s MailServer) *post {
	t.Helper()
	templates, err := LoadTemplates("", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &post{desk: d, config: &MailConfig{
		Server: s, From: &mail.Address{Name: "Shop, the", Address: "shop@example.com"}, Vendor: &mail.Address{Address: "me@example.com"},
		Tests: map[string]*mail.Address{}, Templates: templates, Products: map[string]string{"demo": "Demo"},
		Explain: func(reason string) string { return "Explained: " + reason + "." },
		Digest:  func(context.Context) (Digest, error) { return Digest{Head: "0123abcd"}, nil },
	}, log: &bytes.Buffer{}}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(p.log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	p.start()
	return p
}

// start makes a new mailer, as another daemon would.
func (p *post) start() {
	p.mailer = NewMailer(p.db)
	p.mailer.now = p.now
	p.mailer.Configure(p.config)
}

// mail sends what is due.
func (p *post) mail() {
	p.t.Helper()
	if err := p.mailer.Send(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// add makes an order as the desk would, with its notice.
func (p *post) add(transaction string, change func(n *store.NewOrder)) (store.Order, store.Notice) {
	p.t.Helper()
	n := store.NewOrder{
		Order: store.Order{
			ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: transaction, Fold: strings.ToLower(transaction), StoreProduct: "Product_Name",
			Product: "demo", LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com", Price: "149.000", Currency: "USD", Quantity: 1, Limit: 3,
		},
		Keys:    []store.Key{sha256.Sum256([]byte(transaction))},
		Message: store.Message{ID: store.NewID(), Channel: "kagi", Verdict: store.VerdictAccepted},
		Outcome: store.Outcome{
			Codes:   []store.NewLicense{{ID: store.NewID(), Code: "CODE-" + transaction}},
			Notices: []store.Notice{{ID: store.NewID(), Kind: store.NoticeCodes, Audience: store.ToBuyer}},
		},
	}
	if change != nil {
		change(&n)
	}
	o, _, err := p.db.AddOrder(p.t.Context(), n)
	if err != nil {
		p.t.Fatal(err)
	}
	return o, n.Outcome.Notices[0]
}

// hold makes an order that is held.
func (p *post) hold(transaction, reason string) (store.Order, store.Notice) {
	return p.add(transaction, func(n *store.NewOrder) {
		n.Outcome = store.Outcome{Held: reason, Notices: []store.Notice{{ID: store.NewID(), Kind: store.NoticeHeld, Audience: store.ToVendor}}}
		n.Message.Verdict, n.Message.Reason, n.Message.OrderID = store.VerdictHeld, reason, n.Order.ID
		n.Message.Raw = []byte("ACG%3ATransactionID=" + url.QueryEscape(transaction) + "&ACG%3APassword=hush&empty=&note=a%0Ab")
	})
}

// notice is a notice as it is by now.
func (p *post) notice(id string) store.Notice {
	p.t.Helper()
	list, err := p.db.Outbox(p.t.Context(), store.NoticeFilter{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, n := range list {
		if n.ID == id {
			return n
		}
	}
	p.t.Fatalf("no notice %s", id)
	return store.Notice{}
}

// An opened mail is what its reader sees of it.
type opened struct {
	header      mail.Header
	subject     string
	text, html  string
	attachments map[string]string
}

func open(t *testing.T, raw string) (o opened) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	o = opened{header: m.Header, attachments: map[string]string{}}
	if o.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	o.part(t, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), "", m.Body)
	return o
}

func (o *opened) part(t *testing.T, kind, encoding, name string, r io.Reader) {
	kind, parameters, err := mime.ParseMediaType(kind)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(r, parameters["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			o.part(t, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p.FileName(), p)
		}
	}
	b, err := io.ReadAll(decoded(encoding, r))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	switch {
	case name != "":
		o.attachments[name] = kind + " " + text
	case kind == "text/html":
		o.html = text
	default:
		o.text = text
	}
}

// eximServer is a real server as the config describes it.
func eximServer(t *testing.T) (*deliverytest.Server, MailServer) {
	t.Helper()
	s := deliverytest.SMTP(t)
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return s, at(t, s.STARTTLS, MailServer{TLS: StartTLS, Roots: roots, Username: s.User, Password: s.Password})
}

func at(t *testing.T, address string, s MailServer) MailServer {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s.Host = host
	s.Port, _ = strconv.Atoi(port)
	return s
}

// A real server takes the mails, over both kinds of TLS, and keeps what was
// meant.
func TestRealServer(t *testing.T) {
	exim, server := eximServer(t)
	eachPost(t, server, func(t *testing.T, p *post) {
		p.config.ReplyTo = &mail.Address{Name: "Help", Address: "help@example.com"}
		p.config.Attach = func(_ context.Context, o store.Order) ([]Attachment, error) {
			return []Attachment{{"demo.license", "application/octet-stream", []byte("license of " + o.Transaction)}}, nil
		}
		buyer := strings.ToLower(store.NewID()) + "@example.com"
		_, n := p.add("T1", func(n *store.NewOrder) { n.Order.Email = "Ada <" + buyer + ">, second@example.com" })
		p.mail()
		if got := p.notice(n.ID); got.Status != store.NoticeSent || got.Tries != 1 {
			t.Fatalf("%+v\n%s", got, p.log)
		}
		raw := exim.Await(t, buyer, 1)[0]
		m := open(t, raw)
		for name, want := range map[string]string{
			"To": "<" + buyer + ">", "From": `"Shop, the" <shop@example.com>`, "Message-Id": "<" + n.ID + "@example.com>", "Return-Path": "<shop@example.com>",
			"Auto-Submitted": "auto-generated", "Date": p.now().Format(time.RFC1123Z), "List-Id": "", "User-Agent": "", "Reply-To": `"Help" <help@example.com>`,
		} {
			if got := m.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !strings.Contains(raw, "with esmtpsa  (TLS1.3)") || m.subject != "Your activation code for Demo" ||
			!strings.Contains(m.text, "\n    CODE-T1\n") || !strings.Contains(m.text, "\n\nYour license file is attached.\n\n") || !strings.Contains(m.html, ">CODE-T1<") ||
			m.attachments["demo.license"] != "application/octet-stream license of T1" {
			t.Errorf("%s\n%+v", raw, m)
		}
		if log := p.log.String(); strings.Contains(log, buyer) || strings.Contains(log, "CODE-") || !strings.Contains(log, buyer[:1]+"…@example.com") {
			t.Errorf("the log: %s", log)
		}
		if len(exim.Mails(t, "second@example.com")) > 0 {
			t.Error("the list's second address got a mail")
		}
		p.config.Server = at(t, exim.TLS, server)
		p.config.Server.TLS = TLS
		p.start()
		_, n = p.add("T2", func(n *store.NewOrder) { n.Order.Email = buyer })
		p.mail()
		if exim.Await(t, buyer, 2); p.notice(n.ID).Status != store.NoticeSent {
			t.Errorf("by the other port: %+v", p.notice(n.ID))
		}
	})
}

// What is wrong with the server, or between us, costs no mail a try.
func TestRealServerTroubles(t *testing.T) {
	exim, good := eximServer(t)
	bad := map[string]struct {
		change func(*MailServer)
		want   string
	}{
		"nobody there":    {func(s *MailServer) { s.Port = 1 }, "refused"},
		"another's name":  {func(s *MailServer) { s.Roots = x509.NewCertPool() }, "unknown authority"},
		"wrong password":  {func(s *MailServer) { s.Password = "wrong-hush" }, "SMTP AUTH failed: 535"},
		"TLS on the port": {func(s *MailServer) { s.TLS = TLS }, "handshake"},
		"no AUTH there":   {func(s *MailServer) { s.TLS = NoTLS }, "AUTH"},
	}
	p := newPost(t, sqlite(t), good)
	_, n := p.add("T1", nil)
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			changed := *p.config
			c.change(&changed.Server)
			p.mailer.Configure(&changed)
			p.mail()
			if got := p.notice(n.ID); got.Tries != 0 || got.Status != store.NoticeWaiting {
				t.Errorf("it had a try: %+v", got)
			}
			how, err := changed.Server.Check(t.Context(), "shop@example.com")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("check: %q, %v, want %q", how, err, c.want)
			}
		})
	}
	if log := p.log.String(); strings.Contains(log, "hush") || strings.Count(log, "mail is delayed") != len(bad) {
		t.Errorf("the log: %s", log)
	}
	p.mailer.Configure(p.config)
	if how, err := good.Check(t.Context(), "shop@example.com"); err != nil || how != "TLS 1.3, logged in" {
		t.Errorf("check: %q, %v", how, err)
	}
	p.mail() // the new config ends the old one's rest
	exim.Await(t, "ada@example.com", 1)
}

// A real bounce is read, and the notice is dead by it.
func TestRealBounce(t *testing.T) {
	exim, server := eximServer(t)
	eachPost(t, server, func(t *testing.T, p *post) {
		before := len(exim.Mails(t, "shop@example.com"))
		_, n := p.add("T1", func(n *store.NewOrder) { n.Order.Email = "gone@example.com" })
		p.mail()
		if got := p.notice(n.ID); got.Status != store.NoticeSent {
			t.Fatalf("%+v", got)
		}
		raw := exim.Await(t, "shop@example.com", before+1)[before]
		id, why, ok := ReadBounce([]byte(raw))
		if id != n.ID || !ok || why != "it came back: status 5.0.0" {
			t.Fatalf("%q, %q, %v\n%s", id, why, ok, raw)
		}
		for range 2 {
			if err := p.db.NoticeBounced(t.Context(), id, why); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.notice(n.ID); got.Status != store.NoticeDead || got.Error != why {
			t.Errorf("%+v", got)
		}
		if err := p.db.NoticeBounced(t.Context(), store.NewID(), why); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("no such notice: %v", err)
		}
	})
	// What the real server refuses by itself.
	p := newPost(t, sqlite(t), server)
	_, refused := p.add("T1", func(n *store.NewOrder) { n.Order.Email = "refused@example.com" })
	_, later := p.add("T2", func(n *store.NewOrder) { n.Order.Email = "later@example.com" })
	_, fine := p.add("T3", func(n *store.NewOrder) { n.Order.Email = "bob@example.com" })
	p.mail()
	if got := p.notice(refused.ID); got.Status != store.NoticeDead || got.Error != "550 5.1.1 no such mailbox" {
		t.Errorf("%+v", got)
	}
	if got := p.notice(later.ID); got.Status != store.NoticeWaiting || got.Tries != 1 || got.NextAt.Sub(p.now()) < mailSchedule[0] {
		t.Errorf("%+v", got)
	}
	if got := p.notice(fine.ID); got.Status != store.NoticeSent {
		t.Errorf("the others' refusals cost it: %+v", got)
	}
}

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
}

func (f *mailhost) NewSession(c *smtp.Conn) (smtp.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions++
	return &mailSession{f, c}, nil
}

type mailSession struct {
	*mailhost
	conn *smtp.Conn
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

// A mail that is put off is tried for days, under one Message-ID; then it is
// dead.
func TestMailSchedule(t *testing.T) {
	f := &mailhost{atRcpt: answer(450, "later")}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	_, n := p.add("T1", nil)
	begin := p.now()
	for p.notice(n.ID).Status == store.NoticeWaiting {
		p.wait(max(0, p.notice(n.ID).NextAt.Sub(p.now())))
		p.mail()
	}
	if got, days := p.notice(n.ID), p.now().Sub(begin).Hours()/24; got.Tries != len(mailSchedule)+1 || days < 4 || days > 5 {
		t.Errorf("%.1f days, %+v", days, got)
	}
	f.set(func() { f.atRcpt = nil })
	if err := p.db.RetryNotice(t.Context(), n.ID, "test"); err != nil {
		t.Fatal(err)
	}
	p.mail()
	if want := []string{"<" + n.ID + "@example.com>"}; !slices.Equal(f.got, want) {
		t.Errorf("%v, want %v", f.got, want)
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

// While the server is away nothing is tried in vain, and many mails need one
// connection.
func TestOneConnection(t *testing.T) {
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
	if f.sessions != 1 || len(f.got) != len(ids) {
		t.Errorf("%d connections for %d mails", f.sessions, len(f.got))
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

// Nothing that a buyer writes gets out of its place.
func TestInjection(t *testing.T) {
	f := &mailhost{}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	folder := t.TempDir()
	write(t, folder, "codes.txt", "Subject: For {{.Name}}, {{.Order}}{{\"\\r\\nBcc: x@example.com\"}}\n\n{{.Name}}: {{range .Codes}}{{.Code}}{{end}}\n")
	write(t, folder, "codes.html", "<p title='{{.Name}}'>{{.Name}}</p>{{range .Codes}}{{.Code}}{{end}}")
	var err error
	if p.config.Templates, err = LoadTemplates(folder, nil); err != nil {
		t.Fatal(err)
	}
	names := []string{
		"Ada\r\nBcc: victim@example.com\r\n\r\nbody", "Ada\nSubject: other", "Ada\u2028Bcc: x", "Ada\x00\x1b[31m\u202e", "'><script>alert(1)</script>", "=?utf-8?q?=0D=0ABcc:_x?=",
		"\r\n.\r\nMAIL FROM:<x@example.com>\r\n",
	}
	for i, name := range names {
		p.add(fmt.Sprint("T", i), func(n *store.NewOrder) { n.Order.Name = name })
	}
	p.config.Attach = func(context.Context, store.Order) ([]Attachment, error) {
		return []Attachment{{"Ada\"\r\nBcc: x@example.com\r\n../é.license", "text/plain", []byte("x")}}, nil
	}
	p.mail()
	if len(f.mails) != len(names) {
		t.Fatalf("%d mails of %d\n%s", len(f.mails), len(names), p.log)
	}
	for _, raw := range f.mails {
		m := open(t, raw)
		var headers []string
		for name := range m.header {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Errorf("%s\n%s", diff, raw)
		}
		if len(m.attachments) != 1 || strings.Contains(raw, "\nBcc: x@") || strings.ContainsAny(slices.Collect(maps.Keys(m.attachments))[0], "\r\n\"/") {
			t.Errorf("%q\n%s", m.attachments, raw)
		}
		if strings.Contains(m.html, "<script>") || strings.ContainsAny(m.subject+m.text[:len(m.text)-1], "\r\n\x00\x1b\u2028\u202e") {
			t.Errorf("%q %q %q", m.subject, m.text, m.html)
		}
	}
	f.set(func() { f.to = nil })
	for i, address := range []string{
		"ada@example.com\r\nRCPT TO:<victim@example.com>", "ada@example.com> NOTIFY=NEVER", "<ada@example.com\nBcc: x@example.com>",
		`"a b"@example.com`, `"a>\r\nRCPT TO:<x"@example.com`, "ada@[127.0.0.1]", "ada@example.com\x00", "ada", "", " ; ", "@example.com", "ada@", "a..b@example.com", "ada@exa mple.com",
		strings.Repeat("a", 65) + "@example.com",
	} {
		_, n := p.add(fmt.Sprint("A", i), func(n *store.NewOrder) { n.Order.Email = address })
		p.mail()
		if got := p.notice(n.ID); got.Status != store.NoticeDead || !strings.Contains(got.Error, "keypost customer edit") {
			t.Errorf("%q: %+v", address, got)
		}
	}
	if len(f.to) > 0 {
		t.Errorf("mailed to %q", f.to)
	}
}

func write(t *testing.T, folder, file, text string) {
	t.Helper()
	name := filepath.Join(folder, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.com": "ada@example.com", " ada@example.com ": "ada@example.com", "Ada <ada@example.com>": "ada@example.com",
		"ada@example.com, bob@example.com": "ada@example.com", "ada@example.com; bob@example.com": "ada@example.com",
		"Ada <ada@example.com>, Bob <bob@example.com>": "ada@example.com", "ada@example.com bob@example.com": "ada@example.com",
		"o'neil+x@sub.example.com": "o'neil+x@sub.example.com", "zoë@example.com": "zoë@example.com", "a@bücher.example": "a@bücher.example", "root@localhost": "root@localhost",
	} {
		if got, err := Address(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"ada@example.com": "a…@example.com", "é@x": "é…@x", "nothing": "…", "": "…", "@x": "…@x"} {
		if got := mask(text); got != want {
			t.Errorf("mask(%q) = %q", text, got)
		}
	}
}

// What is taken for an address has nothing that could end it.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"ada@example.com", "Ada <ada@example.com>, b@x", "\"a b\"@x", "a@[::1]", "a@b c@d", "zoë@bücher.example"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Address(text)
		if err == nil && (len(a) > maxAddress || strings.Count(a, "@") != 1 || strings.ContainsAny(a, " <>()[]:;,\"\\") || oneLine(a) != a) {
			t.Errorf("%q gives %q", text, a)
		}
	})
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

// On this machine a log-in needs no encryption.
func TestLocalLogin(t *testing.T) {
	s := faultyHost(t, &mailhost{account: "shop:local-hush"})
	s.Username, s.Password = "shop", "local-hush"
	if how, err := s.Check(t.Context(), "shop@example.com"); err != nil || how != "not encrypted, logged in" {
		t.Errorf("%q, %v", how, err)
	}
	s.Password = "other-hush"
	if how, err := s.Check(t.Context(), "shop@example.com"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("%q, %v", how, err)
	}
}

// Addresses beyond ASCII need a server that takes them.
func TestSMTPUTF8(t *testing.T) {
	p := newPost(t, sqlite(t), faultyHost(t, &mailhost{}))
	_, n := p.add("T1", func(n *store.NewOrder) { n.Order.Email = "zoë@example.com" })
	p.mail()
	if got := p.notice(n.ID); got.Status != store.NoticeDead || !strings.Contains(got.Error, "SMTPUTF8") {
		t.Errorf("%+v", got)
	}
	f := &mailhost{takesUTF8: true}
	p.config.Server = faultyHost(t, f)
	p.start()
	p.add("U1", func(n *store.NewOrder) { n.Order.Email = "zoë@example.com" })
	p.add("U2", nil)
	p.mail()
	if len(f.utf8) != 2 || f.utf8[0] == f.utf8[1] { // for the one address alone
		t.Errorf("%v, to %v", f.utf8, f.to)
	}
	exim, server := eximServer(t)
	p.config.Server = server
	p.start()
	_, n = p.add("T2", func(n *store.NewOrder) { n.Order.Email = "zoë@example.com" })
	p.mail()
	if raw := exim.Await(t, "zoë@example.com", 1)[0]; p.notice(n.ID).Status != store.NoticeSent || !strings.Contains(raw, "CODE-T2") {
		t.Errorf("%+v\n%s", p.notice(n.ID), raw)
	}
}
