package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/keypost/keypost/store"
)

const (
	redraws     = 20      // codes that turn out to be taken, before the generator is blamed
	maxText     = 256     // longest text kept of an order, in bytes
	maxLanguage = 35      // longest language tag, in bytes
	maxSeeds    = 8 << 10 // bytes of all seeds of an order
	maxAmount   = 32      // longest amount of a refund, in bytes
)

// A Desk accepts orders. Its methods may be called from several goroutines and
// several processes at once.
type Desk struct {
	db      *store.DB
	catalog atomic.Pointer[Catalog]
	now     func() time.Time
	wait    time.Duration
	step    time.Duration
	// kept bounds the messages that make no order: whoever posts nonsense
	// fills no disk.
	kept  *lru.Cache[string, *rate.Limiter]
	swept sync.Map // products that are being swept
}

// New makes a desk on a store.
func New(db *store.DB, c Catalog) *Desk {
	kept, _ := lru.New[string, *rate.Limiter](1024) // fails for sizes below 1 alone
	d := &Desk{db: db, now: time.Now, wait: waitReserved, step: waitStep, kept: kept}
	d.Configure(c)
	return d
}

// Configure replaces the catalog at once; orders in hand go on with the one
// they began with.
func (d *Desk) Configure(c Catalog) { d.catalog.Store(&c) }

// Accept takes an order in, or finds the one that it repeats, and returns it
// as it is stored: issued, held or rejected. When it is still reserved, another
// delivery or the sweeper is at work on it and the caller should be told to
// come again. An error means that nothing durable is known of it: come again
// as well.
func (d *Desk) Accept(ctx context.Context, o Order) (store.Order, error) {
	c := d.catalog.Load()
	if o.ByMail && !c.Channels[o.Channel].ByMail {
		return store.Order{}, fmt.Errorf("channel %s: its orders cannot be mails", o.Channel)
	}
	seeds, cut := bounded(o.Seeds)
	o.Seeds = seeds
	product, reason := c.Judge(o)
	if cut && reason == "" {
		reason = HeldIncomplete
	}
	draft, got, added, err := d.addNamed(ctx, c, o, product, reason)
	if err != nil {
		return store.Order{}, err
	}
	if added {
		return d.finishNew(ctx, c, draft, got)
	}
	differs := c.difference(got, o)
	if differs.reason == "" && copyByCopy(c, o, product) && c.Channels[got.Channel].ByMail { // nothing tells apart the copies that the mail stands for
		differs = difference{HeldConflict, []store.Difference{{Field: "quantity", Before: strconv.Itoa(got.Quantity), Now: "copy by copy"}}}
	}
	switch {
	case differs.reason != "":
		if got.Forgotten {
			forget(draft)
		}
		draft.Order.Differs = differs.fields
		return d.acceptDifferent(ctx, c, o, draft, product, differs.reason, got)
	case copyByCopy(c, o, product):
		if err := d.claimAlso(ctx, o, got); err != nil {
			return store.Order{}, err
		}
		return d.acceptCopy(ctx, c, o, product, reason, got)
	}
	if err := d.claimRest(ctx, o, got); err != nil {
		return store.Order{}, err
	}
	return d.repeat(ctx, draft, got)
}

// finishNew generates the codes of an order that was just added, where it has none
// yet.
func (d *Desk) finishNew(ctx context.Context, c *Catalog, n *store.NewOrder, added store.Order) (store.Order, error) {
	if added.Status == store.Reserved {
		return d.finish(ctx, c, added, n.Outcome.Reserve.Token)
	}
	return added, nil
}

// repeat answers a delivery of an order that is there.
func (d *Desk) repeat(ctx context.Context, n *store.NewOrder, got store.Order) (store.Order, error) {
	d.noteDuplicate(ctx, n.Message, got.ID)
	if got.Status == store.Reserved {
		var err error
		if got, _, err = d.await(ctx, got.ID); err != nil {
			return got, err
		}
	}
	return d.db.Confirm(ctx, got)
}

// forget leaves the buyer out of an order that repeats one whose buyer was erased.
func forget(n *store.NewOrder) {
	n.Order.Name, n.Order.Email, n.Order.Seeds, n.Order.OEMSeed, n.Order.Forgotten = "", "", nil, "", true
	n.Message.Raw = nil
}

// draft is the order as it would be stored, without an outcome.
func (d *Desk) draft(c *Catalog, o Order, p Product) *store.NewOrder {
	n := &store.NewOrder{
		Order: store.Order{
			ID: store.NewID(), Channel: o.Channel, Store: o.Store,
			Transaction: text(o.Transaction, maxText-1), Fold: strings.TrimSpace(text(Fold(o.Transaction), maxText-1)),
			StoreProduct: text(o.StoreProduct, maxText), Product: p.ID, LicenseType: text(o.LicenseType, maxText),
			Name: text(o.Name, maxText), Email: text(o.Email, maxText), Language: c.languageOf(o, p), Price: o.Price, Currency: o.Currency,
			Seeds: o.Seeds, OEMSeed: text(o.OEMSeed, maxText), Quantity: o.Quantity, Limit: p.LimitOf(o.LicenseType), ExpiresAt: o.ExpiresAt,
			Test: o.Test, EightBit: o.EightBit, StatusOnly: c.Channels[o.Channel].StatusOnly,
		},
		Keys:    keys(o),
		Message: o.Message,
		Actor:   o.Actor,
	}
	n.Message.ID, n.Message.OrderID = store.NewID(), n.Order.ID
	n.Outcome.Prose = c.heldMessage(o)
	return n
}

