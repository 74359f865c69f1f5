package config

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest/channel"
)

// Mail is [mail].
type Mail struct {
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

func (c *Config) completeMail() (err error) {
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

func (c *Config) mailServer(m *Mail) (err error) {
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
			return c.errorf("mail.tls", "codes and passwords would be sent unencrypted: none is allowed only for a server on this machine (127.0.0.1, localhost)")
		}
	default:
		return c.errorf("mail.tls", "%q: it must be starttls, tls or none", m.TLS)
	}
	if s.Password, err = c.secret("mail.password", m.Password, m.PasswordFile); err != nil {
		return err
	}
	if s.Username == "" && s.Password != "" {
		return c.errorf("mail.username", "it is missing, but a password is set")
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
			return c.errorf("mail.ca_file", "the file has no PEM certificate")
		}
	}
	m.server = s
	return nil
}

// mailConfig is what mails are made of, and where they go. Without [mail] it has
// no server: mails can be shown and not sent.
func (c *Config) mailConfig() delivery.MailConfig {
	out := delivery.MailConfig{Products: map[string]string{}, Tests: map[string]*mail.Address{}}
	for _, p := range c.Products {
		out.Products[p.ID] = p.Name
	}
	for _, ch := range c.Channels {
		out.Tests[ch.Name] = ch.TestAddress
	}
	if c.Mail == nil {
		out.Templates, _ = delivery.LoadTemplates("", nil) // the built-in ones, which a test has tried
		return out
	}
	out.Server, out.From, out.Vendor, out.ReplyTo, out.Templates = c.Mail.server, c.Mail.from, c.Mail.vendor, c.Mail.replyTo, c.Mail.templates
	return out
}

// probeTimeout bounds how long check waits for a mail server.
const probeTimeout = time.Minute

// probeMail logs in to the mail server; nothing is sent.
func (c *Config) probeMail(ctx context.Context) channel.Finding {
	f := channel.Finding{Subject: "mail", Result: channel.OK}
	if c.Mail == nil {
		f.Detail = "no [mail]: notices stay in the outbox"
		for _, ch := range c.Channels {
			if desk := ch.desk(); desk.ByMail || desk.StatusOnly || desk.MailCodes {
				f.Result = channel.Warning
				f.Detail = "no [mail]: the codes of channel " + ch.Name + " stay in the outbox and do not reach buyers"
			}
		}
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	how, err := c.Mail.server.Check(ctx, c.Mail.from.Address)
	if err != nil {
		f.Result, f.Detail = channel.Failed, c.Mail.server.String()+": "+err.Error()
		return f
	}
	f.Detail = fmt.Sprintf("%s accepts mail from %s (%s)", c.Mail.server, c.Mail.from.Address, how)
	return f
}
