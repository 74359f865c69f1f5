package keygen

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
)

// symbols32 are those of five bits: no 0 and O, no 1 and I.
const symbols32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

var encoding32 = base32.NewEncoding(symbols32).WithPadding(base32.NoPadding)

// DefaultShape is what a machine's number is without a shape of its own.
const DefaultShape = "[0-9A-Z]{6,64}"

// Machine makes a code for one machine, of the number that its software shows
// and the buyer gave at the purchase: HMAC-SHA256 under the product's key. The
// software makes the code itself, offline, and compares. Whoever takes the key
// out of the software can make codes: where that matters, take Signed or leases.
// Make one with NewMachine.
type Machine struct {
	key           []byte
	keyword       string
	seed          func(string) (keyword, value string)
	shape         *regexp.Regexp
	length, group int
}

// MachineOptions are its options, as the config has them.
type MachineOptions struct {
	Key     string // at least 16 bytes
	Keyword string // of the seeds that hold the numbers
	Shape   string // a regular expression for a whole number; "": DefaultShape
	Groups  int    // of symbols; 0: 5
	Length  int    // symbols a group; 0: 5

	Seed func(item string) (keyword, value string) // takes a seed apart
}

// NewMachine returns OptionErrors, which never tell the key.
func NewMachine(o MachineOptions) (*Machine, error) {
	if len(o.Key) < 16 {
		return nil, wrong("key", "it must be at least 16 characters")
	}
	if strings.TrimSpace(o.Keyword) == "" {
		return nil, wrong("keyword", "it is missing: name the keyword under which the store asks for the machine's number")
	}
	if o.Shape == "" {
		o.Shape = DefaultShape
	}
	shape, err := regexp.Compile(`\A(?:` + o.Shape + `)\z`)
	if err != nil {
		return nil, wrong("shape", "it is no regular expression: %v", err)
	}
	r := Random{Groups: o.Groups, Length: o.Length}
	if n := r.symbols(); n*5 < minBits || n*5 > 8*sha256.Size {
		return nil, wrong("length", "a code has %d symbols of 5 bits: it must be from 20 to 51", n)
	}
	return &Machine{[]byte(o.Key), strings.TrimSpace(o.Keyword), o.Seed, shape, r.symbols(), r.group()}, nil
}

// Fixed: a number has one code.
func (*Machine) Fixed() {}

// Fits tells whether a number has the shape.
func (g *Machine) Fits(number string) bool {
	return g.shape.MatchString(plain(number))
}

// Generate makes a code for each number, in their order. It answers ErrRequest
// where there are not as many numbers as copies, one is there twice or has not
// the shape.
func (g *Machine) Generate(_ context.Context, q Request) ([]string, error) {
	var codes []string
	seen := map[string]bool{}
	for _, item := range q.Seeds {
		keyword, value := g.seed(item)
		if !strings.EqualFold(keyword, g.keyword) {
			continue
		}
		number := plain(value)
		switch {
		case !g.shape.MatchString(number):
			return nil, fmt.Errorf("%w: %s: what the buyer gave is not a machine's number", ErrRequest, g.keyword) // it may be anything, a name too
		case seen[number]:
			return nil, fmt.Errorf("%w: %s: a number appears twice: a machine needs one code", ErrRequest, g.keyword)
		}
		seen[number] = true
		codes = append(codes, g.code(q.Product, number))
	}
	if len(codes) != q.Quantity {
		return nil, fmt.Errorf("%w: a code for each of %d machines is wanted, and %d have a number (%s)", ErrRequest, q.Quantity, len(codes), g.keyword)
	}
	return codes, nil
}

// code is of HMAC-SHA256(key, "keypost-machine-code" LF product LF number) the
// first symbols.
func (g *Machine) code(product, number string) string {
	h := hmac.New(sha256.New, g.key)
	fmt.Fprintf(h, "keypost-machine-code\n%s\n%s", product, number)
	return grouped(encoding32.EncodeToString(h.Sum(nil))[:g.length], g.group)
}
