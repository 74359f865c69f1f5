package keygen

import (
	"crypto/dsa" //lint:ignore SA1019 as in cocoafob.go
	"crypto/sha1"
	"encoding/asn1"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readFile(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func cocoaFob(t testing.TB, o CocoaFobOptions) *CocoaFob {
	t.Helper()
	if o.Key == "" {
		o.Key = readFile(t, "testdata/cocoafob.pem")
	}
	g, err := NewCocoaFob(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// signatureIn reads a code's DER as CocoaFob's verifiers do: dashes out, 8 to O
// and 9 to I.
func signatureIn(t testing.TB, code string) []byte {
	t.Helper()
	der, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.NewReplacer("-", "", "8", "O", "9", "I").Replace(code))
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return der
}

func (g *CocoaFob) verifies(t testing.TB, text, code string) bool {
	t.Helper()
	var s dsaSignature
	if _, err := asn1.Unmarshal(signatureIn(t, code), &s); err != nil {
		return false
	}
	digest := sha1.Sum([]byte(text))
	return dsa.Verify(&g.key.PublicKey, digest[:], s.R, s.S)
}

// Codes that CocoaFob's own generators made are good under the key that is read
// here, and for the text that is made here, and for no other.
func TestCocoaFobVectors(t *testing.T) {
	for _, c := range []struct {
		source, key, product, text, name, email, code string
	}{
		{
			"swift5/CocoaFobTests.swift and objc/CocoaFobTests.m of 2.4.0", "cocoafob.pem", "", "{name}", "Joe Bloggs", "",
			"GAWQE-F9AQP-XJCCL-PAFAX-NU5XX-EUG6W-KLT3H-VTEB9-A9KHJ-8DZ5R-DL74G-TU4BN-7ATPY-3N4XB-V4V27-Q",
		},
		{
			"java/…/LicenseGeneratorTest.java of 2.4.0", "cocoafob.pem", "Test", "", "Karl", "",
			"GAWQE-F9AVF-8YSF3-NBDUH-C6M2J-JYAYC-X692H-H65KR-A9KAQ-R9SB7-A374H-T6AH3-87TAB-CVV6K-SKUGG-A",
		},
		{
			"made by ruby/licensekey.rb of 2.4.0", "cocoafob.pem", "the-archive", "", "Ada Lovelace", "",
			"GAXAE-F9ATK-AUWGW-H7G2H-4UDKY-NDEHK-67J9D-VJHP5-A9KQB-FE4NS-J42VY-CMEKV-YNZ4P-8A8HJ-4A47R-38",
		},
		{
			"made by ruby/licensekey.rb of 2.4.0", "cocoafob.pem", "the-archive", "", "Zoë Ångström", "",
			"GAWAE-FASLV-2NU8A-DKQC6-ENBZA-YSJ4D-ZPUXG-QWV9C-CRTAC-E7CGK-AELGS-2NULF-WN6P2-PDDPQ-WG34",
		},
		{
			"made by php/License/license_generator.php of 2.4.0", "cocoafob-php.pem", "myapp", "{product},{name},{email}", "Ada Lovelace", "ada@example.com",
			"GAXAE-F9AU7-3QBPV-853Y3-KL58D-WWXRG-8WT4V-BYR33-A9KQB-339CU-F5WSP-RFCS3-G2B4Q-HJ6UR-Y8P2H-82",
		},
		{
			"made by php/License/license_generator.php of 2.4.0", "cocoafob-php.pem", "GESTOBM30", "{product},{name},{email}", "Zoë Ångström", "zoe@example.com",
			"GAXAE-F9AYZ-FW3DN-U74YT-NKV85-5JDGT-4AQSL-3GDUM-A9KQB-YTG3Y-8T3LR-5XDA3-8DYL3-N2MJM-JP6XF-LY",
		},
	} {
		g := cocoaFob(t, CocoaFobOptions{Key: readFile(t, "testdata/"+c.key), Product: c.product, Text: c.text})
		text, err := g.signed(Request{Name: c.name, Email: c.email})
		if err != nil || !g.verifies(t, text, c.code) || g.verifies(t, text+" ", c.code) {
			t.Errorf("%s: %q, %v", c.source, text, err)
		}
		// Written here, the same signature is the same code.
		if got := grouped(cocoaFobEncoding.EncodeToString(signatureIn(t, c.code)), 5); got != c.code {
			t.Errorf("%s: %s, want %s", c.source, got, c.code)
		}
	}
}

// openssl runs it in a folder; where it does not run the test is left out.
func openssl(t testing.TB, folder string, args ...string) string {
	t.Helper()
	if err := exec.Command("openssl", "version").Run(); err != nil {
		leaveOut(t, "openssl does not run: make test installs it")
	}
	cmd := exec.Command("openssl", args...)
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v", args, err)
	}
	return string(out)
}

func writeFile(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is made here is what openssl verifies, with keys of each size and form
// that openssl writes.
func TestCocoaFobAgreesWithOpenSSL(t *testing.T) {
	folder := t.TempDir()
	made := []string{readFile(t, "testdata/cocoafob.pem")} // of 512 bits, which openssl 3 makes no more
	if !testing.Short() {                                  // its parameters take a second
		for _, size := range []string{"1024", "2048"} {
			made = append(made, openssl(t, folder, "dsaparam", "-genkey", size)) // the parameters stand before the key
		}
	}
	var keys []string
	for _, key := range made {
		writeFile(t, filepath.Join(folder, "made.pem"), key)
		traditional := openssl(t, folder, "pkey", "-in", "made.pem", "-traditional")
		pkcs8 := openssl(t, folder, "pkcs8", "-topk8", "-nocrypt", "-in", "made.pem")
		if !strings.Contains(traditional, "BEGIN DSA PRIVATE KEY") || !strings.Contains(pkcs8, "BEGIN PRIVATE KEY") {
			t.Fatal("openssl writes other forms")
		}
		keys = append(keys, key, traditional, pkcs8)
	}
	shape := regexp.MustCompile(`^([A-HJ-NP-Z2-9]{5}-)+[A-HJ-NP-Z2-9]{1,5}$`)
	for i, key := range keys {
		g := cocoaFob(t, CocoaFobOptions{Key: key, Product: "myapp", Text: "{product}|{name}|{quantity}"})
		writeFile(t, filepath.Join(folder, "key.pem"), key)
		writeFile(t, filepath.Join(folder, "public.pem"), openssl(t, folder, "pkey", "-in", "key.pem", "-pubout"))
		for _, name := range []string{"Ada Lovelace", "Zoë Ångström", "山田太郎", "{email}"} {
			codes, err := g.Generate(t.Context(), Request{Name: name, Email: "ada@example.com", Quantity: 3})
			if err != nil || len(codes) != 3 || codes[0] == codes[1] || codes[1] == codes[2] {
				t.Fatalf("key %d: %v, %v", i, codes, err)
			}
			writeFile(t, filepath.Join(folder, "text"), "myapp|"+name+"|1")
			for _, code := range codes {
				if !shape.MatchString(code) || len(code) > maxCode {
					t.Fatalf("key %d: %s", i, code)
				}
				writeFile(t, filepath.Join(folder, "signature"), string(signatureIn(t, code)))
				if out := openssl(t, folder, "dgst", "-sha1", "-verify", "public.pem", "-signature", "signature", "text"); !strings.Contains(out, "Verified OK") {
					t.Fatalf("key %d: %s: %s", i, code, out)
				}
			}
		}
	}
}

func TestCocoaFobRequests(t *testing.T) {
	bad := func(text string, q Request, want string) {
		t.Helper()
		q.Quantity = 1
		codes, err := cocoaFob(t, CocoaFobOptions{Text: text, Product: "p"}).Generate(t.Context(), q)
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), want) || codes != nil {
			t.Errorf("%s %+v: %v, %v, want %s", text, q, codes, err, want)
		}
	}
	bad("", Request{}, "no name")
	bad("", Request{Name: " \u00a0"}, "no name")
	bad("", Request{Name: "Zo?"}, "the name has a question mark")
	bad("", Request{Name: "Ada\xff"}, "the name is not UTF-8")
	bad("", Request{Name: "Ada\nLovelace"}, "the name has a control character")
	bad("{name},{email}", Request{Name: "Ada"}, "no e-mail address")
	bad("{name},{email}", Request{Name: "Ada", Email: "a?@example.com"}, "the email has a question mark")
	bad("{order}", Request{Name: "Ada"}, "no transaction id")
	bad("{type},{name}", Request{Name: "Ada"}, "no license type")
	// What the text does not have in it may be missing.
	g := cocoaFob(t, CocoaFobOptions{Text: "{product},{email},{order},{type}", Product: "p?"})
	if text, err := g.signed(Request{Email: "a@example.com", Transaction: "T1", LicenseType: "site"}); err != nil || text != "p?,a@example.com,T1,site" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestCocoaFobRefuses(t *testing.T) {
	good := readFile(t, "testdata/cocoafob.pem")
	bad := func(o CocoaFobOptions, option, want string) {
		t.Helper()
		_, err := NewCocoaFob(o)
		e, ok := errors.AsType[*OptionError](err)
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) || o.Key != "" && strings.Contains(e.Problem, o.Key) {
			t.Errorf("%+v: %v, want %s: %s", o, err, option, want)
		}
	}
	bad(CocoaFobOptions{Key: good, Text: "{nmae}"}, "text", "{nmae} is none of {product}, {name}")
	bad(CocoaFobOptions{Key: good, Text: "{name"}, "text", "a brace stands alone")
	bad(CocoaFobOptions{Key: good, Text: "myapp"}, "text", "nothing of the order")
	bad(CocoaFobOptions{Key: good, Text: "{name}\n"}, "text", "on one line")
	bad(CocoaFobOptions{Key: good, Text: "{\x1b[31m}"}, "text", "{?[31m} is none of")
	bad(CocoaFobOptions{Key: good, Product: "a\tb"}, "product_code", "control character")
	bad(CocoaFobOptions{}, "key_file", "no private key in PEM")
	bad(CocoaFobOptions{Key: "-----BEGIN DSA PRIVATE KEY-----\n"}, "key_file", "no private key in PEM")
	bad(CocoaFobOptions{Key: strings.Replace(good, "MIH5AgEA", "MIH5AgEB", 1)}, "key_file", "the DSA key is damaged")

	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "good.pem"), good)
	bad(CocoaFobOptions{Key: openssl(t, folder, "dsa", "-in", "good.pem", "-aes128", "-passout", "pass:secret")}, "key_file", "encrypted")
	bad(CocoaFobOptions{Key: openssl(t, folder, "pkcs8", "-topk8", "-in", "good.pem", "-passout", "pass:secret")}, "key_file", "encrypted")
	bad(CocoaFobOptions{Key: openssl(t, folder, "dsa", "-in", "good.pem", "-pubout")}, "key_file", "no private key")
	bad(CocoaFobOptions{Key: openssl(t, folder, "genrsa", "1024")}, "key_file", "not a DSA key")
	bad(CocoaFobOptions{Key: openssl(t, folder, "genrsa", "-traditional", "1024")}, "key_file", "not a DSA key")
}

