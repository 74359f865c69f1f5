package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Bounds on how many codes are issued by hand.
const (
	MaxCodes = channel.MaxQuantity // of one order
	MaxBatch = 100_000             // of a batch; more are more batches
)

// An Issue is what is to be issued by hand: an order of the store "manual".
type Issue struct {
	Product     string // "": the only one there is
	Name, Email string
	Quantity    int
	Seeds       []string // what a code is made of beside the name: NAME=VALUE
	Type        string
	Language    string     // of the mail with the codes: de, pt-BR; "": the default
	ExpiresAt   *time.Time // nil: never
	Test        bool
	Transaction *string // a name of the caller's own: the same one again returns the same codes; nil: a new one
}

// An Issued is what came of it.
type IssuedOrder struct {
	Order  Order
	Before bool     // the order was there before: its name, e-mail and end stay as they were
	Notes  []string // sentences that the caller should see
}

// check completes the issue.
func (i *Issue) check(c Config, most int) (notes []string, err error) {
	switch {
	case i.Quantity < 1 || i.Quantity > most:
		return nil, invalid("the quantity must be 1 to %d", most)
	case i.Transaction != nil && (strings.TrimSpace(*i.Transaction) == "" || len(*i.Transaction) > 255):
		return nil, invalid("--transaction must have 1-255 bytes, and not only spaces")
	case strings.TrimSpace(i.Type) == "":
		return nil, invalid("--type is empty")
	}
	i.Name, i.Email = strings.TrimSpace(i.Name), strings.TrimSpace(i.Email)
	if err := CheckPerson(i.Name, i.Email); err != nil {
		return nil, err
	}
	if err := checkLanguage(i.Language); err != nil {
		return nil, err
	}
	if i.Product == "" && len(c.Products) == 1 {
		i.Product = c.Products[0].ID
	}
	if i.Product == "" {
		return nil, invalid("name the product")
	}
	p, err := c.product(i.Product)
	if err != nil {
		return nil, err
	}
	if note := p.strangeType(i.Type); note != "" {
		notes = append(notes, note)
	}
	if i.Transaction == nil {
		id := store.NewID()
		i.Transaction = &id
	}
	if i.ExpiresAt != nil && i.ExpiresAt.Before(time.Now()) {
		notes = append(notes, "--expires is in the past. These codes will not activate.")
	}
	return notes, nil
}

// strangeType says of a license type that a product has no limit for which one
// counts instead; "" for one that it knows. A typo would otherwise show only
// when the buyer's machines are refused.
func (p Product) strangeType(licenseType string) string {
	_, known := p.Limits[ingest.Fold(licenseType)]
	if known || ingest.Fold(licenseType) == "single" || len(p.Gives) > 0 {
		return ""
	}
	limit := "no limit"
	if n := p.LimitOf(licenseType); n > 0 {
		limit = "the limit of " + count(n, "machine")
	}
	return fmt.Sprintf("The product %s has no limit for the license type %q, so %s applies.", p.ID, licenseType, limit)
}

func (i Issue) order(actor string) ingest.Order {
	return ingest.Order{
		Channel: ingest.Manual, Store: ingest.Manual, Transaction: *i.Transaction, StoreProduct: i.Product, LicenseType: i.Type,
		Name: i.Name, Email: i.Email, Seeds: i.Seeds, Quantity: i.Quantity, Language: i.Language, ExpiresAt: i.ExpiresAt, Test: i.Test,
		Message: store.Message{Channel: ingest.Manual}, Actor: actor,
	}
}

// IssueCodes issues codes by hand.
func (a *Admin) IssueCodes(ctx context.Context, actor string, i Issue) (IssuedOrder, error) {
	notes, err := i.check(a.Config, MaxCodes)
	if err != nil {
		return IssuedOrder{}, err
	}
	o, err := a.desk.Accept(ctx, i.order(actor))
	if err != nil {
		return IssuedOrder{Notes: notes}, err
	}
	before := o.Name != i.Name || o.Email != i.Email || !sameTime(o.ExpiresAt, i.ExpiresAt)
	return IssuedOrder{newOrder(o), before, notes}, nil
}

func sameTime(a, b *time.Time) bool {
	return a == b || a != nil && b != nil && a.Equal(*b)
}

// A Batch is codes of one transaction, for stores that take lists.
type Batch struct {
	Order OrderRef // its line is 0: it has many
	Codes int
}

// IssueBatch issues codes by orders of 250, the lines of one transaction, and
// hands each to write. The same call again gives the same codes, also after it
// was broken off. begun is told the transaction and what the caller should see
// before anything is done.
func (a *Admin) IssueBatch(ctx context.Context, actor string, i Issue, begun func(transaction string, notes []string), write func(code string) error, p Progress) (Batch, error) {
	notes, err := i.check(a.Config, MaxBatch)
	if err != nil {
		return Batch{}, err
	}
	claim := i.order(actor)
	if err := a.sameBatch(ctx, claim, i.Quantity); err != nil {
		return Batch{}, err
	}
	if err := a.tryFirst(ctx, claim); err != nil {
		return Batch{}, err
	}
	begun(claim.Transaction, notes)
	for done := 0; done < i.Quantity; done += claim.Quantity {
		claim.StoreLine, claim.Quantity = strconv.Itoa(done/MaxCodes+1), min(MaxCodes, i.Quantity-done)
		o, err := a.desk.Accept(ctx, claim)
		if err != nil {
			return Batch{}, fmt.Errorf("%w (after %d codes: run it again with --transaction %s)", err, done, claim.Transaction)
		}
		if o.Status != store.Issued {
			return Batch{}, fail(State, fmt.Sprintf("fix this, approve the order ({order approve %[1]s %[2]s %[3]d}), and run this again with --transaction %[2]s", o.Store, o.Transaction, o.Line),
				"order %s %s %d is %s (%s)", o.Store, o.Transaction, o.Line, o.Status, o.Reason)
		}
		for _, l := range o.Licenses {
			if strings.ContainsAny(l.Code, "\r\n") {
				return Batch{}, fail(State, "", "a code has several lines, so it cannot be written to a list")
			}
			if err := write(l.Code); err != nil {
				return Batch{}, err
			}
		}
		p("", int64(done+claim.Quantity), int64(i.Quantity))
	}
	return Batch{OrderRef{claim.Store, claim.Transaction, 0}, i.Quantity}, nil
}

