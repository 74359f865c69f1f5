package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// approveRefunds notes the refunds of a mail, with a person's corrections. Of what
// can never be counted nothing is noted: it would look done.
func (p Person) approveRefunds(ctx context.Context, m store.Mail, list []ingest.Refund, c Correction) (Approval, error) {
	if c.Name != "" || c.Email != "" || c.Quantity != 0 {
		return Approval{}, refuse(m, RefusedCorrection, ingest.Advise("is a refund: only orders have a name, an e-mail address and a quantity"))
	}
	list = append([]ingest.Refund{}, list...)
	for i := range list {
		correctRefund(m, &list[i], c)
		if err := p.judgeRefund(ctx, m, list[i], c); err != nil {
			return Approval{}, err
		}
	}
	var done Approval
	for _, r := range list {
		added, err := p.Desk.NoteRefund(ctx, r)
		if err != nil {
			return done, fmt.Errorf("mail %s: %w", m.ID, err)
		}
		if !added && c.Amount != "" {
			return done, refuse(m, RefusedNoted, ingest.Advise(fmt.Sprintf(
				"has a refund with the reference %q, which was already recorded: nothing was changed. If this is a different refund, refund the order by hand, and dismiss the mail", r.Reference),
				"order.show", "order.refund", "mail.dismiss"))
		}
		orders, err := p.Desk.OrdersOf(ctx, r)
		if err != nil {
			return done, fmt.Errorf("mail %s: %w", m.ID, err)
		}
		done.Orders = append(done.Orders, orders...)
		done.Refunds = append(done.Refunds, Refunded{r, orders, added})
	}
	return done, p.decided(ctx, m, done.Orders)
}

// correctRefund puts what the person says in the place of what the mail does.
func correctRefund(m store.Mail, r *ingest.Refund, c Correction) {
	if c.Product != "" {
		r.Product = c.Product
	}
	switch {
	case c.All:
		r.Amount, r.Currency, r.Unread = "", "", false
		r.Reference = "mail " + m.ID // a part may have been noted under the store's own
	case c.Amount != "":
		r.Amount, r.Currency, r.Unread = c.Amount, c.Currency, false
	}
	if r.Reference == "" && r.Amount != "" {
		r.Reference = "mail " + m.ID // parts add up, so each must have a name of its own
	}
}

// judgeRefund refuses a refund that cannot be noted as it is.
func (p Person) judgeRefund(ctx context.Context, m store.Mail, r ingest.Refund, c Correction) error {
	orders, err := p.Desk.OrdersOf(ctx, r)
	if errors.Is(err, ingest.ErrNoSale) {
		return refuse(m, RefusedSale, ingest.Advise(
			"cannot be approved: "+err.Error()+". If the sale is not here yet, approve the mail once it is. Otherwise give the store's name for the product, or refund the order by hand", "order.refund"))
	}
	if err != nil {
		return err
	}
	reason, err := p.Desk.JudgeRefund(ctx, r)
	if err != nil || reason == "" {
		return err
	}
	what := "is not clear about the refunded amount"
	switch amount := strings.TrimSpace(r.Amount + " " + r.Currency); {
	case c.Amount != "":
		what = "cannot be approved with the amount " + amount
	case !r.Unread:
		what = "is about " + amount + ", which cannot be compared with the price"
	}
	return &Refusal{Code: RefusedAmount, Mail: m.ID, Advice: ingest.Advise(what), Needs: []string{"amount", "all"}, Orders: orders}
}
