package keygen

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func aquaticPrime(t testing.TB, o AquaticPrimeOptions) *AquaticPrime {
	t.Helper()
	if o.Key == "" {
		o.Key = readFile(t, "testdata/aquaticprime.plist")
	}
	g, err := NewAquaticPrime(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func licenseFile(t testing.TB, g *AquaticPrime, q Request, code string) File {
	t.Helper()
	f, err := g.File(q, code)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The valid files of AquaticPrime's Test Materials (commit 4d7d521), byte for
// byte: its own key, and fields whose names are sorted whatever their case.
func TestAquaticPrimeVectors(t *testing.T) {
	fields := map[string]string{"Email": "{email}", "Name": "{name}"}
	q := Request{Name: "User", Email: "user@email.com"}
	easy := licenseFile(t, aquaticPrime(t, AquaticPrimeOptions{Fields: fields}), q, "")
	if diff := cmp.Diff(readFile(t, "testdata/aquaticprime-easy.plist"), string(easy.Content)); diff != "" {
		t.Error(diff)
	}
	q.Name = "Üsér Diacriticà"
	fields["lowercase key"] = "Keys should be sorted case-insensitive"
	hard := licenseFile(t, aquaticPrime(t, AquaticPrimeOptions{Fields: fields}), q, "")
	if diff := cmp.Diff(readFile(t, "testdata/aquaticprime-hard.plist"), string(hard.Content)); diff != "" {
		t.Error(diff)
	}
}

// Signatures that its Ruby generator (Source/Ruby of commit 4d7d521) made with
// that key.
func TestAquaticPrimeAgreesWithRuby(t *testing.T) {
	q := Request{
		Name: `Ada & <Zoë> "O'Neill"`, Email: "ada@example.com", Transaction: "CH0123456789", LicenseType: "single",
		At: time.Date(2026, 3, 1, 1, 0, 0, 0, time.FixedZone("", 3600)),
	}
	for _, c := range []struct {
		fields map[string]string
		want   string
	}{
		{nil, "IPp1FdjDmLvlU8Ov1qOWEyMFaKc8gE9ODZuhmguXFfQTlKTvQjOWm+xV9WYQ4OSFCL6YyorYi7Mz4N4dg6V4LPRNDS0cn/dcJW0TAEkckpv2HvcUPKqNmAIoeVJFbwFr8baW7wz4ICv4rufRnOyXvVSnkTlWke/bX8kbjs24M+c="},
		{
			map[string]string{"a": "1", "B": "2", "_c": "3", "b2": "4", "[d": "5"},
			"Q7Xw6vEBUwZyCzWxP5nR2xTrz+nHQYIvKOLETTZ30dsxz0aG91McJ9xVi/+K3b69lnsYFDQv8+9K6qInZzYVAXKDIhBjIFYeyUU7FVqdhiKatLwFW1nYpzrg6vsFh6+JraZGnnyvKhO5aAlXYX5+6XrY9VCQXKVWa9VlXnWik9Q=",
		},
	} {
		g := aquaticPrime(t, AquaticPrimeOptions{Product: "Demo", Fields: c.fields})
		content := licenseFile(t, g, q, "4KJMX-9RTWA-2XK7P-HFD3C-V8M6T").Content
		signature := regexp.MustCompile(`(?s)<data>(.*)</data>`).FindSubmatch(content)[1]
		if got := string(bytes.Join(bytes.Fields(signature), nil)); got != c.want {
			t.Errorf("%s\nwant %s", content, c.want)
		}
	}
}

// plist is what Python's plistlib reads of a file.
func plist(t testing.TB, content []byte) map[string]string {
	t.Helper()
	if err := exec.Command("python3", "-c", "").Run(); err != nil {
		leaveOut(t, "python3 does not run: make test installs it")
	}
	cmd := exec.Command("python3", "-c", `
import base64, json, plistlib, sys
p = plistlib.loads(sys.stdin.buffer.read())
p["Signature"] = base64.b64encode(p["Signature"]).decode()
print(json.dumps(p))`)
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, content)
	}
	var values map[string]string
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// Another reader of property lists finds each value as the order has it, and
// openssl finds in the signature the digest of those values, and nothing else.
func TestAquaticPrimeIsReadByOthers(t *testing.T) {
	folder := t.TempDir()
	keys := []string{
		openssl(t, folder, "genrsa", "-3", "1024"), openssl(t, folder, "genrsa", "-3", "-traditional", "2048"),
	}
	names := []string{"Ada Lovelace", `<&>"'`, "]]>", "Zoë Ångström", "山田太郎", " Ada ", "&amp;", "{email}", "😀", "e\u0301", "Ada\u2028Lovelace"}
	if testing.Short() {
		names = names[1:4]
	}
	for _, key := range keys {
		g := aquaticPrime(t, AquaticPrimeOptions{Key: key, Product: "R&D <1>", Fields: map[string]string{
			"Name": "{name}", "product": "{product} for {type}", "a<b>&c": "", "Serial": "{code}", "Zed": "{date}",
		}})
		writeFile(t, filepath.Join(folder, "key.pem"), key)
		for _, name := range names {
			f := licenseFile(t, g, Request{Name: name, LicenseType: "site", At: time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)}, "CODE-1")
			got := plist(t, f.Content)
			signature, err := base64.StdEncoding.DecodeString(got["Signature"])
			if err != nil {
				t.Fatal(err)
			}
			delete(got, "Signature")
			want := map[string]string{"Name": name, "product": "R&D <1> for site", "a<b>&c": "", "Serial": "CODE-1", "Zed": "2026-03-01"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			writeFile(t, filepath.Join(folder, "signature"), string(signature))
			digest := sha1.Sum([]byte("" + name + "R&D <1> for site" + "CODE-1" + "2026-03-01"))
			if out := openssl(t, folder, "pkeyutl", "-verifyrecover", "-inkey", "key.pem", "-in", "signature"); out != string(digest[:]) {
				t.Errorf("%s: %x, want %x", name, out, digest)
			}
		}
	}
}

// The file is the same at any time; codes are drawn by chance, and each has a
// file of its own.
func TestAquaticPrimeFile(t *testing.T) {
	g := aquaticPrime(t, AquaticPrimeOptions{Product: "../My: App.", Extension: "myapp-license"})
	q := Request{Name: "Ada", Email: "ada@example.com", Quantity: 2}
	codes, err := g.Generate(t.Context(), q)
	if err != nil || len(codes) != 2 || g.Malformed(codes[0]) {
		t.Fatal(codes, err)
	}
	a, b := licenseFile(t, g, q, codes[0]), licenseFile(t, g, q, codes[1])
	if diff := cmp.Diff(a, licenseFile(t, g, q, codes[0])); diff != "" || bytes.Equal(a.Content, b.Content) {
		t.Error(diff, a, b)
	}
	if a.Name != "-My- App.myapp-license" || a.Type != "application/octet-stream" {
		t.Errorf("%q %q", a.Name, a.Type)
	}
	for product, want := range map[string]string{"": "License", "...": "License", "a\u202eb": "a-b", "Zoë 2": "Zoë 2"} {
		if got := fileName(product); got != want {
			t.Errorf("%q: %q, want %q", product, got, want)
		}
	}
}

func TestAquaticPrimeRequests(t *testing.T) {
	g := aquaticPrime(t, AquaticPrimeOptions{})
	bad := func(q Request, want string) {
		t.Helper()
		q.Quantity = 1
		codes, err := g.Generate(t.Context(), q)
		_, err2 := g.File(q, "CODE")
		if !errors.Is(err, ErrRequest) || !errors.Is(err2, ErrRequest) || !strings.Contains(err.Error(), want) || codes != nil {
			t.Errorf("%+v: %v, %v, %v, want %s", q, codes, err, err2, want)
		}
	}
	bad(Request{}, "no name")
	bad(Request{Name: " "}, "no name")
	bad(Request{Name: "Ada\x00"}, "the name has a control character")
	bad(Request{Name: "Ada\nLovelace"}, "the name has a control character")
	bad(Request{Name: "Ada\ufffe"}, "the name has a control character")
	bad(Request{Name: "Ada\xff"}, "the name is not UTF-8")
	bad(Request{Name: "Ada", Email: "a\x1b@example.com"}, "the email has a control character")
	// Whoever has no address, or a letter that the store lost, gets a file.
	if _, err := g.Generate(t.Context(), Request{Name: "Zo?", Quantity: 1}); err != nil {
		t.Error(err)
	}
}

// The digits that AquaticPrime Developer shows are the key that it saves.
func TestAquaticPrimeKeyInDigits(t *testing.T) {
	saved := aquaticPrime(t, AquaticPrimeOptions{}).key
	n, d := hex.EncodeToString(saved.N.Bytes()), hex.EncodeToString(saved.D.Bytes())
	for _, text := range []string{
		"<plist><dict><key>Key</key><string>0x" + strings.ToUpper(n) + "</string><key>Private Key</key><string>" + d + "</string></dict></plist>",
		"<plist><dict><key>Private Key</key><string>\n0X" + strings.TrimPrefix(d, "0") + "\n</string><key>Public Key</key><string>0x" + n + "</string></dict></plist>",
	} {
		if g := aquaticPrime(t, AquaticPrimeOptions{Key: text}); g.key.N.Cmp(saved.N) != 0 || g.key.D.Cmp(saved.D) != 0 {
			t.Errorf("%s: another key", text)
		}
	}
}

func TestAquaticPrimeRefuses(t *testing.T) {
	good := readFile(t, "testdata/aquaticprime.plist")
	bad := func(o AquaticPrimeOptions, option, want string) {
		t.Helper()
		if o.Key == "" {
			o.Key = good
		}
		_, err := NewAquaticPrime(o)
		e, ok := errors.AsType[*OptionError](err)
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) || strings.Contains(e.Problem, o.Key) {
			t.Errorf("%+v: %v, want %s: %s", o, err, option, want)
		}
	}
	fields := func(kv ...string) AquaticPrimeOptions {
		o := AquaticPrimeOptions{Fields: map[string]string{}}
		for c := range slices.Chunk(kv, 2) {
			o.Fields[c[0]] = c[1]
		}
		return o
	}
	bad(AquaticPrimeOptions{Extension: ".plist"}, "extension", "without the dot")
	bad(AquaticPrimeOptions{Extension: "a/b"}, "extension", "letters, digits")
	bad(fields("Name", "{nmae}"), "fields", "{nmae} is none of")
	bad(fields("Name", "a\nb"), "fields", "on one line")
	bad(fields("", "x"), "fields", "printable ASCII")
	bad(fields("Straße", "x"), "fields", "printable ASCII")
	bad(fields("signature", "x"), "fields", "take another")
	bad(fields("Name", "x", "name", "y"), "fields", "one name in two cases")
	bad(AquaticPrimeOptions{Product: "a\x00"}, "fields", "control character")

	key := func(text, want string) {
		t.Helper()
		bad(AquaticPrimeOptions{Key: text}, "key_file", want)
	}
	n := aquaticPrime(t, AquaticPrimeOptions{}).key.N
	public := `<plist version="1.0"><dict><key>Public Key</key><string>0x` + n.Text(16) + "</string>"
	key("nonsense", "neither a key file")
	key("bplist00", "plutil")
	key("<plist><dict>", "not well formed")
	key("<plist><dict></dict></plist>", "no Public Key and Private Key")
	key(public+"</dict></plist>", "no Public Key and Private Key")
	key(public+"<key>Private Key</key><string>0x3</string></dict></plist>", "do not belong together")
	key(public+"<key>Private Key</key><string>0x00</string></dict></plist>", "damaged")
	key("<plist><dict><key>Key</key><string>F1</string><key>Private Key</key><string>0x3</string></dict></plist>", "8 bits")

	folder := t.TempDir()
	key(openssl(t, folder, "genrsa", "1024"), "public exponent is 65537, and AquaticPrime's is 3")
	key(openssl(t, folder, "genrsa", "-3", "-aes128", "-passout", "pass:secret", "1024"), "encrypted")
	key(openssl(t, folder, "genrsa", "-3", "-traditional", "-aes128", "-passout", "pass:secret", "1024"), "encrypted")
	key(openssl(t, folder, "genpkey", "-algorithm", "ed25519"), "not an RSA key")
	key(readFile(t, "testdata/cocoafob.pem"), "not an RSA key")
	key(openssl(t, folder, "genrsa", "-3", "768"), "768 bits")
}

// The default's fields are those of AquaticPrime's script for Kagi, and the code.
func TestAquaticPrimeFields(t *testing.T) {
	got := slices.Sorted(maps.Keys(AquaticPrimeFields))
	if diff := cmp.Diff([]string{"Email", "Licenses", "Name", "Product", "Serial", "Timestamp", "TransactionID"}, got); diff != "" {
		t.Error(diff)
	}
}
