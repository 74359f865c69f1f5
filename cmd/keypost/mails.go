package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/keypost/keypost/admin"
)

type mailList struct {
	jsonFlag
	Verdict string `help:"Only with this verdict: taken, held, refused, unknown, waiting." enum:",taken,held,refused,unknown,waiting" default:""`
	Channel string `help:"Only of this channel."`
	listLimit
}

func (mailList) Help() string { return "Example: keypost mail list --verdict held" }

func (c mailList) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	list, err := o.Mails(a, admin.MailFilter{Verdict: c.Verdict, Channel: c.Channel, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(o, len(list), admin.Named{Channel: c.Channel}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "No mails.")
		return nil
	}
	rows := [][]string{{"ID", "ARRIVED", "CHANNEL", "VERDICT", "REASON", "SALE", "MESSAGE-ID"}}
	for _, m := range list {
		sale := ""
		if m.Sale != nil {
			sale = m.Sale.Transaction
		}
		rows = append(rows, []string{m.ID, when(m.Arrived), m.Channel, m.Verdict, deref(m.Reason), sale, deref(m.MessageID)})
	}
	return table(a.out, rows)
}

// A mailName names a mail that was seen.
type mailName struct {
	ID string `arg:"" help:"The mail's id, from keypost mail list."`
}

type mailShow struct {
	jsonFlag
	mailName
	Raw bool `help:"Print the raw mail. A file or a pipe gets the exact bytes (--raw >mail.eml); on a terminal, control characters are escaped."`
}

func (mailShow) Help() string {
	return "Raw mails are kept if they were held or refused, for as long as messages are kept, or if they became an order. Of other mails, only the row is kept. " +
		"The orders shown are all orders of the mail's sale.\n\n" +
		"Example: keypost mail show 01KABCDEFGHJKMNPQRSTVWXYZ0"
}

func (c mailShow) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Raw {
		raw, err := o.RawMail(a, c.ID)
		if err != nil {
			return err
		}
		_, err = asIs(a.out).Write(raw)
		return err
	}
	m, err := o.MailShown(a, c.ID)
	switch {
	case err != nil:
		return err
	case c.JSON:
		if m.Because != nil {
			*m.Because = a.worded(*m.Because)
		}
		return printJSON(a.out, m)
	}
	signed, sale := "signed by", ""
	if !m.Signed() {
		signed = "claims to be signed by"
	}
	if m.Sale != nil {
		sale = m.Sale.Store + " " + m.Sale.Transaction
	}
	if err := fields(a.out, "mail", m.ID, "arrived", when(m.Arrived), "channel", m.Channel, "in", fmt.Sprintf("%s, UID %d", m.Folder, m.UID),
		"Message-ID", deref(m.MessageID), signed, deref(m.Domain), "profile", deref(m.Profile), "verdict", m.Verdict, "reason", deref(m.Reason), "detail", deref(m.Detail),
		"because", a.worded(deref(m.Because)), "sale", strings.TrimSpace(sale)); err != nil {
		return err
	}
	if len(m.Orders) > 0 {
		fmt.Fprintln(a.out)
		if err := orderTable(a.out, m.Orders); err != nil {
			return err
		}
	}
	if m.Read == nil {
		return nil
	}
	fmt.Fprintln(a.out)
	return printRead(a, *m.Read)
}

type mailApprove struct {
	changing
	jsonFlag
	mailName
	Product  string `help:"The store's name for the product, if the mail is not clear about it."`
	Name     string `help:"The buyer's name, if the mail is not clear about it."`
	Email    string `help:"The buyer's e-mail address, if the mail is not clear about it."`
	Quantity int    `help:"The number of copies, if the mail is not clear about it." default:"0"`
	Amount   string `help:"For a refund: the amount refunded, in the order's currency, like \"5.00 EUR\"." xor:"amount"`
	All      bool   `help:"For a full refund: revoke the codes." xor:"amount"`
}

func (mailApprove) Help() string {
	return "Compare the mail with the store's records first. Then this creates the order that keypost mail show shows, as if the mail had been taken. An order that already exists is not created again. " +
		"A refund is recorded. If the mail is not clear about the amount, add --amount or --all. " +
		"Exit code 4: the new order is held.\n\nExample: keypost mail approve 01KABCDEFGHJKMNPQRSTVWXYZ0 --name \"Ada Lovelace\""
}

func (c mailApprove) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	done, err := o.ApproveMail(a, actor, c.ID, admin.MailCorrection{
		Product: c.Product, Name: c.Name, Email: c.Email, Quantity: c.Quantity, Amount: c.Amount, All: c.All,
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		err = printJSON(a.out, done.Orders)
	case len(done.Refunds) > 0:
		for _, line := range done.Refunds {
			fmt.Fprintln(a.out, safe(line))
		}
		return nil
	default:
		err = showOrders(a, done.Orders)
	}
	held := func(o admin.Order) bool { return o.Status == admin.Held }
	if err == nil && len(done.Refunds) == 0 && slices.ContainsFunc(done.Orders, held) {
		return errHeld
	}
	return err
}

func showOrders(a *app, list []admin.Order) error {
	for i, o := range list {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := showOrder(a, o, false); err != nil {
			return err
		}
	}
	return nil
}

type mailDismiss struct {
	changing
	jsonFlag
	mailName
}

func (mailDismiss) Help() string {
	return "No order is created, and the mail leaves the list of things to do.\n\nExample: keypost mail dismiss 01KABCDEFGHJKMNPQRSTVWXYZ0"
}

func (c mailDismiss) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	m, err := o.DismissMail(a, actor, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, m)
	}
	fmt.Fprintf(a.out, "Dismissed mail %s.\n", safe(m.ID))
	return nil
}
