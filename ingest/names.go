package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// The names of an order are the keys by which its deliveries find it: each key is
// unique in the store, and whoever inserts it owns the order. How a delivery
// differs from the order that it finds is in difference.go.
//
// A sale may come twice, by a post and by a notification mail, in either order.
// The two have the transaction id in common only where the mail has one; else the
// number that the store gave the mail (Kagi: ACG:SQNM, and the line SQNM-"blurb"
// #### that a blurb ends in). To miss that two are one issues twice, and to take
// two for one loses an order, so ambiguous matches are held as a conflict.

// Fold is the one form of a store's id: trimmed, in lower case. Kagi's digest
// folds case (KRPS 2.0, "How to calculate the encrypted password", step 2), and
// what a digest folds must be folded here, or one authentic post could pass for
// two. No store gives out ids that differ in case alone, so one rule serves all.
// What is beyond ASCII stays as it is, as bytes: ids that differ must not become
// one.
func Fold(id string) string {
	b := []byte(strings.TrimSpace(id))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// FoldProduct is the one form of a product's name across post and mail: stores
// write an underscore for a space in one of them.
func FoldProduct(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(Fold(s), "_", " ")), " ")
}

// key hashes fields, each behind its length, so that no two lists of fields
// run together.
func key(fields ...string) (k store.Key) {
	h := sha256.New()
	for _, f := range fields {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		h.Write(n[:])
		h.Write([]byte(f))
	}
	h.Sum(k[:0])
	return k
}

// saleFields are what names an order: the sale, the product and, where the store has
// one, the line. Seeds are no part of it, since a digest may not cover them.
func saleFields(o Order) []string {
	return withCopy(o, "sale", o.Store, mode(o), Fold(o.Transaction), Fold(o.StoreProduct), Fold(o.StoreLine))
}

// withCopy tells apart the copies of an order that come one by one.
func withCopy(o Order, fields ...string) []string {
	if o.Copy > 0 {
		fields = append(fields, "copy", strconv.Itoa(o.Copy))
	}
	return fields
}

func mode(o Order) string {
	if o.Test {
		return "test"
	}
	return "live"
}

// keys are an order's keys; the first is its sale key. It claims its other names
// for live and for test alike: a digest's message does not cover the test flag, so
// a post whose flag was changed must meet the order. Older orders hold the key of
// their own mode alone, which meets it too.
func keys(o Order) []store.Key {
	list := []store.Key{key(saleFields(o)...)}
	for _, name := range o.Also {
		for _, mode := range []string{"live", "test"} {
			list = append(list, key(withCopy(o, "also", o.Store, mode, name)...))
		}
	}
	return list
}

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

// A nameSet is what an order is known by. A delivery that has one of its sure keys
// is the same order, or differs from it. An order may share the loose ones with
// other lines of the same sale, or with a sale 10,000 later.
type nameSet struct {
	sure, loose []store.Key
}

func (n nameSet) all() []store.Key { return append(slices.Clone(n.sure), n.loose...) }

// meets reports whether an order may come by a post and by a mail.
func meets(o Order) bool { return o.ByMail || len(o.Sequences) > 0 }

// names are an order's keys, with loose ones only where it may come by a post and
// by a mail. certain: it is known whether it is a test.
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

// another reports whether an order that has a loose name of o is certainly another
// one: both were posted, and posts are told apart by their sale keys; or it is one
// of the other lines of o's own mail; or both are mails of one channel with
// different transaction ids.
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
