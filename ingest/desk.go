package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

const (
	outsideTerm  = 2 * time.Minute        // a reservation whose process died is taken over after this
	computeTerm  = 5 * time.Second        // the same, where nothing leaves the process (an approval)
	reserveTries = 5                      // then the order is held
	redraws      = 20                     // codes that turn out to be taken, before the generator is blamed
	waitReserved = 5 * time.Second        // how long a second delivery waits for the first
	waitStep     = 100 * time.Millisecond // between two looks at it
	maxText      = 256                    // longest text kept of an order, in bytes
)

// A Desk accepts orders. Its methods may be called from several goroutines and
// several processes at once.
type Desk struct {
	db     *store.DB
	config atomic.Pointer[Config]
	now    func() time.Time
	wait   time.Duration
	step   time.Duration
	// kept bounds the messages that make no order, per channel: whoever
	// posts nonsense fills no disk.
	kept *lru.Cache[string, *rate.Limiter]
}

// New makes a desk on a store.
func New(db *store.DB, c Config) *Desk {
	kept, _ := lru.New[string, *rate.Limiter](1024) // fails for sizes below 1 alone
	d := &Desk{db: db, now: time.Now, wait: waitReserved, step: waitStep, kept: kept}
	d.Configure(c)
	return d
}

// Configure replaces the config at once; orders in hand go on with the one
// they began with.
func (d *Desk) Configure(c Config) { d.config.Store(&c) }

// Accept takes an order in, or finds the one that it repeats, and returns it
// as it is stored: issued, held or rejected. When it is still reserved, another
// delivery or the sweeper is at work on it and the caller should be told to
// come again. An error means that nothing durable is known of it: come again
// as well.
func (d *Desk) Accept(ctx context.Context, o Order) (store.Order, error) {
	c := d.config.Load()
	product, reason := c.Judge(o)
	draft := d.draft(c, o, product)
	got, added, err := d.add(ctx, draft, product, reason)
	if err != nil {
		return store.Order{}, err
	}
	if !added {
		if reason := difference(got, o); reason != "" {
			draft.Keys = []store.Key{differenceKey(o, reason)}
			if got, added, err = d.add(ctx, draft, product, reason); err != nil {
				return store.Order{}, err
			}
		}
	}
	switch {
	case added && got.Status == store.Reserved:
		return d.finish(ctx, c, got, draft.Outcome.Reserve.Token)
	case added:
		return got, nil
	}
	d.noteDuplicate(ctx, draft.Message, got.ID)
	if got.Status == store.Reserved {
		return d.await(ctx, got.ID)
	}
	return got, nil
}

// draft is the order as it would be stored, without an outcome.
func (d *Desk) draft(c *Config, o Order, p Product) *store.NewOrder {
	n := &store.NewOrder{
		Order: store.Order{
			ID: store.NewID(), Channel: o.Channel, Store: o.Store,
			Transaction: text(o.Transaction, maxText-1), Fold: text(Fold(o.Store, o.Transaction), maxText-1),
			StoreProduct: text(o.StoreProduct, maxText), Product: p.ID, LicenseType: text(o.LicenseType, maxText),
			Name: text(o.Name, maxText), Email: text(o.Email, maxText), Price: o.Price, Currency: o.Currency,
			Seeds: o.Seeds, OEMSeed: text(o.OEMSeed, maxText), Quantity: o.Quantity, Limit: p.Limit, ExpiresAt: o.ExpiresAt,
			Test: o.Test, EightBit: o.EightBit,
		},
		Keys:    keys(o),
		Message: o.Message,
	}
	n.Message.ID, n.Message.OrderID = store.NewID(), n.Order.ID
	n.Outcome.Prose = c.Channels[o.Channel].HeldMessage
	if n.Outcome.Prose == "" {
		n.Outcome.Prose = DefaultHeldMessage
	}
	return n
}

