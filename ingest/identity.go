package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/store"
)

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

// identity is what names an order: the sale, the product and, where the store
// has one, the line. Seeds are no part of it, since a digest may not cover them.
func identity(o Order) []string {
	return withCopy(o, "sale", o.Store, mode(o), Fold(o.Transaction), Fold(o.StoreProduct), Fold(o.StoreLine))
}

// withCopy tells the copies of an order apart that come one by one.
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

// keys are an order's keys; the first one is its sale key. Its other names it
// claims for live and for test alike: a digest's message does not cover the test
// flag, so a post whose flag was changed must meet the order. Orders of before
// hold the key of their own mode alone, and are met by it.
func keys(o Order) []store.Key {
	list := []store.Key{key(identity(o)...)}
	for _, name := range o.Also {
		for _, mode := range []string{"live", "test"} {
			list = append(list, key(withCopy(o, "also", o.Store, mode, name)...))
		}
	}
	return list
}

// difference tells why o is not simply a repeat of an order that has its key:
// "" when it is one. What a channel does not know is not compared.
func (c *Catalog) difference(have store.Order, o Order) (reason string) {
	if have.Forgotten { // it cannot be compared, and its codes are nobody's to hand out
		return HeldConflict
	}
	mail := o.ByMail || c.Channels[have.Channel].ByMail
	switch {
	case mail && c.mailDiffers(have, o):
		return HeldConflict
	case !mail && metByName(have, o):
		return HeldConflict
	case have.Quantity != o.Quantity && !c.copies(have, o),
		!same(have.LicenseType, o.LicenseType),
		have.Price != "" && o.Price != "" && have.Price != o.Price && !(mail && mailPrice(have, o)):
		return HeldConflict
	case !mail && have.Seeds != nil && o.Seeds != nil && !slices.Equal(have.Seeds, o.Seeds): // a mail may write them differently
		return HeldLateLine
	}
	return ""
}

// metByName tells whether a post does not have the sale key of the order that it
// met: it has another of its names.
func metByName(have store.Order, o Order) bool {
	return !same(have.Transaction, o.Transaction) || !same(have.StoreProduct, o.StoreProduct) || have.Test != o.Test
}

// same compares what both sides know.
func same(have, claimed string) bool {
	return have == "" || claimed == "" || Fold(have) == Fold(text(claimed, maxText))
}

// differenceKey is the key of a delivery that differs from the order whose
// sale key it has: its own repeats are its duplicates, and one that differs
// again, in the seeds alone too, is not.
func differenceKey(o Order, reason string) store.Key {
	fields := append(identity(o), reason, strconv.Itoa(o.Quantity), Fold(o.LicenseType), o.Price)
	return key(append(fields, o.Seeds...)...)
}
