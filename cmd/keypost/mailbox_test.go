package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

// A mailed site has a channel whose orders come by mail.
type mailed struct {
	*site
	shop    *mailboxtest.Shop
	account *mailboxtest.Account
}

const imapChannel = `
[[channel]]
name = "mail"
kind = "imap"
store = "kagi"
address = %q
user = %q
password_file = "imap.secret"
ca_file = %q
processed = "Done"
held = "Held"
failed = "$KeypostFailed"
recipients = ["` + mailboxtest.Recipient + `"]
trust = [{ dkim = "` + mailboxtest.Domain + `" }]
dns = %q
%s
`

func newMailed(t *testing.T, s *site, more string) *mailed {
	t.Helper()
	server := mailboxtest.Dovecot(t)
	account, err := server.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Close)
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "imap.secret"), []byte(account.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.add(fmt.Sprintf(imapChannel, server.TLSAddr, account.User, server.CertFile(), shop.DNS, more))
	return &mailed{s, shop, account}
}

func sale(number int) mailboxtest.Sale {
	return mailboxtest.Sale{
		Name: "Ada Lovelace", Email: "ada@example.org", Product: "Product_Name", Blurb: "me_Demo", Number: number, At: time.Now().UTC().Truncate(time.Second),
	}
}

func (m *mailed) deliver(text string, sign bool) {
	m.t.Helper()
	raw := []byte(text)
	if sign {
		var err error
		if raw, err = m.shop.Sign(text); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.account.Deliver(raw, time.Now()); err != nil {
		m.t.Fatal(err)
	}
}

// filed waits until a folder has so many messages: the last thing that happens
// to a mail.
func (m *mailed) filed(folder string, want int) {
	m.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		list, err := m.account.Stored(folder)
		if err != nil {
			m.t.Fatal(err)
		}
		if len(list) == want {
			return
		}
		select {
		case <-m.t.Context().Done():
			m.t.Fatal("the test ends")
		case <-time.After(time.Minute):
			m.t.Fatalf("%s has %d messages; want %d; the log:\n%s", folder, len(list), want, m.log.String())
		case <-ticker.C:
		}
	}
}

// A mail dropped into Dovecot becomes a license that activates.
func TestMailbox(t *testing.T) { eachDatabase(t, testMailbox) }

func testMailbox(t *testing.T, s *site) {
	m := newMailed(t, s, "")
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "ok      mailbox mail: logged in") {
		t.Errorf("check: %s", out)
	}
	s.serve()
	m.deliver(sale(1).Text(), true)
	m.filed("Done", 1)
	var list []admin.Order
	s.read(0, &list, "order", "list")
	if len(list) != 1 || list[0].Status != "issued" || list[0].Store != "kagi" || len(list[0].Licenses) != 1 {
		t.Fatalf("orders %+v", list)
	}
	if problem := s.activate(list[0].Licenses[0], "machine-1"); problem != "" {
		t.Errorf("activate: %s", problem)
	}

	taken := mailsOf(s, "taken")
	if len(taken) != 1 || taken[0].Sale == nil || taken[0].Sale.Transaction != list[0].Transaction || !strings.HasPrefix(list[0].Transaction, "SQNM-") {
		t.Fatalf("taken %+v; orders %+v", taken, list)
	}
	var shown admin.MailDetail
	s.read(0, &shown, "mail", "show", taken[0].ID)
	if len(shown.Orders) != 1 || shown.Orders[0].Transaction != list[0].Transaction || shown.Orders[0].Line != 1 || shown.Because != nil || *shown.Sale != *taken[0].Sale {
		t.Errorf("shown %+v", shown)
	}
	if show := s.must(0, "mail", "show", taken[0].ID); !strings.Contains(show, "sale        kagi "+list[0].Transaction+"\n") || !strings.Contains(show, "  issued") || !strings.Contains(show, "\nsigned by   store.example\n") {
		t.Errorf("show:\n%s", show)
	}
	if stored, err := m.account.Stored("Done"); err != nil || s.must(0, "mail", "show", taken[0].ID, "--raw") != stored[0].Raw {
		t.Errorf("--raw of a taken mail is not what the mailbox has: %v", err)
	}

	m.deliver(sale(2).Text(), false)                                                                                     // nobody signed it
	m.deliver(strings.Replace(sale(3).Text(), "Email: ", "Email: eve@example.org\r\nEmail: ", 1), true)                  // what holds?
	m.deliver("From: Eve <eve@example.org>\r\nTo: shop@example.com\r\nSubject: Hello\r\n\r\nDo you like it?\r\n", false) // not ours
	m.deliver(sale(4).Text(), true)
	m.filed("Held", 1)
	m.filed("Done", 2)
	m.filed("INBOX", 2) // a move is a copy first
	left, err := m.account.Stored("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, one := range left {
		flags = append(flags, one.Flags)
	}
	if len(left) != 2 || !slices.Contains(flags, "") {
		t.Errorf("INBOX has %d messages with flags %q; want the private mail as it came, and the refused one marked", len(left), flags)
	}
	s.read(0, &list, "order", "list")
	if len(list) != 2 {
		t.Errorf("orders %+v", list)
	}
	if log := s.log.String(); strings.Contains(log, "Lovelace") || strings.Contains(log, "ada@") || strings.Contains(log, list[0].Licenses[0]) {
		t.Errorf("the log:\n%s", log)
	}
}

