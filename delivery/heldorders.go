package delivery

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

const (
	maxHeldShown = 50 // orders in one mail
	maxHeldWhole = 5  // of these with all that was posted
)

// A heldGroup is what is gathered into one mail: the vendor hears of the first
// order at once, and of the further ones of an hour together when it is over.
type heldGroup struct{ channel, reason, audience string }

// heldParcels are the mails about held orders to send now; what must wait for
// its hour's end is put off.
func (m *Mailer) heldParcels(ctx context.Context) (list []parcel, err error) {
	due, err := m.store.DueHeld(ctx, heldBatch)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	hour := m.now().Truncate(time.Hour)
	for g, at := range m.told {
		if at.Before(hour) {
			delete(m.told, g)
		}
	}
	at := map[heldGroup]int{}
	var early []store.Notice
	for _, n := range due {
		o, err := m.store.Order(ctx, n.OrderID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		g := heldGroup{o.Channel, o.Reason, n.Audience}
		i, ok := at[g]
		switch {
		case err != nil:
			list = append(list, parcel{notices: []store.Notice{n}})
		case !m.told[g].IsZero():
			early = append(early, n)
		case ok:
			list[i].notices = append(list[i].notices, n)
		default:
			at[g] = len(list)
			list = append(list, parcel{[]store.Notice{n}, g})
		}
	}
	if len(early) > 0 {
		err = m.store.PostponeNotices(ctx, early, hour.Add(time.Hour))
	}
	return list, err
}

// held is what the mail about held orders says.
type held struct {
	Channel, Reason, Explain string
	Orders                   []heldOrder
	More                     int // that are not shown
	Count                    int
}

type heldOrder struct {
	Name            string // as a person writes it: kagi CH0123456789 1
	Approve, Reject string // the commands
	Received        string
	Facts           []Field
	Posted          []Field // as it came, less what is secret
}

// A Field is a name and a value, one line each.
type Field struct{ Name, Value string }

// writeHeld reports the orders that are still held.
func (m *Mailer) writeHeld(ctx context.Context, c *MailConfig, p parcel) (*letter, error) {
	h := held{Channel: p.held.channel, Reason: p.held.reason}
	if c.Explain != nil {
		h.Explain = c.Explain(h.Reason)
	}
	for _, n := range p.notices {
		o, err := m.orderOf(ctx, n)
		if _, gone := errors.AsType[failure](err); gone && len(p.notices) > 1 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if o.Status != store.Held || o.Refunded {
			continue // a person has decided meanwhile
		}
		if h.Count++; h.Count > maxHeldShown {
			h.More++
			continue
		}
		var posted []store.Message
		if h.Count <= maxHeldWhole {
			if posted, err = m.store.Messages(ctx, o.ID); err != nil {
				return nil, err
			}
		}
		h.Orders = append(h.Orders, c.newHeldOrder(o, posted))
	}
	if h.Count == 0 {
		return nil, nil
	}
	n := p.notices[0]
	to := c.Vendor
	if n.Audience == store.ToTest {
		to = c.testAddress(p.held.channel)
	}
	r, err := renderVendor("vendor_held.txt", h)
	return m.letter(c, n, to, r), err
}

func (c *MailConfig) newHeldOrder(o store.Order, posted []store.Message) heldOrder {
	name := []string{oneLine(o.Store), oneLine(o.Transaction)}
	if o.Line > 0 {
		name = append(name, decimal(o.Line))
	}
	var needs []string
	if o.Product == "" {
		needs = []string{"product"}
	}
	h := heldOrder{
		Name: oneLine(o.Store + " " + o.Transaction + " " + decimal(o.Line)), Received: o.CreatedAt.UTC().Format("2006-01-02 15:04 UTC"),
		Approve: c.command("order.approve", name, needs...), Reject: c.command("order.reject", name),
	}
	test := ""
	if o.Test {
		test = "yes"
	}
	for _, f := range []Field{
		{"product", o.Product},
		{"store's product", o.StoreProduct},
		{"quantity", decimal(o.Quantity)},
		{"license type", o.LicenseType},
		{"price", strings.TrimSpace(o.Price + " " + o.Currency)},
		{"name", o.Name},
		{"e-mail", o.Email},
		{"seeds", strings.Join(o.Seeds, "; ")},
		{"test", test},
	} {
		if f.Value = oneLine(f.Value); f.Value != "" {
			h.Facts = append(h.Facts, f)
		}
	}
	for _, d := range o.Differs {
		h.Facts = append(h.Facts, Field{oneLine(d.Field) + " before", cmp.Or(oneLine(d.Before), "nothing")})
	}
	for _, m := range posted {
		if m.Verdict != store.VerdictDuplicate {
			h.Posted = parameters(m.Raw)
		}
	}
	return h
}
