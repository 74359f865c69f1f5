package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// mailConfig is [mail].
type mailConfig struct {
	SMTP         string `toml:"smtp"`
	From         string `toml:"from"`
	Vendor       string `toml:"vendor"`
	ReplyTo      string `toml:"reply_to"`
	TLS          string `toml:"tls"`
	CAFile       string `toml:"ca_file"`
	UserName     string `toml:"username"`
	Password     string `toml:"password"`
	PasswordFile string `toml:"password_file"`
	Templates    string `toml:"templates"`

	server                delivery.MailServer
	from, vendor, replyTo *mail.Address
	templates             *delivery.Templates
}

func (c *config) completeMail() (err error) {
	m := c.Mail
	if m == nil {
		return nil
	}
	if err := c.mailServer(m); err != nil {
		return err
	}
	for _, a := range []struct {
		key, text string
		to        **mail.Address
		wanted    bool
	}{{"from", m.From, &m.from, true}, {"vendor", m.Vendor, &m.vendor, true}, {"reply_to", m.ReplyTo, &m.replyTo, false}} {
		if a.text == "" && !a.wanted {
			continue
		}
		if *a.to, err = ownAddress(a.text); err != nil {
			return c.errorf("mail."+a.key, "%v", err)
		}
	}
	var products []string
	for _, p := range c.Products {
		products = append(products, p.ID)
	}
	folder := m.Templates
	if folder != "" {
		folder = c.path(folder)
	}
	if m.templates, err = delivery.LoadTemplates(folder, products); err != nil {
		return c.errorf("mail.templates", "%v", err)
	}
	return nil
}

// ownAddress reads an address of the vendor's, perhaps with a name.
func ownAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err == nil {
		a.Address, err = delivery.Address(a.Address)
	}
	if err != nil || strings.ContainsFunc(a.Address, func(r rune) bool { return r > 126 }) {
		return nil, fmt.Errorf("%q is not an address like Shop <shop@example.com>", text)
	}
	return a, nil
}

func (c *config) mailServer(m *mailConfig) (err error) {
	host, port, err := net.SplitHostPort(m.SMTP)
	n, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || host == "" || n < 1 || n > 65535 {
		return c.errorf("mail.smtp", "%q is not host:port, as in smtp.example.com:587", m.SMTP)
	}
	s := delivery.MailServer{Host: host, Port: n, TLS: m.TLS, Username: m.UserName}
	switch m.TLS {
	case "":
		s.TLS = delivery.StartTLS
	case delivery.StartTLS, delivery.TLS:
	case delivery.NoTLS:
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
			return c.errorf("mail.tls", "codes and passwords would travel in the clear: none is for a server on this machine (127.0.0.1, localhost)")
		}
	default:
		return c.errorf("mail.tls", "%q: it must be starttls, tls or none", m.TLS)
	}
	if s.Password, err = c.secret("mail.password", m.Password, m.PasswordFile); err != nil {
		return err
	}
	if s.Username == "" && s.Password != "" {
		return c.errorf("mail.username", "it is missing, and a password is there")
	}
	if s.Username != "" && s.Password == "" {
		return c.errorf("mail.username", "password or password_file is missing")
	}
	if m.CAFile != "" {
		pem, err := os.ReadFile(c.path(m.CAFile))
		if err != nil {
			return c.errorf("mail.ca_file", "%v", err)
		}
		if s.Roots = x509.NewCertPool(); !s.Roots.AppendCertsFromPEM(pem) {
			return c.errorf("mail.ca_file", "there is no certificate in PEM form in it")
		}
	}
	m.server = s
	return nil
}

// channelMail checks what a channel says of mail.
func (c *config) channelMail(key func(string) string, ch *channelConfig) (err error) {
	if ch.TestTo == "" {
		return nil
	}
	if ch.testTo, err = ownAddress(ch.TestTo); err != nil {
		return c.errorf(key("test_to"), "%v", err)
	}
	return nil
}

// mailer is the mailer's part of the config; nil: there is no [mail].
func (c *config) mailer(db *store.DB) *delivery.MailConfig {
	if c.Mail == nil {
		return nil
	}
	out := c.buyerMail()
	out.Server, out.From, out.Vendor, out.ReplyTo = c.Mail.server, c.Mail.from, c.Mail.vendor, c.Mail.replyTo
	out.Tests, out.Explain, out.ExplainMail = map[string]*mail.Address{}, explainOrder, explainMail
	out.ReadMail = c.readSale
	out.Digest = func(ctx context.Context) (delivery.Digest, error) { return c.digest(ctx, db, time.Now()) }
	desk := c.desk()
	out.Attach = func(_ context.Context, o store.Order) ([]delivery.Attachment, error) { return attachments(desk, o) }
	for _, ch := range c.Channels {
		out.Tests[ch.Name] = ch.testTo
	}
	return out
}

