package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emersion/go-message"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/ingest/tfyp"
)

// mailRows are of the mail bridge.
var mailRows = []row{
	{"10,000 mails to orders, Dovecot to MariaDB", "mbsync copying the same folder", 0.5, "", mailsIn},
	{"profile on one mail", "go-message parsing it and doing nothing", 0.6, "", profiled},
	{"new mail to the buyer's code at the SMTP server", "", 1, "s", mailed},
	{"memory over 100,000 messages", "", 80, "MiB", mailMemory},
}

// mailsIn compares the time until all mails of a folder are orders with the time
// in which mbsync copies them. Nothing is filed, as mbsync files nothing; last
// the mails are filed, too, and b.filing is how much of the speed that leaves.
func mailsIn(ctx context.Context, b *bench, target float64) (result, error) {
	p, err := b.mails()
	if err != nil {
		return result{}, err
	}
	account, err := p.filled(b.mailed, 1)
	if err != nil {
		return result{}, err
	}
	if _, err := b.mbsync(ctx, p, account); err != nil { // Dovecot has its index then
		return result{}, err
	}
	var figures, takes []float64
	for range b.mailRounds {
		copied, err := b.mbsync(ctx, p, account)
		if err != nil {
			return result{}, err
		}
		taken, err := b.takeIn(ctx, p.channel(account, ""))
		if err != nil {
			return result{}, err
		}
		figures = append(figures, copied.Seconds()/taken.Seconds())
		takes = append(takes, taken.Seconds())
	}
	got := median(figures)
	if got.measured < target {
		if got.profile, err = b.profileMails(ctx, p.channel(account, "")); err != nil {
			return got, err
		}
	}
	filed, err := b.takeIn(ctx, p.channel(account, `processed = "Done"`))
	b.filing = median(takes).measured / filed.Seconds()
	return got, err
}

// profileMails is the profile of a daemon that takes in all mails of a folder.
func (b *bench) profileMails(ctx context.Context, channel string) (string, error) {
	database, err := b.database(ctx, mariadb)
	if err != nil {
		return "", err
	}
	return b.profile(ctx, database, channel, func(*server) error { return handled(ctx, database, b.mailed) })
}

// takeIn starts a daemon on a new database, waits until it has made orders of
// all mails of a folder, and says how long that took.
func (b *bench) takeIn(ctx context.Context, channel string) (time.Duration, error) {
	database, err := b.database(ctx, mariadb)
	if err != nil {
		return 0, err
	}
	d, err := b.keypostWith(ctx, database, channel)
	if err != nil {
		return 0, err
	}
	begin := time.Now() // it watches as soon as it is ready
	defer d.stop()
	if err := handled(ctx, database, b.mailed); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, d.errors())
	}
	took := time.Since(begin)
	return took, issued(ctx, database, b.mailed)
}

// handled waits until a mailbox is read so far that its messages are behind: its
// place moves on when all that is before it is durable.
func handled(ctx context.Context, database string, messages int) error {
	p, err := openPlain(database)
	if err != nil {
		return err
	}
	defer p.Close()
	next := 0
	for last := time.Now(); time.Since(last) < answerTimeout; {
		before := next
		if err := p.QueryRowContext(ctx, "SELECT COALESCE(MAX(next_uid), 0) FROM mailbox").Scan(&next); err != nil {
			return err
		}
		if next > messages { // UIDs begin with 1
			return nil
		}
		if next > before {
			last = time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the mailbox is read up to %d of %d messages, and no further", next, messages)
}

// issued checks that all orders are there.
func issued(ctx context.Context, database string, want int) error {
	p, err := openPlain(database)
	if err != nil {
		return err
	}
	defer p.Close()
	var n int
	if err := p.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders WHERE status = 'issued'").Scan(&n); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("%d orders are issued, of %d", n, want)
	}
	return nil
}

var profileSamples = []string{"02-later-wording", "33-with-the-headers-of-the-way", "12-quoted-printable", "15-alternative"}

// profiled compares what a profile makes of a mail with a parser that hands out
// its parts, on mails of all the usual forms.
func profiled(ctx context.Context, b *bench, _ float64) (result, error) {
	var samples [][]byte
	for _, name := range profileSamples {
		raw, err := os.ReadFile("ingest/tfyp/testdata/mails/" + name + ".eml")
		if err != nil {
			return result{}, err
		}
		samples = append(samples, raw)
	}
	profile, _ := tfyp.Builtin("tfyp")
	defer oneProcessor()()
	return b.ratio(ctx, eachOf(samples, parse), eachOf(samples, func(raw []byte) error {
		m, err := tfyp.Open(raw)
		if err != nil {
			return err
		}
		if r := profile.Read(m); !r.Recognised || r.Held != "" {
			return fmt.Errorf("a mail that is an order is not read: %s", r.Held)
		}
		return nil
	}))
}

// eachOf does one thing with all samples in a call.
func eachOf(samples [][]byte, do func([]byte) error) side {
	return oneByOne(func(context.Context) error {
		for _, raw := range samples {
			if err := do(raw); err != nil {
				return err
			}
		}
		return nil
	})
}

// parse takes a mail apart.
func parse(raw []byte) error {
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return e.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil || part.MultipartReader() != nil {
			return err
		}
		_, err = io.Copy(io.Discard, part.Body)
		return err
	})
}

