package mailbox

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
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/authentic"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
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
	code := storetest.Main(m)
	mailboxtest.Stop()
	os.Exit(code)
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
		Channel: "mail", Policy: here(), Profiles: []*tfyp.Profile{refund, builtin}, Resolver: keys, Desk: desk, Licenses: db,
		Now: func() time.Time { return arrival },
	}
	return &bench{in, t, db}
}

func arrived(raw string) Message {
	return Message{Folder: "INBOX", UIDValidity: 1, UID: 7, Arrived: arrival, Size: int64(len(raw)), Raw: []byte(raw)}
}

// handle has a message judged, and says where it goes.
func (b *bench) handle(raw string) Filing {
	b.t.Helper()
	filing, err := b.try(arrived(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	return filing
}

// try has one message judged.
func (b *bench) try(m Message) (Filing, error) {
	verdicts, err := b.Handle(b.t.Context(), []Message{m})
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

func TestIntake(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		for range 3 { // a message comes again
			if got := b.handle(raw); got != Processed {
				t.Errorf("it goes to %d; want processed", got)
			}
		}
		orders := b.orders()
		if len(orders) != 1 || orders[0].Status != store.Issued || len(orders[0].Licenses) != 1 || orders[0].Name != "Ada Lovelace" {
			t.Fatalf("orders %+v", orders)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d mails, %v", len(list), err)
		}
		got := list[0]
		if got.Verdict != store.MailTaken || got.Fold != orders[0].Fold || got.Domain != "store.example" || got.Profile != "tfyp" ||
			got.MessageID != "<4711@store.example>" || got.UID != 7 || !got.ArrivedAt.Equal(arrival) {
			t.Errorf("noted: %+v", got)
		}
		numbers, err := b.db.MailNumbers(t.Context(), time.Time{})
		if err != nil || len(numbers) != 1 || numbers[0].Number != 42 || numbers[0].Name != "me_demo" {
			t.Errorf("numbers %+v, %v", numbers, err)
		}
		// The same mail by another way has another content and the same body.
		if got := b.handle("Received: by elsewhere\r\n" + raw); got != Failed || b.last() != "refused body_taken" {
			t.Errorf("delivered again it goes to %d, %s", got, b.last())
		}
		if len(b.orders()) != 1 {
			t.Error("it made another order")
		}
	})
}

// What makes no order, and why.
func TestIntakeTakesNothing(t *testing.T) {
	twice := replaced(thanks, "Email: ada@example.org\r\n", "Email: ada@example.org\r\nEmail: eve@example.org\r\n")
	fwd := "From: Eve <eve@example.org>\r\nTo: shop@example.com\r\nSubject: Fwd: Thanks for your purchase\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n" +
		"Content-Type: text/plain\r\n\r\n"
	tests := map[string]struct {
		raw    string
		filing Filing
		want   string
	}{
		"a private mail":            {"From: Eve <eve@example.org>\r\nSubject: Hello\r\n\r\nHello\r\n", Leave, "unknown"},
		"no mail":                   {"\x00\x01", Leave, "unknown unreadable"},
		"not signed":                {thanks, Failed, "refused no_signature"},
		"changed":                   {replaced(hand(thanks), "Ada Lovelace", "Eve"), Failed, "refused body_changed"},
		"signed by a stranger":      {signed(thanks, "evil.example", "s1"), Failed, "refused other_domain"},
		"a label twice":             {hand(twice), Held, "held ambiguous"},
		"without the product":       {hand(replaced(thanks, "US$ 35.00 - 1 * Product_Name\r\n", "")), Held, "held incomplete"},
		"without a name of a sale":  {hand(replaced(thanks, "SQNM-\"me_Demo\" 0042\r\n", "")), Held, "held incomplete"},
		"to another vendor":         {hand(replaced(thanks, "shop@example.com", "other@example.com")), Failed, "refused not_ours"},
		"forwarded in a text":       {fwd + "> " + strings.ReplaceAll(thanks, "\r\n", "\r\n> ") + "\r\n", Failed, "refused no_signature"},
		"its key is not in the DNS": {signed(thanks, "store.example", "s9"), Failed, "refused no_key"},
	}
	onBoth(t, func(t *testing.T, b *bench) {
		for name, test := range tests {
			for range 2 {
				if got := b.handle(test.raw); got != test.filing || b.last() != test.want {
					t.Errorf("%s: it goes to %d, %q; want %d, %q", name, got, b.last(), test.filing, test.want)
				}
			}
		}
		if orders := b.orders(); len(orders) > 0 {
			t.Errorf("orders: %+v", orders)
		}
		kept, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailRefused})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range kept {
			if got, err := b.db.Mail(t.Context(), m.ID); err != nil || len(got.Raw) == 0 {
				t.Errorf("what was refused for %s is not kept: %v", m.Reason, err)
			}
		}
	})
}

