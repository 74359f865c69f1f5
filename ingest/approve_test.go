package ingest

import (
	"errors"
	"slices"
	"testing"

	"github.com/keypost/keypost/store"
)

func TestHeldOrders(t *testing.T) {
	d := newDesk(t, config())
	unknown := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "Other_Name" }))
	if unknown.Reason != HeldUnknownProduct || unknown.Product != "" {
		t.Errorf("unknown product = %+v", unknown)
	}
	many := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 251 }))
	if many.Reason != HeldQuantity || many.Product != "demo" {
		t.Errorf("251 copies = %+v", many)
	}
	if _, err := d.Approve(t.Context(), unknown.ID, "", "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("approve an unknown product: %v", err)
	}
	if _, err := d.Approve(t.Context(), unknown.ID, "nonsense", "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("approve for a product that is not: %v", err)
	}
	if o, err := d.Approve(t.Context(), unknown.ID, "demo", "test"); err != nil || o.Product != "demo" || o.Limit != 3 || len(o.Licenses) != 1 {
		t.Errorf("approve for a product = %+v, %v", o, err)
	}
	issued, err := d.Approve(t.Context(), many.ID, "", "test")
	if err != nil || len(issued.Licenses) != 251 {
		t.Errorf("approve 251 = %d codes, %v", len(issued.Licenses), err)
	}
	again, err := d.Approve(t.Context(), many.ID, "", "test")
	if err != nil || !slices.Equal(codes(again), codes(issued)) {
		t.Errorf("approve again: %v", err)
	}
	if _, err := d.Approve(t.Context(), store.NewID(), "", "test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("approve nothing: %v", err)
	}
	if _, err := d.Approve(t.Context(), many.ID, "nonsense", "test"); !errors.Is(err, ErrIssued) {
		t.Errorf("approve again for another product: %v", err)
	}
	// A product that has left the config is no reason to change the order.
	gone := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = "GONE", 251 }))
	d.Configure(Catalog{})
	if o, err := d.Approve(t.Context(), gone.ID, "", "test"); !errors.Is(err, ErrNoProduct) || o.Reason != HeldQuantity {
		t.Errorf("approve without the product: %+v, %v", o, err)
	}
	d.Configure(config())
	// An alias that was added meanwhile is enough.
	other := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct = "Third_Name" }))
	c := config()
	c.Products[0].Aliases = append(c.Products[0].Aliases, "third_name")
	d.Configure(c)
	if o, err := d.Approve(t.Context(), other.ID, "", "test"); err != nil || o.Product != "demo" {
		t.Errorf("approve by a new alias = %+v, %v", o, err)
	}
}

func TestApproveRejectedAndRefunded(t *testing.T) {
	d := newDesk(t, config())
	held := func(txn string) store.Order {
		return mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = txn, 251 }))
	}
	rejected := held("T1")
	if err := d.db.RejectOrder(t.Context(), rejected.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if o := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Quantity = "T1", 251 })); o.Status != store.Rejected || o.Prose != "Wait." {
		t.Errorf("a rejected order's duplicate = %+v", o)
	}
	if o, err := d.Approve(t.Context(), rejected.ID, "", "test"); err != nil || o.Status != store.Issued {
		t.Errorf("approve after all = %+v, %v", o, err)
	}
	refunded := held("T2")
	if _, err := d.db.RefundOrder(t.Context(), refunded.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Approve(t.Context(), refunded.ID, "", "test"); !errors.Is(err, ErrRefunded) {
		t.Errorf("approve a refunded order: %v", err)
	}
}

func TestReplace(t *testing.T) {
	d := newDesk(t, config())
	o := mustAccept(t, d, claim())
	l, err := d.Replace(t.Context(), o.Licenses[0], "test")
	if err != nil || l.Code == o.Licenses[0].Code {
		t.Fatalf("replace = %+v, %v", l, err)
	}
	if again := mustAccept(t, d, claim()); !slices.Equal(codes(again), []string{l.Code}) {
		t.Errorf("the duplicate gets %v, want %s", codes(again), l.Code)
	}
	if _, err := d.Replace(t.Context(), o.Licenses[0], "test"); !errors.Is(err, store.ErrStale) {
		t.Errorf("replace twice: %v", err)
	}
	d.Configure(Catalog{})
	if _, err := d.Replace(t.Context(), l, "test"); !errors.Is(err, ErrNoProduct) {
		t.Errorf("replace without the product: %v", err)
	}
}