// What was held or refused a person looks at, and decides.
func TestMailsByHand(t *testing.T) { eachDatabase(t, testMailsByHand) }

func testMailsByHand(t *testing.T, s *site) {
	m := newMailed(t, s, "")
	s.serve()
	m.deliver(strings.Replace(sale(1).Text(), "Email: ", "Email: eve@example.org\r\nEmail: ", 1), true)
	m.deliver(strings.Replace(sale(2).Text(), "US$ 35.00 - 1 * Product_Name\r\n", "", 1), true)
	m.filed("Held", 2)
	m.deliver(sale(3).Text(), false)
	forged, err := m.shop.Sign(sale(5).Text())
	if err != nil {
		t.Fatal(err)
	}
	m.deliver(strings.Replace(string(forged), "Ada Lovelace", "Eve", 1), false)
	m.deliver(sale(4).Text(), true)
	m.filed("Done", 1) // by then those before it are judged
	held, refused := mailsOf(s, "held"), mailsOf(s, "refused")
	if len(refused) != 2 {
		t.Errorf("refused %+v", refused)
	}
	refused = slices.DeleteFunc(refused, func(one admin.MailRow) bool {
		if deref(one.Reason) != "body_changed" {
			return false
		}
		if show := s.must(0, "mail", "show", one.ID); !strings.Contains(show, "\nclaims to be signed by  store.example\n") || strings.Contains(show, "\nsigned by") {
			t.Errorf("show:\n%s", show)
		}
		return true
	})
	if len(held) != 2 || len(refused) != 1 || deref(refused[0].Reason) != "no_signature" {
		t.Fatalf("held %+v, refused %+v", held, refused)
	}
	byReason := map[string]string{}
	for _, one := range held {
		byReason[deref(one.Reason)] = one.ID
	}
	twice, without := byReason["ambiguous"], byReason["incomplete"]

	show := s.must(0, "mail", "show", twice)
	for _, want := range []string{"held", "ambiguous", "Something appears twice", "Ada Lovelace", "signed by"} {
		if !strings.Contains(show, want) {
			t.Errorf("show lacks %q:\n%s", want, show)
		}
	}
	var shown admin.MailDetail
	s.read(0, &shown, "mail", "show", twice)
	if shown.Verdict != "held" || !strings.Contains(deref(shown.Because), "Something appears twice") || len(shown.Orders) != 0 ||
		!slices.ContainsFunc(shown.Fields, func(f admin.MailField) bool { return f.Name == "name" && f.Value == "Ada Lovelace" }) {
		t.Errorf("shown %+v", shown)
	}
	if raw := s.must(0, "mail", "show", twice, "--raw"); !strings.Contains(raw, "DKIM-Signature") {
		t.Errorf("raw: %s", raw)
	}
	var orders []admin.Order
	s.read(0, &orders, "mail", "approve", twice, "--email", "ada@example.org")
	if len(orders) != 1 || orders[0].Status != "issued" {
		t.Errorf("approved: %+v", orders)
	}
	s.must(1, "mail", "approve", twice)
	s.must(2, "mail", "approve", without)
	s.read(0, &orders, "mail", "approve", without, "--product", "Product_Name")
	if len(orders) != 1 || orders[0].Status != "issued" || orders[0].Store != "kagi" || !strings.HasPrefix(orders[0].Transaction, "SQNM-") {
		t.Errorf("approved: %+v", orders)
	}
	m.deliver(strings.Replace(sale(6).Text(), "1 * Product_Name", "0 * Product_Name", 1), true)
	m.filed("Held", 3)
	none := mailsOf(s, "held")[0].ID
	for _, more := range [][]string{nil, {"--quantity", "-1"}, {"--quantity", "1000"}} {
		if out := s.must(2, append([]string{"mail", "approve", none}, more...)...); !strings.Contains(out, "--quantity") {
			t.Errorf("%q: %s", more, out)
		}
	}
	s.read(0, &orders, "mail", "approve", none, "--quantity", "2")
	if len(orders) != 1 || orders[0].Status != "issued" || len(orders[0].Licenses) != 2 {
		t.Errorf("approved: %+v", orders)
	}
	s.must(0, "mail", "dismiss", refused[0].ID)
	s.must(1, "mail", "dismiss", refused[0].ID)
	s.must(3, "mail", "show", "01M7ZF0HQGF49NMZEKQ219YQ78")
	if list := mailsOf(s, "held"); len(list) != 0 {
		t.Errorf("still held: %+v", list)
	}
	// The mails themselves, sent again by the store, are the orders that are here.
	m.deliver(sale(1).Text(), true)
	m.filed("Done", 2)
	s.read(0, &orders, "order", "list")
	if len(orders) != 4 {
		t.Errorf("orders %+v", orders)
	}
	out := s.must(0, "outbox", "list")
	if n := strings.Count(out, "  held_mail  vendor"); n != 3 {
		t.Errorf("the vendor is told of %d reasons; want 3:\n%s", n, out)
	}
}