// What was refused, or not known, is judged anew when it comes again: the trust,
// or a profile, may have been mended.
func TestIntakeJudgesAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw, profiles, policy := hand(thanks), b.Profiles, b.Policy
		b.Profiles = nil
		if got := b.handle(raw); got != Leave || b.last() != "unknown" {
			t.Errorf("without a profile it goes to %d, %s", got, b.last())
		}
		b.Profiles, b.Policy.Trust = profiles, []authentic.Trust{{DKIM: "other.example"}}
		if got := b.handle(raw); got != Failed || b.last() != "refused other_domain" {
			t.Errorf("without trust it goes to %d, %s", got, b.last())
		}
		b.Policy = policy
		for range 2 {
			if got := b.handle(raw); got != Processed || b.last() != "taken" {
				t.Errorf("mended, it goes to %d, %s", got, b.last())
			}
		}
		if list, err := b.db.Mails(t.Context(), store.MailFilter{}); err != nil || len(list) != 1 || len(b.orders()) != 1 {
			t.Errorf("%d mails, %d orders, %v", len(list), len(b.orders()), err)
		}
		// What was taken of it is fixed: no profile, and no other name of the store,
		// makes another order of it.
		other, err := tfyp.ParseProfile("other", []byte("kind = \"order\"\nstore = \"else\"\nsubject = [\"Thanks\"]\nitems = [\"{currency} {price} - {quantity} * {product}\"]\n"+
			"[fields]\nname = [\"Registered-To:\"]\ntransaction = [\"Payment \"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, profiles := range [][]*tfyp.Profile{nil, {other}} {
			b.Profiles, b.Store = profiles, "elsewhere"
			if got := b.handle(raw); got != Processed || len(b.orders()) != 1 {
				t.Errorf("with other profiles it goes to %d, and there are %d orders", got, len(b.orders()))
			}
		}
	})
}

// An attached mail is judged by its own bytes, whoever sent it along.
func TestIntakeAttached(t *testing.T) {
	wrap := func(inner string) string {
		return "From: Ada <ada@example.com>\r\nTo: shop@example.com\r\nSubject: Fwd: Thanks for your purchase\r\n" +
			"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nlook\r\n" +
			"--x\r\nContent-Type: message/rfc822\r\n\r\n" + inner + "\r\n--x--\r\n"
	}
	onBoth(t, func(t *testing.T, b *bench) {
		b.Policy.Trust = append(b.Policy.Trust, authentic.Trust{DKIM: "store.example", AuthservID: "mx.example.com"})
		if got := b.handle(wrap("Authentication-Results: mx.example.com; dkim=pass header.d=store.example\r\n" + thanks)); got != Failed || len(b.orders()) > 0 {
			t.Errorf("attached and not signed: it goes to %d, orders %v", got, b.orders())
		}
		// Whose key is not in the DNS is believed on the word of the server that took
		// the mail in, and that is not whoever attached it.
		forged := "Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.s=gone\r\n" + signed(thanks, "store.example", "gone")
		if got := b.handle(wrap(forged)); got != Failed || len(b.orders()) > 0 {
			t.Errorf("attached and forged: it goes to %d, orders %v", got, b.orders())
		}
		if got := b.handle(wrap(hand(thanks))); got != Processed || len(b.orders()) != 1 {
			t.Errorf("attached and signed: it goes to %d, orders %v", got, b.orders())
		}
		if got := b.handle(hand(thanks)); got != Processed && got != Failed || len(b.orders()) != 1 {
			t.Errorf("the mail itself: it goes to %d, orders %v", got, b.orders())
		}
	})
}

