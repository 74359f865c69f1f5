package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"time"

	"github.com/keypost/keypost/store"
)

// write renders what a parcel tells, as it is by now, and says to whom; nil:
// there is nothing to tell any more. Its error is a failure, or the store's.
func (m *Mailer) write(ctx context.Context, c *MailConfig, p parcel) (*letter, error) {
	n := p.notices[0]
	switch n.Kind {
	case store.NoticeCodes:
		return m.writeCodes(ctx, c, n)
	case store.NoticeHeld:
		return m.writeHeld(ctx, c, p)
	case store.NoticeRefused, store.NoticeRefusedMore:
		return m.writeRefused(ctx, c, n)
	case store.NoticeHeldMail, store.NoticeHeldMailMore:
		return m.writeHeldMails(ctx, c, n)
	case store.NoticeMailbox:
		return m.writeOutage(c, n)
	case store.NoticeDigest:
		return m.writeDigest(ctx, c, &p.notices[0])
	}
	return nil, failure{why: fmt.Sprintf("this version of keypost cannot send mails of the kind %q: is another version also running?", n.Kind)}
}

// writeDigest tells how things are by now, and notes until when. An older day's
// is left out.
func (m *Mailer) writeDigest(ctx context.Context, c *MailConfig, n *store.Notice) (*letter, error) {
	last, err := m.store.LastDigest(ctx)
	if err != nil {
		return nil, err
	}
	if last.ID != n.ID {
		*n = n.Told(time.Time{})
		return nil, nil
	}
	d, err := c.Digest(ctx)
	if err != nil {
		return nil, err
	}
	*n = n.Told(d.Until)
	return m.letter(c, *n, c.Vendor, d.Mail(m.now())), nil
}

// letter addresses a mail.
func (m *Mailer) letter(c *MailConfig, n store.Notice, to *mail.Address, r Rendered) *letter {
	return &letter{
		id: n.ID, from: c.From, to: to, replyTo: c.ReplyTo, subject: r.Subject, text: r.Text, html: r.HTML, at: m.now(),
	}
}

// orderOf reads the order that a notice is about.
func (m *Mailer) orderOf(ctx context.Context, n store.Notice) (store.Order, error) {
	o, err := m.store.Order(ctx, n.OrderID)
	if errors.Is(err, store.ErrNotFound) {
		err = failure{why: "what it tells of is gone", final: true}
	}
	return o, err
}

// writeCodes tells an order's codes.
func (m *Mailer) writeCodes(ctx context.Context, c *MailConfig, n store.Notice) (*letter, error) {
	o, err := m.orderOf(ctx, n)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Status != store.Issued:
		return nil, failure{why: "the order is " + o.Status + " and has no codes to send", final: true}
	case o.Refunded:
		return nil, failure{why: "the order was refunded before its codes were sent", final: true}
	}
	to, err := c.recipient(n, o)
	if err != nil {
		return nil, err
	}
	data := c.Codes(o, n.Audience)
	var files []Attachment
	if c.Attach != nil {
		if files, err = c.Attach(ctx, o); err != nil {
			return nil, failure{why: "its attachment cannot be generated: " + plain(err)}
		}
	}
	for _, f := range files {
		data.Files = append(data.Files, oneLine(f.Name))
	}
	r, err := c.Templates.Codes(o.Product, o.Language, data)
	if err != nil {
		return nil, failure{why: "its template: " + plain(err)}
	}
	l := m.letter(c, n, to, r)
	l.attachments = files
	return l, nil
}

// recipient is who an audience is by now.
func (c *MailConfig) recipient(n store.Notice, o store.Order) (*mail.Address, error) {
	switch n.Audience {
	case store.ToVendor:
		return c.Vendor, nil
	case store.ToTest:
		return c.testAddress(o.Channel), nil
	}
	if o.Test { // whatever the notice says
		return c.testAddress(o.Channel), nil
	}
	address, err := Address(o.Email)
	if err != nil {
		return nil, failure{
			why: "the buyer's e-mail address is invalid: correct it", final: true, do: "customer.edit",
		}
	}
	return &mail.Address{Address: address}, nil
}

func (c *MailConfig) testAddress(channel string) *mail.Address {
	if a := c.Tests[channel]; a != nil {
		return a
	}
	return c.Vendor
}

// stillGood is the last second of a license, so that its date is the last day on
// which it works: an end at midnight is the day before.
func stillGood(end *time.Time) *time.Time {
	if end == nil || !end.Equal(end.UTC().Truncate(24*time.Hour)) {
		return end
	}
	last := end.UTC().Add(-time.Second)
	return &last
}

// Codes is what a template is told of an order, for an audience.
func (c *MailConfig) Codes(o store.Order, audience string) Codes {
	out := Codes{
		Name: oneLine(o.Name), Product: c.productName(o.Product), ProductID: o.Product, LicenseType: oneLine(o.LicenseType),
		Store: o.Store, Order: oneLine(o.Transaction), Quantity: o.Quantity, Offline: c.Offline,
	}
	for _, l := range o.Licenses {
		out.Codes = append(out.Codes, Code{Code: l.Code, Product: c.productName(l.Product), ProductID: l.Product, Limit: l.Limit, ExpiresAt: stillGood(l.ExpiresAt)})
		out.Bundle = out.Bundle || l.Product != o.Product
	}
	switch {
	case o.Test || audience == store.ToTest:
		out.For = ForTest
	case audience == store.ToVendor:
		out.For = ForVendor
	}
	return out
}

// Example is what a template is told of a made-up order of a product, with a
// code for each of codes, whose products and limits count.
func (c *MailConfig) Example(product string, codes ...Code) Codes {
	data := example(product, c.productName(product))
	made := data.Codes
	data.Offline, data.Codes, data.Quantity = c.Offline, nil, 1
	for i, code := range codes {
		code.Code, code.Product = made[i%len(made)].Code, c.productName(code.ProductID)
		data.Codes = append(data.Codes, code)
		data.Bundle = data.Bundle || code.ProductID != product
	}
	return data
}

func (c *MailConfig) productName(id string) string {
	if name := c.Products[id]; name != "" {
		return name
	}
	return id
}