// mailed is the time from a mail's arrival in a mailbox that was quiet until the
// buyer's mail lies in the mail server's folder.
func mailed(ctx context.Context, b *bench, _ float64) (result, error) {
	p, err := b.mails()
	if err != nil {
		return result{}, err
	}
	if p.smtp == nil {
		if p.smtp, err = deliverytest.Start(); err != nil {
			return result{}, fmt.Errorf("start Exim: %w (make parts installs it)", err)
		}
	}
	account, err := p.imap.NewAccount()
	if err != nil {
		return result{}, err
	}
	database, err := b.database(ctx, sqlite)
	if err != nil {
		return result{}, err
	}
	section := fmt.Sprintf(mailSection, p.smtp.STARTTLS, p.smtp.User, p.smtp.Password, p.smtp.CAFile)
	d, err := b.keypostWith(ctx, database, section+p.channel(account, ""))
	if err != nil {
		return result{}, err
	}
	defer d.stop()
	var figures []float64
	for i := range b.starts + 1 {
		took, err := p.oneMail(account, i)
		if err != nil {
			return result{}, fmt.Errorf("%w\n%s", err, d.errors())
		}
		if i > 0 { // before the first one the mailbox may not be watched yet
			figures = append(figures, took.Seconds())
		}
	}
	return median(figures), nil
}

// oneMail delivers the mail about a sale and waits for the buyer's.
func (p *postOffice) oneMail(a *mailboxtest.Account, number int) (time.Duration, error) {
	raw, err := p.shop.Sign(sale(number).Text())
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := a.Deliver(raw, begin); err != nil {
		return 0, err
	}
	for time.Since(begin) < answerTimeout {
		list, err := p.smtp.Delivered(buyer(number))
		if err != nil {
			return 0, err
		}
		if len(list) > 0 {
			return time.Since(begin), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, fmt.Errorf("no mail came to the buyer within %s", answerTimeout)
}

// ordersAmong: of a mailbox that is not the shop's alone one mail in so many is
// an order.
const ordersAmong = 20

// mailMemory is the most that a daemon ever had while it walked a large mailbox.
func mailMemory(ctx context.Context, b *bench, _ float64) (result, error) {
	p, err := b.mails()
	if err != nil {
		return result{}, err
	}
	fmt.Fprintf(b.out, "filling a mailbox with %d messages\n", b.messages)
	account, err := p.filled(b.messages, ordersAmong)
	if err != nil {
		return result{}, err
	}
	database, err := b.database(ctx, sqlite)
	if err != nil {
		return result{}, err
	}
	d, err := b.keypostWith(ctx, database, p.channel(account, ""))
	if err != nil {
		return result{}, err
	}
	defer d.stop()
	begin := time.Now()
	if err := handled(ctx, database, b.messages); err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, d.errors())
	}
	fmt.Fprintf(b.out, "%d messages in %s\n", b.messages, time.Since(begin).Round(time.Millisecond))
	if err := issued(ctx, database, (b.messages+ordersAmong-1)/ordersAmong); err != nil {
		return result{}, err
	}
	mib, err := d.memory("VmHWM")
	return median([]float64{mib}), err
}