// attachments are the license files of an order, where its products have any.
func attachments(desk ingest.Catalog, o store.Order) (list []delivery.Attachment, err error) {
	files, err := desk.Files(o)
	for _, f := range files {
		list = append(list, delivery.Attachment{Name: f.Name, Type: f.Type, Content: f.Content})
	}
	return list, err
}

// buyerMail is what the text of a mail to a buyer is made of; it is there
// without [mail] too.
func (c *config) buyerMail() *delivery.MailConfig {
	out := &delivery.MailConfig{Products: map[string]string{}}
	for _, p := range c.Products {
		out.Products[p.ID] = p.Name
	}
	if c.Mail != nil {
		out.Templates = c.Mail.templates
	} else {
		out.Templates, _ = delivery.LoadTemplates("", nil) // the built-in ones, which a test has tried
	}
	return out
}

// digestHour is when the daily digest is written, in UTC.
const digestHour = 7

// gapTold is for how long digests tell of a gap: nothing can close it.
const gapTold = 7 * 24 * time.Hour

// writeDigest has the digest sent once a day, where there is something to say:
// what a person should look at, or another head of the audit log than the last
// one said.
func (c *config) writeDigest(ctx context.Context, db *store.DB, now time.Time) error {
	if now = now.UTC(); c.Mail == nil || now.Hour() < digestHour {
		return nil
	}
	last, err := db.LastDigest(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && !store.MadeAt(last.ID).Before(now.Truncate(24*time.Hour)) {
		return nil
	}
	digest, err := c.digest(ctx, db, now)
	if err != nil || !digest.News() && digest.Head == last.Subject {
		return err
	}
	_, err = db.AddDigest(ctx, now, digest.Head)
	return err
}

// digest gathers what the vendor is told once a day.
func (c *config) digest(ctx context.Context, db *store.DB, now time.Time) (out delivery.Digest, err error) {
	var errs [8]error
	out.Since, errs[7] = db.DigestTold(ctx)
	from := out.Since
	if out.Until = now; from.IsZero() {
		from = now.Add(-store.DigestsKept)
	}
	out.Head, errs[0] = db.AuditHead(ctx)
	out.Held, errs[1] = db.CountHeld(ctx)
	out.Dead, errs[2] = db.CountDead(ctx)
	out.Refused, errs[3] = db.CountRefusedSince(ctx, from, now)
	pools, err := c.pools(ctx, db)
	errs[4] = err
	for _, p := range pools {
		out.Pools = append(out.Pools, delivery.PoolLevel{Pool: p.Pool, Free: p.Free, Codes: p.Codes, Low: p.Low})
	}
	out.Gaps, errs[5] = c.gaps(ctx, db, now.Add(-gapTold))
	out.Outages = c.outages.sentences(c, now)
	out.Mails, errs[6] = db.CountHeldMails(ctx)
	return out, errors.Join(errs[:]...)
}

// gaps are what seems to be missing among a store's mails, as far as it has shown
// since a time, in a sentence each.
func (c *config) gaps(ctx context.Context, db *store.DB, since time.Time) (list []string, err error) {
	gaps, err := ingest.New(db, c.desk()).Gaps(ctx)
	for _, g := range gaps {
		if !g.NotedAt.Before(since) {
			list = append(list, g.String())
		}
	}
	return list, err
}

// checkMail logs in to the mail server; nothing is sent.
func (c *config) checkMail(ctx context.Context) finding {
	if c.Mail == nil {
		f := finding{"mail", "ok", "no [mail]: notices wait in the outbox"}
		for _, ch := range c.Channels {
			if ch.Kind == "imap" || !*ch.ReplyCodes || ch.MailCodes {
				f.Result = "warning"
				f.Detail = "no [mail]: the codes of channel " + ch.Name + " wait in the outbox, and reach no buyer"
			}
		}
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	how, err := c.Mail.server.Check(ctx, c.Mail.from.Address)
	if err != nil {
		return finding{"mail", "failed", c.Mail.server.String() + ": " + err.Error()}
	}
	return finding{"mail", "ok", fmt.Sprintf("%s takes mail from %s (%s)", c.Mail.server, c.Mail.from.Address, how)}
}

// checkTimeout bounds how long check waits for a mail server.
const checkTimeout = time.Minute
