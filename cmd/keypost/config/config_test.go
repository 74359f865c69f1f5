package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/krps"
)

// parsed reads a config text as from a file.
func parsed(t *testing.T, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keypost.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

const goodProduct = `
[[product]]
id = "demo"
`

const goodChannel = `
[[channel]]
name = "kagi"
kind = "krps"
secret = "s3cret"
digest = "md5"
`

func TestConfigDefaults(t *testing.T) {
	c, err := parsed(t, goodProduct+goodChannel)
	if err != nil {
		t.Fatal(err)
	}
	desk, seats := c.Catalog(), c.Activation(nil)
	p, ch := desk.Products[0], desk.Channels["kagi"]
	switch {
	case c.Server.Listen != "127.0.0.1:8080", c.Server.PublicURL != "http://127.0.0.1:8080", *c.Server.Misses != 100:
		t.Errorf("server = %+v", c.Server)
	case c.Database.URL != "sqlite:"+filepath.Join(c.folder, "data/keypost.db"), c.Keys.MasterFile != filepath.Join(c.folder, "data/keypost.key"):
		t.Errorf("paths do not start at the config's folder: %s, %s", c.Database.URL, c.Keys.MasterFile)
	case p.Limit != 0 || p.Codes.Compute == nil || ch.MaxQuantity != 250:
		t.Errorf("product = %+v, channel = %+v", p, ch)
	case seats.Products[0].Lease != 168*time.Hour || seats.Products[0].AcceptTest:
		t.Errorf("activation = %+v", seats)
	case c.Channels[0].Store != "kagi" || c.Channels[0].Settings.(*krps.Settings).Channel().Digest != "MD5":
		t.Errorf("channel = %+v", c.Channels[0])
	}
}

// The contract's example, as far as it is built.
func TestConfigOfTheContract(t *testing.T) {
	c, err := parsed(t, `
[server]
listen = "127.0.0.1:8080"
public_url = "https://keys.example.com/"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "::1"]
misses = 5

[database]
url = "sqlite:data/keypost.db"

[keys]
master_file = "/etc/keypost/master.key"

[[product]]
id = "demo"
name = "Demo"
aliases = ["Product_Name"]
limit = 3
limits = { Single = 3, site = 0 }
price_floor = "10.00 USD"
generator = { kind = "random" }
accept_test = true
lease = "0s"

[[channel]]
name = "kagi"
kind = "krps"
store = "kagi"
secrets = ["new", "old"]
digest = "HMAC with SHA-1"
invocation = "line"
username = "Harvey"
basic_auth = "user:password"
max_quantity = 10
held_message = "Wait, please."
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.PublicURL != "https://keys.example.com" || c.Keys.MasterFile != "/etc/keypost/master.key" {
		t.Errorf("%+v", c)
	}
	k := c.Channels[0].Settings.(*krps.Settings).Channel()
	if k.Digest != "HMAC_SHA-1" || k.UserName != "Harvey" || len(k.Secrets) != 2 || k.Basic != "user:password" || k.LocalOnly != "" {
		t.Errorf("channel = %+v", k)
	}
	if f := c.Catalog().Products[0].Floor; f.Amount == nil || f.Amount.RatString() != "10" || f.Currency != "USD" {
		t.Errorf("floor = %+v", f)
	}
	if l := c.Catalog().Products[0].Limits; len(l) != 2 || l["single"] != 3 {
		t.Errorf("limits = %v", l)
	}
	if ch := c.Catalog().Channels["kagi"]; ch.MaxQuantity != 10 || ch.HeldMessage != "Wait, please." {
		t.Errorf("channel = %+v", ch)
	}
}

func TestConfigErrorsNameLineAndKey(t *testing.T) {
	bad := func(text string, want ...string) {
		t.Helper()
		_, err := parsed(t, text)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %q", text, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error tells the secret: %v", text, err)
		}
	}
	bad(goodChannel, "product: no product")
	bad("x = 1\n"+goodProduct, "keypost.toml:1: unknown key x")
	bad(goodProduct+"limti = 1\n[serve]\n", "keypost.toml:4: unknown key product.limti (did you mean limit?)", "keypost.toml:5: unknown key serve (did you mean server?)")
	bad(goodProduct+"generator = { kind = \"random\", prefxi = \"KP\" }\n", "keypost.toml:4: product[0].generator.prefxi: a random generator has no such key (did you mean prefix?)")
	bad(goodProduct+goodChannel+"seceret = \"s3cret\"\n", "keypost.toml:10: channel[0].seceret: a channel of kind krps has no such key (did you mean secret?)")
	bad(goodProduct+goodChannel+"unit_max = \"x\"\n", "keypost.toml:10: channel[0].unit_max: it must be a whole number, but is a string")
	mail := func(keys string) string {
		return goodProduct + "[mail]\nfrom = \"Shop <shop@example.com>\"\nvendor = \"me@example.com\"\n" + keys
	}
	bad(mail("smtp = \"x\"\n"), "keypost.toml:7: mail.smtp: \"x\" is not host:port")
	bad(mail(""), "mail.smtp: \"\" is not host:port")
	bad(goodProduct+"[mail]\nsmtp = \"x:25\"\nfrom = \"Shop\"\n", "keypost.toml:6: mail.from: ")
	bad(goodProduct+"[mail]\nsmtp = \"x:25\"\nfrom = \"a@example.com\"\n", "mail.vendor: ")
	bad(mail("smtp = \"x:25\"\ntls = \"none\"\n"), "keypost.toml:8: mail.tls: codes and passwords would be sent unencrypted")
	bad(mail("smtp = \"x:25\"\ntls = \"maybe\"\n"), "mail.tls: \"maybe\": it must be starttls, tls or none")
	bad(mail("smtp = \"x:25\"\npassword = \"s3cret\"\n"), "mail.username: it is missing")
	bad(mail("smtp = \"x:25\"\nusername = \"me\"\n"), "mail.username: password or password_file is missing")
	bad(mail("smtp = \"x:25\"\nca_file = \"keypost.toml\"\n"), "mail.ca_file: the file has no PEM certificate")
	bad(mail("smtp = \"x:25\"\ntemplates = \"nowhere\"\n"), "mail.templates: ")
	bad(mail("smtp = \"x:25\"\nreply_to = \"x\"\n"), "mail.reply_to: ")
	bad(goodProduct+goodChannel+"test_to = \"me\"\n", ".test_to: ")
	bad(goodProduct+"limit = \"many\"\n", "keypost.toml:4:9: product.limit: it must be a whole number, but is a string")
	bad(goodProduct+"accept_test = 1\n", "it must be true or false, but is a integer")
	bad(goodProduct+"aliases = \"x\"\n", "it must be a list of strings")
	bad(goodProduct+"limit = \n", "keypost.toml:4:")
	bad(goodProduct+"limit = -1\n", "keypost.toml:4: product[0].limit: ")
	bad(goodProduct+"limits = { single = -1 }\n", "keypost.toml:4: product[0].limits")
	bad(goodProduct+"limits = { single = 1, Single = 2 }\n", "name each license type once")
	for _, floor := range []string{"10", "10.00USD", "-1 USD", "1e9 USD", "10.0000 USD", "1/2 USD"} {
		bad(goodProduct+"price_floor = \""+floor+"\"\n", "keypost.toml:4: product[0].price_floor", "10.00 USD")
	}
	bad(goodProduct+"upgrade_from = [\"demo\"]\n", "keypost.toml:4: product[0].upgrade_from", "upgrade_keyword is missing")
	bad(goodProduct+"upgrade_keyword = \"x\"\n", "keypost.toml:4: product[0].upgrade_keyword", "upgrade_from is missing")
	bad(goodProduct+"upgrade_keyword = \"x\"\nupgrade_from = [\"old\"]\n", "keypost.toml:5: product[0].upgrade_from", "no product has the id")
	bad(goodProduct+"upgrade_keyword = \"x\"\nupgrade_from = [\"demo\"]\n", "product[0].upgrade_from", "would upgrade itself")
	bad(goodProduct+"gives = [\"app\"]\n", "keypost.toml:4: product[0].gives", "no product has the id")
	bad(goodProduct+"generator = { kind = \"pool\", file = \"none.txt\" }\n", "keypost.toml:4: product[0].generator", "none.txt")
	bad(goodProduct+"adopt = true\n", "keypost.toml:4: product[0].adopt", "cannot recognise its own codes")
	bundle := "[[product]]\nid = \"both\"\ngives = [\"demo\"]\n"
	bad(goodProduct+bundle+"generator = { kind = \"random\" }\n", "product[1].generator", "a bundle cannot have this key")
	bad(goodProduct+bundle+"limit = 3\n", "product[1].limit", "a bundle cannot have this key")
	bad(goodProduct+goodChannel+"invocation = \"unit\"\nunit_max = 5\nunit_window = \"0s\"\n", "channel[0].unit_window", "1s")
	bad(goodProduct+bundle+"[[product]]\nid = \"all\"\ngives = [\"both\"]\n", "product[2].gives", "is itself a bundle")
	bad(goodProduct+"[[product]]\nid = \"two\"\ngives = [\"demo\", \"demo\"]\n", "product[1].gives", "is listed twice")
	bad(goodProduct+goodChannel+"invocation = \"unit\"\nunit_max = 251\n", "channel[0].unit_max", "from 2 to 250")
	bad(goodProduct+goodChannel+"invocation = \"unit\"\nunit_max = 5\nunit_window = \"25h\"\n", "channel[0].unit_window", "24h")
	bad(goodProduct+"lease = \"soon\"\n", "keypost.toml:4:", "36h")
	bad(goodProduct+"lease = \"1s\"\n", "keypost.toml:4: product[0].lease")
	testKey := func(name string) string {
		path, err := filepath.Abs("../../../keygen/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	cocoafob, aquaticprime := testKey("cocoafob.pem"), testKey("aquaticprime.plist")
	bad(goodProduct+"generator = { kind = \"cocoafob\" }\n", "keypost.toml:4: product[0].generator.key_file: it is missing")
	bad(goodProduct+"generator = { kind = \"cocoafob\", key = \"x\" }\n", "product[0].generator.key: a cocoafob generator has no such key")
	bad(goodProduct+"generator = { kind = \"cocoafob\", key_file = \"none.pem\" }\n", "product[0].generator.key_file: ", "none.pem")
	bad(goodProduct+"generator = { kind = \"cocoafob\", key_file = \""+aquaticprime+"\" }\n", "product[0].generator.key_file: it has no private key in PEM")
	bad(goodProduct+"generator = { kind = \"cocoafob\", key_file = \""+cocoafob+"\", text = \"x\" }\n", "product[0].generator.text: it has nothing of the order")
	bad(goodProduct+"generator = { kind = \"aquaticprime\", key_file = \""+cocoafob+"\" }\n", "product[0].generator.key_file: it is not an RSA key")
	bad(goodProduct+"generator = { kind = \"aquaticprime\", key_file = \""+aquaticprime+"\", fields = { N = \"{n}\" } }\n", "product[0].generator.fields: \"N\": {n} is none of")
	bad(goodProduct+"generator = { kind = \"aquaticprime\", key_file = \""+aquaticprime+"\", fields = { N = 1 } }\n", "keypost.toml:4")
	bad(goodProduct+"[product.generator]\nkind = \"random\"\n[product.generator.fields]\nN = \"x\"\n", "fields: a random generator has no such key")
	bad(goodProduct+"generator = { kind = \"dice\" }\n", "keypost.toml:4: product[0].generator.kind: unknown generator \"dice\"")
	generator := func(inside, option, want string) {
		t.Helper()
		bad(goodProduct+"generator = { "+inside+" }\n", "keypost.toml:4: product[0].generator"+option+": ", want)
	}
	generator(`kind = "random", pattern = "####"`, ".pattern", "a random generator has no such key")
	generator(`kind = "random", groups = 0`, ".groups", "at least 1")
	generator(`kind = "random", groups = 4`, ".length", "at least 100")
	generator(`alphabet = "ABCDEFGHIJ"`, ".alphabet", "10 symbols")
	generator(`prefix = "kp"`, ".prefix", "capital letters")
	generator(`kind = "pattern"`, ".pattern", "0 random bits")
	generator(`kind = "pattern", pattern = "KP-########", check = "crc"`, ".check", "luhn, mod97 or damm")
	generator(`kind = "aes-name"`, ".key", "it is missing")
	generator(`kind = "aes-name", key = "s3cret"`, ".key", "16 characters")
	generator(`kind = "aes-name", key = "s3cret", key_file = "x"`, ".key_file", "keep one of them")
	generator(`kind = "aes-name", key_file = "x"`, ".key_file", "no such file")
	generator(`kind = "aes-name", key = "s3crets3crets3cr", mode = "cbc"`, ".iv", "16 characters")
	generator(`kind = "aes-name", key = "s3crets3crets3cr", group = -1`, ".group", "or more")
	generator(`kind = "machine", keyword = "N", key = "s3cret"`, ".key", "at least 16")
	generator(`kind = "machine", key = "s3crets3crets3cr"`, ".keyword", "it is missing")
	generator(`kind = "machine", key = "s3crets3crets3cr", keyword = "N", shape = "(", example = "1"`, ".shape", "no regular expression")
	generator(`kind = "machine", key = "s3crets3crets3cr", keyword = "N", shape = "[0-9]+"`, ".example", "it is missing")
	generator(`kind = "machine", key = "s3crets3crets3cr", keyword = "N", shape = "[0-9]+", example = "X"`, ".example", "does not match the shape")
	generator(`kind = "machine", key = "s3crets3crets3cr", keyword = "N", length = 0`, ".length", "at least 1")
	generator(`kind = "signed", group = -1`, ".group", "or more")
	generator(`kind = "signed", key = "s3cret"`, ".key", "a signed generator has no such key")
	bad("[[product]]\nid = \"a b\"\n", "keypost.toml:2: product[0].id")
	bad(goodProduct+"aliases = [\"x\"]\n\n[[product]]\nid = \"two\"\naliases = [\" X\"]\n", "keypost.toml:8: product[1].aliases", "is also an alias of product demo")
	bad(goodProduct+"aliases = [\" \"]\n", "an alias is empty")
	bad("[server]\nlisten = \"8080\"\n"+goodProduct, "keypost.toml:2: server.listen")
	bad("[server]\npublic_url = \"keys.example.com\"\n"+goodProduct, "keypost.toml:2: server.public_url")
	bad("[server]\ntrusted_proxies = [\"proxy\"]\n"+goodProduct, "keypost.toml:2: server.trusted_proxies")
	bad("[server]\ncors_origins = [\"*\", \"https://app.example.com/\"]\n"+goodProduct, "keypost.toml:2: server.cors_origins", "without a path")
	bad("[server]\nmisses = 0\n"+goodProduct, "keypost.toml:2: server.misses")
	bad("[database]\nurl = \"postgres://u:s3cret@h/d\"\n"+goodProduct, "keypost.toml:2: database.url")
	bad("[database]\nurl = \"mysql://u:s3cret@h/d\"\n"+goodProduct, "keypost.toml", "keys.master_file: it is missing. A MySQL database needs a master key")
	bad("[database]\nurl_file = \"missing\"\n"+goodProduct, "keypost.toml:2: database.url_file")
	bad(goodProduct+goodChannel+goodChannel, "keypost.toml:12: channel[1].name: \"kagi\" is taken")
	bad(goodProduct+"[[channel]]\nname = \"manual\"\nkind = \"krps\"\nsecret = \"s3cret\"\ndigest = \"md5\"", "is taken")
	bad(goodProduct+"[[channel]]\nname = \"x\"\nkind = \"pigeon\"\n", "keypost.toml:6: channel[0].kind: unknown kind")
	bad(goodProduct+"[[channel]]\nname = \"x\"\nkind = \"krps\"\n", "channel[0].secret: it is missing")
	bad(goodProduct+"[[channel]]\nname = \"x\"\nkind = \"krps\"\nsecret = \"s3cret\"\n", "channel[0].digest: it is missing")
	for key, want := range map[string]string{
		`secrets = ["s3cret"]`:       "keep one of them",
		`secret_file = "x"`:          "keep one of them",
		`store = "manual"`:           "cannot be a store's name",
		`invocation = "unit"`:        "unit needs unit_max, from 2 to 250",
		`invocation = "sometimes"`:   "it must be line",
		`unit_max = 5`:               "need invocation",
		`basic_auth = "s3cret"`:      "user:password",
		`max_quantity = 251`:         "from 1 to 250",
		`max_quantity = 0`:           "from 1 to 250",
		`held_message = "für Elise"`: "all of them ASCII",
		`blurb = "SQNM-\"me_Demo\""`: "it must be the blurb's name",
	} {
		name, _, _ := strings.Cut(key, " ")
		bad(goodProduct+goodChannel+key+"\n", "keypost.toml:10: channel[0]."+name, want)
	}
}

func TestConfigSecretFiles(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"secret":       "fromfile\n",
		"empty":        "\n",
		"keypost.toml": goodProduct + "[[channel]]\nname = \"kagi\"\nkind = \"krps\"\ndigest = \"md5\"\nsecret_file = \"secret\"\n",
		"bad.toml":     goodProduct + "[[channel]]\nname = \"kagi\"\nkind = \"krps\"\ndigest = \"md5\"\nsecret_file = \"empty\"\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(folder, "keypost.toml"))
	if err != nil || c.Channels[0].Settings.(*krps.Settings).Secrets[0] != "fromfile" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Load(filepath.Join(folder, "bad.toml")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty secret file: %v", err)
	}
}

// What protects nothing stays on this machine, or the daemon does not start.
func TestConfigExposure(t *testing.T) {
	channel := func(name, secret, digest, more string) string {
		return goodProduct + "[[channel]]\nname = \"" + name + "\"\nkind = \"krps\"\nsecret = \"" + secret + "\"\ndigest = \"" + digest + "\"\n" + more
	}
	const public = "[server]\nlisten = \"0.0.0.0:8080\"\npublic_url = \"https://keys.example.com\"\n"
	for _, c := range []struct {
		name, text   string
		local, https bool
		refused      string
	}{
		{"example secret, loopback", channel("kagi", "mytestpassword", "md5", ""), true, false, ""},
		{"example secret, public", public + channel("kagi", "MyTestPassword", "md5", ""), false, false, "channel[0].secret: everyone knows the example secret"},
		{"own secret, public", public + channel("kagi", "own", "md5", ""), false, false, ""},
		{"clear text, loopback", channel("kagi", "own", "cleartext", ""), true, true, ""},
		{"clear text, IPv6 loopback", "[server]\nlisten = \"[::1]:1\"\n" + channel("kagi", "own", "cleartext", ""), true, true, ""},
		{"clear text, public", public + channel("kagi", "own", "cleartext", ""), false, false, "channel[0].digest: Clear-Text alone does not protect"},
		{"adler32 and Basic, public", public + channel("kagi", "own", "adler32", "basic_auth = \"u:p\"\n"), false, true, ""},
		{"adler32 and a secret path", channel("kagi-3f9a8c7b6d5e4f3a2b1c0d", "own", "adler32", ""), false, true, ""},
		{"an empty realm", channel("kagi", "own", "adler32", "basic_auth = \":\"\n"), false, false, "user:password"},
	} {
		got, err := parsed(t, c.text)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if k := got.Channels[0].Settings.(*krps.Settings).Channel(); (k.LocalOnly != "") != c.local || k.HTTPSOnly != c.https {
			t.Errorf("%s: %+v", c.name, k)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(goodProduct + goodChannel)
	f.Fuzz(func(_ *testing.T, text string) {
		if c, err := Parse("f", []byte(text)); err == nil {
			_ = c.errorf("product[0].id", "x")
		}
	})
}

// The blurb reaches the protocol: without it a post would not meet its mail.
func TestConfigBlurb(t *testing.T) {
	c, err := parsed(t, goodProduct+goodChannel+"blurb = \" me_Demo \"\n")
	if err != nil || c.Channels[0].Settings.(*krps.Settings).Channel().Blurb != "me_Demo" {
		t.Errorf("%+v, %v", c, err)
	}
}
