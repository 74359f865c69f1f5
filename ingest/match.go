package ingest

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// A sale may be told of twice, by a post and by a notification mail, in either
// order. The two have the transaction id in common only where the mail has one;
// else the number that the store gave the mail (Kagi: ACG:SQNM, and the line
// SQNM-"blurb" #### that a blurb ends in). To miss that two are one issues
// twice, and to take two for one loses an order, so whatever is in doubt is held
// as a conflict.

// A Sequence is a store's running number under a name (Kagi: a blurb's). It
// begins again after 9999, so it names a sale only with its time.
type Sequence struct {
	Name   string
	Number int
	Date   time.Time // when the store processed the sale, or wrote the mail
}

// rollOver is how long a bucket of time is. An order claims its own bucket and
// both neighbours, so that deliveries of one sale meet if their dates are less
// than two buckets apart (a lost mail that the store sends again, say), and
// never if they are three or more: a store would have to make 10,000 sales under
// one name in that time to come back to the number. If it does, the buyers
// differ, and the later order is held.
const rollOver = 30 * 24 * time.Hour

// bucket 0 begins in 1970.
func (s Sequence) bucket() int64 { return s.Date.Unix() / int64(rollOver/time.Second) }

// unnamed begins the made-up transaction of a sale that came by a mail without
// one. Stores' ids have no quotation marks in them.
const unnamed = `SQNM-"`

// Transaction is what a sale is called that has no other name than its number.
func (s Sequence) Transaction() string {
	b := append([]byte(unnamed), s.Name...)
	b = append(b, `" `...)
	if n := strconv.Itoa(s.Number); len(n) < 4 {
		b = append(b, "0000"[len(n):]...)
	}
	b = strconv.AppendInt(b, int64(s.Number), 10)
	b = append(b, ' ')
	return string(s.Date.UTC().AppendFormat(b, time.DateOnly))
}

// transactionOf is a sale's transaction, "" where it is made up.
func transactionOf(transaction string) string {
	if strings.HasPrefix(Fold(transaction), Fold(unnamed)) {
		return ""
	}
	return transaction
}

// FoldProduct is the one form of a product's name across post and mail: stores
// write an underscore for a space in one of them.
func FoldProduct(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(Fold(s), "_", " ")), " ")
}

// A nameSet is what an order is known by: a delivery that has one of its sure
// keys is the same order, or differs from it. The loose ones it may share with
// other lines of the same sale, or with a sale 10,000 later.
type nameSet struct {
	sure, loose []store.Key
}

func (n nameSet) all() []store.Key { return append(slices.Clone(n.sure), n.loose...) }

// meets tells whether an order may come by a post and by a mail.
func meets(o Order) bool { return o.ByMail || len(o.Sequences) > 0 }

// names are an order's keys; loose ones only where it may come by a post and by
// a mail. certain: it is known whether it is a test.
func names(o Order, certain bool) (n nameSet) {
	n.sure = keys(o)
	if !meets(o) || o.ByMail && nameless(o) {
		return n
	}
	if o.ByMail {
		n.sure = mailKeys(o, certain)
	}
	var own, shared []store.Key
	for _, s := range o.Sequences {
		for _, near := range []int64{0, -1, 1} {
			at := strconv.FormatInt(s.bucket()+near, 10)
			// No live or test in it: a mail does not say which it is.
			own = append(own, key("sequence", o.Store, Fold(s.Name), strconv.Itoa(s.Number), at, FoldProduct(o.StoreProduct)))
			shared = append(shared, sharedKey(o.Store, s, near))
		}
	}
	if t := transactionOf(o.Transaction); t != "" {
		shared = append(shared, key("sale of a mail", o.Store, Fold(t)))
		n.loose = append(own, shared...)
		return n
	}
	n.sure = append(n.sure, own...)
	n.loose = shared
	return n
}

// sharedKey is a number's key for all lines of its sale; near is 0 for its own
// bucket of time, -1 and 1 for the neighbours.
func sharedKey(storeName string, s Sequence, near int64) store.Key {
	return key("sequence", storeName, Fold(s.Name), strconv.Itoa(s.Number), strconv.FormatInt(s.bucket()+near, 10))
}

// nameless is a mail that names its sale in no way.
func nameless(o Order) bool { return transactionOf(o.Transaction) == "" && len(o.Sequences) == 0 }

// mailKeys are the sale keys that a post of a mail's order could have: the mail
// does not say whether it is a test, and may write the product with spaces.
func mailKeys(o Order, certain bool) (list []store.Key) {
	if transactionOf(o.Transaction) == "" {
		return nil
	}
	product := FoldProduct(o.StoreProduct)
	forms := []string{Fold(o.StoreProduct), product, strings.ReplaceAll(product, " ", "_")}
	modes := []bool{o.Test, !o.Test}
	if certain {
		modes = modes[:1]
	}
	for _, test := range modes {
		for i, form := range forms {
			if !slices.Contains(forms[:i], form) {
				o.Test, o.StoreProduct = test, form
				list = append(list, keys(o)...)
			}
		}
	}
	return list
}

