package main

import (
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/store"
)

// recognise reads what was kept of a mail by its channel's profiles as they are
// now.
func (c *config) recognise(m store.Mail) intake.Finding {
	ch, ok := c.channel(m.Channel)
	if !ok || ch.Kind != "imap" { // it was taken out of the config since
		return intake.Finding{}
	}
	return ch.reader().Recognise(m.Raw)
}

// readSale is what the vendor is told of a mail that is held.
func (c *config) readSale(m store.Mail) delivery.SaleMail {
	s := c.recognise(m).Summary(m)
	out := delivery.SaleMail{Subject: s.Subject, From: s.From, Date: s.Date, Refund: s.Refund, Sale: s.Sale, Product: s.Product}
	for _, field := range s.Fields {
		out.Fields = append(out.Fields, delivery.Field{Name: field.Name, Value: field.Value})
	}
	for _, need := range s.Needs {
		out.Wants = append(out.Wants, options[need])
	}
	return out
}

// explainOrder and explainMail say why an order or a mail is held, and what to do.
func explainOrder(reason string) string { return advised(ingest.Explain(reason)) }

func explainMail(reason string, refund bool) string { return advised(intake.Explain(reason, refund)) }
