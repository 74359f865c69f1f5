package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

// A postOffice is the mail servers, and a store that signs its mails.
type postOffice struct {
	imap *mailboxtest.Server
	shop *mailboxtest.Shop
	smtp *deliverytest.Server // nil: no row needed it yet
}

// mails starts what the rows of the mail bridge share.
func (b *bench) mails() (*postOffice, error) {
	if b.office != nil {
		return b.office, nil
	}
	shop, err := mailboxtest.Open()
	if err != nil {
		return nil, err
	}
	imap, err := mailboxtest.Start("")
	if err != nil {
		shop.Close()
		return nil, fmt.Errorf("start Dovecot: %w (make parts installs it)", err)
	}
	b.office = &postOffice{imap: imap, shop: shop}
	return b.office, nil
}

func (p *postOffice) stop() {
	p.shop.Close()
	p.imap.Stop()
	if p.smtp != nil {
		p.smtp.Stop()
	}
}

// filled is a new account with n messages; one in each is a signed mail about a
// sale, and the others are of no store.
func (p *postOffice) filled(n, each int) (*mailboxtest.Account, error) {
	account, err := p.imap.NewAccount()
	if err != nil {
		return nil, err
	}
	for i := range n {
		text := []byte(private(i))
		if i%each == 0 {
			if text, err = p.shop.Sign(sale(i).Text()); err != nil {
				return nil, err
			}
		}
		if err := account.Deliver(text, time.Now()); err != nil {
			return nil, err
		}
	}
	return account, nil
}

// sale is the i-th of a store whose running numbers have four digits.
func sale(i int) mailboxtest.Sale {
	return mailboxtest.Sale{
		Name: fmt.Sprintf("Ada %d", i), Email: buyer(i), Product: "Product_Name", Blurb: fmt.Sprintf("me_Demo%d", i/10_000),
		Number: i % 10_000, At: time.Now().UTC(),
	}
}

func buyer(i int) string { return fmt.Sprintf("ada%d@example.org", i) }

// private is a mail that no profile knows.
func private(i int) string {
	return fmt.Sprintf("From: Grace <grace%[1]d@example.net>\r\nTo: %[2]s\r\nSubject: Lunch %[1]d\r\nDate: %[3]s\r\nMessage-ID: <lunch%[1]d@example.net>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Ada,\r\n\r\nshall we meet at %[4]d o'clock?\r\n\r\nGrace\r\n",
		i, mailboxtest.Recipient, time.Now().UTC().Format(time.RFC1123Z), i%12+1)
}

// mailChannel is a mailbox in the daemon's config.
const mailChannel = `[[channel]]
name = "mail"
kind = "imap"
address = %q
user = %q
password = '''%s'''
ca_file = %q
recipients = ["` + mailboxtest.Recipient + `"]
trust = [{ dkim = "` + mailboxtest.Domain + `" }]
dns = %q
%s
`

const mailSection = `[mail]
smtp = %q
from = "Shop <shop@example.com>"
vendor = "vendor@example.com"
username = %q
password = %q
ca_file = %q
`

// channel is an account as a channel.
func (p *postOffice) channel(a *mailboxtest.Account, more string) string {
	return fmt.Sprintf(mailChannel, p.imap.TLSAddr, a.User, a.Password, p.imap.CertFile(), p.shop.DNS, more)
}

// mbsyncConfig is with the defaults, but for where things are. (SSLType is what
// TLSType was called before isync 1.5, which knows both.)
const mbsyncConfig = `IMAPStore far
Host localhost
Port %[1]s
User %[2]s
PassCmd "cat %[3]s/password"
SSLType IMAPS
CertificateFile %[4]s

MaildirStore near
Path %[3]s/
Inbox %[3]s/inbox

Channel copy
Far :far:
Near :near:
Create Near
SyncState *
`

// mbsync copies an account's INBOX into a new folder.
func (b *bench) mbsync(ctx context.Context, p *postOffice, a *mailboxtest.Account) (time.Duration, error) {
	folder, err := os.MkdirTemp(b.folder, "mbsync-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	_, port, _ := strings.Cut(p.imap.TLSAddr, ":")
	file := filepath.Join(folder, "mbsyncrc")
	if err := os.WriteFile(file, fmt.Appendf(nil, mbsyncConfig, port, a.User, folder, p.imap.CertFile()), 0o600); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(folder, "password"), []byte(a.Password), 0o600); err != nil {
		return 0, err
	}
	begin := time.Now()
	if out, err := exec.CommandContext(ctx, "mbsync", "-q", "-c", file, "copy").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("mbsync: %w (make parts installs it)\n%s", err, out)
	}
	took := time.Since(begin)
	copies, err := filepath.Glob(folder + "/inbox/new/*")
	if err == nil && len(copies) != b.mailed {
		err = fmt.Errorf("mbsync copied %d mails of %d", len(copies), b.mailed)
	}
	return took, err
}
