package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/ingest"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/store"
)

// awaited is the first mail for an address whose subject begins so: beside it
// there is a digest, after 7:00 UTC.
func awaited(t *testing.T, s *deliverytest.Server, address, subject string) string {
	t.Helper()
	for n := 1; ; n++ {
		for _, mail := range s.Await(t, address, n) {
			if strings.Contains(mail, "\nSubject: "+subject) {
				return mail
			}
		}
	}
}

// mailConfigOf is a [mail] that hands in to a server.
func mailConfigOf(s *deliverytest.Server, more string) string {
	return fmt.Sprintf("\n[mail]\nsmtp = %q\nfrom = \"Shop <shop@example.com>\"\nvendor = \"me@example.com\"\nusername = %q\npassword = %q\nca_file = %q\n%s",
		s.STARTTLS, s.User, s.Password, s.CAFile, more)
}

// channelWith puts keys into a site's channel.
func (s *site) channelWith(keys string) {
	s.t.Helper()
	s.write(strings.Replace(s.text(), "kind = \"krps\"\n", "kind = \"krps\"\n"+keys, 1))
}

// A held order: the vendor is mailed the command that approves it, and then
// the buyer the code that no reply carried.
func TestMailHeldOrder(t *testing.T) { eachDatabase(t, testMailHeldOrder) }

func testMailHeldOrder(t *testing.T, s *site) {
	exim := deliverytest.SMTP(t)
	s.add(mailConfigOf(exim, ""))
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "ok      mail: "+exim.STARTTLS+" accepts mail from shop@example.com (TLS 1.3, logged in)") {
		t.Errorf("check: %s", out)
	}
	s.serve()
	out := s.must(4, "post", "krps", s.url+"/in/kagi", "--quantity", "6")
	if !strings.Contains(out, "Wait, please.") {
		t.Fatalf("post: %s", out)
	}
	held := awaited(t, exim, "me@example.com", "Held: ")
	command := regexp.MustCompile(`(?m)^  keypost (order approve .*?)\r?$`).FindStringSubmatch(held)
	if command == nil || !strings.Contains(held, "Subject: Held: kagi CH0123456789 1 (quantity)") || strings.Contains(held, "geheim") {
		t.Fatalf("%s", held)
	}
	s.must(0, strings.Fields(command[1])...)
	var o admin.Order
	s.read(0, &o, "order", "show", "kagi", "CH0123456789")
	buyer := o.Email
	mail := exim.Await(t, buyer, 1)[0]
	for _, code := range o.Licenses {
		if !strings.Contains(mail, "\n    "+code) {
			t.Errorf("it lacks %s:\n%s", code, mail)
		}
		if strings.Contains(s.log.String(), code) {
			t.Errorf("the log tells a code:\n%s", s.log.String())
		}
	}
	if strings.Contains(s.log.String(), buyer) || strings.Contains(s.log.String(), exim.Password) {
		t.Errorf("the log:\n%s", s.log.String())
	}
	// A repeat mails nothing; a person who asks for it does.
	s.must(0, "post", "krps", s.url+"/in/kagi", "--quantity", "6")
	if out := s.must(0, "order", "resend", "kagi", "CH0123456789"); out != "The mail with the codes for the buyer is in the outbox; the daemon sends it.\n" {
		t.Errorf("resend: %s", out)
	}
	if list := exim.Await(t, buyer, 2); len(list) != 2 {
		t.Errorf("%d mails", len(list))
	}
	preview := []string{"mail", "preview", "demo", "kagi", "CH0123456789"}
	if out := s.must(0, preview...); !strings.Contains(out, o.Licenses[5]) || strings.Contains(out, "refunded") {
		t.Errorf("preview: %s", out)
	}
	s.must(0, "order", "refund", "kagi", "CH0123456789")
	if _, _, errOut := s.run(preview...); errOut != "This order was refunded: its codes are revoked, and this mail is no longer sent.\n" {
		t.Errorf("preview of a refunded order: %q", errOut)
	}
}

