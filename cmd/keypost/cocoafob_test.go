package main

import (
	"encoding/base32"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// Codes that are sold are signatures of what the config says, by openssl's
// judgement.
func TestCocoaFobSold(t *testing.T) {
	if err := exec.Command("openssl", "version").Run(); err != nil {
		storetest.LeaveOut(t, "openssl does not run: make test installs it")
	}
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	if out, err := exec.Command("openssl", "pkey", "-in", testKey(t, "cocoafob.pem"), "-pubout", "-out", path("public.pem")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	signs := func(text, code string) bool {
		der, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.NewReplacer("-", "", "8", "O", "9", "I").Replace(code))
		if err := os.WriteFile(path("signature"), der, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("openssl", "dgst", "-sha1", "-verify", path("public.pem"), "-signature", path("signature"))
		cmd.Stdin = strings.NewReader(text)
		return err == nil && cmd.Run() == nil
	}
	for more, text := range map[string]string{
		"": "demo,Ada Lovelace",
		`, product_code = "the-archive", text = "{product}|{name}|{quantity}|{order}"`: "the-archive|Ada Lovelace|1|CH0123456789",
	} {
		s := newSite(t)
		s.write(strings.Replace(s.text(), "limit = 2\n",
			fmt.Sprintf("limit = 2\ngenerator = { kind = \"cocoafob\", key_file = %q%s }\n", testKey(t, "cocoafob.pem"), more), 1))
		s.serve()
		sold := s.post("--name", "Ada Lovelace", "--quantity", "2")
		if len(sold) != 2 || sold[0] == sold[1] {
			t.Fatalf("%s: %v", more, sold)
		}
		for _, code := range sold {
			if !signs(text, code) || signs(text+"x", code) {
				t.Errorf("%s: %s does not sign %s", more, code, text)
			}
		}
		if again := s.post("--name", "Ada Lovelace", "--quantity", "2"); again[0] != sold[0] {
			t.Errorf("the repeat got %v, want %v", again, sold)
		}
		if problem := s.activate(strings.ToLower(sold[0]), "machine-1"); problem != "" {
			t.Errorf("activate: %s", problem)
		}
		if out := s.must(4, "post", "krps", s.url+"/in/kagi", "--transaction", "CH0000000002", "--name", "Zo?"); !strings.Contains(out, "held") {
			t.Errorf("a letter that was lost:\n%s", out)
		}
	}
}
