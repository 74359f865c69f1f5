package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/keypost/keypost/ingest/intake"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A Forgotten customer left so much.
type Forgotten struct {
	Orders   int    `json:"orders"`
	Messages int    `json:"refused_messages"` // held ones are among them
	Copies   string `json:"-"`                // where the mails themselves lie, which Keypost deletes nowhere; "": nowhere
}

// ForgetCustomer erases name, address, seeds, raw posts and mails and the names
// of machines, for good, and dismisses mails of that buyer that are held. What
// prevents a second issue is kept: the codes go on working, and an order that
// comes again is held. The vendor's own addresses are refused.
func (a *Admin) ForgetCustomer(ctx context.Context, actor, who string) (Forgotten, error) {
	c, err := a.findCustomer(ctx, who)
	if err != nil {
		return Forgotten{}, err
	}
	if err := a.checkForget(c.addresses()); err != nil {
		return Forgotten{}, err
	}
	loose, told, err := a.forgetMessages(ctx, actor, c) // by the address alone, so that a second run finds them too
	if err != nil {
		return Forgotten{}, err
	}
	if len(c.orders)+loose+told == 0 {
		return Forgotten{}, noCustomer(who)
	}
	for _, o := range c.orders {
		if err := a.db.ForgetCustomer(ctx, o.ID, actor); err != nil {
			return Forgotten{}, err
		}
	}
	return Forgotten{len(c.orders), loose, a.mailboxCopies()}, nil
}

// Forgettable is what ForgetCustomer would erase.
func (a *Admin) Forgettable(ctx context.Context, who string) (Forgotten, error) {
	c, err := a.findCustomer(ctx, who)
	if err != nil {
		return Forgotten{}, err
	}
	if err := a.checkForget(c.addresses()); err != nil {
		return Forgotten{}, err
	}
	out := Forgotten{Orders: len(c.orders), Copies: a.mailboxCopies()}
	if addresses := c.addresses(); len(addresses) > 0 {
		named := naming(addresses)
		theirs := func(m store.Message) bool { return named(m.Raw) && !a.ofAnother(m, named) }
		messages, err := a.db.MessagesNaming(ctx, theirs)
		if err != nil {
			return Forgotten{}, err
		}
		out.Messages = len(messages)
	}
	if out.Orders+out.Messages == 0 && !strings.Contains(who, "@") { // of an address mails may be noted that are not kept
		return out, noCustomer(who)
	}
	return out, nil
}

// forgetMessages empties what made no order and names the customer, and what was
// noted of mails; it tells how many of each.
func (a *Admin) forgetMessages(ctx context.Context, actor string, c customer) (loose, told int, err error) {
	addresses := c.addresses()
	if len(addresses) == 0 {
		return 0, 0, nil
	}
	named := naming(addresses)
	theirs := func(m store.Message) bool { return named(m.Raw) && !a.ofAnother(m, named) }
	if loose, err = a.db.ForgetRefused(ctx, theirs, actor); err != nil {
		return loose, 0, err
	}
	told, err = a.db.ForgetTold(ctx, named, actor)
	return loose, told, err
}

// checkForget refuses to forget the vendor: each mail of a store names one of the
// vendor's own addresses.
func (c Config) checkForget(addresses []string) error {
	own := []string{}
	for _, ch := range c.Channels {
		own = append(own, ch.TestTo)
		if mails, ok := ch.Settings.(*intake.Settings); ok {
			own = append(own, mails.Own()...)
		}
	}
	if c.Catalog.Mail {
		own = append(own, c.Mail.From.Address, c.Mail.Vendor.Address)
	}
	for _, address := range addresses {
		if slices.ContainsFunc(own, func(s string) bool { return strings.EqualFold(s, address) }) {
			return invalid("%s is one of your own addresses in the config: it appears in the mails of all buyers", address)
		}
	}
	return nil
}

// ofAnother tells of a mail that waits for a person whether it is another buyer's,
// who named the customer in a comment, say: to drop it would lose a sale.
func (a *Admin) ofAnother(m store.Message, named func(raw []byte) bool) bool {
	ch, ok := a.channel(m.Channel)
	if !ok || m.Verdict != store.VerdictHeld {
		return false
	}
	mails, ok := ch.Settings.(*intake.Settings)
	if !ok {
		return false
	}
	return mails.Recognise(m.Raw).OfAnother(named)
}

// mailboxCopies names where the mails themselves lie.
func (c Config) mailboxCopies() string {
	var list []string
	for _, ch := range c.Channels {
		if mails, ok := ch.Settings.(*intake.Settings); ok {
			list = append(list, fmt.Sprintf("the mails in the mailbox of %s (%s)", mails.User, strings.Join(mails.Folders(), ", ")))
		}
	}
	return strings.Join(list, ", ")
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
