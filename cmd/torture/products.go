package main

import (
	_ "embed" // the module's source
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/keypost/keypost/krps"
)

// A product's codes are made in one of the ways that there are.
type product struct {
	id        string
	generator string // in the config; %s: what torture brings along
	single    bool   // its orders are of one copy
}

// products: each kind. An order's product is a letter of its transaction.
var products = []product{
	{id: "random", generator: `kind = "random"`},
	{id: "command", generator: `kind = "command", command = ["./generator"]`},
	{id: "pool", generator: `kind = "pool", file = "codes.txt"`},
	{id: "pattern", generator: `kind = "pattern", pattern = "KP-####-####-@@@@-@@@@", check = "luhn"`},
	{id: "aes-name", generator: `kind = "aes-name", key = "0123456789abcdef"`, single: true},
	{id: "machine", generator: `kind = "machine", key = "0123456789abcdef", keyword = "Computer"`},
	{id: "signed", generator: `kind = "signed"`},
	{id: "cocoafob", generator: `kind = "cocoafob", key_file = "dsa.pem"`},
	{id: "aquaticprime", generator: `kind = "aquaticprime", key_file = "rsa.pem"`},
	{id: "wasm", generator: `kind = "wasm", module = "gen.wasm"`},
	{id: "http", generator: `kind = "http", url = "%s", private = true, secret = "` + hookSecret + `"`},
}

// hookSecret signs what a generator is asked; nobody checks it here.
const hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

const productConfig = `[[product]]
id = %q
limit = 3
generator = { %s }
`

// productsConfig is the config of all products; asked is where the http
// generator is.
func productsConfig(asked string) string {
	var b strings.Builder
	for _, p := range products {
		fmt.Fprintf(&b, productConfig, p.id, strings.Replace(p.generator, "%s", asked, 1))
	}
	return b.String()
}

// The module is one in C: it is compiled in no time, by each daemon that starts.
//
//go:embed module/generator.c
var moduleSource []byte

func newModule(folder string) error {
	if err := os.WriteFile(filepath.Join(folder, "gen.c"), moduleSource, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("clang", "--target=wasm32-wasi", "-O2", "-o", "gen.wasm", "gen.c")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("clang: %w\n%s", err, out)
	}
	return nil
}

// newKeys writes the keys that some kinds want.
func newKeys(folder string) error {
	for _, args := range [][]string{
		{"dsaparam", "-genkey", "-noout", "-out", "dsa.pem", "1024"}, {"genrsa", "-3", "-out", "rsa.pem", "2048"},
	} {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("openssl %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// named is the transaction of the nth order of a worker: 1, 2 or 3 copies, of
// which three are held.
func named(round, worker, n int) string {
	i, copies := (n/3+round)%len(products), n%3+1
	if products[i].single {
		copies = 1
	}
	return fmt.Sprintf("R%dW%dN%d%c%d", round, worker, n, 'A'+i, copies)
}

func copies(transaction string) string { return transaction[len(transaction)-1:] }

func productOf(transaction string) string {
	return products[int(transaction[len(transaction)-2]-'A')].id
}

// orderFields are a post's: a name of the order's own, and numbers of machines,
// of which some kinds make their codes.
func orderFields(transaction string) map[string]string {
	fields := krps.Example()
	fields["ACG:TransactionID"], fields["ACG:ProductName"] = transaction, productOf(transaction)
	fields["ACG:QuantityOrdered"], fields["ACG:PurchaserName"] = copies(transaction), transaction
	var seeds []string
	for i := range transaction[len(transaction)-1] - '0' {
		seeds = append(seeds, fmt.Sprintf("Computer=%sM%d", transaction, i))
	}
	fields["ACG:CustomerSeed"] = strings.Join(seeds, ", ")
	krps.Digest("MD5").Sign(fields, "torture")
	return fields
}

// newMaker is a vendor's server that makes codes. It keeps what it answered
// under the idempotency key, as the docs tell vendors to.
func newMaker() *httptest.Server {
	var mu sync.Mutex
	made := map[string][]string{}
	next := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Quantity int }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		for len(made[key]) < q.Quantity {
			made[key] = append(made[key], fmt.Sprintf("HTTP-%08d", next))
			next++
		}
		_ = json.NewEncoder(w).Encode(map[string][]string{"codes": made[key]})
	}))
}
