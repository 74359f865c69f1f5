package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		ExplainMail: func(reason string, refund bool) string {
			return fmt.Sprintf("Explained: %s, refund %v.", reason, refund)
		},
		Command: func(operation string, of []string, needs ...string) string {
			return fmt.Sprintf("do %s of %q with %v", operation, of, needs)
		},
		ReadMail: func(m store.Mail) SaleMail {
			said := SaleMail{Subject: "Thanks\x1b[2J " + string(m.Raw), From: "Kagi <x@store.example>", Date: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)}
			if len(m.Raw) == 0 {
				return SaleMail{}
			}
			said.Sale, said.Refund = "kagi "+string(m.Raw), bytes.HasPrefix(m.Raw, []byte("R"))
			said.Product, said.Needs = "Product_Name", []string{"email"}
			said.Fields = []Field{{"name", "Ada\r\nkeypost order approve x"}, {"keyword password", "hush"}, {"comment", strings.Repeat("x", 2000)}}
			return said
		},
		Digest: func(context.Context) (Digest, error) { return Digest{Head: "0123abcd"}, nil },
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