// add stores a draft: with its codes, or held where it must be or has none.
func (d *Desk) add(ctx context.Context, c *Catalog, n *store.NewOrder, p Product, held string) (o store.Order, added bool, err error) {
	if held == "" {
		if o, added, held, err = d.addWithCodes(ctx, c, n, p); held == "" {
			return o, added, err
		}
	}
	return d.addHeld(ctx, n, held)
}

// addHeld stores a draft that a person must judge.
func (d *Desk) addHeld(ctx context.Context, n *store.NewOrder, reason string) (o store.Order, added bool, err error) {
	n.Outcome = store.Outcome{Held: reason, Prose: n.Outcome.Prose, Notices: []store.Notice{heldNotice(n.Order)}}
	n.Message.Verdict, n.Message.Reason = store.VerdictHeld, reason
	return d.db.AddOrder(ctx, *n)
}

// addWithCodes stores a draft with its codes, or with its reservation where
// generating them leaves the process. A code that is taken is drawn again. Where
// there can be no codes nothing is stored, and held says why.
func (d *Desk) addWithCodes(ctx context.Context, c *Catalog, n *store.NewOrder, p Product) (o store.Order, added bool, held string, err error) {
	if n.Outcome.Upgrades, held, err = d.upgrades(ctx, p, n.Order.Seeds, n.Order.Quantity, n.Order.Test); held != "" || err != nil {
		return o, false, held, err
	}
	for range redraws {
		if held = d.prepare(ctx, c, n, p); held != "" {
			return o, false, held, nil
		}
		n.Message.Verdict = store.VerdictAccepted
		o, added, err = d.db.AddOrder(ctx, *n)
		if held = heldFor(err); held != "" {
			slog.Warn("no code was issued: the order will be held", "order", n.Order.ID, "product", p.ID, "reason", held, "err", err)
			return o, false, held, nil
		}
		if !errors.Is(err, store.ErrCodeTaken) {
			return o, added, "", err
		}
		if _, computed := c.fixed(p, n.Order.Test); computed {
			return o, false, HeldSameName, nil
		}
	}
	return o, false, HeldGenerator, nil
}

// prepare gives a draft its codes or, where generating them leaves the process, its
// reservation; held is why neither can be had.
func (d *Desk) prepare(ctx context.Context, c *Catalog, n *store.NewOrder, p Product) (held string) {
	if c.outside(p, n.Order.Test) {
		n.Outcome.Reserve = &store.Reservation{Token: store.NewID(), Until: d.now().Add(outsideTerm)}
		return ""
	}
	codes, err := c.orderCodes(ctx, p, n.Order)
	if err != nil {
		slog.Warn("no code made: the order will be held", "order", n.Order.ID, "product", p.ID, "err", err)
		if held := heldFor(err); held != "" {
			return held
		}
		return HeldGenerator // it would fail the next time too; the order must not be lost
	}
	n.Outcome.Codes = codes
	n.Outcome.Notices = c.Notices(n.Order)
	return ""
}

// bounded is as many seeds as an order keeps; no code is made of more.
func bounded(seeds []string) (list []string, cut bool) {
	size := 0
	for i, s := range seeds {
		if size += len(s) + 1; size > maxSeeds {
			return seeds[:i], true
		}
	}
	return seeds, false
}

var languageShape = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$`)

// languageOf is the language of mails about an order: the buyer's where it is
// known, else the channel's, else the product's.
func (c *Catalog) languageOf(o Order, p Product) string {
	return cmp.Or(language(o.Language), c.Channels[o.Channel].Language, p.Language)
}

// IsLanguage tells whether a text is a language's tag (RFC 5646), such as de or
// pt-BR.
func IsLanguage(tag string) bool { return tag != "" && language(tag) == tag }

// language is a language's tag (RFC 5646), or "" for anything else.
func language(tag string) string {
	tag = strings.ReplaceAll(strings.TrimSpace(tag), "_", "-")
	if len(tag) > maxLanguage || !languageShape.MatchString(tag) {
		return ""
	}
	return tag
}

// text makes v valid UTF-8 of at most n bytes.
func text(v string, n int) string {
	v = strings.ToValidUTF8(v, "?")
	for len(v) > n {
		_, size := utf8.DecodeLastRuneInString(v)
		v = v[:len(v)-size]
	}
	return v
}
