package ingest

import (
	"errors"
	"math/big"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A Floor is the least that one copy may cost: buyers could alter an order form.
type Floor struct {
	Amount   *big.Rat // nil: no floor
	Currency string   // as the store writes it: "USD"
}

// judge holds an order's price against the floor. What a channel does not know
// is not judged.
func (f Floor) judge(price, currency string) (reason string) {
	if f.Amount == nil || price == "" {
		return ""
	}
	paid, ok := new(big.Rat).SetString(price)
	switch {
	case currency != f.Currency:
		return HeldCurrency
	case !ok || paid.Cmp(f.Amount) < 0:
		return HeldPrice
	}
	return ""
}

// Why an order is held: stable words, which scripts may rely on.
const (
	HeldUnknownProduct = "unknown_product" // no product has this alias
	HeldQuantity       = "quantity"        // more than the channel's max_quantity
	HeldPrice          = "price"           // one copy cost less than the product's price_floor
	HeldCurrency       = "currency"        // it was paid in another currency than the price_floor's
	HeldConflict       = "conflict"        // a known order that differs: see difference.go
	HeldLateLine       = "late_line"       // a known order with other seeds
	HeldGenerator      = "generator"       // no code could be made
	HeldPoolEmpty      = "pool_empty"      // no code is left in the product's pool, or pools rest
	HeldIncomplete     = "incomplete"      // it lacks what its code is made of
	HeldSameName       = "same_name"       // its code, made of the order itself, was issued before
	HeldUpgradeUnknown = "upgrade_unknown" // no license in force has the code that is to be upgraded
	HeldUpgradeUsed    = "upgrade_used"    // that license was upgraded before
)

// Explain says why an order is held and what to do.
func Explain(reason string) Advice {
	switch reason {
	case HeldUnknownProduct:
		return Advice{"No product has this name: add it to a product's aliases, or approve the order for a product.", []Operation{{Name: "order.approve", Needs: []string{"product"}}}}
	case HeldQuantity:
		return Advise("More copies than the channel's max_quantity: approve it if it is real.")
	case HeldPrice:
		return Advise("One copy cost less than the product's price_floor: compare it with the store, then approve or reject.")
	case HeldCurrency:
		return Advise("It was paid in another currency than the product's price_floor: compare it with the store, then approve or reject.")
	case HeldPoolEmpty:
		return Advise("No code is left: load more, then approve. After a restore no pool gives codes until the restore is confirmed. A new pool is not filled from its file while a product that has licenses is missing in the config: a check says so.",
			"pool.load", "db.restore", "check")
	case HeldIncomplete:
		return Advise("The code is made of something that the order lacks or has in a wrong form, or the order has more seeds than are kept (8 KiB): correct the name and approve, or ask the buyer, reject, and issue by hand.",
			"customer.edit", "license.issue")
	case HeldSameName:
		return Advise("Its code, made of the name or of the machine's number, was issued before: if that was to somebody else, correct the name and approve; if it is the same buyer again, reject it and send the first order's code, or have such orders add their seats to it (same_name = \"share\"), which those of the same license type and end do while it is in force.",
			"customer.edit", "order.resend")
	case HeldUpgradeUnknown:
		return Advise("An upgrade needs one code of the older product a copy, in force: compare the seeds with what the buyer has, then approve or reject.")
	case HeldUpgradeUsed:
		return Advise("The old code was upgraded before (its license says by which order): approve it if the buyer has paid for both.", "license.show")
	case HeldConflict:
		return Advise("The same sale came before with another product, quantity, license type or price, as a test order or as a real one, by a mail with another buyer, or its buyer was forgotten: compare the sale's lines with the store.")
	case HeldLateLine:
		return Advise("The same sale and product came before with other seeds: approve it if the store shows a second line, reject it if not.")
	case HeldGenerator:
		return Advise("The generator made no usable code: fix it, then approve.", "check")
	}
	return Advice{}
}

// heldFor is why an order is held when its codes could not be made or kept, for
// a reason that another try would not mend; "": there is none.
func heldFor(err error) string {
	switch {
	case errors.Is(err, keygen.ErrRequest):
		return HeldIncomplete
	case errors.Is(err, store.ErrUncarried):
		return HeldGenerator
	case errors.Is(err, store.ErrPoolEmpty):
		return HeldPoolEmpty
	case errors.Is(err, store.ErrUpgradeUsed):
		return HeldUpgradeUsed
	case errors.Is(err, store.ErrRevoked):
		return HeldUpgradeUnknown
	}
	return ""
}

// Judge says which product an order is for and why, if at all, a person must
// look at it. It needs nothing but the config.
func (c Catalog) Judge(o Order) (p Product, reason string) {
	p, ok := c.Product(o.StoreProduct)
	switch limit := c.Channels[o.Channel].MaxQuantity; {
	case o.ByMail && nameless(o): // its repeats could not be told
		return p, HeldIncomplete
	case !ok:
		return Product{}, HeldUnknownProduct
	case limit > 0 && o.Quantity > limit:
		return p, HeldQuantity
	case o.Test: // its codes are worth nothing
		return p, ""
	case p.Upgrade != nil && len(p.Upgrade.oldCodes(o.Seeds)) != o.Quantity:
		return p, HeldUpgradeUnknown
	}
	return p, p.Floor.judge(o.Price, o.Currency)
}
