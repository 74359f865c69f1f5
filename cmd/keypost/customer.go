package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/store"
)

func (customerCommands) Help() string { return "Example: keypost customer show ada@example.com" }

type customerCommands struct {
	Show   customerShow   `cmd:"" help:"Show what is kept of a customer."`
	Edit   customerEdit   `cmd:"" help:"Correct a customer's name or address."`
	Forget customerForget `cmd:"" help:"Erase a customer, and keep what prevents a second issue."`
}

// customerName names a customer.
type customerName struct {
	Who string `arg:"" help:"The e-mail address or, for orders without one, the name; in any case."`
}

// find is a customer's orders, newest first: all of one address.
func (n customerName) find(a *app, db *store.DB) ([]store.Order, error) {
	if strings.TrimSpace(n.Who) == "" {
		return nil, usageError{errors.New("the customer is empty")}
	}
	list, err := db.OrdersOf(a, n.Who)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("customer %s: %w", n.Who, store.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	addresses := addressesOf(list)
	if len(addresses) > 1 {
		if err := orderTable(a.err, list); err != nil {
			return nil, err
		}
		return nil, usageError{fmt.Errorf("%d addresses have this name: name one of them: %s", len(addresses), strings.Join(addresses, ", "))}
	}
	return list, nil
}

func addressesOf(list []store.Order) (addresses []string) {
	for _, o := range list {
		fold := strings.ToLower(o.Email)
		if !slices.Contains(addresses, fold) {
			addresses = append(addresses, fold)
		}
	}
	return addresses
}

// customerJSON is a customer as scripts see one.
type customerJSON struct {
	Name   string      `json:"name"`
	Email  string      `json:"email"`
	Orders []orderJSON `json:"orders"`
}

func showCustomer(a *app, list []store.Order, asJSON bool) error {
	if asJSON {
		out := customerJSON{list[0].Name, list[0].Email, []orderJSON{}}
		for _, o := range list {
			out.Orders = append(out.Orders, newOrderJSON(o))
		}
		return printJSON(a.out, out)
	}
	if err := fields(a.out, "name", list[0].Name, "e-mail", list[0].Email, "orders", strconv.Itoa(len(list))); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	return orderTable(a.out, list)
}

type customerShow struct {
	jsonFlag
	customerName
}

func (customerShow) Help() string {
	return "With --json, all that is kept: the answer to a customer who asks.\n\nExample: keypost customer show ada@example.com --json"
}

func (c customerShow) Run(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := c.find(a, db)
	if err != nil {
		return err
	}
	return showCustomer(a, list, c.JSON)
}

type customerEdit struct {
	jsonFlag
	customerName
	Name  *string `help:"The right name."`
	Email *string `help:"The right e-mail address."`
}

func (customerEdit) Help() string {
	return "All orders of the address are corrected, and what is mailed from now on goes to the new one.\n\nExample: keypost customer edit ada@example.com --email ada@example.org"
}

func (c customerEdit) Run(a *app) error {
	if c.Name == nil && c.Email == nil {
		return usageError{errors.New("give --name or --email")}
	}
	if c.Email != nil && !strings.Contains(*c.Email, "@") {
		return usageError{fmt.Errorf("--email %s is not an address (to erase one: keypost customer forget)", *c.Email)}
	}
	for _, v := range []*string{c.Name, c.Email} {
		if v != nil && len(*v) > 256 {
			return usageError{errors.New("--name and --email must have at most 256 bytes each")}
		}
	}
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := c.find(a, db)
	if err != nil {
		return err
	}
	for i, o := range list {
		if c.Name != nil {
			o.Name = *c.Name
		}
		if c.Email != nil {
			o.Email = strings.TrimSpace(*c.Email)
		}
		if err := db.EditCustomer(a, o.ID, o.Name, o.Email, actor); err != nil {
			return err
		}
		list[i] = o
	}
	return showCustomer(a, list, c.JSON)
}

type customerForget struct {
	jsonFlag
	customerName
}

func (customerForget) Help() string {
	return "Erases name, address, seeds, raw posts and the names of machines, for good. The codes go on working (keypost license revoke ends them); an order that comes again " +
		"is held, not issued a second time.\n\nExample: keypost customer forget ada@example.com"
}

func (c customerForget) Run(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := c.find(a, db)
	if err != nil {
		return err
	}
	for _, o := range list {
		if err := db.ForgetCustomer(a, o.ID, actor); err != nil {
			return err
		}
	}
	refused := 0
	if email := list[0].Email; email != "" {
		if refused, err = db.ForgetRefused(a, email); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Orders   int `json:"orders"`
			Messages int `json:"refused_messages"`
		}{len(list), refused})
	}
	fmt.Fprintf(a.out, "Forgotten: the buyer of %d orders, and %d refused posts. Backups and the store's own records still know.\n", len(list), refused)
	return nil
}
