package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// HasLicenses reports whether a product has any license. It is one seek in an
// index: strangers may cause it.
func (db *DB) HasLicenses(ctx context.Context, product string) (bool, error) {
	found, err := db.read.ProductOfLicenses(ctx, product)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return found == product, db.explain(err) // MySQL takes "demo " for "demo"
}

// A ProductCount is how many licenses a product has.
type ProductCount struct {
	Product  string
	Licenses int64
}

// OtherProducts lists the products that have licenses and are not among those
// named, by id. It costs one seek in an index for each product that was ever
// sold, and counts the licenses of those that it lists.
func (db *DB) OtherProducts(ctx context.Context, named []string) (list []ProductCount, err error) {
	for product := ""; ; {
		product, err = db.read.NextProduct(ctx, product)
		if errors.Is(err, sql.ErrNoRows) {
			return list, nil
		}
		if err != nil {
			return list, db.explain(err)
		}
		if slices.Contains(named, product) {
			continue
		}
		n, err := db.read.CountLicenses(ctx, product)
		if err != nil {
			return list, db.explain(err)
		}
		list = append(list, ProductCount{product, n})
	}
}
