package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/keypost/keypost/store"
)

// folds says how a store writes one id in several ways. What a store's digest
// folds must be folded alike, or one authentic delivery could pass for two.
// A store that is not here tells upper from lower case.
var folds = map[string]func(string) string{
	"kagi": lowerASCII, // KRPS 2.0, "How to calculate the encrypted password", step 2
	Manual: lowerASCII,
}

// Fold is the one form of a store's id.
func Fold(storeName, id string) string {
	id = strings.TrimSpace(id)
	if fold, ok := folds[storeName]; ok {
		id = fold(id)
	}
	return id
}

// lowerASCII leaves what is beyond ASCII alone, as bytes: two ids that differ
// must never become one.
func lowerASCII(s string) string {
	b := []byte(s)
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
	mode := "live"
	if o.Test {
		mode = "test"
	}
	return []string{"sale", o.Store, mode, Fold(o.Store, o.Transaction), Fold(o.Store, o.StoreProduct), Fold(o.Store, o.StoreLine)}
}

// keys are an order's keys; the first one is its sale key.
func keys(o Order) []store.Key { return []store.Key{key(identity(o)...)} }

// difference tells why o is not simply a repeat of an order that has its key:
// "" when it is one. What a channel does not know is not compared.
func difference(have store.Order, o Order) (reason string) {
	switch {
	case have.Quantity != o.Quantity,
		have.LicenseType != "" && o.LicenseType != "" && Fold(o.Store, have.LicenseType) != Fold(o.Store, text(o.LicenseType, maxText)),
		have.Price != "" && o.Price != "" && have.Price != o.Price:
		return HeldConflict
	case have.Seeds != nil && o.Seeds != nil && !slices.Equal(have.Seeds, o.Seeds):
		return HeldLateLine
	}
	return ""
}

// differenceKey is the key of a delivery that differs from the order whose
// sale key it has: its own repeats are its duplicates.
func differenceKey(o Order, reason string) store.Key {
	fields := append(identity(o), reason)
	if reason == HeldLateLine {
		return key(append(fields, o.Seeds...)...)
	}
	return key(append(fields, strconv.Itoa(o.Quantity), Fold(o.Store, o.LicenseType), o.Price)...)
}