// With mail_codes the codes go by mail too, once.
func TestMailCodes(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	s.channelWith("mail_codes = true\ntest_to = \"lab@example.com\"\n")
	s.add(mailConfigOf(exim, "templates = \"mail\"\n"))
	folder := filepath.Join(filepath.Dir(s.config), "mail")
	text := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(folder, "demo"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "demo", "codes.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text("Subject: Own {{.Product}}\n\n{{.Nmae}}\n")
	if out := s.must(1, "check"); !strings.Contains(out, "mail.templates: ") || !strings.Contains(out, "demo/codes.txt:3:") {
		t.Errorf("check: %s", out)
	}
	text("Subject: Own {{.Product}}\n\n{{range .Codes}}{{.Code}} {{end}}\n")
	s.serve()
	code := s.post()[0]
	s.post()
	s.must(0, "post", "krps", s.url+"/in/kagi", "--transaction", "TEST01", "--test")
	if test := exim.Await(t, "lab@example.com", 1)[0]; !strings.Contains(test, "Subject: Own demo") {
		t.Errorf("%s", test)
	}
	var o admin.Order
	s.read(0, &o, "order", "show", "kagi", "CH0123456789")
	mail := exim.Await(t, o.Email, 1)
	if !strings.Contains(mail[0], "Subject: Own demo") || !strings.Contains(mail[0], code) {
		t.Errorf("%s", mail[0])
	}
	// A template that is wrong leaves the daemon with what it had.
	refused := s.log.expect("the config stays as it was")
	text("no subject")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-refused
	if !strings.Contains(s.log.String(), "demo/codes.txt:1: it must start") {
		t.Errorf("%s", s.log.String())
	}
	text("Subject: Newer\n\nnot read yet {{range .Codes}}{{.Code}}{{end}}") // commands read the config too
	second := s.post("--transaction", "CH2")[0]
	if list := exim.Await(t, o.Email, 2); len(list) != 2 || !strings.Contains(list[1], second) || !strings.Contains(list[1], "Subject: Own demo") {
		t.Errorf("a repeat was mailed, or a new order was not: %q", list)
	}
}

// What is refused is told once; the digest is there for the asking.
func TestMailRefused(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	s.add(mailConfigOf(exim, ""))
	s.serve()
	for range 3 {
		s.must(1, "post", "krps", s.url+"/in/kagi", "--secret", "wrong")
	}
	mail := awaited(t, exim, "me@example.com", "Refused: ")
	if !strings.Contains(mail, "Subject: Refused: a post to kagi") || !strings.Contains(mail, "ACG:TransactionID =3D CH0123456789") {
		t.Errorf("%s", mail)
	}
	var list []admin.Notice
	s.read(0, &list, "outbox", "list")
	list = slices.DeleteFunc(list, func(n admin.Notice) bool { return n.Kind == store.NoticeDigest }) // after 7:00 there is one
	if len(list) != 2 || list[0].Subject == nil || !strings.HasPrefix(*list[0].Subject, "kagi ") || list[0].Order != nil {
		t.Errorf("%+v", list)
	}
	// What the daemon's own digest has said by now, the next one does not say.
	said := func(digest string) (n int) {
		if m := regexp.MustCompile(`(\d+) on kagi: ACG:Password`).FindStringSubmatch(digest); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		return n
	}
	out := s.must(0, "mail", "digest")
	refused := said(out)
	if refused < 3 {
		out += awaited(t, exim, "me@example.com", "Keypost on ")
		refused += said(out[strings.LastIndex(out, "Subject: "):])
	}
	if refused != 3 {
		t.Errorf("%d refused posts were told of:\n%s", refused, out)
	}
	if out := s.must(0, "mail", "test", "lab@example.com"); out != exim.STARTTLS+" accepted a mail for lab@example.com\n" {
		t.Errorf("%s", out)
	}
	exim.Await(t, "lab@example.com", 1)
	if out := s.must(1, "mail", "test", "refused@example.com"); !strings.Contains(out, "no such mailbox") {
		t.Errorf("%s", out)
	}
	s.must(2, "mail", "test", "nobody")
}

// operations are those on a store at a time.
func operations(c *config.Config, db *store.DB, now time.Time) *admin.Admin {
	of := c.Admin()
	of.Now = func() time.Time { return now }
	return admin.New(db, ingest.New(db, c.Catalog()), of)
}

// The digest is written once a day, and only when it says something.
func TestWriteDigest(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	s.add(mailConfigOf(exim, ""))
	stop := s.serve()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	digests := func(now string, want int) {
		t.Helper()
		if err := operations(c, db, at(t, now)).WriteDigest(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := db.Outbox(t.Context(), store.NoticeFilter{Kind: store.NoticeDigest})
		if err != nil || len(list) != want {
			t.Errorf("at %s: %d digests, %v, want %d", now, len(list), err, want)
		}
	}
	digests("2026-03-01T07:00:00Z", 0) // there is nothing to say
	s.must(0, "license", "issue", "demo", "--transaction", "gift-1")
	key, err := c.Admin().AuditKey(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SealAudit(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	digests("2026-03-02T06:59:59Z", 0)
	digests("2026-03-02T07:00:00Z", 1)
	digests("2026-03-02T23:59:59Z", 1)
	digests("2026-03-03T07:00:00Z", 1) // the same head
	if _, _, err := db.AddOrder(t.Context(), store.NewOrder{
		Order:   store.Order{ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: "T", Fold: "t", Quantity: 1},
		Message: store.Message{ID: store.NewID()}, Outcome: store.Outcome{Held: "price"},
	}); err != nil {
		t.Fatal(err)
	}
	digests("2026-03-04T08:00:00Z", 2)
	digests("2026-03-05T08:00:00Z", 3) // it still waits
}

// The digest gathers all that a person should look at.
func TestDigestGathers(t *testing.T) {
	s := newSite(t)
	s.place("codes.txt", "A1\nA2\n")
	s.add("[[product]]\nid = \"boxed\"\ngenerator = { kind = \"pool\", file = \"codes.txt\", low = 3 }\nlimit = 1\n")
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := operations(c, db, time.Now()).LoadPools(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, now := t.Context(), time.Now()
	for i, number := range []int{1, 3} {
		m := store.Mail{ID: store.NewID(), Channel: "mail", Content: [32]byte{byte(i)}, Verdict: store.MailHeld, Reason: "ambiguous"}
		m.Numbers = []store.MailNumber{{Store: "kagi", Name: "me_demo", Number: number, Date: now.AddDate(0, 0, i-40)}}
		if _, _, err := db.AddMail(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.AddRefused(ctx, store.Message{ID: store.NewID(), Channel: "kagi", Verdict: store.VerdictRefused, Reason: "No."}, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.AddOrder(ctx, store.NewOrder{
		Order:   store.Order{ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: "T", Fold: "t", Quantity: 1},
		Message: store.Message{ID: store.NewID()}, Outcome: store.Outcome{Held: "price"},
	}); err != nil {
		t.Fatal(err)
	}
	due, err := db.DueMails(ctx, 10)
	if err == nil {
		err = db.NoticesFailed(ctx, due[:1], time.Time{}, "550 no")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err == nil {
		_, err = db.SealAudit(ctx, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	out := s.must(0, "mail", "digest")
	for _, want := range []string{
		": orders need your decision\n", "    1 of kagi: price\n", "    2 of mail: ambiguous\n", " of kind ", ": 550 no\n", "0002 is missing", "    1 on kagi: No.\n",
		"Refused so far, if kept", "    boxed: 2 of 2: low\n", "Head of the audit log: ", "refused: keypost mail list --verdict refused):\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
}

// Digests tell of a gap for a week.
func TestDigestGaps(t *testing.T) {
	s := newSite(t)
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	for i, number := range []int{1, 3} {
		m := store.Mail{ID: store.NewID(), Channel: "mail", Content: [32]byte{byte(i)}, Verdict: store.MailUnknown}
		m.Numbers = []store.MailNumber{{Store: "kagi", Name: "me_demo", Number: number, Date: now.AddDate(0, 0, i-40)}} // an old mailbox
		if _, _, err := db.AddMail(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[time.Duration]int{0: 1, admin.GapTold - time.Hour: 1, admin.GapTold + time.Hour: 0} {
		d, err := operations(c, db, now.Add(after)).Digest(t.Context())
		if err != nil || strings.Count(d.Text, "0002 is missing") != want {
			t.Errorf("%s later: %q, %v", after, d.Text, err)
		}
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMailCommandsWithoutMail(t *testing.T) {
	s := newSite(t)
	out := s.must(0, "mail", "preview", "demo")
	if !strings.HasPrefix(out, "Subject: Your activation code for demo\n\nHello Ada Lovelace,\n") || !strings.Contains(out, "It activates up to 2 computers.") {
		t.Errorf("%s", out)
	}
	if other := s.must(0, "mail", "preview", "other"); strings.Contains(other, "activates up to") || strings.Contains(out+other, "Valid until") {
		t.Errorf("a limit or an end that the config does not have:\n%s\n%s", out, other)
	}
	if out := s.must(0, "mail", "preview", "demo", "--html", "--language", "de"); !strings.HasPrefix(out, "<!DOCTYPE html>\n<html lang=\"de\">") {
		t.Errorf("%s", out)
	}
	var m admin.Letter
	s.read(0, &m, "mail", "preview", "demo")
	if m.To != nil || m.HTML == nil || m.Subject != "Your activation code for demo" {
		t.Errorf("%+v", m)
	}
	s.must(3, "mail", "preview", "nothing")
	s.must(2, "mail", "preview", "demo", "kagi")
	if out := s.must(1, "mail", "test"); !strings.Contains(out, "no [mail]") {
		t.Errorf("%s", out)
	}
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "ok      mail: no [mail]: notices stay in the outbox") {
		t.Errorf("%s", out)
	}
	good := s.text()
	s.add("[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"127.0.0.1:1\"\nuser = \"shop\"\npassword = \"s3cret\"\n" +
		"recipients = [\"shop@example.com\"]\ntrust = [{ dkim = \"store.example\" }]\n")
	if _, out, _ := s.run("check"); !strings.Contains(out, "warning mail: no [mail]: the codes of channel mail stay in the outbox and do not reach buyers") {
		t.Errorf("%s", out)
	}
	s.write(good)
	s.channelWith("reply_codes = false\n")
	if out := s.must(0, "check"); !strings.Contains(out, "warning mail: no [mail]: the codes of channel kagi stay") {
		t.Errorf("%s", out)
	}
}

// The license file that a reply cannot carry is attached.
func TestMailLicenseFile(t *testing.T) {
	exim := deliverytest.SMTP(t)
	s := newSite(t)
	s.filing()
	s.add(mailConfigOf(exim, ""))
	s.serve()
	code := s.post("--email", "ada@example.com", "--name", "Ada Lovelace")[0]
	raw := exim.Await(t, "ada@example.com", 1)[0]
	_, encoded, found := strings.Cut(raw, "filename=\"demo.plist\"")
	_, encoded, _ = strings.Cut(encoded, "\n\n")
	encoded, _, _ = strings.Cut(encoded, "\n--")
	file, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if want := s.must(0, "license", "file", code); !found || err != nil || string(file) != want || !strings.Contains(raw, "Your license file is attached.") {
		t.Errorf("%v, %q, want %q\n%s", err, file, want, raw)
	}
}
