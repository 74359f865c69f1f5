package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

const (
	maxMailsShown = 50  // held mails in one mail to the vendor
	maxName       = 100 // characters of what names one
)

// A SaleMail is what a store's mail says, as far as it can be read. All of it is
// a stranger's.
type SaleMail struct {
	Subject, From string
	Date          time.Time // zero: none that can be read
	Refund        bool      // it takes a sale back
	Sale, Product string    // as the store names them; "": it does not
	Fields        []Field   // all that was found in it
	Needs         []string  // what the vendor must say to approve it: product, email
}

// heldMails is what the mail about held mails says.
type heldMails struct {
	Channel, Reason, Hour string
	Explain               []string
	Sales, Refunds        int  // of those that are shown
	More                  bool // there are others than these
	Mails                 []heldMail
}

type heldMail struct {
	Name, Arrived          string
	Approve, Dismiss, Show string // the operations, as the vendor types them
	Refund                 bool
	Facts                  []Field
}

// writeHeldMails reports the mails that wait for a person: the first one of an hour
// at once, all of them when the hour is over.
func (m *Mailer) writeHeldMails(ctx context.Context, c *MailConfig, n store.Notice) (*letter, error) {
	channel, reason, _ := strings.Cut(n.Subject, " ")
	hour := store.MadeAt(n.ID)
	until := hour.Add(time.Hour)
	list, err := m.store.HeldMails(ctx, channel, reason, hour, until, maxMailsShown+1)
	if err != nil || len(list) == 0 { // somebody has looked at them
		return nil, err
	}
	h := heldMails{
		Channel: channel, Reason: oneLine(reason), More: len(list) > maxMailsShown, Hour: hour.Format("2006-01-02 15:04") + until.Format("-15:04 UTC"),
	}
	for _, one := range list[:min(len(list), maxMailsShown)] {
		if one, err = m.store.Mail(ctx, one.ID); err != nil { // with what is kept of it
			return nil, err
		}
		said := c.ReadMail(one)
		if said.Refund {
			h.Refunds++
		} else {
			h.Sales++
		}
		h.Mails = append(h.Mails, c.newHeldMail(one, said))
	}
	for _, refund := range []bool{false, true} {
		if refund && h.Refunds > 0 || !refund && h.Sales > 0 {
			h.Explain = append(h.Explain, c.ExplainMail(reason, refund))
		}
	}
	if len(h.Explain) == 2 && h.Explain[0] == h.Explain[1] {
		h.Explain = h.Explain[:1]
	}
	rendered, err := renderVendor("vendor_mails.txt", h)
	return m.letter(c, n, c.Vendor, rendered), err
}

func (c *MailConfig) newHeldMail(m store.Mail, said SaleMail) heldMail {
	h := heldMail{
		Name: nameOf(said), Refund: said.Refund, Arrived: m.ArrivedAt.Format("2006-01-02 15:04:05 UTC"),
		Approve: c.command("mail.approve", []string{m.ID}, said.Needs...), Dismiss: c.command("mail.dismiss", []string{m.ID}), Show: c.command("mail.show", []string{m.ID}),
	}
	date := ""
	if !said.Date.IsZero() {
		date = said.Date.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	facts := []Field{{"why", m.Detail}, {"Subject", said.Subject}, {"From", said.From}, {"Date", date}, {"Message-ID", m.MessageID}, {"signed by", m.Domain}}
	for _, f := range masked(append(facts, said.Fields...)) {
		if f.Value = shortened(f.Value); f.Value != "" {
			h.Facts = append(h.Facts, Field{shortened(f.Name), f.Value})
		}
	}
	if len(said.Fields) == 0 {
		h.Facts = append(h.Facts, Field{"", "(the rest could not be read or was not kept: read the mail in the mailbox)"})
	}
	return h
}

// nameOf is what a person knows a mail by.
func nameOf(said SaleMail) string {
	var parts []string
	for _, part := range []string{oneLine(said.Sale), oneLine(said.Product)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		parts = []string{oneLine(said.Subject)}
	}
	if name := []rune(strings.Join(parts, ", ")); len(name) > maxName {
		return string(name[:maxName]) + "…"
	} else if len(name) > 0 {
		return string(name)
	}
	return "a mail"
}