func mailsOf(s *site, verdict string) (list []admin.MailRow) {
	s.t.Helper()
	s.read(0, &list, "mail", "list", "--verdict", verdict)
	return list
}

// A post and a mail of one sale are one order, whichever came first.
func TestPostAndMail(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(siteConfig, `name = "kagi"`, "name = \"kagi\"\nblurb = \"me_Demo\"", 1))
	m := newMailed(t, s, "")
	s.serve()
	today := time.Now().UTC().Format(time.DateOnly)
	post := func(transaction, number string) []string {
		return s.post("--transaction", transaction, "--set", "ACG:SQNM="+number, "--date", today, "--email", "ada@example.org", "--name", "Ada Lovelace", "--price", "35.000")
	}
	posted := post("TX1", "0001")
	m.deliver(sale(1).Text(), true)
	m.filed("Done", 1)
	m.deliver(sale(2).Text(), true)
	m.filed("Done", 2)
	again := post("TX2", "0002")
	var list []admin.Order
	s.read(0, &list, "order", "list")
	if len(list) != 2 || !slices.Equal(list[1].Licenses, posted) || !slices.Equal(list[0].Licenses, again) {
		t.Errorf("orders %+v; posts got %v and %v", list, posted, again)
	}
}

// What the README says to write for a store that only sends mail is a config.
func TestReadmeMail(t *testing.T) {
	section := regexp.MustCompile("(?s)## A store that only sends mail.*?```toml\n(.*?)```").FindStringSubmatch(pages(t)["../../README.md"])
	page := regexp.MustCompile("(?s)## Set it up.*?```toml\n(.*?)```").FindStringSubmatch(pages(t)["../../docs/mailbox.md"])
	if section == nil || page == nil {
		t.Fatal("the README or the page has no such section")
	}
	for _, text := range []string{section[1], page[1]} {
		s := newSite(t)
		s.place("imap.secret", "hush\n")
		s.place("smtp.secret", "hush\n")
		s.add(text)
		c, err := config.Load(s.config)
		if err != nil {
			t.Fatal(err)
		}
		if ch, ok := c.Channel("mail"); !ok || ch.Kind != "imap" || len(ch.Settings.(*intake.Settings).Reader().Profiles) != 1 {
			t.Errorf("channel %+v", ch)
		}
	}
}

