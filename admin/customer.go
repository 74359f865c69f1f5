package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// A Customer is all that is kept of one.
type Customer struct {
	Name     string          `json:"name"`
	Email    string          `json:"email"`
	Orders   []CustomerOrder `json:"orders"`
	Messages []Message       `json:"messages"` // posts and mails that name the address and made no order: held or refused
}

// A CustomerOrder is an order with all that came with it and after it.
type CustomerOrder struct {
	Order
	Seeds    []string     `json:"seeds"`
	OEMSeed  string       `json:"oem_seed"`
	Machines []Activation `json:"machines"`
	Messages []Message    `json:"messages"`
}

// A Message is a post or a mail as it came, without secrets; raw is empty once it
// was not kept any more.
type Message struct {
	ID      string  `json:"id"`
	Channel string  `json:"channel"`
	Verdict string  `json:"verdict"`
	Reason  *string `json:"reason"`
	Raw     string  `json:"raw"`
}

func newMessages(list []store.Message) []Message {
	out := []Message{}
	for _, m := range list {
		out = append(out, Message{m.ID, m.Channel, m.Verdict, orNull(m.Reason), strings.ToValidUTF8(string(m.Raw), "?")})
	}
	return out
}

// A customer is one that was found: by an e-mail address or, for orders without
// one, by a name.
type customer struct {
	who    string
	orders []store.Order // newest first; all of one address
}

func noCustomer(who string) *Error {
	return &Error{NotFound, "customer " + who + ": not found", "", store.ErrNotFound}
}

// findCustomer finds a customer; one without orders is no error.
func (a *Admin) findCustomer(ctx context.Context, who string) (c customer, err error) {
	c.who = who
	if strings.TrimSpace(who) == "" {
		return c, invalid("the customer is empty")
	}
	list, err := a.db.OrdersOf(ctx, who)
	if err != nil {
		return c, err
	}
	if c.orders = withoutAddress(list); len(c.orders) > 0 {
		return c, nil
	}
	if addresses := addressesOf(list); len(addresses) > 1 {
		return c, &Error{Ambiguous, fmt.Sprintf("%d addresses have this name", len(addresses)), "name one address: " + strings.Join(addresses, ", "), &SeveralOrders{newOrders(list)}}
	}
	c.orders = list
	return c, nil
}

// withoutAddress are the orders of a name that nobody's address is on.
func withoutAddress(list []store.Order) []store.Order {
	return slices.DeleteFunc(slices.Clone(list), func(o store.Order) bool { return o.Email != "" })
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

// addresses are the customer's.
func (c customer) addresses() []string {
	addresses := slices.DeleteFunc(addressesOf(c.orders), func(s string) bool { return s == "" })
	if who := strings.ToLower(strings.TrimSpace(c.who)); strings.Contains(who, "@") && !slices.Contains(addresses, who) {
		addresses = append(addresses, who)
	}
	return addresses
}

// Customer is all that is kept of a customer.
func (a *Admin) Customer(ctx context.Context, who string) (Customer, error) {
	c, err := a.findCustomer(ctx, who)
	if err != nil {
		return Customer{}, err
	}
	return a.customer(ctx, c)
}

func (a *Admin) customer(ctx context.Context, c customer) (out Customer, err error) {
	out = Customer{Email: strings.TrimSpace(c.who), Orders: []CustomerOrder{}}
	if len(c.orders) > 0 {
		out.Name, out.Email = c.orders[0].Name, c.orders[0].Email
	}
	if out.Orders, err = a.customerOrders(ctx, c.orders); err != nil {
		return out, err
	}
	var messages []store.Message
	if addresses := c.addresses(); len(addresses) > 0 {
		named := naming(addresses)
		if messages, err = a.db.MessagesNaming(ctx, func(m store.Message) bool { return named(m.Raw) }); err != nil {
			return out, err
		}
	}
	if len(c.orders)+len(messages) == 0 {
		return out, noCustomer(c.who)
	}
	out.Messages = newMessages(messages)
	return out, nil
}

func (a *Admin) customerOrders(ctx context.Context, orders []store.Order) ([]CustomerOrder, error) {
	var licenses []store.License
	for _, o := range orders {
		licenses = append(licenses, o.Licenses...)
	}
	machines, err := a.db.ActivationsOf(ctx, licenses)
	if err != nil {
		return nil, err
	}
	messages, err := a.db.MessagesOf(ctx, orders)
	if err != nil {
		return nil, err
	}
	list := []CustomerOrder{}
	for _, o := range orders {
		out := CustomerOrder{newOrder(o), all(o.Seeds), o.OEMSeed, []Activation{}, newMessages(messages[o.ID])}
		for _, l := range o.Licenses {
			out.Machines = append(out.Machines, newActivations(machines[l.ID])...)
		}
		list = append(list, out)
	}
	return list, nil
}

// CheckPerson refuses a name and an address that no mail's header could have.
func CheckPerson(name, email string) error {
	if len(name) > 256 || len(email) > 256 {
		return invalid("--name and --email must have at most 256 bytes each")
	}
	for flag, v := range map[string]string{"--name": name, "--email": email} {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return invalid("%s must be plain text on one line", flag)
		}
	}
	local, domain, _ := strings.Cut(email, "@")
	if email != "" && (local == "" || domain == "" || strings.ContainsFunc(email, unicode.IsSpace) || strings.Contains(domain, "@")) {
		return invalid("--email is not an address like ada@example.com")
	}
	return nil
}

// checkLanguage refuses what cannot be a language's tag (RFC 5646).
func checkLanguage(tag string) error {
	if tag != "" && !ingest.IsLanguage(tag) {
		return invalid("--language %s: it must be a language tag, like de or pt-BR", tag)
	}
	return nil
}

// A CustomerEdit is what is to be corrected; nil: nothing.
type CustomerEdit struct {
	Name, Email *string
	Language    *string // of mails: de, pt-BR; "": the default
}

// EditCustomer corrects all orders of a customer. What is mailed from now on goes
// to the new address.
func (a *Admin) EditCustomer(ctx context.Context, actor, who string, edit CustomerEdit) (Customer, error) {
	switch {
	case edit.Name == nil && edit.Email == nil && edit.Language == nil:
		return Customer{}, invalid("give --name, --email or --language")
	case edit.Email != nil && *edit.Email == "":
		return Customer{}, fail(Invalid, "to erase a customer, {customer forget}", "--email is empty")
	}
	if err := CheckPerson(deref(edit.Name), deref(edit.Email)); err != nil {
		return Customer{}, err
	}
	if err := checkLanguage(deref(edit.Language)); err != nil {
		return Customer{}, err
	}
	c, err := a.findCustomer(ctx, who)
	if err == nil && len(c.orders) == 0 {
		err = noCustomer(who)
	}
	if err != nil {
		return Customer{}, err
	}
	for i, o := range c.orders {
		if edit.Name != nil {
			o.Name = *edit.Name
		}
		if edit.Email != nil {
			o.Email = strings.TrimSpace(*edit.Email)
		}
		if edit.Name != nil || edit.Email != nil {
			if err := a.db.EditCustomer(ctx, o.ID, o.Name, o.Email, actor); err != nil {
				return Customer{}, err
			}
		}
		if edit.Language != nil {
			if err := a.db.SetLanguage(ctx, o.ID, *edit.Language, actor); err != nil {
				return Customer{}, err
			}
			o.Language = *edit.Language
		}
		c.orders[i] = o
	}
	return a.customer(ctx, c)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
