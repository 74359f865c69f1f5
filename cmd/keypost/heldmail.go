package main

import (
	"cmp"
	"strings"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/mailbox"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// recognise reads what was kept of a mail by its channel's profiles as they are
// now.
func (c *config) recognise(m store.Mail) mailbox.Finding {
	ch, ok := c.channel(m.Channel)
	if !ok || ch.Kind != "imap" { // it was taken out of the config since
		return mailbox.Finding{}
	}
	in := mailbox.Intake{Channel: ch.Name, Store: ch.Store, Profiles: ch.profiles}
	return in.Recognise(m.Raw)
}

// readSale is what the vendor is told of a mail that is held.
func (c *config) readSale(m store.Mail) delivery.SaleMail {
	f := c.recognise(m)
	sale := f.Reading.Sale
	out := delivery.SaleMail{
		Subject: f.Mail.Subject, From: f.Mail.From, Date: f.Mail.Date, Refund: len(f.Reading.Refunds) > 0,
		Sale: cmp.Or(sale.Transaction, m.Fold),
	}
	if at := cmp.Or(sale.Store, m.Store); out.Sale != "" && at != "" {
		out.Sale = at + " " + out.Sale
	}
	for _, field := range f.Reading.Fields {
		out.Fields = append(out.Fields, delivery.Field{Name: field.Name, Value: field.Value})
	}
	var products []string
	copies := true // are known
	for _, o := range f.Reading.Orders {
		products, copies = append(products, o.StoreProduct), copies && o.Quantity > 0
	}
	for _, r := range f.Reading.Refunds {
		products = append(products, r.Product)
		if (r.Unread || m.Reason == ingest.RefundAmount) && len(out.Wants) == 0 {
			out.Wants = append(out.Wants, "--amount AMOUNT")
		}
	}
	out.Product = strings.Join(products, ", ")
	if f.Profile == nil || out.Refund {
		return out
	}
	if out.Product == "" {
		out.Wants = append(out.Wants, "--product PRODUCT")
	}
	if !copies || len(products) == 0 && f.Reading.Value("quantity") != "" {
		out.Wants = append(out.Wants, "--quantity COPIES")
	}
	if sale.Name == "" && sale.Email == "" {
		out.Wants = append(out.Wants, "--email ADDRESS")
	}
	return out
}

// explainMail says in a sentence why a mail is held and what to do.
func explainMail(reason string, refund bool) string {
	if !refund {
		return mailbox.Explain(reason)
	}
	switch reason {
	case tfyp.HeldIncomplete:
		return "It does not say of which sale it is, how much goes back, or by what reference: compare it with the store, and refund by hand (keypost order refund)."
	case tfyp.HeldCharset:
		return "Letters of a field were lost or are not what the mail says they are: compare it with the store, and refund by hand (keypost order refund)."
	}
	return mailbox.Explain(reason)
}