// add has codes made for the draft, unless it is to be held, and stores it.
func (d *Desk) add(ctx context.Context, n *store.NewOrder, p Product, held string) (o store.Order, added bool, err error) {
	if held == "" && outside(p, n.Order.Test) != nil {
		n.Outcome.Reserve = &store.Reservation{Token: store.NewID(), Until: d.now().Add(outsideTerm)}
		n.Message.Verdict = store.VerdictAccepted
		return d.db.AddOrder(ctx, *n)
	}
	for range redraws {
		if held != "" {
			break
		}
		if n.Outcome.Codes, err = generate(ctx, compute(p, n.Order.Test), n.Order); err != nil {
			held = HeldGenerator // it would fail the next time too; the order must not be lost
			break
		}
		n.Message.Verdict = store.VerdictAccepted
		n.Outcome.Notices = d.notices(n.Order, "", n.Outcome)
		if o, added, err = d.db.AddOrder(ctx, *n); !errors.Is(err, store.ErrCodeTaken) {
			return o, added, err
		}
	}
	if held == "" {
		held = HeldGenerator
	}
	n.Outcome = store.Outcome{Held: held, Prose: n.Outcome.Prose}
	n.Outcome.Notices = d.notices(n.Order, "", n.Outcome)
	n.Message.Verdict, n.Message.Reason = store.VerdictHeld, held
	return d.db.AddOrder(ctx, *n)
}

// Test orders get codes of the random kind, whatever the product's own is:
// anyone can place one.
func compute(p Product, test bool) keygen.Generator {
	if test {
		return keygen.Random{}
	}
	return p.Codes.Compute
}

func outside(p Product, test bool) keygen.Generator {
	if test {
		return nil
	}
	return p.Codes.Outside
}

// generate has an order's codes made and checks that the generator kept its word.
func generate(ctx context.Context, g keygen.Generator, o store.Order) ([]store.NewLicense, error) {
	codes, err := g.Generate(ctx, keygen.Request{
		OrderID: o.ID, Product: o.Product, LicenseType: o.LicenseType, Name: o.Name, Email: o.Email,
		Seeds: o.Seeds, OEMSeed: o.OEMSeed, Quantity: o.Quantity,
	})
	if err != nil {
		return nil, err
	}
	if len(codes) != o.Quantity {
		return nil, fmt.Errorf("the generator made %d codes, %d were wanted", len(codes), o.Quantity)
	}
	made := make([]store.NewLicense, len(codes))
	for i, code := range codes {
		if n := utf8.RuneCountInString(code); n < 1 || n > 255 || store.NormalCode(code) == "" || !utf8.ValidString(code) {
			return nil, fmt.Errorf("the generator's code %d of %d is not 1-255 characters", i+1, len(codes))
		}
		made[i] = store.NewLicense{ID: store.NewID(), Code: code}
	}
	return made, nil
}

// notices says whom an outcome is told to by mail. A buyer gets only codes that
// no reply carried: those of an order that was held before, for the reason was.
func (d *Desk) notices(o store.Order, was string, out store.Outcome) []store.Notice {
	c := d.config.Load().Channels[o.Channel]
	switch {
	case out.Held != "":
		return []store.Notice{{ID: store.NewID(), Kind: store.NoticeHeld, Audience: store.ToVendor}}
	case len(out.Codes) > 0 && o.Email != "" && (was != "" || c.MailCodes):
		return []store.Notice{CodesNotice(o)}
	}
	return nil
}

// CodesNotice tells an order's buyer its codes; a test order's go to the
// vendor's own address.
func CodesNotice(o store.Order) store.Notice {
	n := store.Notice{ID: store.NewID(), Kind: store.NoticeCodes, Audience: store.ToBuyer}
	if o.Test {
		n.Audience = store.ToTest
	}
	return n
}

