package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/cmd/keypost/config"
)

// eachKind is a generator of each, and what its codes look like. TestOutsideGenerators
// is for those that leave the process.
var eachKind = map[string]struct{ generator, code string }{
	"random":       {`kind = "random", prefix = "KP"`, `^KP(-[2-9A-Z]{5}){5}$`},
	"pattern":      {`kind = "pattern", pattern = "A-####-@@@@@-@@@@@-@@@@@", check = "luhn"`, `^A-[0-9]{4}(-[2-9A-Y]{5}){3}[0-9]$`},
	"aes-name":     {`kind = "aes-name", key = "0123456789abcdef"`, `^[0-9A-F]{32}$`},
	"machine":      {`kind = "machine", key = "0123456789abcdef", keyword = "Computer"`, `^[2-9A-Z]{5}(-[2-9A-Z]{5}){4}$`},
	"signed":       {`kind = "signed", group = 0`, `^[2-9A-Z]{111,}$`},
	"cocoafob":     {`kind = "cocoafob", key_file = "cocoafob.pem"`, `^([A-HJ-NP-Z2-9]{5}-){13,}[A-HJ-NP-Z2-9]{1,5}$`},
	"aquaticprime": {`kind = "aquaticprime", key_file = "aquaticprime.plist"`, `^[2-9A-Z]{5}(-[2-9A-Z]{5}){4}$`},
	"pool":         {`kind = "pool", file = "codes.txt"`, `^POOL-1$`},
	"command":      {},
	"http":         {},
	"wasm":         {},
}

// A Kagi order gets its code from each kind, the same one when it comes again,
// and a machine activates with it.
func TestEachKind(t *testing.T) { eachDatabase(t, testEachKind) }

func testEachKind(t *testing.T, s *site) {
	var products strings.Builder
	for kind := range config.GeneratorKeys() {
		if k, ok := eachKind[kind]; !ok {
			t.Errorf("the test has no %s generator", kind)
		} else if k.generator != "" {
			fmt.Fprintf(&products, "[[product]]\nid = %q\nlimit = 1\ngenerator = { %s }\n", "by-"+kind, k.generator)
		}
	}
	s.place("codes.txt", "POOL-1\n")
	for _, name := range []string{"cocoafob.pem", "aquaticprime.plist"} {
		key, err := os.ReadFile(testKey(t, name))
		if err != nil {
			t.Fatal(err)
		}
		s.place(name, string(key))
	}
	s.add(products.String())
	s.serve()
	for kind, k := range eachKind {
		if k.generator == "" {
			continue
		}
		order := []string{"--transaction", "T-" + kind, "--product", "by-" + kind, "--seed", "Computer=E96D-6CEE"}
		codes, again := s.post(order...), s.post(order...)
		if len(codes) != 1 || !regexp.MustCompile(k.code).MatchString(codes[0]) || !slices.Equal(codes, again) {
			t.Errorf("%s: %q, and again %q; want %s", kind, codes, again, k.code)
			continue
		}
		resp, err := http.PostForm(s.url+"/v1/activate", url.Values{"product": {"by-" + kind}, "code": codes, "fingerprint": {"machine-1"}})
		if err != nil {
			t.Fatal(err)
		}
		var a struct{ Lease string }
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK || a.Lease == "" {
			t.Errorf("activating a code of %s: %s, %v", kind, resp.Status, err)
		}
		resp.Body.Close()
	}
}
