package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest/tfyp"
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
	Who string `arg:"" help:"The e-mail address or, for orders without one, the name; A or a does not matter."`
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
	if without := withoutAddress(list); len(without) > 0 {
		return without, nil
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

// customerJSON is all that is kept of a customer.
type customerJSON struct {
	Name     string              `json:"name"`
	Email    string              `json:"email"`
	Orders   []customerOrderJSON `json:"orders"`
	Messages []messageJSON       `json:"messages"` // posts and mails that name the address and made no order: held or refused
}

type customerOrderJSON struct {
	orderJSON
	Seeds    []string         `json:"seeds"`
	OEMSeed  string           `json:"oem_seed"`
	Machines []activationJSON `json:"machines"`
	Messages []messageJSON    `json:"messages"`
}

// messageJSON is a post as it came, without secrets; raw is empty once it was
// not kept any more.
type messageJSON struct {
	ID      string  `json:"id"`
	Channel string  `json:"channel"`
	Verdict string  `json:"verdict"`
	Reason  *string `json:"reason"`
	Raw     string  `json:"raw"`
}

func newMessageJSON(m store.Message) messageJSON {
	return messageJSON{m.ID, m.Channel, m.Verdict, orNull(m.Reason), strings.ToValidUTF8(string(m.Raw), "?")}
}

// naming are the messages of no order that name the customer, who has these
// orders.
func (n customerName) naming(a *app, db *store.DB, list []store.Order) ([]store.Message, error) {
	addresses := n.addresses(list)
	if len(addresses) == 0 {
		return nil, nil
	}
	named := naming(addresses)
	return db.MessagesNaming(a, func(m store.Message) bool { return named(m.Raw) })
}

// addresses are the customer's, who has these orders.
func (n customerName) addresses(list []store.Order) []string {
	addresses := slices.DeleteFunc(addressesOf(list), func(s string) bool { return s == "" })
	if who := strings.ToLower(strings.TrimSpace(n.Who)); strings.Contains(who, "@") && !slices.Contains(addresses, who) {
		addresses = append(addresses, who)
	}
	return addresses
}

// known is whom the orders are of; who has none is known by the address alone.
func (n customerName) known(list []store.Order) (name, email string) {
	if len(list) > 0 {
		return list[0].Name, list[0].Email
	}
	return "", strings.TrimSpace(n.Who)
}

func (n customerName) show(a *app, db *store.DB, list []store.Order, asJSON bool) error {
	messages, err := n.naming(a, db, list)
	if err != nil {
		return err
	}
	if len(list)+len(messages) == 0 {
		return fmt.Errorf("customer %s: %w", n.Who, store.ErrNotFound)
	}
	name, email := n.known(list)
	if asJSON {
		out := customerJSON{name, email, []customerOrderJSON{}, []messageJSON{}}
		for _, o := range list {
			all, err := allOf(a, db, o)
			if err != nil {
				return err
			}
			out.Orders = append(out.Orders, all)
		}
		for _, m := range messages {
			out.Messages = append(out.Messages, newMessageJSON(m))
		}
		return printJSON(a.out, out)
	}
	if err := fields(a.out, "name", name, "e-mail", email, "orders", strconv.Itoa(len(list)), "held or refused posts and mails", strconv.Itoa(len(messages))); err != nil {
		return err
	}
	if len(list) > 0 {
		fmt.Fprintln(a.out)
		if err := orderTable(a.out, list); err != nil {
			return err
		}
	}
	if len(messages) == 0 {
		return nil
	}
	rows := [][]string{{"MESSAGE", "CHANNEL", "VERDICT", "REASON"}}
	for _, m := range messages {
		rows = append(rows, []string{m.ID, m.Channel, m.Verdict, m.Reason})
	}
	fmt.Fprintln(a.out)
	return table(a.out, rows)
}

// allOf is an order with all that came with it and after it.
func allOf(a *app, db *store.DB, o store.Order) (customerOrderJSON, error) {
	out := customerOrderJSON{newOrderJSON(o), append([]string{}, o.Seeds...), o.OEMSeed, []activationJSON{}, []messageJSON{}}
	for _, l := range o.Licenses {
		machines, err := db.Activations(a, l.ID)
		if err != nil {
			return out, err
		}
		out.Machines = append(out.Machines, newActivationsJSON(machines)...)
	}
	messages, err := db.Messages(a, o.ID)
	for _, m := range messages {
		out.Messages = append(out.Messages, newMessageJSON(m))
	}
	return out, err
}

type customerShow struct {
	jsonFlag
	customerName
}

func (customerShow) Help() string {
	return "With --json, all that is kept: the answer to a customer who asks. Posts and mails that name the address and made no order, as they were held or refused, are looked for too.\n\nExample: keypost customer show ada@example.com --json"
}

func (c customerShow) Run(a *app) error {
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := c.find(a, db)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return c.show(a, db, list, c.JSON)
}

// checkPerson: what is typed in goes into the heads of mails one day.
func checkPerson(name, email string) error {
	if len(name) > 256 || len(email) > 256 {
		return errors.New("--name and --email must have at most 256 bytes each")
	}
	for flag, v := range map[string]string{"--name": name, "--email": email} {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf("%s must be plain text on one line", flag)
		}
	}
	local, domain, _ := strings.Cut(email, "@")
	if email != "" && (local == "" || domain == "" || strings.ContainsFunc(email, unicode.IsSpace) || strings.Contains(domain, "@")) {
		return errors.New("--email is not an address like ada@example.com")
	}
	return nil
}

