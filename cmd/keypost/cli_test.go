package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// A site is a folder with a config, as one vendor has it.
type site struct {
	t      *testing.T
	config string
	url    string // once serve runs
	log    watched
}

const siteConfig = `
[server]
listen = "127.0.0.1:0"
[[product]]
id = "demo"
aliases = ["Product_Name"]
limit = 2
[[product]]
id = "other"
accept_test = true
[[channel]]
name = "kagi"
kind = "krps"
secret = "geheim"
digest = "sha-512"
max_quantity = 5
held_message = "Wait, please."
`

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, config: filepath.Join(t.TempDir(), "keypost.toml")}
	s.write(siteConfig)
	return s
}

// eachDatabase runs a test on a site with each database.
func eachDatabase(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newSite(t)) })
	t.Run("mariadb", func(t *testing.T) {
		database := storetest.MariaDB(t)
		s := newSite(t)
		s.write(siteConfig + fmt.Sprintf("[database]\nurl = %q\n[keys]\nmaster_file = \"master.key\"\n", database))
		test(t, s)
	})
}

func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// serve runs the daemon until the test ends, or stop is called.
func (s *site) serve() (stop func() error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"serve", "--config", s.config}, nil, w, &s.log)
		w.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		s.t.Fatalf("serve: %v", err)
	}
	go io.Copy(io.Discard, r)
	s.url = regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	stop = func() error { cancel(); err := <-ended; ended <- err; return err }
	s.t.Cleanup(func() { _ = stop() })
	return stop
}

// run runs a command and returns its exit code and what it printed.
func (s *site) run(args ...string) (code int, out, errOut string) {
	s.t.Helper()
	var o, e bytes.Buffer
	err := run(s.t.Context(), append(args, "--config", s.config), strings.NewReader(""), &o, &e)
	if err != nil {
		fmt.Fprintln(&e, lineSafe(err.Error()))
	}
	return exitCode(err), o.String(), e.String()
}