// addNamed adds an order under all of its names, or finds the one that has one
// of them.
func (d *Desk) addNamed(ctx context.Context, c *Catalog, o Order, p Product, reason string) (n *store.NewOrder, got store.Order, added bool, err error) {
	names := names(o, false)
	for {
		n = d.draft(c, o, p)
		n.Keys = names.all()
		got, added, err = d.add(ctx, c, n, p, reason)
		if err != nil || added || len(names.loose) == 0 {
			return n, got, added, err
		}
		theirs, err := d.owned(ctx, names, got)
		if err != nil || theirs.sure || !c.another(got, o) {
			return n, got, false, err
		}
		names.loose = theirs.rest
	}
}

// owned tells which of the names are an order's.
type owned struct {
	sure bool        // one of the sure ones is
	rest []store.Key // the loose ones that are not
}

func (d *Desk) owned(ctx context.Context, n nameSet, got store.Order) (out owned, err error) {
	for _, k := range n.sure {
		has, err := d.owns(ctx, got, k)
		if err != nil {
			return out, err
		}
		out.sure = out.sure || has
	}
	for _, k := range n.loose {
		has, err := d.owns(ctx, got, k)
		if err != nil {
			return out, err
		}
		if !has {
			out.rest = append(out.rest, k)
		}
	}
	return out, nil
}

func (d *Desk) owns(ctx context.Context, got store.Order, k store.Key) (bool, error) {
	o, err := d.db.OrderByKey(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return o.ID == got.ID, err
}

// another tells whether an order that has a loose name of o is for certain
// another one: both were posted, and posts are told apart by their sale keys; or
// it is one of the other lines of o's own mail; or both are mails of one channel
// with transaction ids that differ.
func (c *Catalog) another(have store.Order, o Order) bool {
	channel, known := c.Channels[have.Channel]
	if known && !channel.ByMail && !o.ByMail {
		return true
	}
	if o.ByMail && FoldProduct(have.StoreProduct) != FoldProduct(o.StoreProduct) &&
		slices.ContainsFunc(o.Beside, func(p string) bool { return FoldProduct(p) == FoldProduct(have.StoreProduct) }) {
		return true
	}
	mine, theirs := transactionOf(o.Transaction), transactionOf(have.Transaction)
	return o.ByMail && known && have.Channel == o.Channel && mine != "" && theirs != "" && !same(theirs, mine)
}

// mailDiffers compares what names the order and whose it is, where one side is a
// mail.
func (c *Catalog) mailDiffers(have store.Order, o Order) bool {
	mine, theirs := transactionOf(o.Transaction), transactionOf(have.Transaction)
	switch {
	case !same(theirs, mine), FoldProduct(have.StoreProduct) != FoldProduct(text(o.StoreProduct, maxText)):
		return true
	case have.Test != o.Test && (o.Test || !o.ByMail): // codes were issued for what is a test after all
		return true
	case mine != "" && theirs != "":
		return false
	case have.Email != "" && o.Email != "": // met by a number, which comes again some day
		return !same(have.Email, o.Email)
	}
	return !same(have.Name, o.Name)
}

// copies: how many there are is not compared with a mail that does not say, nor
// with the first of the copies that come one by one.
func (c *Catalog) copies(have store.Order, o Order) bool {
	return o.ByMail && (o.QuantityUnknown || c.Channels[have.Channel].Unit.Max > 1)
}

// mailPrice compares prices of one currency, as exactly as the coarser one is
// written: mails have cents.
func mailPrice(have store.Order, o Order) bool {
	a, okA := new(big.Rat).SetString(have.Price)
	b, okB := new(big.Rat).SetString(o.Price)
	if !okA || !okB || have.Currency != o.Currency {
		return have.Currency != o.Currency // the store has converted one of them
	}
	_, fracA, _ := strings.Cut(have.Price, ".")
	_, fracB, _ := strings.Cut(o.Price, ".")
	unit, _ := new(big.Rat).SetString("1e-" + strconv.Itoa(max(2, min(len(fracA), len(fracB)))))
	return a.Sub(a, b).Abs(a).Cmp(unit) < 0
}

// claimRest makes all of a delivery's names those of the order that it repeats:
// whatever comes next under one of them is that order too. An order has no more
// than maxNames of them, since nobody signs the numbers (ACG:SQNM).
func (d *Desk) claimRest(ctx context.Context, o Order, got store.Order) error {
	if !meets(o) || o.ByMail && nameless(o) {
		return d.claimAlso(ctx, o, got)
	}
	if o.ByMail {
		o.Test = got.Test
	}
	free, err := d.db.FreeKeys(ctx, names(o, true).all())
	if err != nil || len(free) == 0 {
		return err
	}
	has, err := d.db.CountKeys(ctx, got.ID)
	if err != nil || has+len(free) > maxNames {
		return errors.Join(err, d.claimAlso(ctx, o, got))
	}
	return d.db.AddKeys(ctx, got.ID, free)
}

// claimAlso gives an order that came without them, by a mail or an import, the
// other names that a post of it has: that post must not pass for another order,
// cut anew.
func (d *Desk) claimAlso(ctx context.Context, o Order, got store.Order) error {
	if len(o.Also) == 0 {
		return nil
	}
	free, err := d.db.FreeKeys(ctx, keys(o))
	if err != nil || len(free) == 0 {
		return err
	}
	return d.db.AddKeys(ctx, got.ID, free)
}
