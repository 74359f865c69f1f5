package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/keypost/keypost/store"
)

const (
	dialTimeout = 30 * time.Second
	// smtpTimeout bounds a log-in, and a mail from its first command to the
	// server's yes. RFC 5321, 4.5.3.2, has longer ones for the way between
	// servers; this one is a vendor's own.
	smtpTimeout = 2 * time.Minute
	// grace is how long a mail in hand may still take when the daemon ends.
	grace = 15 * time.Second
)

// How a server's connection is protected.
const (
	StartTLS = "starttls" // RFC 3207; without it nothing is sent
	TLS      = "tls"      // from the first byte: RFC 8314, 3.3
	NoTLS    = "none"
)

// A MailServer is where mail is handed in.
type MailServer struct {
	Host               string
	Port               int
	TLS                string         // StartTLS, TLS or NoTLS
	Roots              *x509.CertPool // who signs its certificate; nil: the system's authorities
	Username, Password string         // "": no log-in

	timeout time.Duration // 0: smtpTimeout
}

func (s MailServer) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// A trouble is the server's, and no mail's fault: a mail that meets it has had
// no try.
type trouble struct{ why string }

func (t trouble) Error() string { return t.why }

// A letter is a mail that is ready to be sent.
type letter struct {
	id          string // its Message-ID is made of it
	from, to    *mail.Address
	replyTo     *mail.Address // nil: as from
	subject     string
	text, html  string // html "": text alone
	attachments []Attachment
	at          time.Time
}

