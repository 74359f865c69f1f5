package mailboxtest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/dns/dnsmessage"
)

// A Shop is a store that tells of its sales by signed mails, with the name
// server that has its key.
type Shop struct {
	DNS string // where the name server is

	key  ed25519.PrivateKey
	conn net.PacketConn
}

// The shop's domain, the selector of its key, and whom its mails are for.
const (
	Domain    = "store.example"
	selector  = "s1"
	Recipient = "shop@example.com"
)

// Open opens a shop: its name server answers until Close.
func Open() (*Shop, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Shop{DNS: conn.LocalAddr().String(), key: key, conn: conn}
	go s.answer()
	return s, nil
}

// Close ends the name server.
func (s *Shop) Close() { _ = s.conn.Close() }

func (s *Shop) answer() {
	question := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if answer, err := s.reply(question[:n]); err == nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// reply knows one name.
func (s *Shop) reply(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, errors.New("no question")
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true}
	m.Additionals = nil
	switch {
	case !strings.EqualFold(q.Name.String(), selector+"._domainkey."+Domain+"."):
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeTXT:
		record := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: &dnsmessage.TXTResource{TXT: []string{record}},
		}}
	}
	return m.Pack()
}

// A Sale is what a mail of the shop's tells of.
type Sale struct {
	Name, Email, Product string // Product in the form of the store
	Blurb                string
	Number               int
	At                   time.Time
}

// Text is the mail about a sale before it is signed, as Kagi wrote them.
func (s Sale) Text() string {
	return fmt.Sprintf("From: Store <orders@%s>\r\nTo: %s\r\nSubject: Thanks for your purchase\r\nDate: %s\r\nMessage-ID: <%d.%d@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"+
		"Payment fee received\r\nRegistered-To: %s\r\nEmail: %s\r\nUS$ 35.00 - 1 * %s\r\n\r\nThank you for your purchase.\r\nSQNM-\"%s\" %04d\r\n",
		Domain, Recipient, s.At.Format(time.RFC1123Z), s.At.UnixNano(), s.Number, Domain, s.Name, s.Email, s.Product, s.Blurb, s.Number)
}

// Sign signs a mail as the shop does.
func (s *Shop) Sign(mail string) ([]byte, error) {
	var out bytes.Buffer
	err := dkim.Sign(&out, strings.NewReader(mail), &dkim.SignOptions{
		Domain: Domain, Selector: selector, Signer: s.key,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding"},
	})
	return out.Bytes(), err
}
