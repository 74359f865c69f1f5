package delivery

import (
	"strings"

	"github.com/keypost/keypost/store"
)

// outage is what the mail about a mailbox that is not watched tells.
type outage struct{ Channel, Since, Why string }

func (m *Mailer) writeOutage(c *MailConfig, n store.Notice) (*letter, error) {
	channel, why, _ := strings.Cut(n.Subject, " ")
	r, err := renderVendor("vendor_mailbox.txt", outage{channel, store.MadeAt(n.ID).Format("2006-01-02 15:04 UTC"), shortened(why)})
	return m.letter(c, n, c.Vendor, r), err
}
