package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store/storetest"
)

const offlinePage = "../../docs/offline-check.md"

// languages are those that the page on offline checks has code in: by its
// fence, how a program is made of a source file, the page's code and the calls
// of testdata/offline. Missing tools leave the test out.
var languages = map[string]func(t *testing.T, source string) (command []string){
	"python": func(t *testing.T, source string) []string {
		for _, python := range []string{"python3", "/usr/bin/python3"} { // Debian's package is for Debian's python3
			if exec.Command(python, "-c", "import cryptography").Run() == nil {
				return []string{python, source}
			}
		}
		storetest.LeaveOut(t, "python3 with the package cryptography is missing: make test installs it")
		return nil
	},
	"js": func(t *testing.T, source string) []string {
		if exec.Command("node", "--version").Run() != nil {
			storetest.LeaveOut(t, "node does not run: make test installs it")
		}
		return []string{"node", source}
	},
	"c": func(t *testing.T, source string) []string {
		requireSodium(t)
		program := source + ".out"
		mustRun(t, "cc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
			"-o", program, source, "-lsodium")
		return []string{program}
	},
	"csharp": func(t *testing.T, source string) []string {
		for _, tool := range []string{"mcs", "mono"} {
			if _, err := exec.LookPath(tool); err != nil {
				storetest.LeaveOut(t, tool+" is missing: make test installs Mono's C# compiler")
			}
		}
		requireSodium(t)
		program := source + ".exe"
		mustRun(t, "mcs", "-warnaserror", "-nowarn:0649", "-out:"+program, source, "testdata/offline/bouncycastle.cs")
		return []string{"mono", program}
	},
	"swift": func(t *testing.T, source string) []string {
		if _, err := exec.LookPath("swiftc"); runtime.GOOS != "darwin" || err != nil {
			t.Skip("left out: Swift's compiler and CryptoKit are on macOS alone (no package of Debian has them)")
		}
		program := source + ".out"
		mustRun(t, "swiftc", "-o", program, source)
		return []string{program}
	},
}

func requireSodium(t *testing.T) {
	t.Helper()
	if exec.Command("sh", "-c", "echo '#include <sodium.h>' | cc -fsyntax-only -x c -").Run() != nil {
		storetest.LeaveOut(t, "cc or libsodium's headers are missing: make test installs them")
	}
}

func mustRun(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// answers runs the page's code in a language for each call and returns what it
// says to each.
func answers(t *testing.T, kind, language string, calls []string, args ...string) []string {
	t.Helper()
	suffix := map[string]string{"python": "py", "js": "js", "c": "c", "csharp": "cs", "swift": "swift"}[language]
	rest, err := os.ReadFile("testdata/offline/" + kind + "." + suffix)
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "main."+suffix)
	if err := os.WriteFile(source, append([]byte(codeIn(t, section(t, offlinePage, kind), language)), rest...), 0o600); err != nil {
		t.Fatal(err)
	}
	command := append(languages[language](t, source), args...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	cmd.Stdin = strings.NewReader(strings.Join(calls, "\n") + "\n")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &errs)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// inEach asks the page's code in each language the same.
func inEach(t *testing.T, kind string, calls, want []string, args ...string) {
	t.Helper()
	for _, language := range slices.Sorted(maps.Keys(languages)) {
		t.Run(language, func(t *testing.T) {
			got := answers(t, kind, language, calls, args...)
			if len(got) != len(want) {
				t.Fatalf("%d answers to %d calls: %q", len(got), len(want), got)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%.200q: %s, want %s", calls[i], got[i], want[i])
				}
			}
		})
	}
}

// codes32 is how codes are written without dashes.
var codes32 = base32.NewEncoding("23456789ABCDEFGHJKLMNPQRSTUVWXYZ").WithPadding(base32.NoPadding)

// sealed is a code of any payload, good or not.
func sealed(key ed25519.PrivateKey, product string, payload []byte) string {
	signature := ed25519.Sign(key, append([]byte("keypost-signed-code\n"+product+"\n"), payload...))
	return codes32.EncodeToString(append(payload, signature...))
}

// foreign are texts that are not the code, but made of it.
func foreign(t *testing.T, code string) (texts []string) {
	t.Helper()
	raw, err := codes32.DecodeString(code)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1, 4, 5, len(raw)/2 - 1, len(raw) - 64, len(raw) - 33, len(raw) - 32, len(raw) - 1} {
		for _, bit := range []byte{1, 128} {
			other := bytes.Clone(raw)
			other[at] ^= bit
			texts = append(texts, codes32.EncodeToString(other))
		}
	}
	for _, n := range []int{0, 1, 2, 8, 103, 110, 111, len(code) / 2, len(code) - 2, len(code) - 1} {
		texts = append(texts, code[:n])
	}
	const symbols = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	if len(code)*5 == len(raw)*8 {
		t.Fatal("the last symbol has no spare bits: take a payload of another length")
	}
	end := len(code) - 1 // the lowest of its bits is spare: a code has one writing
	texts = append(texts, code[:end]+symbols[strings.IndexByte(symbols, code[end])^1:][:1])
	return append(texts, code[1:], code+"2", code+"0", "O"+code, code+code, "!?-- ", "%s%s%n $(id) '\"\\", "é山😀", "\x7f\x01",
		strings.Repeat("2", 10_000), strings.Repeat("Z", 10_000), strings.Repeat(code, 10_000/len(code)), strings.Repeat("é", 5_000))
}