// A mail of a sale that has its code already issues no second one.
func TestIntakeWithCode(t *testing.T) {
	withCode := func(code string) string {
		return hand(replaced(thanks, "Email:", "Registration-Code: "+code+"\r\nEmail:"))
	}
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(hand(thanks))
		code := b.orders()[0].Licenses[0].Code
		known := withCode(code)
		for range 2 {
			if got := b.handle(replaced(known, "\r\n\r\n", "\r\nX-Copy: 1\r\n\r\n")); got != Processed || b.last() != "taken code" {
				t.Errorf("a code of ours: it goes to %d, %s", got, b.last())
			}
		}
		if got := b.handle(withCode("FROM-ELSEWHERE")); got != Held || b.last() != "held code" {
			t.Errorf("another code: it goes to %d, %s", got, b.last())
		}
		two := replaced(thanks, "1 * Product_Name", "2 * Product_Name")
		two = replaced(two, "Email:", "Registration-Code: "+code+"\r\nRegistration-Code: NOT-OURS\r\nEmail:")
		if got := b.handle(hand(two)); got != Held || b.last() != "held code" {
			t.Errorf("one of two is ours: it goes to %d, %s", got, b.last())
		}
		if n := len(b.orders()); n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

// Each message of several is judged by itself, whatever the others are.
func TestIntakeSeveral(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		known := hand(replaced(thanks, "0042", "0001"))
		b.handle(known)
		b.Resolver = func(ctx context.Context, name string) ([]string, error) {
			if name == "s1._domainkey.slow.example" {
				return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
			}
			return keys(ctx, name)
		}
		b.Policy.Trust = append(b.Policy.Trust, authentic.Trust{DKIM: "slow.example"})
		first := hand(thanks)
		slow := replaced(thanks, "0042", "0043")
		var list []Message
		for _, raw := range []string{
			"Subject: lunch\r\n\r\nAt noon?\r\n", first, known, thanks, first, "X-Again: yes\r\n" + first,
			signed(replaced(slow, "orders@store.example", "orders@slow.example"), "slow.example", "s1"),
			hand(replaced(thanks, "1 * Product_Name", "1 * ")), hand(replaced(thanks, "0042", "0044")),
		} {
			list = append(list, arrived(raw))
		}
		want := []Filing{Leave, Processed, Processed, Failed, Processed, Failed, Leave, Held, Processed}
		for i := range 2 { // they come again
			verdicts, err := b.Handle(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			var got []Filing
			for at, v := range verdicts {
				got = append(got, v.Filing)
				if v.Later != (at == 6) {
					t.Errorf("time %d, message %d: later %v", i+1, at, v.Later)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("time %d (-want +got):\n%s", i+1, diff)
			}
		}
		if n := len(b.orders()); n != 3 {
			t.Errorf("%d orders; want those of 0001, 0042 and 0044", n)
		}
	})
}

func TestIntakeRefund(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.handle(hand(thanks))
		raw := hand(back)
		for range 2 {
			if got := b.handle(raw); got != Processed {
				t.Errorf("a refund goes to %d: %s", got, b.last())
			}
		}
		if o := b.orders()[0]; !o.Refunded || o.Licenses[0].Status != store.Revoked {
			t.Errorf("refunded: %+v", o)
		}
	})
}

// A refund's sale may be told by the next mail; after an hour a person must look.
func TestIntakeRefundBeforeItsSale(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		now, raw := arrival, hand(back)
		b.Now = func() time.Time { return now }
		if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.last() != "waiting unknown_sale" {
			t.Errorf("at once: %v, %s", err, b.last())
		}
		now = now.Add(salePatience + time.Minute)
		if got := b.handle(raw); got != Held || b.last() != "held unknown_sale" {
			t.Errorf("an hour later it goes to %d, %s", got, b.last())
		}
		b.handle(hand(thanks))
		if got := b.handle(raw); got != Processed || !b.orders()[0].Refunded {
			t.Errorf("with its sale it goes to %d, %s", got, b.last())
		}
	})
}

// A refund that can never be counted is held; one of a sale that nobody told of
// waits, by whatever name.
func TestIntakeRefundAmount(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		p, err := tfyp.ParseProfile("parts", []byte(refundProfile+
			"[fields]\ntransaction = [\"Order:\"]\namount = [\"Back:\"]\nreference = [\"Refund:\"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		b.Profiles[0] = p
		b.handle(hand(thanks))
		for lines, want := range map[string]string{
			"Back: 5.00 EUR\r\nRefund: R-1\r\n":                  "held refund_amount",
			"Back: 5.00 USD\r\nRefund: R-2\r\n":                  "taken",
			"Back: 5.00\r\nRefund: R-3\r\n":                      "held incomplete",
			"Order: B-7777\r\nBack: 5.00 USD\r\nRefund: R-4\r\n": "waiting unknown_sale",
		} {
			if _, err := b.try(arrived(hand(back + lines))); err != nil && !errors.Is(err, errWaits) {
				t.Fatal(err)
			}
			if got := b.last(); got != want {
				t.Errorf("%q: %s; want %s", lines, got, want)
			}
		}
	})
}

