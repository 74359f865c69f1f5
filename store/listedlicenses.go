package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// A LicenseFilter narrows a list of licenses; zero values do not.
type LicenseFilter struct {
	Code            string // whole; case, spaces and dashes do not count
	Beginning       string // of the code, likewise: those that begin so, in the order of their codes
	Product, Status string
	After           string // the id of the last one that was shown: those that come after it
	Limit           int    // at most so many; 0: all, read page by page
}

var licenseStatuses = []string{Active, Suspended, Revoked}

// A Sold is a license with what its order says of the buyer.
type Sold struct {
	License
	Name, Email, StoreProduct string
	Shared                    bool // several orders share it: this is the first one
}

// Licenses lists licenses with their orders' names, newest first.
func (db *DB) Licenses(ctx context.Context, f LicenseFilter) (list []License, err error) {
	err = db.licenses(ctx, f, false, func(s Sold) error {
		list = append(list, s.License)
		return nil
	})
	return list, err
}

// EachSold goes through licenses, oldest first, one page in memory at a time.
func (db *DB) EachSold(ctx context.Context, f LicenseFilter, do func(Sold) error) error {
	return db.licenses(ctx, f, true, do)
}

func (db *DB) licenses(ctx context.Context, f LicenseFilter, oldest bool, do func(Sold) error) error {
	begins := NormalCode(f.Beginning)
	if f.Beginning != "" && begins == "" {
		return nil // no code begins with a dash
	}
	if begins != "" {
		if err := db.foldLateLicenses(ctx); err != nil {
			return err
		}
	}
	find := func(after string, n int) ([]string, error) {
		switch {
		case f.Code != "":
			return db.idsOfCode(ctx, f, after, n)
		case begins != "":
			return db.idsFrom(ctx, f, begins, after, n)
		}
		s := search{table: "license", statuses: licenseStatuses, equal: []condition{{"product", f.Product}}, status: f.Status, forward: oldest}
		switch {
		case f.Product != "":
			s.index = "license_of_product"
		case f.Status != "":
			s.index = "license_listed"
		}
		if oldest {
			s.bound("id > ?", after)
		} else {
			s.until(after, time.Time{})
		}
		return db.ids(ctx, s, n)
	}
	read := func(ids []string) (map[string]Sold, error) { return db.soldByID(ctx, ids, oldest) }
	return pages(f.After, f.Limit, find, read, do)
}

// idsOfCode: each product has a code once at the most, so that there are few to
// sort, and it is done here.
func (db *DB) idsOfCode(ctx context.Context, f LicenseFilter, after string, n int) ([]string, error) {
	s := search{table: "license", index: "license_by_code", rest: []condition{{"product", f.Product}, {"status", f.Status}}, few: true}
	s.bound("code_hash = ?", codeHash(f.Code))
	s.until(after, time.Time{})
	ids, err := db.ids(ctx, s, n)
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids[:min(len(ids), n)], err
}

// idsFrom finds codes by their beginning, in their order: newest first would have
// to sort all that begin so. The product is looked at in the index: codes that begin
// alike are mostly of one.
func (db *DB) idsFrom(ctx context.Context, f LicenseFilter, begins, after string, n int) ([]string, error) {
	s := search{table: "license", index: "license_by_beginning", statuses: licenseStatuses, status: f.Status, rest: []condition{{"product", f.Product}}, first: "code_fold, product, ", forward: true}
	from := begins
	if after != "" {
		l, err := db.License(ctx, after)
		if err != nil {
			return nil, err
		}
		from = NormalCode(l.Code)
		s.bound("(code_fold > ? OR product > ? OR product = ? AND id > ?)", from, l.Product, l.Product, l.ID)
	}
	s.bound("code_fold >= ? AND code_fold < ?", from, begins+"\U0010FFFF") // no character is behind that
	return db.ids(ctx, s, n)
}

func (db *DB) soldByID(ctx context.Context, ids []string, shares bool) (map[string]Sold, error) {
	rows, err := db.listed.LicensesByIDs(ctx, ids)
	if err != nil {
		return nil, db.explain(err)
	}
	list := make(map[string]Sold, len(rows))
	for _, r := range rows {
		s := Sold{License: license(r.License), Name: r.Name, Email: r.Email, StoreProduct: r.StoreProduct}
		s.Order = OrderRef{r.Store, r.TransactionID, r.Line}
		list[s.ID] = s
	}
	if !shares {
		return list, nil
	}
	shared, err := db.listed.SharedLicenses(ctx, ids)
	for _, id := range shared {
		s := list[id]
		s.Shared = true
		list[id] = s
	}
	return list, db.explain(err)
}

// ActivationsOf are the machines on some licenses, oldest first, by the license's
// id.
func (db *DB) ActivationsOf(ctx context.Context, licenses []License) (map[string][]Activation, error) {
	list := map[string][]Activation{}
	for some := range slices.Chunk(licenses, pageRows) {
		var ids []string
		for _, l := range some {
			ids = append(ids, l.ID)
		}
		rows, err := db.listed.ActivationsOfLicenses(ctx, ids)
		if err != nil {
			return nil, db.explain(err)
		}
		for _, r := range rows {
			list[r.LicenseID] = append(list[r.LicenseID], activation(r))
		}
	}
	for _, l := range list {
		slices.SortFunc(l, func(a, b Activation) int { return cmp.Compare(a.ID, b.ID) })
	}
	return list, nil
}
