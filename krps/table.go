package krps

import "regexp"

// A shape is the one form that a field may have.
type shape struct {
	re   *regexp.Regexp
	want string // for people
}

// A parameter is a row of KRPS 2.0, Table 4.
type parameter struct {
	null  bool   // "Null Allowed"
	max   int    // "Max Length", in bytes
	cut   bool   // footnote 4: cut to max; all others must fit
	shape *shape // of the fields that the digest covers
}

// The digest runs over these with nothing between them and in lower case, so
// each must have its one shape, or a captured post could be cut anew into
// another order with the same digest.
var (
	transactionShape = &shape{regexp.MustCompile(`^[!-~]{1,32}$`), "1-32 printable characters without spaces"} // Kagi's have 12-32 characters, test pages send shorter ones
	dateShape        = &shape{regexp.MustCompile(`^\d{4}-\d\d-\d\d$`), "a date like 2000-12-31"}
	quantityShape    = &shape{regexp.MustCompile(`^[1-9]\d{0,2}$`), "a number from 1 to 999"}
	paymentShape     = &shape{regexp.MustCompile(`^(0|[1-9]\d{0,6})\.\d{3}$`), "an amount like 149.000"}
	licenseTypeShape = &shape{regexp.MustCompile(`^[A-Za-z]`), "a word that begins with a letter"}
	productNameShape = &shape{regexp.MustCompile(`\S`), "a name"}
)

// parameters is KRPS 2.0, Table 4, "Input values to ACG". A field that is not
// allowed to be null and is missing all the same takes its default ("" or 0),
// unless the digest covers it.
var parameters = map[string]parameter{
	"ACG:Request":            {max: 32},
	"ACG:InputVersion":       {max: 4},
	"ACG:PurchaserName":      {null: true, max: 256, cut: true},
	"ACG:PurchaserName-8bit": {null: true, max: 256, cut: true},
	"ACG:PurchaserEmail":     {null: true, max: 256, cut: true},
	"ACG:Postal":             {null: true, max: 256, cut: true},
	"ACG:Postal-8bit":        {null: true, max: 256, cut: true},
	"ACG:TimeStamp":          {max: 32},
	"ACG:UserPurchaseDate":   {max: 10},
	"ACG:DateProcessed":      {max: 10, shape: dateShape},
	"ACG:CardName":           {null: true, max: 100, cut: true},
	"ACG:CardName-8bit":      {null: true, max: 100, cut: true},
	"ACG:CustomerSeed":       {null: true, max: 256, cut: true},
	"ACG:OEMSeed":            {null: true, max: 256, cut: true},
	"ACG:TransactionID":      {max: 32, shape: transactionShape},
	"ACG:SQNM":               {max: 4},
	"ACG:ProductName":        {max: 256, cut: true, shape: productNameShape},
	"ACG:ProductName-8bit":   {max: 256, cut: true},
	"ACG:QuantityOrdered":    {max: 3, shape: quantityShape},
	"ACG:LicenseType":        {max: 256, cut: true, shape: licenseTypeShape},
	"ACG:UnitPayment":        {max: 11, shape: paymentShape},
	"ACG:Note":               {null: true, max: 1024},
	"ACG:DebugFlag":          {max: 1},
	"ACG:UserName":           {null: true, max: 64},
	"ACG:Password":           {null: true, max: 256},
	"ACG:Flags":              {null: true, max: 256},
}

// Parameters are the names of Table 4 in its order.
var Parameters = []string{
	"ACG:Request", "ACG:InputVersion", "ACG:PurchaserName", "ACG:PurchaserName-8bit", "ACG:PurchaserEmail", "ACG:Postal",
	"ACG:Postal-8bit", "ACG:TimeStamp", "ACG:UserPurchaseDate", "ACG:DateProcessed", "ACG:CardName", "ACG:CardName-8bit",
	"ACG:CustomerSeed", "ACG:OEMSeed", "ACG:TransactionID", "ACG:SQNM", "ACG:ProductName", "ACG:ProductName-8bit",
	"ACG:QuantityOrdered", "ACG:LicenseType", "ACG:UnitPayment", "ACG:Note", "ACG:DebugFlag", "ACG:UserName", "ACG:Password",
	"ACG:Flags",
}

// covered are the fields that the digest covers, in its order (KRPS 2.0, "How
// to calculate the encrypted password", step 1).
var covered = []string{
	"ACG:TransactionID", "ACG:ProductName", "ACG:UnitPayment", "ACG:DateProcessed", "ACG:QuantityOrdered", "ACG:LicenseType",
}

// IsParameter tells whether Table 4 has a row of this name.
func IsParameter(name string) bool { _, ok := parameters[name]; return ok }
