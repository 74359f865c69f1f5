package ingest

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/store"
)

// A difference is how a delivery differs from the order whose key it has.
type difference struct {
	reason string             // why it is held: HeldConflict or HeldLateLine; "": it is a repeat
	fields []store.Difference // what differs; none where reason is ""
}

// difference compares a delivery with an order that has its key. What a channel
// does not know is not compared.
func (c *Catalog) difference(have store.Order, o Order) (d difference) {
	if have.Forgotten { // it cannot be compared, and its codes are nobody's to hand out
		return difference{HeldConflict, []store.Difference{{Field: "buyer", Before: "forgotten"}}}
	}
	mail := o.ByMail || c.Channels[have.Channel].ByMail
	d.sale(have, o, mail)
	if mail {
		d.buyer(have, o)
	}
	if have.Quantity != o.Quantity && !c.copies(have, o) {
		d.add("quantity", strconv.Itoa(have.Quantity), strconv.Itoa(o.Quantity))
	}
	if !same(have.LicenseType, o.LicenseType) {
		d.add("license_type", have.LicenseType, o.LicenseType)
	}
	if have.Price != "" && o.Price != "" && have.Price != o.Price && !(mail && mailPrice(have, o)) {
		d.add("price", have.Price+" "+have.Currency, o.Price+" "+o.Currency)
	}
	if len(d.fields) > 0 {
		d.reason = HeldConflict
		return d
	}
	if !mail && have.Seeds != nil && o.Seeds != nil && !slices.Equal(have.Seeds, o.Seeds) { // a mail may write them differently
		d.add("seeds", strings.Join(have.Seeds, ", "), strings.Join(o.Seeds, ", "))
		d.reason = HeldLateLine
	}
	return d
}

func (d *difference) add(field, before, now string) {
	d.fields = append(d.fields, store.Difference{Field: field, Before: strings.TrimSpace(before), Now: strings.TrimSpace(text(now, 2*maxSeeds))})
}

// sale compares what names the order. A post has the order's sale key or, where
// these differ, another of its names.
func (d *difference) sale(have store.Order, o Order, mail bool) {
	mine, theirs := o.Transaction, have.Transaction
	product := same(have.StoreProduct, o.StoreProduct)
	test := have.Test != o.Test
	if mail {
		mine, theirs = transactionOf(mine), transactionOf(theirs)
		product = FoldProduct(have.StoreProduct) == FoldProduct(text(o.StoreProduct, maxText))
		test = test && (o.Test || !o.ByMail) // codes were issued for what is a test after all
	}
	if !same(theirs, mine) {
		d.add("transaction", theirs, mine)
	}
	if !product {
		d.add("product", have.StoreProduct, o.StoreProduct)
	}
	if test {
		d.add("test", strconv.FormatBool(have.Test), strconv.FormatBool(o.Test))
	}
}

// buyer compares whose the order is, where one side is a mail and the two met by a
// number, which comes again some day.
func (d *difference) buyer(have store.Order, o Order) {
	switch {
	case transactionOf(o.Transaction) != "" && transactionOf(have.Transaction) != "":
	case have.Email != "" && o.Email != "":
		if !same(have.Email, o.Email) {
			d.add("email", have.Email, o.Email)
		}
	case !same(have.Name, o.Name):
		d.add("name", have.Name, o.Name)
	}
}

// metByName reports whether a post does not have the sale key of the order that it
// met: it has another of its names.
func metByName(have store.Order, o Order) bool {
	var d difference
	d.sale(have, o, false)
	return len(d.fields) > 0
}

// same compares what both sides know.
func same(have, claimed string) bool {
	return have == "" || claimed == "" || Fold(have) == Fold(text(claimed, maxText))
}

// differenceKey is the key of a delivery that differs from the order whose key it
// has: its own repeats are its duplicates; one that differs from it, be it in the
// seeds alone, is not.
func differenceKey(o Order, reason string) store.Key {
	fields := append(saleFields(o), reason, strconv.Itoa(o.Quantity), Fold(o.LicenseType), o.Price)
	return key(append(fields, o.Seeds...)...)
}

// copies reports whether the quantities say nothing: a mail that does not have one,
// or that meets the first of the copies that come one by one.
func (c *Catalog) copies(have store.Order, o Order) bool {
	return o.ByMail && (o.QuantityUnknown || c.Channels[have.Channel].Unit.Max > 1)
}

// mailPrice reports whether a post's price and a mail's are one: to the digits of
// the coarser one, since mails have cents.
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
