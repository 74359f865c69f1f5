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
		return Advice{"No product has this name. Add the name to a product's aliases, or approve the order for a product.", []Operation{{Name: "order.approve", Needs: []string{"product"}}}}
	case HeldQuantity:
		return Advise("The order has more copies than the channel's max_quantity. Approve it if it is real.")
	case HeldPrice:
		return Advise("One copy cost less than the product's price_floor. Compare the order with the store's records, then approve or reject it.")
	case HeldCurrency:
		return Advise("The order was paid in a different currency than the product's price_floor. Compare the order with the store's records, then approve or reject it.")
	case HeldPoolEmpty:
		return Advice{
			"The pool has no codes left. Load more, then approve the order. After a restore, pools are paused until you confirm the restore. A new pool is not loaded from its file while a product with licenses is missing from the config; a check reports this.",
			[]Operation{{Name: "pool.load"}, {Name: "db.restore", Needs: []string{"confirm"}}, {Name: "check"}},
		}
	case HeldIncomplete:
		return Advise("The order lacks a value that its code is made from, or has it in the wrong form, or has more seeds than can be kept (8 KiB). Correct the name and approve the order. Or ask the buyer, reject the order, and issue the code by hand.",
			"customer.edit", "license.issue")
	case HeldSameName:
		return Advise("The code is made from the buyer's name or the machine's number, and the same code was already issued. If it went to someone else, correct the name and approve the order. If it is the same buyer, reject the order and send the first order's code again. With same_name = \"share\" in the config, such orders add their seats to the existing code, if it is in force and has the same license type and expiry.",
			"customer.edit", "order.resend")
	case HeldUpgradeUnknown:
		return Advise("Each copy of an upgrade needs one code of the older product that is in force. Compare the seeds with the buyer's old licenses, then approve or reject the order.")
	case HeldUpgradeUsed:
		return Advise("The old code was already upgraded; its license shows by which order. Approve this order if the buyer paid for both upgrades.", "license.show")
	case HeldConflict:
		return Advise("The same sale came before, but something differs: the product, quantity, license type, price, buyer, or whether it is a test. Or its buyer was erased. Compare the sale's lines with the store's records.")
	case HeldLateLine:
		return Advise("The same sale and product came before with different seeds. Approve the order if the store shows a second line; otherwise reject it.")
	case HeldGenerator:
		return Advise("The generator made no usable code. Fix it, then approve the order.", "check")
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
