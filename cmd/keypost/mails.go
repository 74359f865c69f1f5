package main

import (
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

// mailRowJSON is a mail of a mailbox as scripts see it.
type mailRowJSON struct {
	ID        string    `json:"id"`
	Channel   string    `json:"channel"`
	Verdict   string    `json:"verdict"` // taken, held, refused, unknown, waiting
	Reason    *string   `json:"reason"`
	Detail    *string   `json:"detail"`
	Profile   *string   `json:"profile"`
	Domain    *string   `json:"domain"`     // that signed it
	MessageID *string   `json:"message_id"` // its header's
	Folder    string    `json:"folder"`
	UID       uint32    `json:"uid"`
	Arrived   time.Time `json:"arrived_at"`
	Sale      *saleJSON `json:"sale"` // that it tells of; null: none
}

// mailShownJSON is one mail with what is read of it, as scripts see it.
type mailShownJSON struct {
	mailRowJSON
	Because *string         `json:"because"` // why it was held or refused, and what to do
	Fields  []mailFieldJSON `json:"fields"`  // of what is kept of it
	Orders  []orderJSON     `json:"orders"`  // of its sale
}

type saleJSON struct {
	Store       string `json:"store"`
	Transaction string `json:"transaction"`
}

func newMailRow(m store.Mail) mailRowJSON {
	row := mailRowJSON{
		ID: m.ID, Channel: m.Channel, Verdict: m.Verdict, Reason: orNull(m.Reason), Detail: orNull(m.Detail), Profile: orNull(m.Profile),
		Domain: orNull(m.Domain), MessageID: orNull(m.MessageID), Folder: m.Folder, UID: m.UID, Arrived: m.ArrivedAt,
	}
	if m.Fold != "" {
		row.Sale = &saleJSON{m.Store, m.Fold}
	}
	return row
}

// ofSale are the orders of the sale that a mail tells of, by line, and the sale's
// name: as it was first received, if it was.
func ofSale(a *app, db *store.DB, m store.Mail) (name string, list []store.Order, err error) {
	if name, err = saleName(a, db, m); err != nil || m.Fold == "" {
		return name, nil, err
	}
	list, err = db.Orders(a, store.OrderFilter{Store: m.Store, Fold: m.Fold})
	slices.Reverse(list)
	return name, list, err
}

func saleName(a *app, db *store.DB, m store.Mail) (string, error) {
	if m.Fold == "" {
		return "", nil
	}
	name, err := db.TransactionOf(a, m.Store, m.Fold)
	if errors.Is(err, store.ErrNotFound) {
		return m.Fold, nil
	}
	return name, err
}

type mailList struct {
	jsonFlag
	Verdict string `help:"Only with this verdict: taken, held, refused, unknown, waiting." enum:",taken,held,refused,unknown,waiting" default:""`
	Channel string `help:"Only of this channel."`
	listLimit
}

func (mailList) Help() string { return "Example: keypost mail list --verdict held" }

func (c mailList) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Mails(a, store.MailFilter{Verdict: c.Verdict, Channel: c.Channel, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(conf, db, len(list), filter{channel: c.Channel}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	out := []mailRowJSON{}
	rows := [][]string{{"ID", "ARRIVED", "CHANNEL", "VERDICT", "REASON", "SALE", "MESSAGE-ID"}}
	for _, m := range list {
		if m.Fold, err = saleName(a, db, m); err != nil {
			return err
		}
		out = append(out, newMailRow(m))
		rows = append(rows, []string{m.ID, when(m.ArrivedAt), m.Channel, m.Verdict, m.Reason, m.Fold, m.MessageID})
	}
	if c.JSON {
		return printJSON(a.out, out)
	}
	if len(out) == 0 {
		fmt.Fprintln(a.out, "No mails.")
		return nil
	}
	return table(a.out, rows)
}

// A mailName names a mail that was seen.
type mailName struct {
	ID string `arg:"" help:"The mail, as keypost mail list names it."`
}

// read finds a mail, with what is made of what was kept of it.
func (n mailName) read(a *app, conf *config, db *store.DB) (m store.Mail, f intake.Finding, err error) {
	if m, err = db.Mail(a, n.ID); err != nil {
		return m, f, fmt.Errorf("mail %s: %w (see: keypost mail list)", n.ID, err)
	}
	return m, conf.recognise(m), nil
}

type mailShow struct {
	jsonFlag
	mailName
	Raw bool `help:"Print it as it came: byte by byte into a file or a pipe (--raw >mail.eml); on a terminal without what would control it."`
}

func (mailShow) Help() string {
	return "Mails that were held or refused are kept as they came, for as long as messages are, and one that was taken is kept by its order; of others there is no more than the row. " +
		"The orders are those of the mail's sale.\n\n" +
		"Example: keypost mail show 01KABCDEFGHJKMNPQRSTVWXYZ0"
}

func (c mailShow) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	m, f, err := c.read(a, conf, db)
	if err != nil {
		return err
	}
	name, orders, err := ofSale(a, db, m)
	switch {
	case err != nil:
		return err
	case c.Raw:
		return c.printRaw(a, db, m, orders)
	}
	m.Fold = name
	explained := ""
	if m.Verdict == store.MailHeld || m.Verdict == store.MailRefused {
		explained = explainMail(m.Reason, false)
	}
	var read parsedMailJSON
	if f.Profile != nil {
		read = newParsedMail(conf.desk(), f, "")
	}
	if c.JSON {
		out := mailShownJSON{newMailRow(m), orNull(explained), append([]mailFieldJSON{}, read.Fields...), []orderJSON{}}
		for _, o := range orders {
			out.Orders = append(out.Orders, newOrderJSON(o))
		}
		return printJSON(a.out, out)
	}
	signed := "signed by"
	if m.Verdict == store.MailRefused || m.Verdict == store.MailWaiting {
		signed = "claims to be signed by"
	}
	if err := fields(a.out, "mail", m.ID, "arrived", when(m.ArrivedAt), "channel", m.Channel, "in", fmt.Sprintf("%s, UID %d", m.Folder, m.UID),
		"Message-ID", m.MessageID, signed, m.Domain, "profile", m.Profile, "verdict", m.Verdict, "reason", m.Reason, "detail", m.Detail,
		"because", explained, "sale", strings.TrimSpace(m.Store+" "+m.Fold)); err != nil {
		return err
	}
	if len(orders) > 0 {
		fmt.Fprintln(a.out)
		if err := orderTable(a.out, orders); err != nil {
			return err
		}
	}
	if f.Profile == nil {
		return nil
	}
	fmt.Fprintln(a.out)
	return read.printRead(a)
}

// printRaw prints what is kept of a mail: beside it, or by an order of its sale.
func (c mailShow) printRaw(a *app, db *store.DB, m store.Mail, orders []store.Order) error {
	for _, o := range orders {
		if len(m.Raw) > 0 {
			break
		}
		messages, err := db.Messages(a, o.ID)
		if err != nil {
			return err
		}
		for _, kept := range messages {
			if sha256.Sum256(kept.Raw) == m.Content {
				m.Raw = kept.Raw
			}
		}
	}
	if len(m.Raw) == 0 {
		return fmt.Errorf("mail %s: nothing of it is kept by itself, or not any more (keypost customer show ADDRESS --json has what an order came by; the mail itself is in your mailbox)", c.ID)
	}
	_, err := asIs(a.out).Write(m.Raw)
	return err
}

type mailApprove struct {
	changing
	jsonFlag
	mailName
	Product  string `help:"What was bought, as the store writes it, where the mail does not say it for certain."`
	Name     string `help:"The buyer's name, likewise."`
	Email    string `help:"The buyer's e-mail address, likewise."`
	Quantity int    `help:"How many copies, likewise." default:"0"`
	Amount   string `help:"Of a refund: how much goes back, in the order's currency, like \"5.00 EUR\"." xor:"amount"`
	All      bool   `help:"Of a refund: all of it goes back, and the codes are revoked." xor:"amount"`
}

func (mailApprove) Help() string {
	return "Makes an order of what keypost mail show shows, as if the mail had been taken; an order that is here already is found, not made again. Compare the mail with the store first. " +
		"A refund is noted; one that does not say for certain how much goes back needs --amount or --all. " +
		"Exit code 4: the order is held now.\n\nExample: keypost mail approve 01KABCDEFGHJKMNPQRSTVWXYZ0 --name \"Ada Lovelace\""
}

func (c mailApprove) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkPerson(c.Name, c.Email); err != nil {
		return usageError{err}
	}
	m, f, err := c.read(a, conf, db)
	if err != nil {
		return err
	}
	correction, err := c.correction()
	if err != nil {
		return err
	}
	person := intake.Person{DB: db, Desk: ingest.New(db, conf.desk()), Actor: actor}
	done, err := person.Approve(a, m, f, correction)
	if err != nil {
		return refusal(err)
	}
	if len(done.Refunds) > 0 {
		return c.printRefunds(a, done)
	}
	return c.print(a, done.Orders)
}

func (c mailApprove) correction() (intake.Correction, error) {
	out := intake.Correction{Product: c.Product, Name: c.Name, Email: c.Email, Quantity: c.Quantity, All: c.All}
	if c.Amount != "" {
		if _, err := parseFloor(c.Amount); err != nil {
			return out, usageError{fmt.Errorf("--amount: %w", err)}
		}
		out.Amount, out.Currency, _ = strings.Cut(c.Amount, " ")
	}
	return out, nil
}

// refusal words why a mail cannot be approved or dismissed, and what to do.
func refusal(err error) error {
	r, ok := errors.AsType[*intake.Refusal](err)
	if !ok {
		return err
	}
	text := "mail " + r.Mail + " " + advised(r.Advice)
	if len(r.Needs) > 0 {
		text = r.Error() + ": give --" + strings.Join(r.Needs, " or --")
		for _, op := range r.Advice.Operations {
			text += ", or: " + command(op)
		}
	}
	if r.Code == intake.RefusedAmount {
		text = fmt.Sprintf("%s (%s): %s", r, costs(r.Orders), amountHint(r.Orders))
	}
	err = errors.New(safe(text))
	if r.Code == intake.RefusedAmount || r.Code == intake.RefusedCorrection || r.Code == intake.RefusedIncomplete {
		err = usageError{err}
	}
	return err
}

func (c mailApprove) print(a *app, done []store.Order) error {
	out, held := []orderJSON{}, 0
	for _, o := range done {
		out = append(out, newOrderJSON(o))
		if o.Status == store.Held {
			held++
		}
	}
	if c.JSON {
		if err := printJSON(a.out, out); err != nil {
			return err
		}
	}
	for i, o := range done {
		if c.JSON {
			break
		}
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := showOrder(a, o, false); err != nil {
			return err
		}
	}
	if held > 0 {
		return errHeld
	}
	return nil
}

type mailDismiss struct {
	changing
	jsonFlag
	mailName
}

func (mailDismiss) Help() string {
	return "No order is made of it, and it waits for nobody any more.\n\nExample: keypost mail dismiss 01KABCDEFGHJKMNPQRSTVWXYZ0"
}

func (c mailDismiss) Run(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := intake.Person{DB: db, Actor: actor}.Dismiss(a, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("mail %s: %w (see: keypost mail list)", c.ID, err)
	}
	if err != nil {
		return refusal(err)
	}
	if c.JSON {
		if m.Fold, err = saleName(a, db, m); err != nil {
			return err
		}
		return printJSON(a.out, newMailRow(m))
	}
	fmt.Fprintf(a.out, "mail %s is dismissed\n", c.ID)
	return nil
}