// Numbers that do not belong together are refused, each of them.
func TestCocoaFobDamagedKeys(t *testing.T) {
	fresh := func() *dsa.PrivateKey {
		key, err := parseDSA([]byte(readFile(t, "testdata/cocoafob.pem")))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for what, damage := range map[string]func(*dsa.PrivateKey){
		"x is 0":     func(k *dsa.PrivateKey) { k.X.SetInt64(0) },
		"x is q":     func(k *dsa.PrivateKey) { k.X.Set(k.Q) },
		"another x":  func(k *dsa.PrivateKey) { k.X.Rsh(k.X, 1) },
		"another y":  func(k *dsa.PrivateKey) { k.Y.Rsh(k.Y, 1) },
		"g is 1":     func(k *dsa.PrivateKey) { k.G.SetInt64(1); k.Y.SetInt64(1) },
		"g of all p": func(k *dsa.PrivateKey) { k.G.SetInt64(2); k.Y.Exp(k.G, k.X, k.P) },
		"q is even": func(k *dsa.PrivateKey) {
			k.Q.SetBit(k.Q, 0, 0)
			k.G.Sub(k.P, big.NewInt(1))
			k.X.SetInt64(1)
			k.Y.Set(k.G)
		},
		"q is minus q": func(k *dsa.PrivateKey) { k.Q.Neg(k.Q) },
		"p is even":    func(k *dsa.PrivateKey) { k.P.SetBit(k.P, 0, 0) },
		"p is minus p": func(k *dsa.PrivateKey) { k.P.Neg(k.P) },
		"p is short":   func(k *dsa.PrivateKey) { k.P.Rsh(k.P, 1) },
		"p is long":    func(k *dsa.PrivateKey) { k.P.Lsh(k.P, 4096) },
		"q is short":   func(k *dsa.PrivateKey) { k.Q.Rsh(k.Q, 1) },
	} {
		key := fresh()
		if damage(key); checkDSA(key) == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if err := checkDSA(fresh()); err != nil {
		t.Error(err)
	}
}

// Whatever a key file has in it: a key that signs, or an error.
func FuzzKeyFiles(f *testing.F) {
	block, _ := pem.Decode([]byte(readFile(f, "testdata/cocoafob.pem")))
	f.Add("DSA PRIVATE KEY", block.Bytes)
	for _, name := range []string{"aquaticprime.plist", "cocoafob.pem"} {
		f.Add("", []byte(readFile(f, "testdata/"+name)))
	}
	// PKCS #8 of p 23, q 11, g 2, x 7.
	f.Add("PRIVATE KEY", []byte("\x30\x20\x02\x01\x00\x30\x14\x06\x07\x2a\x86\x48\xce\x38\x04\x01\x30\x09\x02\x01\x17\x02\x01\x0b\x02\x01\x02\x04\x05\x02\x03\x00\x00\x07"))
	f.Add("", []byte("<plist><dict><key>Key</key><string>0xF1</string><key>Private Key</key><data>Aw==</data></dict></plist>"))
	f.Fuzz(func(t *testing.T, kind string, file []byte) {
		if len(file) > 4096 {
			return
		}
		if kind != "" {
			file = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: file})
		}
		if g, err := NewCocoaFob(CocoaFobOptions{Key: string(file)}); err == nil {
			if code, err := g.sign("x"); err != nil || !g.verifies(t, "x", code) {
				t.Errorf("%s, %v", code, err)
			}
		}
		if g, err := NewAquaticPrime(AquaticPrimeOptions{Key: string(file)}); err == nil {
			if _, err := g.File(Request{Name: "Ada"}, "CODE"); err != nil {
				t.Error(err)
			}
		}
	})
}
