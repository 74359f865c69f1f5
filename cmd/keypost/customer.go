package main

import (
	"fmt"
	"strconv"

	"github.com/keypost/keypost/admin"
)

func (customerCommands) Help() string { return "Example: keypost customer show ada@example.com" }

type customerCommands struct {
	Show   customerShow   `cmd:"" help:"Show what is kept of a customer."`
	Edit   customerEdit   `cmd:"" help:"Correct a customer's name or address."`
	Forget customerForget `cmd:"" help:"Erase a customer, and keep what prevents a second issue."`
}

// customerName names a customer.
type customerName struct {
	Who string `arg:"" help:"The e-mail address or, for orders without one, the name; A or a does not matter."`
}

func showCustomer(a *app, c admin.Customer, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, c)
	}
	if err := fields(a.out, "name", c.Name, "e-mail", c.Email, "orders", strconv.Itoa(len(c.Orders)), "held or refused posts and mails", strconv.Itoa(len(c.Messages))); err != nil {
		return err
	}
	if len(c.Orders) > 0 {
		var orders []admin.Order
		for _, o := range c.Orders {
			orders = append(orders, o.Order)
		}
		fmt.Fprintln(a.out)
		if err := orderTable(a.out, orders); err != nil {
			return err
		}
	}
	if len(c.Messages) == 0 {
		return nil
	}
	rows := [][]string{{"MESSAGE", "CHANNEL", "VERDICT", "REASON"}}
	for _, m := range c.Messages {
		rows = append(rows, []string{m.ID, m.Channel, m.Verdict, deref(m.Reason)})
	}
	fmt.Fprintln(a.out)
	return table(a.out, rows)
}

type customerShow struct {
	jsonFlag
	customerName
}

func (customerShow) Help() string {
	return "With --json, all that is kept: the answer to a customer who asks. Posts and mails that name the address and made no order, as they were held or refused, are looked for too.\n\nExample: keypost customer show ada@example.com --json"
}

func (c customerShow) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	found, err := o.Customer(a, c.Who)
	if err != nil {
		return err
	}
	return showCustomer(a, found, c.JSON)
}

type customerEdit struct {
	changing
	jsonFlag
	customerName
	Name  *string `help:"The right name."`
	Email *string `help:"The right e-mail address."`

	Language *string `help:"The language of mails from now on: de, pt-BR."`
}

func (customerEdit) Help() string {
	return "All orders of the address are corrected, and what is mailed from now on goes to the new one.\n\nExample: keypost customer edit ada@example.com --email ada@example.org"
}

func (c customerEdit) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	edited, err := o.EditCustomer(a, actor, c.Who, admin.CustomerEdit{Name: c.Name, Email: c.Email, Language: c.Language})
	if err != nil {
		return err
	}
	return showCustomer(a, edited, c.JSON)
}

type customerForget struct {
	changing
	jsonFlag
	customerName
	confirmed
	DryRun bool `help:"Say what would be erased, and do nothing."`
}

func (customerForget) Help() string {
	return "Erases name, address, seeds, raw posts and mails and the names of machines, for good, and dismisses mails of that buyer that are held. The codes go on working (keypost license revoke ends them); " +
		"an order that comes again is held, not issued a second time. Mails stay in your mailbox: delete them there.\n\nExample: keypost customer forget ada@example.com"
}

func (c customerForget) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	done, err := o.Forgettable(a, c.Who)
	if err != nil {
		return err
	}
	verb := "To be forgotten"
	if !c.DryRun {
		verb = "Forgotten"
		if err := c.confirm(a, fmt.Sprintf("Erase the buyer of %s, for good? There is no way back.", count(done.Orders, "order"))); err != nil {
			return err
		}
		if done, err = o.ForgetCustomer(a, actor, c.Who); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(a.out, done)
	}
	copies := ""
	if done.Copies != "" {
		copies = "; so do " + done.Copies + ": delete them there"
	}
	fmt.Fprintf(a.out, "%s: the buyer of %s; posts and mails that were held or refused: %d. Backups and the store's own records still know%s.\n",
		verb, count(done.Orders, "order"), done.Messages, copies)
	return nil
}
