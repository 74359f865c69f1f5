package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A Person decides on mails that were held or refused.
type Person struct {
	DB    *store.DB
	Desk  *ingest.Desk
	Actor string // for the audit log
}

// A Correction is what a person says of a mail's sale or refund, instead of what
// the mail says or where it says nothing certain. Zero fields change nothing.
type Correction struct {
	Product     string // as the store writes it
	Name, Email string // the buyer's; of a sale alone
	Quantity    int    // likewise
	// Of a refund alone: how much goes back, as decimal text in the order's
	// currency, or All of it.
	Amount, Currency string
	All              bool
}

// An Approval is what came of a mail that a person approved.
type Approval struct {
	Orders  []store.Order // made, or here before; of a refund those that were refunded
	Refunds []Refunded    // of a refund, one for each
}

// Refunded is one refund and its orders.
type Refunded struct {
	ingest.Refund
	Orders []store.Order
	Added  bool // false: it was noted before
}

// Why a mail cannot be approved or dismissed: stable words.
const (
	RefusedDecided    = "decided"      // it is neither held nor refused
	RefusedUnread     = "unread"       // nothing of it is kept that a profile knows
	RefusedCorrection = "correction"   // the correction does not fit it
	RefusedIncomplete = "incomplete"   // it needs a correction that is not there
	RefusedSale       = "unknown_sale" // its refund's sale is not here
	RefusedAmount     = "amount"       // how much goes back cannot be counted
	RefusedNoted      = "noted"        // its refund was noted before, with another amount perhaps
)

// A Refusal is why a mail cannot be approved or dismissed. Nothing was changed.
type Refusal struct {
	Code   string
	Mail   string
	Advice ingest.Advice // Text begins with a verb: the mail is its subject
	Needs  []string      // what a [Correction] must say: any one of them
	Orders []store.Order // that a refund cannot be counted against; of RefusedAmount alone
}

func (r *Refusal) Error() string { return "mail " + r.Mail + " " + r.Advice.Text }

// Approve takes what a mail says as if it had been taken, with a person's
// corrections; f is the mail's finding. An order that is here already is found, not
// made again. Its error may be a [*Refusal].
func (p Person) Approve(ctx context.Context, m store.Mail, f Finding, c Correction) (Approval, error) {
	switch {
	case m.Verdict != store.MailHeld && m.Verdict != store.MailRefused:
		return Approval{}, refuse(m, RefusedDecided, ingest.Advise("is "+m.Verdict+": there is nothing to approve", "order.list"))
	case f.Profile == nil:
		return Approval{}, refuse(m, RefusedUnread,
			ingest.Advise("cannot be read: its content was not kept, or no profile of its channel recognises it. Issue the code by hand, unless the sale already exists", "license.issue", "order.list"))
	case len(f.Reading.Refunds) > 0:
		return p.approveRefunds(ctx, m, f.Reading.Refunds, c)
	}
	orders, err := corrected(m, f.Reading, c)
	if err != nil {
		return Approval{}, err
	}
	var done Approval
	for _, o := range orders {
		o.Channel, o.Actor, o.Message = m.Channel, p.Actor, store.Message{Channel: m.Channel, Raw: m.Raw}
		got, err := p.Desk.Accept(ctx, o)
		if err != nil {
			return done, err
		}
		done.Orders = append(done.Orders, got)
	}
	return done, p.decided(ctx, m, done.Orders)
}

// decided stores that a person has taken what a mail says.
func (p Person) decided(ctx context.Context, m store.Mail, done []store.Order) error {
	m.Verdict, m.Reason = store.MailTaken, ReasonApproved
	if len(done) > 0 {
		m.Store, m.Fold = done[0].Store, done[0].Fold
	}
	if err := p.DB.SettleMail(ctx, m, p.Actor); !errors.Is(err, store.ErrState) {
		return err
	}
	return nil
}

// Dismiss decides that no order is to be made of a mail, and returns its row.
// store.ErrNotFound; a [*Refusal] if the mail is neither held nor refused.
func (p Person) Dismiss(ctx context.Context, id string) (store.Mail, error) {
	m, err := p.DB.Mail(ctx, id)
	if err != nil {
		return m, err
	}
	m.Verdict, m.Reason = store.MailUnknown, ReasonDismissed
	err = p.DB.SettleMail(ctx, m, p.Actor)
	if errors.Is(err, store.ErrState) {
		err = refuse(m, RefusedDecided, ingest.Advise("is neither held nor refused: there is nothing to dismiss"))
	}
	return m, err
}

// corrected are a mail's orders, as far as it says what they are, and as the person
// says.
func corrected(m store.Mail, r tfyp.Reading, c Correction) ([]ingest.Order, error) {
	list := append([]ingest.Order{}, r.Orders...)
	if len(list) == 0 {
		sale := r.Sale
		if r.Value("quantity") == "" {
			sale.Quantity = 1 // as of a mail that names a product and no quantity
		}
		list = []ingest.Order{sale}
	}
	unfit := func(format string, args ...any) error {
		return refuse(m, RefusedCorrection, ingest.Advise(fmt.Sprintf(format, args...)))
	}
	switch {
	case c.Amount != "" || c.All:
		return nil, unfit("is not a refund: only refunds have an amount")
	case len(list) > 1 && c.Product != "":
		return nil, unfit("has %d products: a correction can name only one", len(list))
	case len(list) > 1 && c.Quantity != 0:
		return nil, refuse(m, RefusedCorrection,
			ingest.Advise(fmt.Sprintf("has %d products: a quantity is only possible for one. Issue the codes by hand, and dismiss the mail", len(list)), "license.issue", "mail.dismiss"))
	case c.Quantity < 0 || c.Quantity > tfyp.MaxCopies:
		return nil, incomplete(m, ingest.Advise(fmt.Sprintf("cannot have %d copies: the quantity must be 1 to %d", c.Quantity, tfyp.MaxCopies)), "quantity")
	}
	for i := range list {
		if err := correct(m, &list[i], c); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// correct corrects one order.
func correct(m store.Mail, o *ingest.Order, c Correction) error {
	for _, correction := range []struct {
		to   *string
		text string
	}{{&o.StoreProduct, c.Product}, {&o.Name, c.Name}, {&o.Email, c.Email}} {
		if correction.text != "" {
			*correction.to = correction.text
		}
	}
	if c.Quantity > 0 {
		o.Quantity = c.Quantity
	}
	switch {
	case o.StoreProduct == "":
		return incomplete(m, ingest.Advise("does not name the product"), "product")
	case o.Name == "" && o.Email == "":
		return incomplete(m, ingest.Advise("does not name the buyer"), "name", "email")
	case o.Quantity < 1:
		return incomplete(m, ingest.Advise(fmt.Sprintf("is not clear about how many copies of %q were bought", o.StoreProduct), "license.issue"), "quantity")
	}
	if o.Transaction == "" && len(o.Sequences) == 0 {
		o.Transaction = "mail " + m.ID // it names its sale in no way; its repeats are held as this one was
	}
	return nil
}

func refuse(m store.Mail, code string, a ingest.Advice) error {
	return &Refusal{Code: code, Mail: m.ID, Advice: a}
}

func incomplete(m store.Mail, a ingest.Advice, needs ...string) error {
	return &Refusal{Code: RefusedIncomplete, Mail: m.ID, Advice: a, Needs: needs}
}
