package main

import (
	"fmt"
	"strconv"

	"github.com/keypost/keypost/admin"
)

func (customerCommands) Help() string { return "Example: keypost customer show ada@example.com" }

type customerCommands struct {
	Show   customerShow   `cmd:"" help:"Show everything stored about a customer."`
	Edit   customerEdit   `cmd:"" help:"Correct a customer's name or address."`
	Forget customerForget `cmd:"" help:"Erase a customer's personal data."`
}

// customerName names a customer.
type customerName struct {
	Who string `arg:"" help:"The e-mail address, or the name for orders without an address. Case is ignored."`
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
	return "--json prints everything that is stored: use it when a customer asks for their data. It includes held and refused posts and mails that contain the address.\n\nExample: keypost customer show ada@example.com --json"
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
	Name  *string `help:"The correct name."`
	Email *string `help:"The correct e-mail address."`

	Language *string `help:"The language of future mails: de, pt-BR."`
}

func (customerEdit) Help() string {
	return "Corrects all orders of this address. Future mails go to the new address.\n\nExample: keypost customer edit ada@example.com --email ada@example.org"
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
	DryRun bool `help:"Show what would be erased, but change nothing."`
}

func (customerForget) Help() string {
	return "Permanently erases the name, address, seeds, raw posts and mails, and the names of machines. Dismisses the buyer's held mails. The codes keep working; keypost license revoke ends them. " +
		"If the store sends an order again, it is held and gets no second code. Mails stay in your mailbox: delete them there.\n\nExample: keypost customer forget ada@example.com"
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
	verb := "Would be erased"
	if !c.DryRun {
		verb = "Forgotten"
		if err := c.confirm(a, fmt.Sprintf("Permanently erase the buyer of %s? This cannot be undone.", count(done.Orders, "order"))); err != nil {
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
		copies = ". Copies also remain here: " + done.Copies + ". Delete them there"
	}
	fmt.Fprintf(a.out, "%s: the buyer of %s; held or refused posts and mails: %d. Backups and the store's own records still have the data%s.\n",
		verb, count(done.Orders, "order"), done.Messages, copies)
	return nil
}
