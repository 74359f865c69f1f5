package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/store"
)

// A MailRow is a mail that was seen in a mailbox, and what became of it.
type MailRow struct {
	ID        string    `json:"id"`
	Channel   string    `json:"channel"`
	Verdict   string    `json:"verdict"` // taken, held, refused, unknown, waiting
	Reason    *string   `json:"reason"`
	Detail    *string   `json:"detail"`
	Profile   *string   `json:"profile"`
	Domain    *string   `json:"domain"`     // that signed it, or claims to
	MessageID *string   `json:"message_id"` // its header's
	Folder    string    `json:"folder"`
	UID       uint32    `json:"uid"`
	Arrived   time.Time `json:"arrived_at"`
	Sale      *Sale     `json:"sale"` // that it is about; null: none
}

// A Sale is a transaction of a store.
type Sale struct {
	Store       string `json:"store"`
	Transaction string `json:"transaction"`
}

// A MailDetail is one mail with what is read of it.
type MailDetail struct {
	MailRow
	Because *string     `json:"because"` // why it was held or refused, and what to do
	Fields  []MailField `json:"fields"`  // of what is kept of it
	Orders  []Order     `json:"orders"`  // of its sale

	Read *ParsedMail `json:"-"` // what its channel's profiles read of it now; nil: nothing
}

// Signed tells whether the domain is known to have signed the mail.
func (m MailRow) Signed() bool {
	return m.Verdict != store.MailRefused && m.Verdict != store.MailWaiting
}

func newMailRow(m store.Mail) MailRow {
	row := MailRow{
		ID: m.ID, Channel: m.Channel, Verdict: m.Verdict, Reason: orNull(m.Reason), Detail: orNull(m.Detail), Profile: orNull(m.Profile),
		Domain: orNull(m.Domain), MessageID: orNull(m.MessageID), Folder: m.Folder, UID: m.UID, Arrived: m.ArrivedAt,
	}
	if m.Fold != "" {
		row.Sale = &Sale{m.Store, m.Fold}
	}
	return row
}

// ofSale are the orders of the sale that a mail is about, by line, and the sale's
// name: as it was first received, if it was.
func (a *Admin) ofSale(ctx context.Context, m store.Mail) (name string, list []store.Order, err error) {
	if name, err = a.saleName(ctx, m); err != nil || m.Fold == "" {
		return name, nil, err
	}
	list, err = a.db.Orders(ctx, store.OrderFilter{Store: m.Store, Fold: m.Fold})
	slices.Reverse(list)
	return name, list, err
}

func (a *Admin) saleName(ctx context.Context, m store.Mail) (string, error) {
	if m.Fold == "" {
		return "", nil
	}
	name, err := a.db.TransactionOf(ctx, m.Store, m.Fold)
	if isNotFound(err) {
		return m.Fold, nil
	}
	return name, err
}

// A MailFilter narrows a list of mails; zero values do not.
type MailFilter struct {
	Verdict, Channel string
	Limit            int // at most so many; 0: all
}

// Mails lists the mails that were seen in mailboxes, newest first.
func (a *Admin) Mails(ctx context.Context, f MailFilter) ([]MailRow, error) {
	list, err := a.db.Mails(ctx, store.MailFilter{Verdict: f.Verdict, Channel: f.Channel, Limit: f.Limit})
	if err != nil {
		return nil, err
	}
	out := []MailRow{}
	for _, m := range list {
		m.Fold = m.Transaction
		out = append(out, newMailRow(m))
	}
	return out, nil
}

// findMail finds a mail.
func (a *Admin) findMail(ctx context.Context, id string) (store.Mail, error) {
	m, err := a.db.Mail(ctx, id)
	if isNotFound(err) {
		err = &Error{NotFound, "mail " + id + ": not found", "see {mail list}", err}
	}
	return m, err
}

// MailShown is a mail, with what is read of it.
func (a *Admin) MailShown(ctx context.Context, id string) (out MailDetail, err error) {
	m, err := a.findMail(ctx, id)
	if err != nil {
		return out, err
	}
	f := a.recognise(m)
	name, orders, err := a.ofSale(ctx, m)
	if err != nil {
		return out, err
	}
	m.Fold = name
	out = MailDetail{MailRow: newMailRow(m), Fields: []MailField{}, Orders: newOrders(orders)}
	if m.Verdict == store.MailHeld || m.Verdict == store.MailRefused {
		out.Because = orNull(explainMail(m.Reason, len(f.Reading.Refunds) > 0))
	}
	if f.Profile != nil {
		read := newParsedMail(a.Catalog, f, f.Profile.Name)
		out.Read, out.Fields = &read, read.Fields
	}
	return out, nil
}

