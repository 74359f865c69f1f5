package keygen

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const aesKey = "0123456789abcdef"

func aesName(t testing.TB, o AESNameOptions) *AESName {
	t.Helper()
	g, err := NewAESName(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Made with openssl enc -aes-128-ecb -K 30313233343536373839616263646566 -nosalt.
func TestAESNameVectors(t *testing.T) {
	for _, c := range []struct {
		name string
		o    AESNameOptions
		want string
	}{
		{"Ada Lovelace", AESNameOptions{}, "51915E5E24D529354B0E0DC326CFE4E5"},
		{"Grace Brewster Murray Hopper", AESNameOptions{Case: "lower", Group: 8}, "9f8ba8c2-b7b67ff4-0c7f322e-3b406d95-9d8a8dd3-10810b64-26c7f5e3-7e0dce3f"},
		{"exactly 16 bytes", AESNameOptions{Output: "base32"}, "NVMQ2GWNE2VWBHQWXYEEFJ36MM3XEIXAMGUSJRMRZWOCP2QWH3KA"},
		{"Ada Lovelace", AESNameOptions{Mode: "cbc", IV: "fedcba9876543210"}, "28067BB9D3FD0E2049655ADA690BCA29"},
		{"Zoë", AESNameOptions{Encoding: "windows-1252"}, "3024FD7695B6DAC1A1AFBF18CC6E42DB"},
		{"Zoë", AESNameOptions{Encoding: "mac-roman"}, "05AF31BDE657686A64BE959431FD6954"},
		{"Zoë", AESNameOptions{}, "2344E4E1BB16090B8CC93F1E7484F7A6"},
	} {
		c.o.Key = aesKey
		g := aesName(t, c.o)
		codes, err := g.Generate(t.Context(), Request{Name: c.name, Quantity: 1})
		if err != nil || len(codes) != 1 || codes[0] != c.want {
			t.Errorf("%s %+v: %v, %v, want %s", c.name, c.o, codes, err, c.want)
		}
	}
}

// leaveOut skips a test for the want of a program, or fails where nothing may
// be left out.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("KEYPOST_TEST_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}

// It agrees with openssl on names of each length in several scripts.
func TestAESNameAgreesWithOpenSSL(t *testing.T) {
	if err := exec.Command("openssl", "version").Run(); err != nil {
		leaveOut(t, "openssl does not run: make test installs it")
	}
	const iv = "fedcba9876543210fedcba9876543210"
	ecb, cbc := aesName(t, AESNameOptions{Key: aesKey}), aesName(t, AESNameOptions{Key: aesKey, Mode: "cbc", IV: iv})
	for n := 1; n <= 64; n++ {
		if testing.Short() && n%5 != 1 {
			continue
		}
		for _, alphabet := range []string{"Ada Lovelace ", "Zoë Ångström ", "Ада Лавлейс ", "山田太郎", "عمر الخيام ", "😀é"} {
			name := string([]rune(strings.Repeat(alphabet, 64))[:n])
			for _, g := range []*AESName{ecb, cbc} {
				args := []string{"enc", "-aes-128-ecb", "-K", hex.EncodeToString([]byte(aesKey)), "-nosalt"}
				if g == cbc {
					args[1] = "-aes-128-cbc"
					args = append(args, "-iv", iv)
				}
				cmd := exec.Command("openssl", args...)
				cmd.Stdin = strings.NewReader(name)
				want, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := g.encrypt(name); err != nil || string(got) != string(want) {
					t.Fatalf("%s: %x, %v, want %x", name, got, err, want)
				}
				codes, err := g.Generate(t.Context(), Request{Name: name, Quantity: 1})
				switch upper := strings.ToUpper(hex.EncodeToString(want)); {
				case strings.TrimSpace(name) == "" || len(upper) > 255:
					if !errors.Is(err, ErrRequest) {
						t.Fatalf("%s: %v, %v", name, codes, err)
					}
				case err != nil || codes[0] != upper:
					t.Fatalf("%s: %v, %v, want %s", name, codes, err, upper)
				}
			}
		}
	}
}

func TestAESNameRequests(t *testing.T) {
	bad := func(encoding, name string, quantity int, want string) {
		t.Helper()
		codes, err := aesName(t, AESNameOptions{Key: aesKey, Encoding: encoding}).Generate(t.Context(), Request{Name: name, Quantity: quantity})
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), want) || codes != nil {
			t.Errorf("%s %d: %v, %v, want %s", name, quantity, codes, err, want)
		}
	}
	bad("", "Zo??", 1, "question mark")
	bad("", "", 1, "no name")
	bad("", " \u00a0", 1, "no name")
	bad("", "Ada Lovelace", 2, "names of their own")
	bad("", "Ada\xff", 1, "not UTF-8")
	bad("windows-1252", "Ада", 1, "'А', which Windows 1252 has not")
	bad("mac-roman", "Łukasz", 1, "'Ł', which Macintosh has not")
	bad("", strings.Repeat("x", 112), 1, "256 characters")
}

func TestAESNameRefuses(t *testing.T) {
	bad := func(o AESNameOptions, option, want string) {
		t.Helper()
		_, err := NewAESName(o)
		e, ok := errors.AsType[*OptionError](err)
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) || o.Key != "" && strings.Contains(e.Problem, o.Key) {
			t.Errorf("%+v: %v, want %s: %s", o, err, option, want)
		}
	}
	bad(AESNameOptions{}, "key", "16 characters")
	bad(AESNameOptions{Key: aesKey + "0"}, "key", "16 characters")
	bad(AESNameOptions{Key: aesKey, Mode: "ctr"}, "mode", "ecb or cbc")
	bad(AESNameOptions{Key: aesKey, Mode: "cbc"}, "iv", "16 characters")
	bad(AESNameOptions{Key: aesKey, IV: aesKey}, "iv", "cbc")
	bad(AESNameOptions{Key: aesKey, Encoding: "latin-1"}, "encoding", "utf-8")
	bad(AESNameOptions{Key: aesKey, Output: "base64"}, "output", "hex or base32")
	bad(AESNameOptions{Key: aesKey, Case: "title"}, "case", "upper or lower")
	bad(AESNameOptions{Key: aesKey, Group: -1}, "group", "0 (no dashes)")
	// The same key in hexadecimal.
	text, inHex := aesName(t, AESNameOptions{Key: aesKey}), aesName(t, AESNameOptions{Key: hex.EncodeToString([]byte(aesKey))})
	a, _ := text.encrypt("Ada")
	if b, _ := inHex.encrypt("Ada"); string(a) != string(b) {
		t.Errorf("%x and %x", a, b)
	}
}
