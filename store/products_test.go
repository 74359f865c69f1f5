package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOtherProducts(t *testing.T) {
	each(t, func(t *testing.T, db, other *DB) {
		sold := func(product, txn string, codes ...string) {
			n := newOrder(txn, txn, codes...)
			n.Order.Product = product
			mustAdd(t, db, n)
		}
		sold("demo", "T1", "A-1", "A-2")
		sold("Demo", "T2", "B-1")
		sold("zebra", "T3", "C-1")
		for _, row := range []struct {
			named []string
			want  []ProductCount
		}{
			{[]string{"demo", "Demo", "zebra", "new"}, nil},
			{[]string{"Demo", "zebra", "demo2"}, []ProductCount{{"demo", 2}}},
			{nil, []ProductCount{{"Demo", 1}, {"demo", 2}, {"zebra", 1}}},
		} {
			got, err := other.OtherProducts(t.Context(), row.named)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("beside %v: %s", row.named, diff)
			}
		}
		for product, want := range map[string]bool{"demo": true, "demo ": false, "DEMO": false, "": false, "new": false} {
			if got, err := other.HasLicenses(t.Context(), product); got != want || err != nil {
				t.Errorf("HasLicenses(%q) = %v, %v", product, got, err)
			}
		}
	})
}