// message is a letter in go-mail's form, which encodes it: RFC 2047 for
// headers, RFC 2045 for parts.
func (l letter) message() (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(l.from)
	m.EnvelopeFromMailAddress(l.from)
	m.ToMailAddress(l.to)
	if l.replyTo != nil {
		m.ReplyToMailAddress(l.replyTo)
	}
	_, domain, _ := strings.Cut(l.from.Address, "@")
	m.SetMessageIDWithValue(l.id + "@" + domain)
	m.SetDateWithValue(l.at)
	m.Subject(l.subject)
	// RFC 3834, 5: no program answers it, out of office, say.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.text)
	if l.html != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, l.html)
	}
	for _, a := range l.attachments {
		kind := gomail.ContentType(a.Type)
		if err := m.AttachReader(a.Name, bytes.NewReader(a.Content), gomail.WithFileContentType(kind)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// A session is one connection to the mail server, logged in.
type session struct {
	conn   net.Conn
	client *gomail.Client
	smtp   *smtp.Client
	stop   func() bool
	taken  int // mails that the server took on it
}

// connect dials the server and logs in. Its error is a trouble.
func (s MailServer) connect(ctx context.Context) (*session, error) {
	x := &session{}
	if s.timeout == 0 {
		s.timeout = smtpTimeout
	}
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(s.timeout), gomail.WithDialContextFunc(x.dial(ctx, s)), gomail.WithTLSConfig(s.config()),
		gomail.WithoutNoop(), // before each mail: servers cut off who says it often (Exim's smtp_accept_max_nonmail is ten)
	}
	switch s.TLS {
	case TLS:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Username != "" {
		options = append(options, gomail.WithUsername(s.Username), gomail.WithPassword(s.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5))
	}
	client, err := gomail.NewClient(s.Host, options...)
	if err != nil {
		return nil, trouble{plain(err)}
	}
	x.client = client
	if x.smtp, err = client.DialToSMTPClientWithContext(ctx); err != nil {
		if x.conn != nil {
			x.stop()
			x.conn.Close() // go-mail leaves it open
		}
		return nil, trouble{maskAll(plain(err))}
	}
	x.stop()
	x.stop = context.AfterFunc(ctx, func() { _ = x.conn.SetDeadline(time.Now().Add(grace)) })
	return x, nil
}

func (s MailServer) config() *tls.Config {
	return &tls.Config{ServerName: s.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// dial keeps the connection that it makes. Until we are logged in nothing is in
// hand, and it ends with the daemon.
func (x *session) dial(daemon context.Context, s MailServer) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (c net.Conn, err error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if dialer := new(net.Dialer); s.TLS == TLS {
			c, err = (&tls.Dialer{NetDialer: dialer, Config: s.config()}).DialContext(ctx, network, address)
		} else {
			c, err = dialer.DialContext(ctx, network, address)
		}
		if err == nil {
			x.conn, x.stop = c, context.AfterFunc(daemon, func() { _ = c.Close() })
		}
		return c, err
	}
}

// close says good-bye, and does not wait long for the answer.
func (x *session) close() {
	x.stop()
	_ = x.conn.SetDeadline(time.Now().Add(grace / 3))
	_ = x.client.CloseWithSMTPClient(x.smtp)
	_ = x.conn.Close()
}

// send hands a letter in. Its error is a failure, of this letter, or a
// trouble, of the server; broken says that the connection is of no more use.
func (x *session) send(l letter) (broken bool, err error) {
	if utf8, _ := x.smtp.Extension("SMTPUTF8"); !utf8 && !ascii(l.to.Address) {
		return false, failure{why: "the mail server takes no addresses beyond ASCII (SMTPUTF8): correct the address, or write its domain in the form xn--…", final: true, do: "customer.edit"}
	}
	// RFC 6531, 3.1: asked for where it is needed alone, since a server on the
	// way that does not have it must send the mail back.
	x.smtp.SkipSMTPUTF8(ascii(l.to.Address))
	m, err := l.message()
	if err != nil {
		return false, failure{why: "the mail cannot be written: " + plain(err), final: true}
	}
	err = x.client.SendWithSMTPClient(x.smtp, m)
	if err == nil || m.IsDelivered() { // what comes after the yes is not about the mail
		x.taken++
		return err != nil, nil
	}
	sent, ok := errors.AsType[*gomail.SendError](err) // it comes wrapped
	if !ok {
		return true, trouble{maskAll(plain(err))}
	}
	return judge(sent, rootOf(err))
}

// judge says whose fault an error is, and whether another try may help.
func judge(e *gomail.SendError, why string) (broken bool, err error) {
	code := e.ErrorCode()
	lost := code < 400 || code == 421 // no answer at all; RFC 5321, 3.8: the server closes the connection
	switch e.Reason {
	case gomail.ErrConnCheck:
		return true, trouble{why}
	case gomail.ErrSMTPMailFrom: // it says nothing of the recipient, nor of the text
		if lost {
			return true, trouble{why}
		}
		return false, trouble{"the sender is refused: " + why}
	}
	switch {
	case code == 530: // RFC 4954, 6: authentication required
		return lost, trouble{"the server requires a log-in: " + why}
	case code >= 500:
		return lost, failure{why: why, final: true}
	}
	return lost, failure{why: why}
}

// spoken finds what the server said: go-mail puts the command before it, and
// the text between quotes.
var spoken = regexp.MustCompile(`^[^:]*: ([45]\d\d) "(.*)"$`)

// rootOf is the reason of an SMTP error, as the server gave it, without
// addresses, and in one line.
func rootOf(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", affected ")
	text = oneLine(text)
	if m := spoken.FindStringSubmatch(text); m != nil {
		text = m[1] + " " + strings.ReplaceAll(m[2], `\"`, `"`)
	}
	return maskAll(plain(errors.New(text)))
}

// Check logs in and has the sender's address looked at; nothing is sent.
func (s MailServer) Check(ctx context.Context, from string) (how string, err error) {
	x, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer x.close()
	if err := x.smtp.Mail("<" + from + ">"); err != nil {
		return "", fmt.Errorf("the server refuses the sender %s: %s", from, maskAll(plain(err)))
	}
	_ = x.smtp.Reset()
	how = "not encrypted"
	if state, err := x.smtp.GetTLSConnectionState(); err == nil {
		how = tls.VersionName(state.Version)
	}
	if s.Username != "" {
		how += ", logged in"
	}
	return how, nil
}

// An Attachment is a file that goes with a mail.
type Attachment struct {
	Name, Type string // Type: its MIME type, application/octet-stream
	Content    []byte
}

// Attach makes the files that go with an order's codes, license files, say;
// its error leaves the mail for a later try.
type Attach func(ctx context.Context, o store.Order) ([]Attachment, error)

// Test sends a mail that tells nothing, now, past the outbox.
func (c *MailConfig) Test(ctx context.Context, to *mail.Address) error {
	x, err := c.Server.connect(ctx)
	if err != nil {
		return err
	}
	defer x.close()
	_, err = x.send(letter{
		id: store.NewID(), from: c.From, to: to, replyTo: c.ReplyTo, at: time.Now(),
		subject: "Keypost can send mail", text: "This is a test mail from Keypost. Nothing happened.\n",
	})
	return err
}