// What is one message's attachment and another message of the same call is judged
// as what it proves: the copy alone, whose trust is less, proves nothing.
func TestIntakeCopyFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Policy.Trust = []authentic.Trust{{AuthservID: "mx.example.com", DKIM: "store.example"}}
		b.Resolver = func(_ context.Context, name string) ([]string, error) { // the key is gone since
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		original := "Authentication-Results: mx.example.com; dkim=pass header.d=store.example header.s=s1\r\n" + hand(thanks)
		forward := "From: Ada <ada@example.org>\r\nTo: shop@example.com\r\nSubject: Fwd\r\nContent-Type: message/rfc822\r\n\r\n" + original
		verdicts, err := b.Handle(t.Context(), []Message{arrived(forward), arrived(original)})
		if err != nil || verdicts[1].Filing != Processed || len(b.orders()) != 1 {
			t.Errorf("%+v, %d orders, %v", verdicts, len(b.orders()), err)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailTaken})
		if err != nil || len(list) != 1 {
			t.Errorf("%d taken, %v", len(list), err)
		}
	})
}

// When another daemon, with another config, has taken a mail in between, what it
// took counts.
func TestIntakeMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		other := *b.Intake
		other.Store = "elsewhere"
		b.Licenses = &blind{b.db, func() {
			if _, err := other.Handle(t.Context(), []Message{arrived(raw)}); err != nil {
				t.Error(err)
			}
		}}
		if got := b.handle(raw); got != Processed {
			t.Errorf("it goes to %d", got)
		}
		if list := b.orders(); len(list) != 1 || list[0].Store != "elsewhere" {
			t.Errorf("orders %+v", list)
		}
	})
}

// blind has something happen after it was asked what is known.
type blind struct {
	*store.DB
	then func()
}

func (b *blind) MailsByContent(ctx context.Context, channel string, contents [][32]byte) (map[[32]byte]store.Mail, error) {
	known, err := b.DB.MailsByContent(ctx, channel, contents)
	b.then()
	return known, err
}

// A mailbox that is read after a pause, or for the first time, has the refund's
// mail beside that of its sale.
func TestIntakeOldRefund(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Now = func() time.Time { return arrival.Add(48 * time.Hour) }
		list := []Message{arrived(hand(back)), arrived(hand(thanks))}
		for i, later := range []bool{true, false} {
			verdicts, err := b.Handle(t.Context(), list)
			if err != nil || verdicts[1].Filing != Processed || verdicts[0].Later != later {
				t.Fatalf("time %d: %+v, %v", i+1, verdicts, err)
			}
		}
		if !b.orders()[0].Refunded {
			t.Error("the refund did not come in")
		}
	})
}

// DNS trouble is no reason to refuse, until it has lasted for three days.
func TestIntakeLater(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		now := arrival
		b.Now = func() time.Time { return now }
		b.Resolver = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
		}
		raw := hand(thanks)
		for range 2 {
			if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.last() != "waiting dns" {
				t.Errorf("err = %v, %s", err, b.last())
			}
			now = now.Add(dnsPatience/2 - time.Minute)
		}
		now = arrival.Add(dnsPatience + time.Minute)
		if got := b.handle(raw); got != Failed || b.last() != "refused dns" {
			t.Errorf("after three days it goes to %d, %s", got, b.last())
		}
	})
}

// A crash between two steps costs nothing: the mail comes again.
func TestIntakeCrashes(t *testing.T) {
	crash := errors.New("crash")
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "SQNM", "US$ 5.00 - 1 * Other_Product\r\nSQNM"))
		whole := b.Desk
		for accepts := range 2 {
			b.Desk = &crashing{Desk: whole, after: accepts, err: crash}
			if _, err := b.try(arrived(raw)); !errors.Is(err, crash) {
				t.Fatalf("err = %v", err)
			}
		}
		b.Desk = whole
		if got := b.handle(raw); got != Held { // nobody knows Other_Product
			t.Errorf("it goes to %d", got)
		}
		var got []string
		for _, o := range b.orders() {
			got = append(got, fmt.Sprint(o.StoreProduct, " ", o.Status))
		}
		if diff := cmp.Diff([]string{"Other_Product held", "Product_Name issued"}, got); diff != "" {
			t.Errorf("orders (-want +got):\n%s", diff)
		}
	})
}

// crashing fails once after so many orders.
type crashing struct {
	Desk
	after int
	err   error
}

func (c *crashing) Accept(ctx context.Context, o ingest.Order) (store.Order, error) {
	if c.after--; c.after < 0 {
		return store.Order{}, c.err
	}
	return c.Desk.Accept(ctx, o)
}

