package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/keypost/keypost/store/queries"
)

// An OrderFilter narrows a list of orders; zero values do not.
type OrderFilter struct {
	Store           string
	Fold            string // of a sale of Store's: its lines alone, of which Line may be one
	Line            int
	Status, Product string
	Email, Name     string    // of the buyer, whole; case and outer spaces do not count
	From, To        time.Time // when it came in: from one until before the other
	After           string    // the id of the last one that was shown: those that are older
	Limit           int       // at most so many; 0: all, read page by page
}

var orderStatuses = []string{Reserved, Issued, Held, Rejected}

// search: a person has few orders, so e-mail and name go before the rest, which is
// looked at in these. Store, product and status have an index for each that may be
// given together.
func (f OrderFilter) search(after string) search {
	s := search{table: "orders"}
	rest := []condition{{"store", f.Store}, {"product", f.Product}, {"status", f.Status}}
	switch {
	case f.Fold != "":
		return f.ofSale(after)
	case f.Email != "":
		s.index, s.equal, s.rest = "orders_by_email", []condition{{"email_fold", Fold(f.Email)}}, append(rest, condition{"name_fold", Fold(f.Name)})
	case f.Name != "":
		s.index, s.equal, s.rest = "orders_by_name", []condition{{"name_fold", Fold(f.Name)}}, rest
	default:
		s.equal, s.status, s.statuses = rest[:2], f.Status, orderStatuses
		switch {
		case f.Store != "" && f.Product != "":
			s.index = "orders_of_both"
		case f.Store != "":
			s.index = "orders_of_store"
		case f.Product != "":
			s.index = "orders_of_product"
		case f.Status != "":
			s.index = "orders_listed"
		}
	}
	s.until(after, f.To)
	s.from(f.From)
	return s
}

// ofSale finds the lines of one sale, which are numbered as they came. The plus keeps
// SQLite off the other columns' indexes: this one has no name to call it by.
func (f OrderFilter) ofSale(after string) search {
	s := search{
		table: "orders", first: "line DESC, ",
		rest: []condition{{"+product", f.Product}, {"+status", f.Status}, {"+email_fold", Fold(f.Email)}, {"+name_fold", Fold(f.Name)}},
	}
	s.bound("sale_id = (SELECT sale.id FROM sale WHERE sale.store = ? AND sale.transaction_fold = ?)", f.Store, f.Fold)
	if f.Line != 0 {
		s.bound("line = ?", f.Line)
	}
	s.until(after, f.To)
	s.from(f.From)
	return s
}

// Orders lists orders, newest first; within one sale ([OrderFilter.Fold]) the
// caller gets them in that order too, and all of them (see [Sure]).
func (db *DB) Orders(ctx context.Context, f OrderFilter) (list []Order, err error) {
	err = db.EachOrder(ctx, f, func(o Order) error {
		list = append(list, o)
		return nil
	})
	return list, err
}

// EachOrder is [DB.Orders] for more orders than memory should hold.
func (db *DB) EachOrder(ctx context.Context, f OrderFilter, do func(Order) error) error {
	if f.Email != "" && Fold(f.Email) == "" || f.Name != "" && Fold(f.Name) == "" {
		return nil // nobody's
	}
	if f.Fold != "" { // a line that is missing here is refunded by nobody
		ctx = Sure(ctx)
	}
	if f.Email+f.Name != "" || f.Store != "" && f.Fold == "" {
		if err := db.foldLateOrders(ctx); err != nil {
			return err
		}
	}
	find := func(after string, n int) ([]string, error) { return db.ids(ctx, f.search(after), n) }
	read := func(ids []string) (map[string]Order, error) { return db.ordersByID(ctx, ids) }
	return pages(f.After, f.Limit, find, read, do)
}

// ordersByID reads orders with their licenses, by five statements at the most.
func (db *DB) ordersByID(ctx context.Context, ids []string) (map[string]Order, error) {
	rows, err := db.listed.OrdersByIDs(ctx, ids)
	if err != nil {
		return nil, db.explain(err)
	}
	list := make(map[string]Order, len(rows))
	var sales []string
	for _, r := range rows {
		if list[r.Order.ID], err = order(queries.OrderByIDRow(r)); err != nil {
			return nil, db.explain(err)
		}
		sales = append(sales, r.Order.SaleID)
	}
	licenses, err := db.licensesOfOrders(ctx, ids)
	if err != nil {
		return nil, db.explain(err)
	}
	refunded, err := db.refundedOf(ctx, sales)
	if err != nil {
		return nil, db.explain(err)
	}
	for id, o := range list {
		o.Licenses, o.Refunded = licenses[id], refunded[id]
		list[id] = o
	}
	return list, nil
}

// licensesOfOrders is licensesOf for several orders.
func (db *DB) licensesOfOrders(ctx context.Context, ids []string) (map[string][]License, error) {
	list := map[string][]License{}
	own, err := db.listed.LicensesOfOrders(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range own {
		list[r.OrderID] = append(list[r.OrderID], license(r))
	}
	shared, err := db.listed.SharedByOrders(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range shared {
		l := license(r.License)
		l.Ordinal = r.Place
		list[r.Sharer] = append(list[r.Sharer], l)
	}
	for _, l := range list {
		slices.SortFunc(l, func(a, b License) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	}
	return list, nil
}

// refundedOf are the orders of some sales whose money all went back.
func (db *DB) refundedOf(ctx context.Context, sales []string) (map[string]bool, error) {
	refunded := map[string]bool{}
	slices.Sort(sales)
	rows, err := db.listed.MoneyEventsOfSales(ctx, slices.Compact(sales))
	if err != nil || len(rows) == 0 {
		return refunded, err
	}
	events := map[string][]queries.MoneyEvent{}
	for _, e := range rows {
		events[e.SaleID] = append(events[e.SaleID], e)
	}
	var touched []string
	for sale := range events {
		touched = append(touched, sale)
	}
	lines, err := db.listed.OrdersOfSales(ctx, touched)
	if err != nil {
		return nil, err
	}
	orders := map[string][]queries.OrdersOfSaleRow{}
	for _, r := range lines {
		orders[r.SaleID] = append(orders[r.SaleID], queries.OrdersOfSaleRow{ID: r.ID, Line: r.Line, Quantity: r.Quantity, Price: r.Price, Currency: r.Currency, Status: r.Status})
	}
	for sale, lines := range orders {
		slices.SortFunc(lines, func(a, b queries.OrdersOfSaleRow) int { return cmp.Compare(a.Line, b.Line) })
		for id, all := range repaid(lines, events[sale]) {
			if all {
				refunded[id] = true
			}
		}
	}
	return refunded, nil
}

// MessagesOf are the messages that some orders came by, oldest first, by the
// order's id.
func (db *DB) MessagesOf(ctx context.Context, orders []Order) (map[string][]Message, error) {
	list := map[string][]Message{}
	for some := range slices.Chunk(orders, pageRows) {
		var ids []string
		for _, o := range some {
			ids = append(ids, o.ID)
		}
		rows, err := db.listed.MessagesOfOrders(ctx, ids)
		if err != nil {
			return nil, db.explain(err)
		}
		for _, r := range rows {
			list[r.OrderID] = append(list[r.OrderID], Message{r.ID, r.Channel, r.Verdict, r.Reason, r.OrderID, r.Raw})
		}
	}
	for _, l := range list {
		slices.SortFunc(l, func(a, b Message) int { return cmp.Compare(a.ID, b.ID) })
	}
	return list, nil
}
