package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"

	"github.com/alecthomas/kong"

	"github.com/keypost/keypost/activation/client"
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
secret = "geheim1234567890"
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

// create makes the site's database, unless it is there.
func (s *site) create() {
	s.t.Helper()
	if code, out, errOut := s.run("db", "create"); code != 0 && !strings.Contains(errOut, "already exists and was not changed") {
		s.t.Fatalf("db create: exit %d\n%s%s", code, out, errOut)
	}
}

// serve runs the daemon until the test ends, or stop is called.
func (s *site) serve() (stop func() error) {
	s.t.Helper()
	s.create()
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

// software is a program on a machine that was shipped with these public keys;
// it remembers nothing.
func (s *site) software(machine string, keys []admin.Key) *client.Client {
	s.t.Helper()
	o := client.Options{URL: s.url, Product: "demo", Fingerprint: machine}
	for _, k := range keys {
		o.Keys = append(o.Keys, k.X)
	}
	c, err := client.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// activate asks for a seat as shipped software does; the problem is the code
// of what was refused, "" for a seat with a lease that verifies.
func (s *site) activate(code, machine string) (problem string) {
	s.t.Helper()
	var keys []admin.Key
	s.read(0, &keys, "keys", "list")
	_, err := s.software(machine, keys).Activate(s.t.Context(), code)
	if p, ok := errors.AsType[*client.Problem](err); ok { // also as the cause of an outage
		return p.Code
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return ""
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

// text is the config as it is.
func (s *site) text() string {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// What is said of one thing is not said of several, and an empty word is not
// listed among those that a flag takes.
func TestWording(t *testing.T) {
	for n, want := range map[int]string{0: "0 mails", 1: "1 mail", 2: "2 mails"} {
		if got := count(n, "mail"); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	s := newSite(t)
	for _, command := range [][]string{{"mail", "list", "--verdict", "x"}, {"order", "list", "--status", "x"}} {
		if out := s.must(2, command...); strings.Contains(out, `""`) || !strings.Contains(out, `must be one of "`) || !strings.Contains(out, "(see: keypost "+command[0]+" list --help)") {
			t.Errorf("%v: %s", command, out)
		}
	}
	if out := s.must(0, "import", "--help"); !strings.Contains(out, "csv, mbox, maildir") {
		t.Errorf("import --help: %s", out)
	}
}
