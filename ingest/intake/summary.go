package intake

import (
	"cmp"
	"strings"
	"time"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/tfyp"
	"github.com/keypost/keypost/store"
)

// A Summary is what a person is told of a mail that is held or refused. All of it
// is a stranger's.
type Summary struct {
	Subject, From string
	Date          time.Time // zero: none that can be read
	Refund        bool      // it takes a sale back
	Sale, Product string    // as the store names them; "": it does not
	Fields        []tfyp.Field
	Needs         []string // what a [Correction] must say when it is approved: product, quantity, email, amount
}

// Summary is what is told of a mail, m, whose finding this is.
func (f Finding) Summary(m store.Mail) Summary {
	sale := f.Reading.Sale
	out := Summary{
		Subject: f.Mail.Subject, From: f.Mail.From, Date: f.Mail.Date, Refund: len(f.Reading.Refunds) > 0,
		Sale: cmp.Or(sale.Transaction, m.Fold), Fields: f.Reading.Fields,
	}
	if at := cmp.Or(sale.Store, m.Store); out.Sale != "" && at != "" {
		out.Sale = at + " " + out.Sale
	}
	var products []string
	copies := true // are known
	for _, o := range f.Reading.Orders {
		products, copies = append(products, o.StoreProduct), copies && o.Quantity > 0
	}
	for _, r := range f.Reading.Refunds {
		products = append(products, r.Product)
		if (r.Unread || m.Reason == ingest.RefundAmount) && len(out.Needs) == 0 {
			out.Needs = append(out.Needs, "amount")
		}
	}
	out.Product = strings.Join(products, ", ")
	if f.Profile == nil || out.Refund {
		return out
	}
	if out.Product == "" {
		out.Needs = append(out.Needs, "product")
	}
	if !copies || len(products) == 0 && f.Reading.Value("quantity") != "" {
		out.Needs = append(out.Needs, "quantity")
	}
	if sale.Name == "" && sale.Email == "" {
		out.Needs = append(out.Needs, "email")
	}
	return out
}