// finish has codes made for an order that the caller has reserved.
func (d *Desk) finish(ctx context.Context, c *Config, o store.Order, token string) (store.Order, error) {
	p, ok := c.byID(o.Product)
	if !ok {
		return d.db.FinishOrder(ctx, o.ID, token, d.held(o, HeldUnknownProduct))
	}
	if o.Tries > reserveTries {
		return d.db.FinishOrder(ctx, o.ID, token, d.held(o, HeldGenerator))
	}
	g := outside(p, o.Test)
	if g == nil {
		g = compute(p, o.Test)
	}
	for range redraws {
		codes, err := generate(ctx, g, o)
		if err != nil {
			return d.failed(ctx, o, token, err)
		}
		out := store.Outcome{Codes: codes, Prose: o.Prose}
		out.Notices = d.notices(o, o.Reason, out)
		done, err := d.db.FinishOrder(ctx, o.ID, token, out)
		if !errors.Is(err, store.ErrCodeTaken) {
			return done, err
		}
	}
	return d.failed(ctx, o, token, store.ErrCodeTaken)
}

func (d *Desk) held(o store.Order, reason string) store.Outcome {
	out := store.Outcome{Held: reason, Prose: o.Prose}
	out.Notices = d.notices(o, o.Reason, out)
	return out
}

// failed ends a try without codes. What a person approved is held again, for
// the person is there to read why; any other order is tried again after a
// pause that doubles.
func (d *Desk) failed(ctx context.Context, o store.Order, token string, why error) (store.Order, error) {
	slog.Warn("no code made", "order", o.ID, "product", o.Product, "try", o.Tries, "err", why)
	ctx = context.WithoutCancel(ctx) // the caller may be gone; the reservation must not stay
	if o.Reason != "" {
		done, err := d.db.FinishOrder(ctx, o.ID, token, d.held(o, HeldGenerator))
		if err == nil {
			err = fmt.Errorf("%w: %w", ErrGenerator, why)
		}
		return done, err
	}
	pause := 10 * time.Second << max(0, o.Tries-1)
	err := d.db.ReleaseOrder(ctx, o.ID, store.Reservation{Token: token, Until: d.now().Add(pause)})
	return o, err
}

// await looks after an order that another delivery has reserved: it takes over
// when the reservation has run out, and else waits for a short while.
func (d *Desk) await(ctx context.Context, id string) (store.Order, error) {
	for end := d.now().Add(d.wait); ; {
		o, err := d.db.Order(ctx, id)
		if err != nil || o.Status != store.Reserved {
			return o, err
		}
		if !o.ReservedUntil.After(d.now()) {
			o, err := d.resume(ctx, o)
			if errors.Is(err, ErrGenerator) {
				return o, nil // it is held now
			}
			if !errors.Is(err, store.ErrState) && !errors.Is(err, store.ErrStale) {
				return o, err
			}
		}
		if !d.now().Before(end) {
			return o, nil
		}
		select {
		case <-ctx.Done():
			return o, ctx.Err()
		case <-time.After(d.step):
		}
	}
}

// resume takes over an order whose reservation has run out.
func (d *Desk) resume(ctx context.Context, o store.Order) (store.Order, error) {
	return d.reserveAndFinish(ctx, o.ID, o.Product, o.Limit, "")
}

func (d *Desk) reserveAndFinish(ctx context.Context, id, product string, limit int, actor string) (store.Order, error) {
	term := computeTerm
	if p, ok := d.config.Load().byID(product); ok && p.Codes.Outside != nil {
		term = outsideTerm
	}
	r := store.Reservation{Token: store.NewID(), Until: d.now().Add(term)}
	o, err := d.db.ReserveOrder(ctx, id, product, limit, r, actor)
	if err != nil {
		return o, err
	}
	return d.finish(ctx, d.config.Load(), o, r.Token)
}

// Sweep finishes what dead processes reserved.
func (d *Desk) Sweep(ctx context.Context) error {
	ids, err := d.db.StaleOrders(ctx, 100)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, err := d.db.Order(ctx, id)
		if err != nil {
			return err
		}
		_, err = d.resume(ctx, o)
		if err != nil && !errors.Is(err, store.ErrState) && !errors.Is(err, store.ErrStale) && !errors.Is(err, ErrGenerator) {
			return fmt.Errorf("order %s: %w", id, err)
		}
	}
	return nil
}