// The page's checks of signed codes take what keygen makes, say what it says,
// and refuse the rest.
func TestDocsSigned(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	g := keygen.Signed{Signer: func() (crypto.Signer, error) { return key, nil }, Group: 5}
	expires := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC) // its day is number 2616
	var calls, want []string
	call := func(product, code, answer string) {
		calls, want = append(calls, product+"\t"+code), append(want, answer)
	}
	last := ""
	for _, c := range []struct {
		q    keygen.Request
		want string
	}{
		{keygen.Request{}, "|||"},
		{keygen.Request{ExpiresAt: &expires}, "2616|||"},
		{keygen.Request{Limit: 1}, "|1||"},
		{keygen.Request{Limit: 1 << 29}, "|536870912||"},
		{keygen.Request{LicenseType: "site"}, "||site|"},
		{keygen.Request{Name: "Zoë Ångström 山田 😀"}, "|||Zoë Ångström 山田 😀"},
		{keygen.Request{LicenseType: "Größe", Name: "Zoë A", Limit: 300, ExpiresAt: &expires}, "2616|300|Größe|Zoë A"},
	} {
		g.Name = c.q.Name != ""
		c.q.Product, c.q.Quantity = "demo", 1
		codes, err := g.Generate(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		last = strings.ReplaceAll(codes[0], "-", "")
		raw, err := codes32.DecodeString(last)
		if err != nil {
			t.Fatal(err)
		}
		answer := hex.EncodeToString(raw[1:5]) + "|" + c.want
		call("demo", codes[0], answer)
		call("demo", strings.ToLower(strings.ReplaceAll(codes[0], "-", " – ")), answer)
		call("demo", strings.Repeat("-", 10_000)+last, answer)
		call("other", last, "refused")
		call("", last, "refused")
		call(strings.Repeat("x", 10_000), last, "refused")
	}
	for _, text := range foreign(t, last) {
		call("demo", text, "refused")
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	call("demo", sealed(other, "demo", []byte("\x101234")), "refused")
	call("demo", sealed(key, "demo", []byte("\x101234")), "31323334||||")
	for _, payload := range []string{ // signed by us, and not of the layout
		"\x201234", "\x101234x", "\x111234", "\x111234x", "\x121234", "\x121234\xff\xff\xff", "\x121234\x01x", "\x141234", "\x141234\x04abc", "\x141234\xffabc",
	} {
		code := sealed(key, "demo", []byte(payload))
		if _, ok := g.Verify("demo", code); ok {
			t.Fatalf("keygen takes %q", payload)
		}
		call("demo", code, "refused")
	}
	inEach(t, "signed", calls, want, base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
}

// The page's checks of machines' codes take the codes that are made, and no
// others.
func TestDocsMachine(t *testing.T) {
	const key, number = "0123456789abcdef", "5368-44ab"
	var calls, want []string
	call := func(product, number string, symbols int, code string, answer bool) {
		calls = append(calls, strings.Join([]string{key, product, number, fmt.Sprint(symbols), code}, "\t"))
		want = append(want, fmt.Sprint(answer))
	}
	for _, size := range []struct{ groups, length int }{{5, 5}, {4, 5}, {17, 3}} {
		c, err := parsed(t, fmt.Sprintf("%sgenerator = { kind = \"machine\", key = %q, keyword = \"N\", groups = %d, length = %d }", goodProduct, key, size.groups, size.length))
		if err != nil {
			t.Fatal(err)
		}
		codes, err := c.Catalog().Products[0].Codes.Compute.Generate(t.Context(), keygen.Request{Product: "demo", Quantity: 1, Seeds: []string{"N=" + number}})
		if err != nil {
			t.Fatal(err)
		}
		symbols, code := size.groups*size.length, codes[0]
		call("demo", "5368 44AB", symbols, code, true)
		call("demo", number, symbols, strings.ToLower(strings.ReplaceAll(code, "-", " – ")), true)
		call("demo", number, symbols, strings.Repeat("-", 10_000)+code, true)
		call("demo", "5368-44AC", symbols, code, false)
		call("demo", "", symbols, code, false)
		call("demo", strings.Repeat("7", 10_000), symbols, code, false)
		call("other", number, symbols, code, false)
		call("", number, symbols, code, false)
		call(strings.Repeat("x", 10_000), number, symbols, code, false)
		plain := strings.ReplaceAll(code, "-", "")
		for _, at := range []int{0, 1, symbols / 2, symbols - 2, symbols - 1} {
			for _, symbol := range []string{"2", "Z"} {
				if plain[at:at+1] != symbol {
					call("demo", number, symbols, plain[:at]+symbol+plain[at+1:], false)
				}
			}
		}
		for _, text := range []string{
			"", plain[1:], plain[:symbols-1], plain[:1], plain + "2", plain + "0", plain + plain, "!?-- ", "%s%s%n $(id) '\"\\", "é山😀", "\x7f\x01",
			strings.Repeat("2", 10_000), strings.Repeat("é", 5_000),
		} {
			call("demo", number, symbols, text, false)
		}
	}
	inEach(t, "machine", calls, want)
}

// The page has each kind in each language.
func TestDocsOfflineLanguages(t *testing.T) {
	for _, kind := range []string{"signed", "machine"} {
		var shown []string
		for line := range strings.Lines(section(t, offlinePage, kind)) {
			if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok && fence != "" {
				shown = append(shown, fence)
			}
		}
		slices.Sort(shown)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(languages)), shown); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}
