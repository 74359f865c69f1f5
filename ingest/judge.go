package ingest

// Why an order is held: stable words, which scripts may rely on.
const (
	HeldUnknownProduct = "unknown_product" // no product has this alias
	HeldQuantity       = "quantity"        // more than the channel's max_quantity
	HeldConflict       = "conflict"        // a known order with another quantity, license type or price
	HeldLateLine       = "late_line"       // a known order with other seeds
	HeldGenerator      = "generator"       // no code could be made
)

// Explain says in a sentence why an order is held and what to do.
func Explain(reason string) string {
	switch reason {
	case HeldUnknownProduct:
		return "No product has this name: add it to a product's aliases, or approve with --product."
	case HeldQuantity:
		return "More copies than the channel's max_quantity: approve it if it is real."
	case HeldConflict:
		return "The same sale and product came before with another quantity, license type or price: compare the sale's lines with the store."
	case HeldLateLine:
		return "The same sale and product came before with other seeds: approve it if the store shows a second line, reject it if not."
	case HeldGenerator:
		return "The generator made no usable code: mend it (keypost check), then approve."
	}
	return ""
}

// Judge says which product an order is for and why, if at all, a person must
// look at it. It needs nothing but the config.
func (c Config) Judge(o Order) (p Product, reason string) {
	p, ok := c.Product(o.StoreProduct)
	switch limit := c.Channels[o.Channel].MaxQuantity; {
	case !ok:
		return Product{}, HeldUnknownProduct
	case limit > 0 && o.Quantity > limit:
		return p, HeldQuantity
	}
	return p, ""
}
