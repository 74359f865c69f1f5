package delivery

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/store"
)

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

// A real server cuts off whoever says much beside mails, and leaves lying what
// is too much for one connection: a burst arrives all the same, at once.
func TestRealBurst(t *testing.T) {
	exim, server := eximServer(t)
	p := newPost(t, sqlite(t), server)
	const many = 40
	for i := range many {
		p.add(fmt.Sprint("T", i), nil)
	}
	p.mail()
	exim.Await(t, "ada@example.com", many)
	if n, err := p.db.CountNotices(t.Context(), store.NoticeSent); n != many || err != nil || strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("%d are sent, %v\n%s", n, err, p.log)
	}
	if log := exim.Log(t); strings.Contains(log, "nonmail commands") || strings.Contains(log, "no immediate delivery") || strings.Count(log, " A=plain:shop ") != many {
		t.Errorf("%s", log)
	}
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