// Two daemons that both believe that the mailbox is theirs make one order.
func TestIntakeTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(thanks)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if got, err := b.try(arrived(raw)); err != nil || got != Processed {
					t.Errorf("it goes to %d, %v", got, err)
				}
			})
		}
		all.Wait()
		if n := len(b.orders()); n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

func TestIntakeTooBig(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		head, _, _ := strings.Cut(thanks, "\r\n\r\n")
		m := arrived(head)
		m.TooBig, m.Size = true, 50<<20
		if got, err := b.try(m); err != nil || got != Failed || b.last() != "refused too_big" {
			t.Errorf("it goes to %d, %s, %v", got, b.last(), err)
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 1 || list[0].MessageID != "<4711@store.example>" || list[0].Detail != "52428800 bytes" {
			t.Errorf("noted: %+v, %v", list, err)
		}
		now := time.Now()
		told, err := b.db.CountRefusedSince(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
		if diff := cmp.Diff([]store.Count{{Of: "mail", Reason: ReasonTooBig, N: 1}}, told); diff != "" || err != nil {
			t.Errorf("for the digest, %v (-want +got):\n%s", err, diff)
		}
	})
}

// A stranger cannot fill the disk with mails that are refused.
func TestIntakeKeepsSome(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Keep = rate.NewLimiter(0, 2)
		for i := range 4 {
			b.handle(thanks + fmt.Sprint(i))
		}
		list, err := b.db.Mails(t.Context(), store.MailFilter{})
		if err != nil || len(list) != 4 {
			t.Fatalf("%d mails noted, %v", len(list), err)
		}
		kept := 0
		for _, m := range list {
			got, err := b.db.Mail(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Raw) > 0 {
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("%d are kept; want 2", kept)
		}
	})
}

// A genuine mail can be sent here again without end, with another header each
// time: no more of them is kept than of others.
func TestIntakeKeepsSomeCopies(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.Keep = rate.NewLimiter(0, 2)
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * ")) // held
		b.handle(raw)
		for i := range 4 {
			if got := b.handle(fmt.Sprintf("X-Copy: %d\r\n%s", i, raw)); got != Failed || b.last() != "refused body_taken" {
				t.Errorf("copy %d goes to %d, %s", i, got, b.last())
			}
		}
		kept := 0
		list, err := b.db.Mails(t.Context(), store.MailFilter{Verdict: store.MailRefused})
		if err != nil || len(list) != 4 {
			t.Fatalf("%d mails, %v", len(list), err)
		}
		for _, m := range list {
			got, err := b.db.Mail(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			kept += min(1, len(got.Raw))
		}
		if kept != 2 {
			t.Errorf("%d are kept; want 2", kept)
		}
	})
}

// A held mail stays held when its key cannot be had as it comes again.
func TestIntakeHeldStaysHeld(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * "))
		b.handle(raw)
		b.Resolver = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
		}
		before := b.newest()
		if _, err := b.try(arrived(raw)); !errors.Is(err, errWaits) || b.newest().Verdict != store.MailHeld || b.newest().ID != before.ID {
			t.Errorf("%v, %s", err, b.last())
		}
	})
}

// What a person has decided on stays decided, when the mail comes again.
func TestIntakeDecided(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		raw := hand(replaced(thanks, "1 * Product_Name", "1 * "))
		b.handle(raw)
		held := b.newest()
		held.Verdict, held.Reason = store.MailUnknown, ReasonDismissed
		if err := b.db.SettleMail(t.Context(), held, "test"); err != nil {
			t.Fatal(err)
		}
		if got := b.handle(raw); got != Leave || b.last() != "unknown dismissed" {
			t.Errorf("dismissed: it goes to %d, %s", got, b.last())
		}
		forged := thanks
		b.handle(forged)
		refused := b.newest()
		refused.Verdict, refused.Reason = store.MailTaken, ReasonApproved
		if err := b.db.SettleMail(t.Context(), refused, "test"); err != nil {
			t.Fatal(err)
		}
		if got := b.handle(forged); got != Processed || b.last() != "taken approved" || len(b.orders()) > 0 {
			t.Errorf("approved: it goes to %d, %s, orders %v", got, b.last(), b.orders())
		}
	})
}

// A mail's words reach no table as they are.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb": "a??b", "\x1b[1m": "?[1m", "\xff\u202e": "??", " ä ": "ä", "1234567": "123456", "12345ä": "12345", "12345 7": "12345",
	} {
		if got := printable(in, 6); got != want {
			t.Errorf("printable(%q) = %q; want %q", in, got, want)
		}
	}
}
