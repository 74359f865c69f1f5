package intake

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// sentAt is when the store signs its mails, which the library does by the clock;
// they arrive half a minute later.
var (
	sentAt  = time.Now().UTC().Truncate(time.Second)
	arrival = sentAt.Add(30 * time.Second)
	edKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
)

// signed is a mail with a signature of a domain, under a selector.
func signed(mail, domain, selector string, change ...func(*dkim.SignOptions)) string {
	var out bytes.Buffer
	o := &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: edKey, HeaderKeys: []string{"From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding"},
	}
	for _, c := range change {
		c(o)
	}
	if err := dkim.Sign(&out, strings.NewReader(mail), o); err != nil {
		panic(err)
	}
	return out.String()
}

// hand signs as the store does.
func hand(mail string) string { return signed(mail, "store.example", "s1") }

// keys is a DNS that has the store's key and a stranger's.
func keys(_ context.Context, name string) ([]string, error) {
	if name != "s1._domainkey.store.example" && name != "s1._domainkey.evil.example" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))}, nil
}

func replaced(s, old, new string) string {
	if !strings.Contains(s, old) {
		panic(fmt.Sprintf("%q is not in the mail", old))
	}
	return strings.Replace(s, old, new, 1)
}

func here() authentic.Policy {
	return authentic.Policy{Trust: []authentic.Trust{{DKIM: "store.example"}}, Recipients: []string{"shop@example.com"}}
}

func TestMain(m *testing.M) {
	os.Exit(storetest.Main(m))
}

// thanks is Kagi's mail about a sale, as its server would send it before signing.
var thanks = "From: Example Store <orders@store.example>\r\n" +
	"To: Shop <shop@example.com>\r\n" +
	"Subject: Thanks for your purchase\r\n" +
	"Date: " + sentAt.Format(time.RFC1123Z) + "\r\n" +
	"Message-ID: <4711@store.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\n" +
	"Content-Transfer-Encoding: 7bit\r\n" +
	"\r\n" +
	"Payment fee received\r\n" +
	"Registered-To: Ada Lovelace\r\n" +
	"Email: ada@example.org\r\n" +
	"US$ 35.00 - 1 * Product_Name\r\n" +
	"SQNM-\"me_Demo\" 0042\r\n"

// back is a refund of that sale.
var back = "From: Example Store <orders@store.example>\r\n" +
	"To: Shop <shop@example.com>\r\n" +
	"Subject: Refund\r\n" +
	"Date: " + sentAt.Format(time.RFC1123Z) + "\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\n" +
	"\r\n" +
	"SQNM-\"me_Demo\" 0042\r\n"

const refundProfile = "kind = \"refund\"\nstore = \"kagi\"\nsubject = [\"Refund\"]\nsequence = ['SQNM-\"{blurb}\" {number}']\n"

// A bench is an intake on a real store and a real desk.
type bench struct {
	*Intake
	t  *testing.T
	db *store.DB
}

func onBoth(t *testing.T, test func(t *testing.T, b *bench)) {
	for name, source := range map[string]func(t *testing.T) string{
		"sqlite":  func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "k.db") },
		"mariadb": func(t *testing.T) string { return storetest.MariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) { test(t, newBench(t, source(t))) })
	}
}

func newBench(t *testing.T, source string) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), source, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	desk := ingest.New(db, ingest.Catalog{
		Products: []ingest.Product{{ID: "demo", Aliases: []string{"Product_Name"}, Limit: 3, Codes: ingest.Codes{Compute: keygen.Random{}}}},
		Channels: map[string]ingest.Channel{"mail": {Name: "mail", ByMail: true}},
	})
	builtin, ok := tfyp.Builtin("tfyp")
	refund, err := tfyp.ParseProfile("refunds", []byte(refundProfile))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	in := &Intake{
		Reader:  Reader{Policy: here(), Profiles: []*tfyp.Profile{refund, builtin}, Resolver: keys},
		Channel: "mail", Desk: desk, Licenses: db,
		Now: func() time.Time { return arrival },
	}
	return &bench{in, t, db}
}

func arrived(raw string) mailbox.Message {
	return mailbox.Message{Folder: "INBOX", UIDValidity: 1, UID: 7, Arrived: arrival, Size: int64(len(raw)), Raw: []byte(raw)}
}

// handle has a message judged, and says where it goes.
func (b *bench) handle(raw string) mailbox.Filing {
	b.t.Helper()
	filing, err := b.try(arrived(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	return filing
}

// try has one message judged.
func (b *bench) try(m mailbox.Message) (mailbox.Filing, error) {
	verdicts, err := b.Handle(b.t.Context(), []mailbox.Message{m})
	if err == nil && verdicts[0].Later {
		err = errWaits
	}
	if err != nil {
		return 0, err
	}
	return verdicts[0].Filing, nil
}

var errWaits = errors.New("it waits")

func (b *bench) orders() []store.Order {
	b.t.Helper()
	list, err := b.db.Orders(b.t.Context(), store.OrderFilter{})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// newest is the mail that was noted last.
func (b *bench) newest() store.Mail {
	b.t.Helper()
	list, err := b.db.Mails(b.t.Context(), store.MailFilter{Limit: 1})
	if err != nil || len(list) == 0 {
		b.t.Fatal(list, err)
	}
	return list[0]
}

// last is the newest mail's verdict, with its reason.
func (b *bench) last() string {
	b.t.Helper()
	m := b.newest()
	return strings.TrimSpace(m.Verdict + " " + m.Reason)
}