// And it does what the README says: a signed mail becomes an order, and its code
// goes to the buyer. Only where the servers are is replaced.
func TestReadmeMailRuns(t *testing.T) {
	section := regexp.MustCompile("(?s)## A store that only sends mail.*?```toml\n(.*?)```").FindStringSubmatch(pages(t)["../../README.md"])
	if section == nil {
		t.Fatal("the README has no such section")
	}
	exim, dovecot := deliverytest.SMTP(t), mailboxtest.Dovecot(t)
	account, err := dovecot.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Close)
	text := section[1]
	for _, change := range [][2]string{
		{`smtp = "smtp.example.com:587"`, fmt.Sprintf("smtp = %q\nca_file = %q", exim.STARTTLS, exim.CAFile)},
		{`username = "shop@example.com"`, fmt.Sprintf("username = %q", exim.User)},
		{`address = "imap.example.com:993"`, fmt.Sprintf("address = %q\nca_file = %q\ndns = %q", dovecot.TLSAddr, dovecot.CertFile(), shop.DNS)},
		{`user = "shop@example.com"`, fmt.Sprintf("user = %q", account.User)},
	} {
		text = replaceOnce(t, text, "\n"+change[0], "\n"+change[1])
	}
	m := &mailed{newSite(t), shop, account}
	m.place("smtp.secret", exim.Password+"\n")
	m.place("imap.secret", account.Password+"\n")
	m.add(text)
	m.create()
	out := m.must(0, "check")
	for _, want := range []string{"ok      mailbox mail: logged in", "ok      dns of mail: it answers for store.example", "ok      mail: " + exim.STARTTLS} {
		if !strings.Contains(out, want) {
			t.Errorf("check lacks %q:\n%s", want, out)
		}
	}
	m.serve()
	buyer := sale(1)
	buyer.Email = "readme-buyer@example.org"
	m.deliver(buyer.Text(), true)
	mail := awaited(t, exim, buyer.Email, "")
	var orders []admin.Order
	m.read(0, &orders, "order", "list")
	if len(orders) != 1 || orders[0].Status != "issued" || orders[0].Store != "kagi" || len(orders[0].Licenses) != 1 || !strings.Contains(mail, orders[0].Licenses[0]) {
		t.Errorf("orders %+v; mailed:\n%s", orders, mail)
	}
	unsigned := sale(2)
	unsigned.Email = "nobody@example.org"
	m.deliver(unsigned.Text(), false)
	m.deliver(sale(3).Text(), true)
	awaited(t, exim, sale(3).Email, "")
	if list := mailsOf(m.site, "refused"); len(list) != 1 || deref(list[0].Reason) != "no_signature" {
		t.Errorf("refused %+v", list)
	}
}

