package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/store/storetest"
)

const mailConfig = `[server]
listen = "127.0.0.1:0"
[database]
url = %q
[keys]
master_file = "master.key"
[mail]
smtp = %q
from = "Shop <shop@example.com>"
vendor = "vendor@example.com"
username = %q
password = %q
ca_file = %q
[[product]]
id = "demo"
aliases = ["Product_Name"]
limit = 3
[[channel]]
name = "mail"
kind = "imap"
address = %q
user = %q
password = '''%s'''
ca_file = %q
processed = "Done"
failed = "Refused"
recipients = ["` + mailboxtest.Recipient + `"]
trust = [{ dkim = "` + mailboxtest.Domain + `" }]
dns = %q
`

var mailRounds = flag.Int("mailrounds", 2, "how often something is killed while mails come in; each time waits for claims of the dead")

// mailsARound is how many sales are mailed before each kill; one more mail is
// nobody's, and one is delivered a second time.
const mailsARound = 20

// Mails that are dropped into a mailbox become one license each, which activates,
// and a mail to the buyer, though daemons are killed on the way; what is not
// signed becomes nothing.
func TestMailKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and kills a real daemon: make test does it")
	}
	binary := filepath.Join(t.TempDir(), "keypost")
	if b, err := exec.Command("go", "build", "-o", binary, "../keypost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	for _, database := range []string{"sqlite", "mariadb"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel() // they mostly wait for claims of the dead
			newMailTorture(t, binary, database).run()
		})
	}
}

type mailTorture struct {
	*torture
	t       *testing.T
	account *mailboxtest.Account
	shop    *mailboxtest.Shop
	smtp    *deliverytest.Server
	random  *rand.Rand
	sold    int // numbers from 1
	refused int
}

func newMailTorture(t *testing.T, binary, database string) *mailTorture {
	t.Helper()
	imap, smtp := mailboxtest.New(t, ""), deliverytest.SMTP(t)
	account, err := imap.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	shop, err := mailboxtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Close)
	folder, seed := t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	m := &mailTorture{
		torture: &torture{binary: binary, config: filepath.Join(folder, "keypost.toml"), log: filepath.Join(folder, "log"), kills: map[string]int{}},
		t:       t, account: account, shop: shop, smtp: smtp, random: rand.New(rand.NewPCG(seed, 0)),
	}
	url := "sqlite:keypost.db"
	m.daemons = make([]*daemon, 1) // an embedded database is one daemon's
	if database == "mariadb" {
		m.daemons = make([]*daemon, 2)
		m.server, err = storetest.Start()
		if errors.Is(err, exec.ErrNotFound) {
			storetest.LeaveOut(t, "MariaDB is missing: make test installs it")
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.server.Stop)
		if url, err = m.server.NewDatabase(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(m.killDaemons)
	config := fmt.Sprintf(mailConfig, url, smtp.STARTTLS, smtp.User, smtp.Password, smtp.CAFile, imap.TLSAddr, account.User, account.Password, imap.CertFile(), shop.DNS)
	if err := m.create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mailTorture) run() {
	for range *mailRounds { // each waits for claims of the dead
		m.deliver()
		if err := m.startAll(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
		m.until(m.sold-m.random.IntN(mailsARound+1), "Done")
		if _, err := m.strike(m.random); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.startAll(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.until(m.sold, "Done")
	m.until(m.refused, "Refused")
	m.verify()
}

// deliver puts a round's mails into the mailbox.
func (m *mailTorture) deliver() {
	put := func(raw []byte) {
		if err := m.account.Deliver(raw, time.Now()); err != nil {
			m.t.Fatal(err)
		}
	}
	var last []byte
	for range mailsARound {
		m.sold++
		raw, err := m.shop.Sign(m.sale(m.sold).Text())
		if err != nil {
			m.t.Fatal(err)
		}
		put(raw)
		last = raw
	}
	put([]byte(strings.Replace(m.sale(9999).Text(), "ada9999@", "eve@", 1)))       // nobody signed it
	put(append([]byte("Received: from elsewhere by mx.example.com\r\n"), last...)) // the last one again
	m.refused += 2
}

func (m *mailTorture) sale(number int) mailboxtest.Sale {
	return mailboxtest.Sale{
		Name: fmt.Sprintf("Ada %d", number), Email: fmt.Sprintf("ada%d@example.org", number), Product: "Product_Name", Blurb: "me_Demo",
		Number: number, At: time.Now().UTC(),
	}
}

// until waits until a folder has at least so many messages.
func (m *mailTorture) until(want int, folder string) {
	m.t.Helper()
	end := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		list, err := m.account.Stored(folder)
		if err == nil && len(list) >= want {
			return
		}
		select {
		case <-end:
			m.t.Fatalf("%s has %d messages of %d, %v%s", folder, len(list), want, err, m.lastLog())
		case <-tick.C:
		}
	}
}

// verify counts what is there.
func (m *mailTorture) verify() {
	t, ctx, d := m.t, m.t.Context(), m.daemons[0]
	var orders []struct {
		Transaction, Status string
		Licenses            []string
	}
	if err := m.command(ctx, &orders, "order", "list"); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{} // the number → its code
	for _, o := range orders {
		number := regexp.MustCompile(`^SQNM-"me_Demo" (\d{4}) `).FindStringSubmatch(o.Transaction)
		if number == nil || o.Status != "issued" || len(o.Licenses) != 1 || found[number[1]] != "" {
			t.Errorf("order %+v", o)
			continue
		}
		found[number[1]] = o.Licenses[0]
	}
	if len(orders) != m.sold {
		t.Errorf("%d orders for %d sales", len(orders), m.sold)
	}
	for number := range m.sold {
		code := found[fmt.Sprintf("%04d", number+1)]
		if _, status, ok := activate(ctx, d, "activate", "demo", code, "machine-1"); !ok || status != http.StatusOK {
			t.Errorf("activating the code of sale %d: status %d", number+1, status)
		}
		m.mailed(number+1, code)
	}
	if list := m.smtp.Mails(t, "eve@example.org"); len(list) > 0 {
		t.Errorf("whoever wrote without a signature got mail: %s", list[0])
	}
	r := reckoning{torture: m.torture}
	r.everyRule(ctx)
	if err := errors.Join(r.wrong...); err != nil {
		t.Error(err)
	}
	kills, _ := json.Marshal(m.kills)
	t.Logf("%d sales, kills %s", m.sold, kills)
}

// mailed checks that the buyer was told the code, at least once and by one
// Message-ID.
func (m *mailTorture) mailed(number int, code string) {
	m.t.Helper()
	ids := map[string]bool{}
	for _, mail := range m.smtp.Await(m.t, fmt.Sprintf("ada%d@example.org", number), 1) {
		id := regexp.MustCompile(`(?mi)^Message-ID: (.*)$`).FindStringSubmatch(mail)
		if id == nil || !strings.Contains(mail, code) {
			m.t.Fatalf("the mail about sale %d lacks its code %s, or a Message-ID:\n%s", number, code, mail)
		}
		ids[id[1]] = true
	}
	if len(ids) != 1 {
		m.t.Errorf("the mails about sale %d have %d Message-IDs", number, len(ids))
	}
}