// sameBatch: a transaction that is there already must be this batch, whole or
// broken off: its orders are of 250, but for the last of a whole one.
func (a *Admin) sameBatch(ctx context.Context, claim ingest.Order, quantity int) error {
	orders, err := a.db.Orders(ctx, store.OrderFilter{Store: claim.Store, Fold: ingest.Fold(claim.Transaction)})
	if err != nil {
		return err
	}
	have, whole := 0, true
	for _, o := range orders {
		have += o.Quantity
		whole = whole && o.Quantity == MaxCodes
	}
	if have > quantity || have < quantity && !whole {
		return fail(State, "ask for the same number to get them again, or use another transaction id", "the transaction %s already has %d codes", claim.Transaction, have)
	}
	return nil
}

// tryFirst finds out whether a batch's codes can be computed: else each order of
// it would be held.
func (a *Admin) tryFirst(ctx context.Context, claim ingest.Order) error {
	p, err := a.product(claim.StoreProduct)
	if err != nil || p.Codes.Compute == nil {
		return err
	}
	first := store.Order{
		ID: "check", Transaction: claim.Transaction, CreatedAt: a.now(), Product: p.ID, LicenseType: claim.LicenseType, Name: claim.Name, Email: claim.Email,
		Seeds: claim.Seeds, Quantity: min(MaxCodes, claim.Quantity), ExpiresAt: claim.ExpiresAt, Test: claim.Test,
	}
	if _, err := a.Catalog.Try(ctx, first); errors.Is(err, keygen.ErrRequest) {
		return err
	}
	return nil
}

// A Trial is a code that was not issued.
type Trial struct {
	Product string     `json:"product"`
	Code    string     `json:"code"`
	File    *TrialFile `json:"file,omitempty"` // that would go with it
}

// A TrialFile is a file as text.
type TrialFile struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
}

// Trials are codes that were not issued.
type Trials struct {
	Codes  []Trial
	Notes  []string // sentences that the caller should see
	Secret bool     // software that checks offline takes them
}

// TryGenerator shows what would be issued; nothing is. It opens the database for
// a pool's next codes alone.
func TryGenerator(ctx context.Context, c Config, product string, i Issue, oemSeed string) (t Trials, err error) {
	if i.Quantity < 1 || i.Quantity > MaxCodes {
		return t, invalid("--quantity must be 1 to %d", MaxCodes)
	}
	p, err := c.product(product)
	if err != nil {
		return t, err
	}
	if note := p.strangeType(i.Type); note != "" {
		t.Notes = append(t.Notes, note)
	}
	order := store.Order{
		ID: "check-" + store.NewID(), Transaction: "check", CreatedAt: time.Now(), Product: p.ID, LicenseType: i.Type, Name: i.Name, Email: i.Email,
		Seeds: i.Seeds, OEMSeed: oemSeed, Quantity: i.Quantity, ExpiresAt: i.ExpiresAt,
	}
	made, err := c.Catalog.Try(ctx, order)
	if errors.Is(err, fs.ErrNotExist) {
		return t, &Error{Unavailable, err.Error(), "create it with {init} or {db create}", err}
	}
	if err != nil {
		return t, err
	}
	if t.Codes, err = c.trials(ctx, p.ID, made); err != nil {
		return t, err
	}
	for n, code := range t.Codes {
		f, err := c.Catalog.File(order, store.License{Product: code.Product, Code: code.Code, Status: store.Active, ExpiresAt: i.ExpiresAt})
		switch {
		case err == nil:
			t.Codes[n].File = &TrialFile{f.Name, f.Type, string(f.Content)}
		case !errors.Is(err, ingest.ErrNoFile):
			return t, err
		}
		part, _ := c.product(code.Product)
		t.Secret = t.Secret || part.offline() || t.Codes[n].File != nil
	}
	return t, nil
}

// trials puts a pool's next codes in their places.
func (c Config) trials(ctx context.Context, product string, made []store.NewLicense) ([]Trial, error) {
	list := []Trial{}
	next := map[string][]string{}
	for _, m := range made {
		t := Trial{Product: product, Code: m.Code}
		if m.Part != nil {
			t.Product = m.Part.Product
		}
		if m.Pool != "" {
			if next[m.Pool] == nil {
				a, err := Open(ctx, c)
				if err != nil {
					return nil, err
				}
				next[m.Pool], err = a.db.NextPoolCodes(ctx, m.Pool, t.Product, len(made))
				a.Close()
				if err != nil {
					return nil, err
				}
			}
			if len(next[m.Pool]) == 0 {
				return nil, fmt.Errorf("pool %s: %w", m.Pool, store.ErrPoolEmpty)
			}
			t.Code, next[m.Pool] = next[m.Pool][0], next[m.Pool][1:]
		}
		list = append(list, t)
	}
	return list, nil
}
