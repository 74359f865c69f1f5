package ingest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// ErrNoFile is what [Catalog.File] answers, with the reason, for a license that
// has no file.
var ErrNoFile = errors.New("there is no file for this license")

// filer makes the files of a product's licenses; nil: they have none. A test
// order has none either: its codes are random ones, and a file, which software
// takes without asking anybody, would be a full license for whoever places a
// test order.
func (p Product) filer(test bool) keygen.Filer {
	g, _ := p.codes(test).generator().(keygen.Filer)
	return g
}

// givesFiles tells whether files go with an order's codes, or with those of a
// bundle's part.
func (c *Catalog) givesFiles(o store.Order) bool {
	p, ok := c.byID(o.Product)
	return ok && slices.ContainsFunc(c.parts(p), func(part Product) bool { return part.filer(o.Test) != nil })
}

// File makes a license's file, of its order and code. It is the same each time,
// as long as the config and the order's person stay as they are.
func (c Catalog) File(o store.Order, l store.License) (keygen.File, error) {
	p, ok := c.byID(l.Product)
	if !ok {
		return keygen.File{}, fmt.Errorf("%q: %w", l.Product, ErrNoProduct)
	}
	g := p.filer(false)
	switch {
	case g == nil:
		return keygen.File{}, fmt.Errorf("%w: the product %s has only codes, no license files", ErrNoFile, p.ID)
	case o.Test || l.Test:
		return keygen.File{}, fmt.Errorf("%w: it is a test license, but software would accept the file as a full license", ErrNoFile)
	case l.Replaced:
		return keygen.File{}, fmt.Errorf("%w: it was replaced by another code, which has a file", ErrNoFile)
	case l.Status != store.Active:
		return keygen.File{}, fmt.Errorf("%w: the license is %s, and a file could not show that", ErrNoFile, l.Status)
	}
	q := request(o)
	q.Product, q.Quantity, q.Limit, q.ExpiresAt = l.Product, 1, l.Limit, l.ExpiresAt
	return g.File(q, l.Code)
}

// Files are what goes to an order's buyer beside the codes: the file of each
// license that has one, in their order, no two of one name.
func (c Catalog) Files(o store.Order) ([]keygen.File, error) {
	var files []keygen.File
	taken := map[string]bool{}
	for _, l := range o.Licenses {
		f, err := c.File(o, l)
		if errors.Is(err, ErrNoFile) || errors.Is(err, ErrNoProduct) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the file of license %d: %w", l.Ordinal, err)
		}
		f.Name = free(f.Name, taken)
		files = append(files, f)
	}
	return files, nil
}

// free is a name that is not taken: App.plist, App-2.plist.
func free(name string, taken map[string]bool) string {
	ext := filepath.Ext(name)
	for n, try := 2, name; ; n++ {
		if !taken[try] {
			taken[try] = true
			return try
		}
		try = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext)
	}
}