// RawMail is what is kept of a mail: beside it, or by an order of its sale.
func (a *Admin) RawMail(ctx context.Context, id string) ([]byte, error) {
	m, err := a.findMail(ctx, id)
	if err != nil {
		return nil, err
	}
	_, orders, err := a.ofSale(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		if len(m.Raw) > 0 {
			break
		}
		messages, err := a.db.Messages(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		for _, kept := range messages {
			if sha256.Sum256(kept.Raw) == m.Content {
				m.Raw = kept.Raw
			}
		}
	}
	if len(m.Raw) == 0 {
		return nil, fail(State, "", "mail %s: its content is not kept, or no longer kept. The mail itself is in your mailbox. If it became an order, {customer show ADDRESS --json} shows it", id)
	}
	return m.Raw, nil
}

// A MailCorrection is what a person says of a mail's sale or refund, instead of
// what the mail says or where it says nothing certain. Zero fields change nothing.
type MailCorrection struct {
	Product     string // as the store writes it
	Name, Email string // the buyer's; of a sale alone
	Quantity    int    // likewise
	Amount      string // of a refund: what goes back, "5.00 EUR"
	All         bool   // of a refund: all of it goes back
}

// A MailApproval is what came of a mail that a person approved.
type MailApproval struct {
	Orders  []Order  // made, or here before; of a refund those that were refunded
	Refunds []string // of a refund: what it came to, a sentence each
}

// ApproveMail makes an order of what a mail that was held or refused says, as if
// it had been taken, or notes its refunds. An order that is here already is found,
// not made again.
func (a *Admin) ApproveMail(ctx context.Context, actor, id string, c MailCorrection) (MailApproval, error) {
	if err := CheckPerson(c.Name, c.Email); err != nil {
		return MailApproval{}, err
	}
	correction := intake.Correction{Product: c.Product, Name: c.Name, Email: c.Email, Quantity: c.Quantity, All: c.All}
	if c.Amount != "" {
		amount, err := ingest.ParseAmount(c.Amount)
		if err != nil || amount.Amount == nil {
			return MailApproval{}, invalid("--amount: %v", err)
		}
		correction.Amount, correction.Currency, _ = strings.Cut(c.Amount, " ")
	}
	m, err := a.findMail(ctx, id)
	if err != nil {
		return MailApproval{}, err
	}
	person := intake.Person{DB: a.db, Desk: a.desk, Actor: actor}
	done, err := person.Approve(ctx, m, a.recognise(m), correction)
	if err != nil {
		return MailApproval{}, refusal(err)
	}
	out := MailApproval{Orders: newOrders(done.Orders)}
	for _, r := range done.Refunds {
		out.Refunds = append(out.Refunds, outcomeOf(r))
	}
	return out, nil
}

// DismissMail decides that no order is made of a mail that was held or refused.
func (a *Admin) DismissMail(ctx context.Context, actor, id string) (MailRow, error) {
	if _, err := a.findMail(ctx, id); err != nil {
		return MailRow{}, err
	}
	m, err := intake.Person{DB: a.db, Actor: actor}.Dismiss(ctx, id)
	if err != nil {
		return MailRow{}, refusal(err)
	}
	if m.Fold, err = a.saleName(ctx, m); err != nil {
		return MailRow{}, err
	}
	return newMailRow(m), nil
}

// refusal says why a mail cannot be approved or dismissed, and what to do.
func refusal(err error) error {
	r, ok := errors.AsType[*intake.Refusal](err)
	if !ok {
		return err
	}
	e := &Error{Code: State, Problem: "mail " + r.Mail + " " + advised(r.Advice), Err: err}
	if len(r.Needs) > 0 {
		e.Problem, e.Do = r.Error(), "give --"+strings.Join(r.Needs, " or --")
		for _, op := range r.Advice.Operations {
			e.Do += ", or: " + operation(op)
		}
	}
	if r.Code == intake.RefusedAmount {
		e.Problem, e.Do = fmt.Sprintf("%s (%s)", r, costs(r.Orders)), amountHint(r.Orders)
	}
	if r.Code == intake.RefusedAmount || r.Code == intake.RefusedCorrection || r.Code == intake.RefusedIncomplete {
		e.Code = Invalid
	}
	return e
}
