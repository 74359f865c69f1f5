package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// maxMailsShown is how many held mails one mail to the vendor lists.
const maxMailsShown = 50

// heldMails is what the mail about mails that were held tells.
type heldMails struct {
	Channel, Reason, Explain, Hour string
	More                           bool // there are others than these
	Mails                          []heldMail
}

type heldMail struct{ ID, Arrived, MessageID, Detail string }

// writeHeldMails tells of mails that wait for a person: of the first one of an
// hour at once, of all of them when the hour is over.
func (m *Mailer) writeHeldMails(ctx context.Context, c *MailConfig, n store.Notice) (*letter, error) {
	channel, reason, _ := strings.Cut(n.Subject, " ")
	hour := store.MadeAt(n.ID)
	until := hour.Add(time.Hour)
	list, err := m.store.HeldMails(ctx, channel, reason, hour, until, maxMailsShown+1)
	if err != nil || len(list) == 0 { // somebody has looked at them
		return nil, err
	}
	h := heldMails{
		Channel: channel, Reason: oneLine(reason), Explain: c.ExplainMail(reason), More: len(list) > maxMailsShown,
		Hour: hour.Format("2006-01-02 15:04") + until.Format("-15:04 UTC"),
	}
	for _, one := range list[:min(len(list), maxMailsShown)] {
		h.Mails = append(h.Mails, heldMail{one.ID, one.ArrivedAt.Format("15:04:05 UTC"), oneLine(one.MessageID), oneLine(one.Detail)})
	}
	rendered, err := renderVendor("vendor_mails.txt", h)
	return m.letter(c, n, c.Vendor, rendered), err
}
