package admin

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/store"
)

// A Letter is a mail that goes out, or would.
type Letter struct {
	To      *string `json:"to"` // null: a made-up buyer, or the vendor
	Subject string  `json:"subject"`
	Text    string  `json:"text"`
	HTML    *string `json:"html"` // null: text alone

	Refunded bool `json:"-"` // it is of an order that was refunded, and is not sent any more
}

// MailConfig is the mailer's; nil: there is no mail server.
func (a *Admin) MailConfig() *delivery.MailConfig {
	if !a.Catalog.Mail {
		return nil
	}
	out := a.Mail
	out.Explain = func(reason string) string { return asCommand(explainOrder(reason)) }
	out.ExplainMail = func(reason string, refund bool) string { return asCommand(explainMail(reason, refund)) }
	out.ReadMail, out.Command = a.ReadSale, command
	out.Digest = func(ctx context.Context) (delivery.Digest, error) { return a.digest(ctx, a.now()) }
	out.Attach = func(_ context.Context, o store.Order) ([]delivery.Attachment, error) { return a.attachments(o) }
	return &out
}

// attachments are the license files of an order, where its products have any.
func (a *Admin) attachments(o store.Order) (list []delivery.Attachment, err error) {
	files, err := a.Catalog.Files(o)
	for _, f := range files {
		list = append(list, delivery.Attachment{Name: f.Name, Type: f.Type, Content: f.Content})
	}
	return list, err
}

// PreviewMail is what a buyer of a product gets, with made-up codes.
func PreviewMail(c Config, product, language string) (Letter, error) {
	p, err := c.product(product)
	if err != nil {
		return Letter{}, err
	}
	return c.letter(p, language, c.Mail.Example(p.ID, c.exampleCodes(p)...))
}

// PreviewOrderMail is what the buyer of an order gets.
func (a *Admin) PreviewOrderMail(ctx context.Context, product, language string, name OrderName) (Letter, error) {
	p, err := a.product(product)
	if err != nil {
		return Letter{}, err
	}
	o, err := a.findOrder(ctx, name)
	if err == nil && len(o.Licenses) == 0 {
		err = fail(State, "", "the order is %s and has no codes", o.Status)
	}
	if err != nil {
		return Letter{}, err
	}
	if language == "" {
		language = o.Language
	}
	l, err := a.letter(p, language, a.Mail.Codes(o, store.ToBuyer))
	l.To, l.Refunded = orNull(o.Email), o.Refunded
	return l, err
}

func (c Config) letter(p Product, language string, data delivery.Codes) (Letter, error) {
	r, err := c.Mail.Templates.Codes(p.ID, language, data)
	return Letter{Subject: r.Subject, Text: r.Text, HTML: orNull(r.HTML)}, err
}

// exampleCodes are those of one copy of a product.
func (c Config) exampleCodes(p Product) (list []delivery.Code) {
	for _, id := range p.Gives {
		if part, err := c.product(id); err == nil {
			list = append(list, delivery.Code{ProductID: id, Limit: part.LimitOf("single")})
		}
	}
	if list == nil {
		list = []delivery.Code{{ProductID: p.ID, Limit: p.LimitOf("single")}}
	}
	return list
}

// MailTemplate is the text of a built-in template of a mail to buyers, such as
// codes.de.txt; the file that takes its place has the same name.
func MailTemplate(name string) (string, error) {
	text, names, ok := delivery.BuiltInText(name)
	if !ok {
		return "", notFound("there is no built-in template %s, but: %s", name, strings.Join(names, ", "))
	}
	return text, nil
}

// MailTemplates are the names of the built-in templates.
func MailTemplates() []string {
	_, names, _ := delivery.BuiltInText("")
	return names
}

// A MailTest is a mail that a server took.
type MailTest struct {
	Server string `json:"server"`
	To     string `json:"to"`
}

// TestMail sends a test mail now, past the outbox; to "": to the vendor.
func TestMail(ctx context.Context, c Config, to string) (MailTest, error) {
	if !c.Catalog.Mail {
		return MailTest{}, fail(State, "set smtp, from and vendor (docs/mail.md)", "the config has no [mail]")
	}
	address := c.Mail.Vendor
	if to != "" {
		a, err := mail.ParseAddress(to)
		if err == nil {
			a.Address, err = delivery.Address(a.Address)
		}
		if err != nil || strings.ContainsFunc(a.Address, func(r rune) bool { return r > 126 }) {
			return MailTest{}, invalid("%q is not an address like Shop <shop@example.com>", to)
		}
		address = a
	}
	if err := c.Mail.Test(ctx, address); err != nil {
		return MailTest{}, fmt.Errorf("%s: %w", c.Mail.Server, err)
	}
	return MailTest{c.Mail.Server.String(), address.Address}, nil
}

// digestHour is when the daily digest is written, in UTC.
const digestHour = 7

// GapTold is for how long digests report a gap: nothing can close it.
const GapTold = 7 * 24 * time.Hour

// WriteDigest has the digest sent once a day, where there is something to say:
// what a person should look at, or another head of the audit log than the last
// one said.
func (a *Admin) WriteDigest(ctx context.Context) error {
	now := a.now().UTC()
	if !a.Catalog.Mail || now.Hour() < digestHour {
		return nil
	}
	last, err := a.db.LastDigest(ctx)
	if err != nil && !isNotFound(err) {
		return err
	}
	if err == nil && !store.MadeAt(last.ID).Before(now.Truncate(24*time.Hour)) {
		return nil
	}
	digest, err := a.digest(ctx, now)
	if err != nil || !digest.News() && digest.Head == last.Subject {
		return err
	}
	_, err = a.db.AddDigest(ctx, now, digest.Head)
	return err
}

// Digest is what the next daily digest says.
func (a *Admin) Digest(ctx context.Context) (Letter, error) {
	now := a.now()
	d, err := a.digest(ctx, now)
	if err != nil {
		return Letter{}, err
	}
	r := d.Mail(now)
	return Letter{Subject: r.Subject, Text: r.Text}, nil
}

// digest gathers what the vendor is told once a day.
func (a *Admin) digest(ctx context.Context, now time.Time) (out delivery.Digest, err error) {
	var errs [8]error
	out.Since, errs[7] = a.db.DigestTold(ctx)
	from := out.Since
	if out.Until = now; from.IsZero() {
		from = now.Add(-store.DigestsKept)
	}
	out.Head, errs[0] = a.db.AuditHead(ctx)
	out.Held, errs[1] = a.db.CountHeld(ctx)
	out.Dead, errs[2] = a.db.CountDead(ctx)
	out.Refused, errs[3] = a.db.CountRefusedSince(ctx, from, now)
	pools, err := a.Pools(ctx)
	errs[4] = err
	for _, p := range pools {
		out.Pools = append(out.Pools, delivery.PoolLevel{Pool: p.Pool, Free: p.Free, Codes: p.Codes, Low: p.Low})
	}
	out.Gaps, errs[5] = a.gaps(ctx, now.Add(-GapTold))
	if a.Outages != nil {
		out.Outages = a.Outages(now)
	}
	out.Mails, errs[6] = a.db.CountHeldMails(ctx)
	return out, errors.Join(errs[:]...)
}

// gaps are what seems to be missing among a store's mails, as far as it has shown
// since a time, in a sentence each.
func (a *Admin) gaps(ctx context.Context, since time.Time) (list []string, err error) {
	gaps, err := a.desk.Gaps(ctx)
	for _, g := range gaps {
		if !g.NotedAt.Before(since) {
			list = append(list, g.String())
		}
	}
	return list, err
}