// must runs a command that has to end with this exit code.
func (s *site) must(code int, args ...string) string {
	s.t.Helper()
	got, out, errOut := s.run(args...)
	if got != code {
		s.t.Fatalf("keypost %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errOut)
	}
	return out + errOut
}

// read runs a command with --json and reads its document.
func (s *site) read(code int, to any, args ...string) {
	s.t.Helper()
	got, out, errOut := s.run(append(args, "--json")...)
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(to); err != nil || got != code {
		s.t.Fatalf("keypost %s: exit %d, want %d, %v\n%s%s", strings.Join(args, " "), got, code, err, out, errOut)
	}
	if d.More() {
		s.t.Fatalf("keypost %s printed more than one document:\n%s", strings.Join(args, " "), out)
	}
}

func (s *site) post(more ...string) (codes []string) {
	s.t.Helper()
	out := s.must(0, append([]string{"post", "krps", s.url + "/in/kagi", "--codes"}, more...)...)
	return strings.Fields(out)
}

func (s *site) activate(code, machine string) (status int, answer string) {
	s.t.Helper()
	body := strings.NewReader("product=demo&code=" + code + "&fingerprint=" + machine)
	resp, err := http.Post(s.url+"/v1/activate", "application/x-www-form-urlencoded", body)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// A day at the desk, while the daemon runs.
func TestOrdersByHand(t *testing.T) { eachDatabase(t, testOrdersByHand) }

func testOrdersByHand(t *testing.T, s *site) {
	s.must(1, "order", "list") // no database yet
	s.serve()
	if got := s.must(0, "order", "list"); got != "No orders.\n" {
		t.Errorf("an empty list: %q", got)
	}
	codes := s.post()
	if again := s.post(); len(codes) != 1 || again[0] != codes[0] {
		t.Fatalf("codes = %v, again %v", codes, again)
	}
	var o orderJSON
	s.read(0, &o, "order", "show", "kagi", "ch0123456789")
	if o.Transaction != "CH0123456789" || o.Store != "kagi" || o.Line != 1 || *o.Product != "demo" || o.Quantity != 1 || o.Status != "issued" ||
		o.Reason != nil || o.Test || o.Licenses[0] != codes[0] {
		t.Errorf("order = %+v", o)
	}

	// A conflict is held, exit 4, and makes the sale two lines.
	s.must(4, "post", "krps", s.url+"/in/kagi", "--quantity", "2")
	out := s.must(2, "order", "show", "kagi", "CH0123456789")
	for _, want := range []string{"conflict", "issued", "2 lines"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list of lines lacks %q:\n%s", want, out)
		}
	}
	s.must(2, "order", "approve", "kagi", "CH0123456789")
	s.must(3, "order", "show", "kagi", "CH0123456789", "3")
	s.must(2, "order", "show", "kagi", "CH0123456789", "0")
	s.must(2, "order", "show", "kagi", "CH0123456789", "x")
	s.must(2, "order", "show", "kagi", "")
	s.must(3, "order", "show", "kagi", "nothing")
	s.must(3, "order", "show", "fastspring", "CH0123456789")
	s.read(0, &o, "order", "show", "kagi", "CH0123456789", "2")
	if o.Status != "held" || *o.Reason != "conflict" || o.Licenses == nil {
		t.Errorf("held = %+v", o)
	}
	s.read(0, &o, "order", "approve", "kagi", "CH0123456789", "2")
	if o.Status != "issued" || len(o.Licenses) != 2 {
		t.Errorf("approved = %+v", o)
	}
	s.must(0, "order", "approve", "kagi", "CH0123456789", "2") // again changes nothing
	if again := s.post("--quantity", "2"); len(again) != 2 || again[0] != o.Licenses[0] {
		t.Errorf("the duplicate of the approved order gets %v", again)
	}

	// An unknown product: rejected, approved for a product after all.
	s.must(4, "post", "krps", s.url+"/in/kagi", "--transaction", "T2", "--product", "Unknown")
	s.must(1, "order", "approve", "kagi", "T2")
	s.read(0, &o, "order", "show", "kagi", "T2")
	if o.Product != nil || *o.Reason != "unknown_product" {
		t.Errorf("unknown product = %+v", o)
	}
	s.read(0, &o, "order", "reject", "kagi", "T2")
	if o.Status != "rejected" {
		t.Errorf("rejected = %+v", o)
	}
	s.must(0, "order", "reject", "kagi", "T2")
	s.must(1, "order", "reject", "kagi", "CH0123456789", "1")
	s.must(1, "order", "resend", "kagi", "T2")
	s.read(0, &o, "order", "approve", "kagi", "T2", "--product", "other")
	if o.Status != "issued" || *o.Product != "other" {
		t.Errorf("approved after all = %+v", o)
	}
	s.must(0, "order", "resend", "kagi", "T2")
	s.read(0, &o, "order", "resend", "kagi", "T2")

	// A refund revokes, twice changes nothing.
	s.read(0, &o, "order", "refund", "kagi", "CH0123456789", "1")
	s.must(0, "order", "refund", "kagi", "CH0123456789", "1")
	if !o.Refunded {
		t.Errorf("refunded = %+v", o)
	}
	s.must(1, "order", "resend", "kagi", "CH0123456789", "1")
	if out := s.must(1, "license", "restore", codes[0]); !strings.Contains(out, "still revoked: refund") {
		t.Errorf("restore a refunded license: %s", out)
	}
	if status, answer := s.activate(codes[0], "machine-1"); status != 403 || !strings.Contains(answer, "code_revoked") {
		t.Errorf("a refunded code: %d %s", status, answer)
	}
	var list []orderJSON
	s.read(0, &list, "order", "list", "--status", "issued", "--store", "kagi")
	if len(list) != 3 {
		t.Errorf("%d orders", len(list))
	}
	s.read(0, &list, "order", "list", "--limit", "1")
	if len(list) != 1 {
		t.Errorf("%d orders with --limit 1", len(list))
	}
	s.must(2, "order", "list", "--status", "lost")
	for range 100 {
		s.must(0, "license", "issue", "demo")
	}
	if got, out, _ := s.run("order", "list"); got != 0 || strings.Count(out, "\n") != 101 {
		t.Errorf("a person gets %d lines", strings.Count(out, "\n"))
	}
	if s.read(0, &list, "order", "list"); len(list) != 103 {
		t.Errorf("a program gets %d orders", len(list))
	}
}

func TestLicensesByHand(t *testing.T) { eachDatabase(t, testLicensesByHand) }

func testLicensesByHand(t *testing.T, s *site) {
	s.serve()
	code := s.post()[0]
	if status, answer := s.activate(code, "machine-1"); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	var l shownLicenseJSON
	s.read(0, &l, "license", "show", strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	if l.Code != code || l.Product != "demo" || l.Status != "active" || l.Type != "single" || l.Test || l.Limit != 2 || l.Used != 1 ||
		l.Order != (orderRefJSON{"kagi", "CH0123456789", 1}) || len(l.Activations) != 1 {
		t.Errorf("license = %+v", l)
	}
	for _, step := range []struct {
		verb, want, problem string
	}{{"suspend", "suspended", "code_suspended"}, {"revoke", "revoked", "code_revoked"}, {"restore", "active", ""}} {
		s.read(0, &l, "license", step.verb, code)
		if l.Status != step.want {
			t.Errorf("%s: %+v", step.verb, l)
		}
		if _, answer := s.activate(code, "machine-1"); !strings.Contains(answer, step.problem) {
			t.Errorf("%s: %s", step.verb, answer)
		}
	}
	s.read(0, &l, "license", "suspend", code)
	if out := s.must(1, "license", "replace", code); !strings.Contains(out, "keypost license restore") {
		t.Errorf("replace a suspended code: %s", out)
	}
	s.must(0, "license", "restore", code)
	s.read(0, &l, "license", "reset", code)
	if l.Used != 0 {
		t.Errorf("reset = %+v", l)
	}
	old := code
	s.read(0, &l, "license", "replace", code)
	if l.Code == old || l.Status != "active" || l.Order.Transaction != "CH0123456789" {
		t.Errorf("replaced = %+v", l)
	}
	if again := s.post(); again[0] != l.Code {
		t.Errorf("the duplicate gets %v, want %s", again, l.Code)
	}
	s.must(1, "license", "replace", old)
	s.must(3, "license", "show", "NOTHING")
	s.must(2, "license", "show", "--", "--")

	// By hand: exactly once by a name of one's own.
	var o, again orderJSON
	issue := []string{"license", "issue", "demo", "--name", "Ada", "--quantity", "2", "--transaction", "gift-1"}
	s.read(0, &o, issue...)
	s.read(0, &again, issue...)
	if o.Store != "manual" || len(o.Licenses) != 2 || o.Licenses[0] != again.Licenses[0] || o.Name != "Ada" {
		t.Errorf("issued = %+v, %+v", o, again)
	}
	s.must(2, "license", "issue") // two products
	s.must(3, "license", "issue", "nothing")
	s.must(2, "license", "issue", "demo", "--quantity", "0")
	s.must(2, "license", "issue", "demo", "--quantity", "251")
	s.must(2, "license", "issue", "demo", "--expires", "soon")
	s.must(2, "license", "issue", "demo", "--transaction", " ")
	s.must(2, "license", "issue", "demo", "--type", "")
	if out := s.must(0, "license", "issue", "demo", "--name", "Bob", "--quantity", "2", "--transaction", "GIFT-1"); !strings.Contains(out, "was there before") || strings.Contains(out, "Bob") {
		t.Errorf("another name for an order: %s", out)
	}
	s.must(2, "license", "issue", "demo", "--expires", "9999-12-31") // JSON has no year 10000
	_, expired, warning := s.run("license", "issue", "demo", "--expires", "2020-01-01", "--codes")
	if expired = strings.TrimSpace(expired); !strings.Contains(warning, "will not activate") {
		t.Errorf("a date that is past: %q", warning)
	}
	if status, answer := s.activate(expired, "machine-1"); status != 403 || !strings.Contains(answer, "code_expired") {
		t.Errorf("expired: %d %s", status, answer)
	}
	s.read(0, &l, "license", "show", expired)
	if l.Status != "active" || l.ExpiresAt == nil || !l.ExpiresAt.Equal(time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("expired = %+v", l)
	}
	test := strings.TrimSpace(s.must(0, "license", "issue", "--product", "demo", "--test", "--codes"))
	if status, answer := s.activate(test, "machine-1"); status != 403 || !strings.Contains(answer, "code_test") {
		t.Errorf("test: %d %s", status, answer)
	}
	var list []licenseJSON
	s.read(0, &list, "license", "list", "--product", "demo", "--status", "active")
	if len(list) != 5 {
		t.Errorf("%d active licenses", len(list))
	}
}

func TestPost(t *testing.T) {
	s := newSite(t)
	s.serve()
	url := s.url + "/in/kagi"
	s.must(1, "post", "krps", url, "--secret", "wrong")
	s.must(1, "post", "krps", url, "--digest", "md5")
	s.must(2, "post", "krps", url, "--digest", "crc")
	s.must(2, "post", "krps", "127.0.0.1/in/kagi")
	s.must(2, "post", "krps", url, "--set", "Name=x")
	s.must(1, "post", "krps", s.url+"/in/nothing")
	s.must(1, "post", "krps", "http://127.0.0.1:1/in/kagi")
	s.must(0, "post", "krps", url, "--set", "ACG:Request=Information")
	s.must(3, "order", "show", "kagi", "CH0123456789") // information took nothing in
	if out := s.must(1, "post", "krps", url, "--set", "ACG:InputVersion=0300"); !strings.Contains(out, "BAD") || !strings.Contains(out, "ACG:InputVersion") {
		t.Errorf("an old version: %s", out)
	}
	var answer struct {
		Status      string
		OrderStatus *string `json:"order_status"`
		Lines       []struct {
			RegNumber string `json:"reg_number"`
		}
	}
	s.read(4, &answer, "post", "krps", url, "--quantity", "6")
	if answer.Status != "GOOD" || *answer.OrderStatus != "held" || len(answer.Lines) != 1 || answer.Lines[0].RegNumber != "Wait, please." {
		t.Errorf("held: %+v", answer)
	}
	// A stored body as it is.
	file := filepath.Join(t.TempDir(), "post.txt")
	body := "ACG%3APassword=x&ACG%3ATransactionID=T\n"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(2, "post", "krps", url, "--file", file, "--quantity", "2")
	s.must(1, "post", "krps", url, "--codes", "--set", "ACG:Request=Information")
	s.must(0, "order", "reject", "kagi", "CH0123456789")
	s.must(1, "post", "krps", url, "--codes", "--quantity", "6")
	if out := s.must(1, "post", "krps", url, "--file", file); !strings.Contains(out, "is missing") {
		t.Errorf("a stored body: %s", out)
	}
}

func TestParse(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "post.txt")
	parse := func(code int, body string) (p parsedJSON) {
		t.Helper()
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		s.read(code, &p, "parse", "krps", file)
		return p
	}
	conf, err := loadConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	body := func(c postKRPS) string {
		b, _, err := c.body(&app{Context: t.Context(), file: s.config}, "kagi")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	p := parse(0, body(postKRPS{})+"\n")
	if p.Verdict != "issued" || *p.Product != "demo" || p.Name != "Fred Fragola" || len(p.Seeds) != 3 || p.Fields["ACG:Password"] != "***" {
		t.Errorf("good = %+v", p)
	}
	if p := parse(0, body(postKRPS{Product: "Other_Thing"})); p.Verdict != "held" || *p.Reason != "unknown_product" || p.Product != nil {
		t.Errorf("held = %+v", p)
	}
	if p := parse(0, body(postKRPS{Set: map[string]string{"ACG:Request": "Information"}})); p.Verdict != "information" {
		t.Errorf("information = %+v", p)
	}
	if p := parse(1, body(postKRPS{Secret: "wrong"})); p.Verdict != "bad" || !strings.Contains(*p.Reason, "does not match") {
		t.Errorf("bad = %+v", p)
	}
	if p := parse(1, "%"); p.Verdict != "bad" {
		t.Errorf("no form = %+v", p)
	}
	if err := os.WriteFile(file, []byte(body(postKRPS{Name: "\x1b[31mRed\r\n\r\nName"})), 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.must(0, "parse", "krps", file)
	for _, want := range []string{"ACG:TransactionID", "CH0123456789", "verdict", "seed mykey", "OEM seed Clear-Text"} {
		if !strings.Contains(out, want) {
			t.Errorf("parse lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") || strings.Contains(out, "geheim") {
		t.Errorf("parse prints what it must not:\n%q", out)
	}
	s.must(1, "parse", "krps", file+".missing")
	s.must(3, "parse", "krps", file, "--channel", "nothing")
	if _, err := os.Stat(strings.TrimPrefix(conf.Database.URL, "sqlite:")); err == nil {
		t.Error("parse made a database")
	}
}

func TestCheck(t *testing.T) {
	s := newSite(t)
	out := s.must(0, "check")
	for _, want := range []string{"ok      config", "is not there yet", "ok      generator of demo: random", "109 random bits", "ok      product demo: demo, machines a code: 2, leases: 168h0m0s", "warning product other: other, no limit", "ok      channel kagi: krps of kagi, SHA-512"} {
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
	if out := s.must(1, "serve"); !strings.Contains(out, "put it back from your backup") {
		t.Errorf("serve without the master key:\n%s", out)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "keys", "rotate"); !strings.Contains(out, "is not a master key") {
		t.Errorf("rotate with nonsense:\n%s", out)
	}
	s.write("listen = 1")
	var list []finding
	s.read(1, &list, "check")
	if len(list) != 1 || list[0].Result != "failed" || !strings.Contains(list[0].Detail, "keypost.toml:1") {
		t.Errorf("a wrong config: %+v", list)
	}
}

// check changes nothing, not even what a killed first start left undone.
func TestCheckChangesNothing(t *testing.T) {
	s := newSite(t)
	c, err := loadConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := makeMaster(c.Keys.MasterFile); err != nil {
		t.Fatal(err)
	}
	if out := s.must(1, "check"); !strings.Contains(out, "keypost serve makes it") {
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
	_, before := s.activate(code, "machine-1")
	var first, second []keyJSON
	s.read(0, &first, "keys", "list")
	s.read(0, &second, "keys", "rotate")
	if len(first) != 2 || len(second) != 3 || second[0].ID == second[1].ID {
		t.Fatalf("%+v, then %+v", first, second)
	}
	slots := func(list []keyJSON) map[string]string {
		m := map[string]string{}
		for _, k := range list {
			m[k.Slot] = k.ID
		}
		return m
	}
	if a, b := slots(first), slots(second); b["current"] != a["next"] || b["retired"] != a["current"] {
		t.Errorf("%v, then %v", a, b)
	}
	// The running daemon signs with the new key at once.
	if _, after := s.activate(code, "machine-1"); after == before {
		t.Error("the daemon goes on with the old key")
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
	c, err := loadConfig(file)
	if err != nil || strings.Contains(string(before), "MADE-BY-INIT") || len(c.Channels[0].Secrets[0]) != 26 {
		t.Errorf("the new config: %v", err)
	}
	// What is commented out is right, too.
	uncommented := regexp.MustCompile(`(?m)^# ([a-z_]+ = [^…\n]*)$`).ReplaceAllString(string(before), "$1")
	uncommented = strings.Replace(uncommented, "# [keys]", "[keys]", 1)
	if uncommented == string(before) {
		t.Fatal("nothing is commented out")
	}
	if err := os.WriteFile(file, []byte(uncommented), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(file); err != nil {
		t.Errorf("uncommented:\n%s\n%v", uncommented, err)
	}
}

func TestUsage(t *testing.T) {
	call := func(args ...string) (int, string) {
		var out bytes.Buffer
		err := run(t.Context(), args, nil, &out, &out)
		return exitCode(err), out.String()
	}
	for _, args := range [][]string{{"bogus"}, {"order"}, {"order", "show"}, {"order", "list", "--limit", "x"}, {"serve", "extra"}} {
		if code, out := call(args...); code != 2 {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
	if code, out := call("--config", "/nothing/keypost.toml", "order", "list"); code != 1 {
		t.Errorf("a config that is not there: exit %d\n%s", code, out)
	}
	if code, out := call("help", "order", "list"); code != 0 || !strings.Contains(out, "--status") {
		t.Errorf("help order list: exit %d\n%s", code, out)
	}
	if code, out := call(); code != 2 || !strings.Contains(out, "serve") {
		t.Errorf("no arguments: exit %d\n%s", code, out)
	}
	if code, out := call("version"); code != 0 || !strings.HasPrefix(out, "keypost ") {
		t.Errorf("version: exit %d\n%s", code, out)
	}
}

// --config names the file to write, too.
func TestInitConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "my.toml")
	if err := run(t.Context(), []string{"init", "--config", file}, nil, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(file); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"init", "x", "--config", file}, nil, io.Discard, io.Discard); exitCode(err) != 2 {
		t.Errorf("both: %v", err)
	}
}

// Nothing that a buyer writes acts on a terminal, in JSON either.
func TestPrintJSON(t *testing.T) {
	var b bytes.Buffer
	want := "\u009b31m\u202e\x1b\x7f\U000e0001 ø\U0001f600"
	if err := printJSON(&b, []string{want}); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got[0] != want {
		t.Errorf("%q is read as %q, %v", b.String(), got, err)
	}
	if strings.ContainsAny(b.String(), "\u009b\u202e\x1b\x7f\U000e0001") || !strings.Contains(b.String(), "ø😀") {
		t.Errorf("%q", b.String())
	}
}

// Every command has help with an example, which begins as the command does.
func TestHelpHasExamples(t *testing.T) {
	var c commands
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		seen++
		var out bytes.Buffer
		if err := run(t.Context(), append(path, "--help"), nil, &out, &out); err != nil {
			t.Errorf("%v: %v", path, err)
		}
		text := strings.Join(strings.Fields(out.String()), " ")
		if !strings.Contains(text, strings.TrimSpace("Example: keypost "+strings.Join(path, " "))) {
			t.Errorf("%v has no example:\n%s", path, out.String())
		}
		for _, child := range n.Children {
			walk(child, append(slices.Clone(path), child.Name))
		}
	}
	walk(parser.Model.Node, nil)
	if seen < 25 {
		t.Errorf("only %d commands", seen)
	}
}
