package krps

import (
	"encoding/hex"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// vectors are what KRPS 2.0, "Formula Results", prints for the example order,
// except that its 32-digit "SHA-1" is MD2.
var vectors = map[Digest]string{
	"Clear-Text": "MyTestPassword",
	"MD5":        "f04f35da7c517f9190c5d955102c9cea",
	"Adler32":    "a50e13e5",
	"HMAC_MD5":   "01444d44e25b621c6761b1b88c228065",
	"HMAC_SHA-1": "b61dd33d24bedf3e00a00e6ee04fd18af2eed21a",
	"MD2":        "a3a845ab0d5abe089e9503b2a41dc402",
	"MD4":        "5dda17c12ff589b9b11559452d2cb7e3",
	"SHA":        "a9b5c46cd2ad5b00249a4e8501a49f1127619595",
	"SHA-1":      "a9b5c46cd2ad5b00249a4e8501a49f1127619595",
	"SHA-256":    "ad06ae402ee20088270bbb399964c1aabdc1eaa8509ea2d0bcb794226ae85a96",
	"SHA-384":    "27fbc0b33660d70bdc2229327a1cfac7ac163aa01ffda1affa39a1d4bcd01a8521b9ecb1755997f32d4c5e008a52343b",
	"SHA-512":    "ada2ddb81a43355c1878a0b6afef8b4418b241cc93c3042481b8ed3aa4d896bd1c75cbeff256daff93bf8525d465ca99dc028f10246677be66cc39c949b616af",
}

const secret = "MyTestPassword"

func hookup(d Digest) Channel {
	return Channel{Name: "kagi", Store: "kagi", Secrets: []string{secret}, Digest: d}
}

// example is the example order with changes ("NAME", "VALUE", …), signed anew
// unless a password is among them; the value "-" leaves the field out.
func example(d Digest, changes ...string) string {
	fields := Example()
	for i := 0; i < len(changes); i += 2 {
		fields[changes[i]] = changes[i+1]
		if changes[i+1] == "-" {
			delete(fields, changes[i])
		}
	}
	if !slices.Contains(changes, "ACG:Password") {
		d.Sign(fields, secret)
	}
	return Encode(fields)
}

func mustDecode(t *testing.T, body string) Post {
	t.Helper()
	p, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTwelveCiphers(t *testing.T) {
	if len(ciphers) != 12 || len(vectors) != 12 {
		t.Fatalf("%d ciphers, %d vectors, want 12", len(ciphers), len(vectors))
	}
	for _, c := range ciphers {
		d := c.name
		if got := d.Password(secret, func(name string) string { return Example()[name] }); got != vectors[d] {
			t.Errorf("%s = %s, want %s", d, got, vectors[d])
		}
		p := mustDecode(t, example(d, "ACG:Password", vectors[d]))
		if err := hookup(d).Authenticate(p); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		// Clear text counts byte for byte, a digest in any case.
		p = mustDecode(t, example(d, "ACG:Password", strings.ToUpper(vectors[d])))
		if err := hookup(d).Authenticate(p); (err == nil) != (d != ClearText) {
			t.Errorf("%s in upper case: %v", d, err)
		}
		// A hookup has one cipher: no other one's password is taken.
		for other, password := range vectors {
			p := mustDecode(t, example(d, "ACG:Password", password))
			if err := hookup(d).Authenticate(p); (err == nil) != (password == vectors[d]) {
				t.Errorf("%s takes a password of %s: %v", d, other, err)
			}
		}
	}
}

func TestParseDigest(t *testing.T) {
	for name, want := range map[string]Digest{
		"md5": "MD5", "HMAC with MD5": "HMAC_MD5", "hmac_sha1": "HMAC_SHA-1", "HMAC-SHA-1": "HMAC_SHA-1", "cleartext": "Clear-Text",
		"Clear text": "Clear-Text", "ADLER-32": "Adler32", "sha 512": "SHA-512", "sha": "SHA", "Sha1": "SHA-1",
	} {
		if got, err := ParseDigest(name); err != nil || got != want {
			t.Errorf("ParseDigest(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "crc32", "sha-3", "md"} {
		if got, err := ParseDigest(name); err == nil {
			t.Errorf("ParseDigest(%q) = %q", name, got)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	good := func(c Channel, body string) {
		t.Helper()
		if err := c.Authenticate(mustDecode(t, body)); err != nil {
			t.Error(err)
		}
	}
	bad := func(want string, c Channel, body string) {
		t.Helper()
		err := c.Authenticate(mustDecode(t, body))
		if _, ok := err.(Bad); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	shape := func(field, value string) {
		t.Helper()
		fields := Example()
		fields[field] = value
		Digest("MD5").Sign(fields, secret)
		p := Post{posted: fields} // past the lengths of Decode
		if err := hookup("MD5").Authenticate(p); err == nil || !strings.Contains(err.Error(), field+" is not ") {
			t.Errorf("%s=%q: %v", field, value, err)
		}
	}
	c := hookup("MD5")
	good(c, example("MD5"))
	good(c, example("MD5", "ACG:UserName", "whoever")) // not configured: not checked
	bad("does not match", c, example("MD5", "ACG:Password", "f04f35da7c517f9190c5d955102c9ceb"))
	bad("does not match", c, example("MD5", "ACG:Password", secret))
	bad("ACG:Password is missing", c, example("MD5", "ACG:Password", "-"))
	bad("ACG:Password is missing", c, example("MD5", "ACG:Password", ""))

	// A field that the digest covers and that is missing or out of shape.
	for _, name := range covered {
		bad(name+" is missing", c, example("MD5", name, "-"))
		bad(name+" is missing", c, example("MD5", name, ""))
	}
	for _, f := range [][2]string{
		{"ACG:TransactionID", "CH 0123456789"},
		{"ACG:TransactionID", "CHé"},
		{"ACG:TransactionID", "CH\n"},
		{"ACG:DateProcessed", "2000-12-3"},
		{"ACG:DateProcessed", "20001231"},
		{"ACG:DateProcessed", "2000-12-3\u0661"},
		{"ACG:QuantityOrdered", "0"},
		{"ACG:QuantityOrdered", "01"},
		{"ACG:QuantityOrdered", "+1"},
		{"ACG:QuantityOrdered", "1 "},
		{"ACG:UnitPayment", "149.00"},
		{"ACG:UnitPayment", "0149.000"},
		{"ACG:UnitPayment", "149,000"},
		{"ACG:UnitPayment", "-1.000"},
		{"ACG:UnitPayment", ".000"},
		{"ACG:LicenseType", "1single"},
		{"ACG:LicenseType", " single"},
		{"ACG:ProductName", "  "},
	} {
		shape(f[0], f[1])
	}

	// One captured post, cut anew: the same digest, another order.
	recut := []string{"ACG:DateProcessed", "2000-12-3", "ACG:QuantityOrdered", "11", "ACG:Password", vectors["MD5"]}
	if got := Digest("MD5").Password(secret, mustDecode(t, example("MD5", recut...)).Posted); got != vectors["MD5"] {
		t.Fatalf("the re-cut post has another digest, %s", got)
	}
	bad("ACG:DateProcessed is not", c, example("MD5", recut...))

	// Leading zeros of Adler32 may be missing: find an order whose digest begins with one.
	adler := hookup(Adler32)
	adler.Secrets = []string{"s"}
	fields := Example()
	for n := 0; !strings.HasPrefix(fields["ACG:Password"], "0"); n++ {
		fields["ACG:TransactionID"] = strings.Repeat("~", n)[:min(n, 31)] + "!"
		fields["ACG:ProductName"] = strings.Repeat("~", n)
		Adler32.Sign(fields, "s")
	}
	good(adler, Encode(fields))
	fields["ACG:Password"] = strings.TrimLeft(fields["ACG:Password"], "0")
	good(adler, Encode(fields))

	c.UserName = "Harvey"
	good(c, example("MD5", "ACG:UserName", "Harvey"))
	// Which of the two is wrong, nobody is told.
	const either = "ACG:UserName or ACG:Password does not match: check the user name, the secret, and that the cipher is MD5 on both sides."
	bad(either, c, example("MD5", "ACG:UserName", "harvey"))
	bad(either, c, example("MD5"))
	bad(either, c, example("MD5", "ACG:UserName", "Harvey", "ACG:Password", "00"))
	bad(either, c, example("MD5", "ACG:UserName", "harvey", "ACG:Password", "00"))
	bad("ACG:Password is missing", c, example("MD5", "ACG:UserName", "harvey", "ACG:Password", "-"))
	c.UserName, c.Secrets = "", []string{"new", secret}
	good(c, example("MD5"))
	c.Secrets = []string{"new"}
	bad("does not match", c, example("MD5"))
}

// The digest is over what was posted, before anything is cut or replaced.
func TestDigestCoversWhatWasPosted(t *testing.T) {
	long := strings.Repeat("n", 300)
	p := mustDecode(t, example("SHA-512", "ACG:ProductName", long, "ACG:LicenseType", "special="+long))
	if err := hookup("SHA-512").Authenticate(p); err != nil {
		t.Error(err)
	}
	if got := len(p.Value("ACG:LicenseType")); got != 256 {
		t.Errorf("the license type has %d bytes", got)
	}
}

// MD2 against RFC 1319, A.5, and against another implementation.
func TestMD2(t *testing.T) {
	for message, want := range map[string]string{
		"":                           "8350e5a3e24c153df2275c9f80692773",
		"a":                          "32ec01ec4a6dac72c0ab96fb34c0b5d1",
		"abc":                        "da853b0d3f88d99b30283a69e6ded6bb",
		"message digest":             "ab4f496bfb2a530b219ff33031fe06b0",
		"abcdefghijklmnopqrstuvwxyz": "4e8ddff3650292ab5a4108c3aa47940b",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "da33def2a42df13975352846c30338cd",
		strings.Repeat("1234567890", 8):                                  "d5976f79d83d3a0dc9806c3c66f3efd8",
	} {
		if got := hex.EncodeToString(md2([]byte(message))); got != want {
			t.Errorf("md2(%q) = %s, want %s", message, got, want)
		}
	}
	if err := exec.Command("perl", "-MDigest::MD2", "-e", "1").Run(); err != nil {
		storetest.LeaveOut(t, "Perl's Digest::MD2 is missing: make test installs it")
	}
	for n := range 70 {
		message := strings.Repeat("\xff\x00k", n)[:n]
		cmd := exec.Command("perl", "-MDigest::MD2=md2_hex", "-e", `local $/; print md2_hex(<STDIN>)`)
		cmd.Stdin = strings.NewReader(message)
		want, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(md2([]byte(message))); got != string(want) {
			t.Errorf("md2 of %d bytes = %s, want %s", n, got, want)
		}
	}
}
