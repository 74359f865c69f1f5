package ingest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A filing generator makes a file that says what it was asked for.
type filing struct{ keygen.Random }

func (filing) File(q keygen.Request, code string) (keygen.File, error) {
	if q.Name == "" {
		return keygen.File{}, keygen.ErrRequest
	}
	text := fmt.Sprint(q.Product, " ", q.Transaction, " ", q.Name, " ", q.Quantity, " ", q.Limit, " ", code)
	return keygen.File{Name: "Demo.app.plist", Type: "text/plain", Content: []byte(text)}, nil
}

// bundled is a product with files, one without, and a bundle of the two.
func bundled() Catalog {
	c := with(Codes{Compute: filing{}})
	c.Products = append(c.Products,
		Product{ID: "bare", Codes: Codes{Compute: keygen.Random{}}},
		Product{ID: "both", Gives: []string{"bare", "demo"}})
	return c
}

func files(t *testing.T, c Catalog, o store.Order) (list []string) {
	t.Helper()
	made, err := c.Files(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range made {
		list = append(list, f.Name+": "+string(f.Content))
	}
	return list
}

func TestFiles(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	c := bundled()
	d := New(db, c)
	o := mustAccept(t, d, claim(func(o *Order) { o.Quantity = 2 }))
	name := func(n int, suffix string) string {
		return "Demo.app" + suffix + ".plist: demo CH0123456789 Fred Fragola 1 3 " + o.Licenses[n].Code
	}
	if diff := cmp.Diff([]string{name(0, ""), name(1, "-2")}, files(t, c, o)); diff != "" {
		t.Error(diff)
	}
	// One that was replaced has none, and its successor has.
	old := o.Licenses[0]
	if _, err := d.Replace(t.Context(), old, "test"); err != nil {
		t.Fatal(err)
	}
	o, err := db.Order(t.Context(), o.ID)
	if err != nil || o.Licenses[0].Code == old.Code {
		t.Fatalf("%+v, %v", o, err)
	}
	if diff := cmp.Diff([]string{name(0, ""), name(1, "-2")}, files(t, c, o)); diff != "" {
		t.Error(diff)
	}
	old.Replaced = true
	if _, err := c.File(o, old); !errors.Is(err, ErrNoFile) {
		t.Errorf("replaced: %v", err)
	}
	for _, status := range []string{store.Suspended, store.Revoked} {
		o.Licenses[0].Status = status
		if diff := cmp.Diff([]string{name(1, "")}, files(t, c, o)); diff != "" {
			t.Errorf("%s: %s", status, diff)
		}
	}
	// A bundle's part, and products that are not there or have none.
	both := mustAccept(t, d, claim(func(o *Order) { o.StoreProduct, o.Transaction = "both", "B" }))
	if diff := cmp.Diff([]string{"Demo.app.plist: demo B Fred Fragola 1 3 " + both.Licenses[1].Code}, files(t, c, both)); diff != "" {
		t.Error(diff)
	}
	if _, err := c.File(both, both.Licenses[0]); !errors.Is(err, ErrNoFile) {
		t.Errorf("of codes alone: %v", err)
	}
	if _, err := (Catalog{}).File(both, both.Licenses[1]); !errors.Is(err, ErrNoProduct) || files(t, Catalog{}, both) != nil {
		t.Errorf("of no product: %v", err)
	}
	// A person who was erased is in no file.
	both.Name = ""
	if _, err := c.Files(both); !errors.Is(err, keygen.ErrRequest) {
		t.Errorf("without its name: %v", err)
	}
	// A stranger's test order gives no license away.
	test := mustAccept(t, d, claim(func(o *Order) { o.Transaction, o.Test = "T", true }))
	if _, err := c.File(test, test.Licenses[0]); !errors.Is(err, ErrNoFile) || files(t, c, test) != nil {
		t.Errorf("of a test order: %v", err)
	}
}

// What no reply can carry is mailed, once, though the reply had the codes.
func TestFilesAreMailed(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	d := New(db, bundled())
	for i, c := range []struct {
		what   string
		change func(*Order)
		want   []string
	}{
		{"a product with files", func(*Order) {}, []string{"codes buyer"}},
		{"no address", func(o *Order) { o.Email = "" }, []string{"codes vendor"}},
		{"a bundle", func(o *Order) { o.StoreProduct = "both" }, []string{"codes buyer"}},
		{"a product without", func(o *Order) { o.StoreProduct = "bare" }, nil},
		{"a test order", func(o *Order) { o.Test = true }, nil},
		{"by hand", func(o *Order) { o.Channel, o.Store = Manual, Manual }, nil},
		{"held", func(o *Order) { o.Quantity = 251 }, []string{"held vendor"}},
	} {
		order := claim(func(o *Order) { o.Transaction = fmt.Sprint("T", i) }, c.change)
		o := mustAccept(t, d, order)
		mustAccept(t, d, order) // a duplicate mails nothing
		rows, err := db.Notices(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range rows {
			got = append(got, n.Kind+" "+n.Audience)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}

// What a generator is told of an order is what its file is made of, whenever.
func TestFileRequest(t *testing.T) {
	db := openStore(t, newSource(t), store.Options{})
	var asked keygen.Request
	d := New(db, with(Codes{Compute: fake(func(q keygen.Request) ([]string, error) {
		asked = q
		return []string{"CODE"}, nil
	})}))
	o := mustAccept(t, d, claim())
	again := request(o)
	if again.At.IsZero() || time.Since(again.At) > time.Hour {
		t.Errorf("it came at %v", again.At)
	}
	again.At = asked.At
	if diff := cmp.Diff(asked, again); diff != "" {
		t.Error(diff)
	}
}