// What [Desk.Approve] may answer.
var (
	ErrNoProduct = errors.New("no product of the config has this name")
	ErrRefunded  = errors.New("the order was refunded")
	ErrReserved  = errors.New("the order is being worked on")
	ErrGenerator = errors.New("the generator made no code")
)

// Approve issues a held or rejected order after all, for the product that its
// alias names by now or, where productID is not "", for that one. An order that
// is issued stays as it is. With ErrGenerator the order is held again.
func (d *Desk) Approve(ctx context.Context, orderID, productID, actor string) (store.Order, error) {
	o, err := d.db.Order(ctx, orderID)
	if err != nil || o.Status == store.Issued {
		return o, err
	}
	if o.Refunded {
		return o, ErrRefunded
	}
	if o.Status == store.Reserved {
		if o, err = d.await(ctx, orderID); err == nil && o.Status == store.Reserved {
			err = ErrReserved
		}
		return o, err
	}
	c := d.config.Load()
	product, limit := o.Product, o.Limit // fixed at first acceptance
	switch {
	case productID != "":
		p, ok := c.byID(productID)
		if !ok {
			return o, fmt.Errorf("%q: %w", productID, ErrNoProduct)
		}
		product, limit = p.ID, p.Limit
	case product == "":
		p, ok := c.Product(o.StoreProduct)
		if !ok {
			return o, fmt.Errorf("%q: %w", o.StoreProduct, ErrNoProduct)
		}
		product, limit = p.ID, p.Limit
	}
	o, err = d.reserveAndFinish(ctx, orderID, product, limit, actor)
	if errors.Is(err, store.ErrState) || errors.Is(err, store.ErrStale) {
		// Somebody else was faster; what they did counts.
		return d.db.Order(ctx, orderID)
	}
	return o, err
}

// Refuse keeps a message that no order was made of, with its reason.
func (d *Desk) Refuse(ctx context.Context, m store.Message) error {
	if !d.keeps(m.Channel) {
		return nil
	}
	m.ID, m.Verdict = store.NewID(), store.VerdictRefused
	m.Reason = text(m.Reason, 255)
	return d.db.AddMessage(ctx, m)
}

// noteDuplicate keeps a repeat beside its order. The answer does not depend on
// it, so its failure is none.
func (d *Desk) noteDuplicate(ctx context.Context, m store.Message, orderID string) {
	if !d.keeps(m.Channel) {
		return
	}
	m.ID, m.Verdict, m.Reason, m.OrderID = store.NewID(), store.VerdictDuplicate, "", orderID
	_ = d.db.AddMessage(ctx, m)
}

// keeps: 100 messages an hour and channel that make no order are kept.
func (d *Desk) keeps(channel string) bool {
	l, ok := d.kept.Get(channel)
	if !ok {
		l = rate.NewLimiter(rate.Every(36*time.Second), 100)
		d.kept.Add(channel, l)
	}
	return l.Allow()
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

// Replace puts a new code in the place of a leaked one; see
// [store.DB.ReplaceLicense].
func (d *Desk) Replace(ctx context.Context, l store.License, actor string) (store.License, error) {
	p, ok := d.config.Load().byID(l.Product)
	if !ok {
		return l, fmt.Errorf("%q: %w", l.Product, ErrNoProduct)
	}
	o, err := d.db.Order(ctx, l.OrderID)
	if err != nil {
		return l, err
	}
	o.Quantity = 1
	g := outside(p, l.Test)
	if g == nil {
		g = compute(p, l.Test)
	}
	for range redraws {
		made, err := generate(ctx, g, o)
		if err != nil {
			return l, fmt.Errorf("%w: %w", ErrGenerator, err)
		}
		n, err := d.db.ReplaceLicense(ctx, l.ID, made[0], actor)
		if !errors.Is(err, store.ErrCodeTaken) {
			return n, err
		}
	}
	return l, ErrGenerator
}