func TestConfigIMAP(t *testing.T) {
	const good = "[[channel]]\nname = \"mail\"\nkind = \"imap\"\naddress = \"imap.example.com:993\"\nuser = \"shop\"\npassword = \"s3cret\"\n" +
		"recipients = [\"shop@example.com\"]\ntrust = [{ dkim = \"store.example\" }]\n"
	s := newSite(t)
	s.place("empty.pem", "")
	s.place("nowhere.toml", shopProfile(""))
	s.place("manual.toml", shopProfile("manual"))
	load := func(text string) error {
		s.write(siteConfig + text)
		_, err := config.Load(s.config)
		return err
	}
	if err := load(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []struct{ old, new, want string }{
		{`trust = [{ dkim = "store.example" }]`, "", "trust: trust is empty"},
		{`dkim = "store.example"`, `dkim = "store"`, "is not a domain"},
		{`recipients = ["shop@example.com"]`, "", "recipients and merchant are both empty"},
		{`"shop@example.com"`, `"shop"`, "is not an address"},
		{`address = "imap.example.com:993"`, "", "address: it is missing"},
		{":993", "", "want host:port"},
		{`user = "shop"`, "", "channel[1].user: user: a name to log in with is missing"},
		{`password = "s3cret"`, "", "set exactly one of password, password_file and token_file"},
		{`password = "s3cret"`, "password = \"s3cret\"\ntoken_file = \"x\"", "set exactly one of"},
		{`password = "s3cret"`, `password_file = "none"`, "no such file"},
		{`user = "shop"`, "user = \"shop\"\ntls = \"none\"", "keypost.toml:LINE: channel[1].tls: tls \"none\" is for a server on this machine"},
		{`user = "shop"`, "user = \"shop\"\ntls = \"ssl\"", `keypost.toml:LINE: channel[1].tls: tls "ssl"`},
		{`user = "shop"`, "user = \"shop\"\nca_file = \"empty.pem\"", "the file has no PEM certificate"},
		{`user = "shop"`, "user = \"shop\"\npoll = \"500ms\"", "keypost.toml:LINE: channel[1].poll: poll 500ms"},
		{`user = "shop"`, "user = \"shop\"\nprofile = \"none.toml\"", "none.toml"},
		{`user = "shop"`, "user = \"shop\"\nprofile = \"tfyp\"\nprofiles = [\"tfyp\"]", "keep one of them"},
		{`user = "shop"`, "user = \"shop\"\ndns = \"127.0.0.1\"", "is not host:port"},
		{`user = "shop"`, "user = \"shop\"\nfolder = \"$x\"", "keypost.toml:LINE: channel[1].folder: "},
		{`user = "shop"`, "user = \"shop\"\nprocessed = \"*\"", "keypost.toml:LINE: channel[1].processed: "},
		{`user = "shop"`, "user = \"shop\"\nheld = \"$\"", "keypost.toml:LINE: channel[1].held: "},
		{`user = "shop"`, "user = \"shop\"\nfailed = \"INBOX\"", "keypost.toml:LINE: channel[1].failed: "},
		{`user = "shop"`, "user = \"shop\"\npoll = 60", "keypost.toml:LINE: channel[1].poll: 60 has no unit: write \"60s\" for seconds"},
		{`user = "shop"`, "user = \"shop\"\nprofile = \"nowhere.toml\"", "nowhere.toml does not name a store"},
		{`user = "shop"`, "user = \"shop\"\nprofile = \"manual.toml\"", `store: "manual" cannot be a store's name`},
		{`user = "shop"`, "user = \"shop\"\ndigest = \"md5\"", "a channel of kind imap has no such key"},
	} {
		err := load(replaceOnce(t, good, bad.old, bad.new))
		line := 1 + strings.Count(siteConfig, "\n") + strings.Count(good[:strings.Index(good, bad.old)], "\n") + strings.Count(bad.new, "\n")
		bad.want = strings.ReplaceAll(bad.want, "LINE", fmt.Sprint(line))
		if err == nil || !strings.Contains(err.Error(), bad.want) || !strings.Contains(err.Error(), "keypost.toml:") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want %s", bad.new, err, bad.want)
		}
	}
	s.write(siteConfig + "folder = \"INBOX\"\n")
	if _, err := config.Load(s.config); err == nil || !strings.Contains(err.Error(), "a channel of kind krps has no such key") {
		t.Errorf("a krps channel with a folder: %v", err)
	}
}

func replaceOnce(t *testing.T, s, old, new string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in it", old)
	}
	return strings.Replace(s, old, new, 1)
}
