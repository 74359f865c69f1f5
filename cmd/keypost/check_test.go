package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/krps"

	"github.com/keypost/keypost/activation/client"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// Behind HTTPS stands a proxy: one that is not named is a fault.
func TestCheckProxy(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "[server]", "[server]\npublic_url = \"https://keys.example.com\"", 1))
	if out := s.must(1, "check"); !strings.Contains(out, "failed  proxy: public_url suggests a proxy") {
		t.Errorf("check:\n%s", out)
	}
	s.write(strings.Replace(siteConfig, "[server]", "[server]\npublic_url = \"https://keys.example.com\"\ntrusted_proxies = [\"127.0.0.1\"]", 1))
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "is trusted from 127.0.0.1") {
		t.Errorf("check:\n%s", out)
	}
	s.write(strings.Replace(siteConfig, "[server]", "[server]\npublic_url = \"http://keys.example.com\"", 1))
	s.must(1, "check")
	s.write(strings.Replace(siteConfig, "[server]", "[server]\npublic_url = \"http://localhost:8080\"", 1))
	s.must(0, "check")
}

// A database that is not there is a fault, whether it can be made or not, and
// so is a master key that is none.
func TestCheckMissingDatabase(t *testing.T) {
	s := newSite(t)
	if out := s.must(1, "check"); !strings.Contains(out, "keypost db create") || strings.Count(out, "failed") != 2 {
		t.Errorf("check:\n%s", out)
	}
	key := filepath.Join(filepath.Dir(s.config), "data", "keypost.key")
	if err := errors.Join(os.Mkdir(filepath.Dir(key), 0o700), os.WriteFile(key, []byte("nonsense\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "check"); !strings.Contains(out, "failed  keys: "+key+" is not a master key") {
		t.Errorf("check with a broken key:\n%s", out)
	}
	s.write(siteConfig + "[database]\nurl = \"sqlite:keypost.toml/k.db\"\n")
	if out := s.must(1, "check"); !strings.Contains(out, "failed  database") {
		t.Errorf("check:\n%s", out)
	}
}

func TestCheck(t *testing.T) {
	s := newSite(t)
	s.create()
	out := s.must(0, "check")
	for _, want := range []string{"ok      config", "ok      generator of demo: random", "109 random bits", "ok      product demo: demo, machines per code: 2, leases: 168h0m0s", "warning product other: other, no limit", "ok      channel kagi: krps of kagi, SHA-512"} {
		if !strings.Contains(out, want) {
			t.Errorf("check lacks %q:\n%s", want, out)
		}
	}
	stop := s.serve()
	if out := s.must(0, "check"); !strings.Contains(out, "ok      keys") || !strings.Contains(out, "whole") {
		t.Errorf("check beside the daemon:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Without its master key the daemon does not make up another.
	key := filepath.Join(filepath.Dir(s.config), "data", "keypost.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "check"); !strings.Contains(out, "failed  keys") {
		t.Errorf("check without the master key:\n%s", out)
	}
	if out := s.must(1, "serve"); !strings.Contains(out, "restore it from your backup") {
		t.Errorf("serve without the master key:\n%s", out)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "keys", "rotate"); !strings.Contains(out, "is not a master key") {
		t.Errorf("rotate with nonsense:\n%s", out)
	}
	s.write("listen = 1")
	var list []admin.Finding
	s.read(1, &list, "check")
	if len(list) != 1 || list[0].Result != "failed" || !strings.Contains(list[0].Detail, "keypost.toml:1") {
		t.Errorf("a wrong config: %+v", list)
	}
}

// checked is the result of check and what it says of the generator that a
// product would have.
func checked(t *testing.T, generator string) admin.Finding {
	t.Helper()
	c, err := parsed(t, goodProduct+"limit = 2\ngenerator = { "+generator+" }\n")
	if err != nil {
		t.Fatal(err)
	}
	return c.Admin().Products[0].Check(t.Context())
}

func TestCheckGenerators(t *testing.T) {
	for _, c := range []struct{ generator, result, want string }{
		{`kind = "random", groups = 6, length = 4, prefix = "KP"`, "ok", `^random, like KP(-\w{4}){6}, 104 random bits$`},
		{`kind = "pattern", pattern = "KP-@@@@@-@@@@@-@@@@@"`, "ok", `^pattern, like KP(-\w{5}){3}, 68 random bits$`},
		{`kind = "pattern", pattern = "KP-####-####-@@@@", check = "luhn"`, "warning", `^pattern, like KP-\d{4}-\d{4}-\w{4}\d, 45 random bits: with fewer than 64`},
		{`kind = "aes-name", key = "0123456789abcdef"`, "ok", `^aes-name, a code of 32 characters$`},
		{`kind = "machine", key = "0123456789abcdef", keyword = "Computer number"`, "ok", `^machine, a code of 29 characters$`},
		{`kind = "machine", key = "0123456789abcdef", keyword = "N", shape = "[0-9A-F:]{17}", example = "00:1a:2b:3c:4d:5e"`, "ok", `^machine, a code of 29 characters$`},
		{`kind = "cocoafob", key_file = "` + testKey(t, "cocoafob.pem") + `"`, "ok", `^cocoafob, a code of \d\d characters$`},
		{`kind = "aquaticprime", key_file = "` + testKey(t, "aquaticprime.plist") + `"`, "ok", `^aquaticprime, like (\w{5}-){4}\w{5}, with a file demo.plist, 109 random bits$`},
		{`kind = "signed"`, "ok", `^signed, with a key derived from the master key, which is created with the database$`},
	} {
		if f := checked(t, c.generator); f.Result != c.result || !regexp.MustCompile(c.want).MatchString(f.Detail) {
			t.Errorf("%s: %+v, want %s %s", c.generator, f, c.result, c.want)
		}
	}
}

// The key of signed codes is the same for each config that has the master key
// and the product, and another for another product.
func TestSignedKey(t *testing.T) {
	c, err := parsed(t, goodProduct+"generator = { kind = \"signed\" }\n[[product]]\nid = \"two\"\ngenerator = { kind = \"signed\", licensee = true }\n")
	if err != nil {
		t.Fatal(err)
	}
	demo, two := c.Admin().Products[0].Codes.Compute.(keygen.Signed), c.Admin().Products[1].Codes.Compute.(keygen.Signed)
	if _, err := demo.Public(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a master key: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Keys.MasterFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Keys.MasterFile, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := demo.Public()
	b, err2 := two.Public()
	if err := errors.Join(err, err2); err != nil || a.Equal(b) {
		t.Errorf("%x %x %v", a, b, err)
	}
	want := "signed, a code of 146 characters, public key NOw5UNEpXabruvi_r6Sfa9LA5j8bmSBwgAlpqy5taBY"
	if f := c.Admin().Products[0].Check(t.Context()); f.Result != "ok" || f.Detail != want {
		t.Errorf("%+v, want %s", f, want)
	}
}

// check changes nothing, not even what a killed db create left undone.
func TestCheckChangesNothing(t *testing.T) {
	s := newSite(t)
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := os.WriteFile(c.Keys.MasterFile, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "check"); !strings.Contains(out, "keypost db create makes it") {
		t.Errorf("check: %s", out)
	}
	if keys, err := db.SigningKeys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("check made keys: %v, %v", keys, err)
	}
	s.serve()
	s.must(0, "check")
}

func TestKeys(t *testing.T) {
	s := newSite(t)
	s.serve()
	code := s.post()[0]
	var first, second []admin.Key
	s.read(0, &first, "keys", "list")
	activate := func(keys ...admin.Key) error {
		_, err := s.software("machine-1", keys).Activate(t.Context(), code)
		return err
	}
	current := slices.IndexFunc(first, func(k admin.Key) bool { return k.Slot == "current" })
	if err := activate(first[current]); err != nil {
		t.Error(err)
	}
	s.read(0, &second, "keys", "rotate")
	if len(first) != 2 || len(second) != 3 || second[0].ID == second[1].ID {
		t.Fatalf("%+v, then %+v", first, second)
	}
	slots := func(list []admin.Key) map[string]string {
		m := map[string]string{}
		for _, k := range list {
			m[k.Slot] = k.ID
		}
		return m
	}
	if a, b := slots(first), slots(second); b["current"] != a["next"] || b["retired"] != a["current"] {
		t.Errorf("%v, then %v", a, b)
	}
	// The running daemon signs with the new key within a second, and software that
	// was shipped with both keys does not mind.
	for begin := time.Now(); ; {
		err := activate(first[current])
		if errors.Is(err, client.ErrLease) {
			break
		}
		if err != nil || time.Since(begin) > time.Minute {
			t.Fatalf("the daemon goes on with the old key: %v", err)
		}
	}
	if err := activate(first...); err != nil {
		t.Error(err)
	}
}

func TestInit(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	call := func() error { return run(t.Context(), []string{"init", folder}, nil, &out, io.Discard) }
	if err := call(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "keypost.toml")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	before, _ := os.ReadFile(file)
	if err := call(); err == nil {
		t.Error("init overwrites")
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("init changed the file")
	}
	c, err := config.Load(file)
	if err != nil || strings.Contains(string(before), "MADE-BY-INIT") || len(c.Channels[0].Settings.(*krps.Settings).Secrets[0]) != 26 {
		t.Errorf("the new config: %v", err)
	}
	// What is commented out is right, too.
	uncommented := regexp.MustCompile(`(?m)^# ([a-z_]+ = [^…\n]*)$`).ReplaceAllString(string(before), "$1")
	uncommented = strings.NewReplacer("# [[channel]]", "[[channel]]", "# [mail]", "[mail]", "# [keys]", "[keys]", "# [[webhook]]", "[[webhook]]").Replace(uncommented)
	if uncommented == string(before) {
		t.Fatal("nothing is commented out")
	}
	if err := os.WriteFile(filepath.Join(folder, "imap.secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(uncommented), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(file); err != nil || len(c.Webhooks) != 1 || c.Mail == nil || len(c.Channels) != 2 || c.Channels[1].Kind != "imap" {
		t.Errorf("uncommented:\n%s\n%v", uncommented, err)
	}
}

// --config names the file to write, too.
func TestInitConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "my.toml")
	if err := run(t.Context(), []string{"init", "--config", file}, nil, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"init", "x", "--config", file}, nil, io.Discard, io.Discard); exitCode(err) != 2 {
		t.Errorf("both: %v", err)
	}
}