type customerEdit struct {
	changing
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
	if c.Email != nil && *c.Email == "" {
		return usageError{errors.New("--email is empty (to erase a customer: keypost customer forget)")}
	}
	if err := checkPerson(deref(c.Name), deref(c.Email)); err != nil {
		return usageError{err}
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
	return c.show(a, db, list, c.JSON)
}

type customerForget struct {
	changing
	jsonFlag
	customerName
}

func (customerForget) Help() string {
	return "Erases name, address, seeds, raw posts and mails and the names of machines, for good, and dismisses mails of that buyer that are held. The codes go on working (keypost license revoke ends them); " +
		"an order that comes again is held, not issued a second time. Mails stay in your mailbox: delete them there.\n\nExample: keypost customer forget ada@example.com"
}

func (c customerForget) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := c.find(a, db)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := conf.checkForget(c.addresses(list)); err != nil {
		return err
	}
	loose, told, forgetErr := c.forgetMessages(a, conf, db, list) // by the address alone, so that a second run finds them too
	if forgetErr != nil {
		return forgetErr
	}
	if err != nil && loose+told == 0 {
		return err
	}
	for _, o := range list {
		if err := db.ForgetCustomer(a, o.ID, actor); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Orders   int `json:"orders"`
			Messages int `json:"refused_messages"` // held ones are among them
		}{len(list), loose})
	}
	fmt.Fprintf(a.out, "Forgotten: the buyer of %s; posts and mails that were held or refused: %d. Backups and the store's own records still know%s.\n",
		count(len(list), "order"), loose, conf.mailboxCopies())
	return nil
}

// forgetMessages empties what made no order and names the customer, and what was
// noted of mails; it tells how many of each.
func (c customerForget) forgetMessages(a *app, conf *config, db *store.DB, list []store.Order) (loose, told int, err error) {
	addresses := c.addresses(list)
	if len(addresses) == 0 {
		return 0, 0, nil
	}
	named := naming(addresses)
	theirs := func(m store.Message) bool { return named(m.Raw) && !conf.ofAnother(m, named) }
	if loose, err = db.ForgetRefused(a, theirs, actor); err != nil {
		return loose, 0, err
	}
	told, err = db.ForgetTold(a, named, actor)
	return loose, told, err
}

// checkForget refuses to forget the vendor: each mail of a store names one of the
// vendor's own addresses.
func (c *config) checkForget(addresses []string) error {
	own := []string{}
	for _, ch := range c.Channels {
		own = append(own, ch.Recipients...)
		own = append(own, ch.User, ch.TestTo)
	}
	if c.Mail != nil {
		own = append(own, c.Mail.from.Address, c.Mail.Vendor)
	}
	for _, address := range addresses {
		if slices.ContainsFunc(own, func(s string) bool { return strings.EqualFold(s, address) }) {
			return usageError{fmt.Errorf("%s is an address of your own in the config: mails of all buyers name it", address)}
		}
	}
	return nil
}

// ofAnother tells of a mail that waits for a person whether it is another buyer's,
// who named the customer in a comment, say: to drop it would lose a sale.
func (c *config) ofAnother(m store.Message, named func(raw []byte) bool) bool {
	ch, ok := c.channel(m.Channel)
	if !ok || ch.Kind != "imap" || m.Verdict != store.VerdictHeld {
		return false
	}
	return ch.reader().Recognise(m.Raw).OfAnother(named)
}

// mailboxCopies names where the mails themselves lie, which Keypost deletes
// nowhere.
func (c *config) mailboxCopies() string {
	var list []string
	for _, ch := range c.Channels {
		if ch.Kind == "imap" {
			list = append(list, fmt.Sprintf("the mails in the mailbox of %s (%s)", ch.User, strings.Join(ch.folders(), ", ")))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; so do " + strings.Join(list, ", ") + ": delete them there"
}

// folders are those that the channel's mails may lie in.
func (ch channelConfig) folders() []string {
	list := []string{cmp.Or(ch.Folder, "INBOX")}
	for _, f := range []string{ch.Processed, ch.Held, ch.Failed} {
		if f != "" && f[0] != '$' && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// naming tells of posts and mails whether one of the e-mail addresses, in lower
// case, is in them: as it is, escaped as in a form or in JSON, or in what a mail
// and those attached to it say.
func naming(addresses []string) func(raw []byte) bool {
	var written []string
	for _, address := range addresses {
		quoted, _ := json.Marshal(address) // strings always marshal
		written = append(written, address, strings.ToLower(url.QueryEscape(address)), strings.Trim(string(quoted), `"`))
	}
	in := func(raw []byte) bool {
		m, _ := tfyp.Open(raw) // what is no mail says nothing
		for _, text := range []string{unescaped.Replace(string(raw)), m.From, m.To, m.Subject, m.Text} {
			text = strings.ToLower(text)
			if slices.ContainsFunc(written, func(w string) bool { return hasAddress(text, w) }) {
				return true
			}
		}
		return false
	}
	return func(raw []byte) bool { return in(raw) || slices.ContainsFunc(tfyp.Attached(raw), in) }
}

// unescaped undoes what JSON writes beside an address.
var unescaped = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// hasAddress tells whether an address is in a text, and not as a part of another
// one: a@example.com is not in data@example.com.
func hasAddress(text, address string) bool {
	for {
		at := strings.Index(text, address)
		if at < 0 {
			return false
		}
		rest := text[at+len(address):]
		if !longerBefore.MatchString(text[max(0, at-3):at]) && !longerAfter.MatchString(rest[:min(len(rest), 5)]) {
			return true
		}
		text = text[at+1:]
	}
}

// What makes an address longer: an escape of a form or of JSON before it does not.
var (
	longerBefore = regexp.MustCompile(`^(?:[^%].?[^\\]|[^\\]?)[\pL\d._+-]$`)
	longerAfter  = regexp.MustCompile(`^(?:[\pL\d-]|\.[\pL\d])`)
)
