package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/store"
)

// here runs a command in a folder as a person does, with no --config of the
// test's.
func here(t *testing.T, folder string, args ...string) (code int, out string) {
	t.Helper()
	t.Chdir(folder)
	var b bytes.Buffer
	err := run(t.Context(), args, strings.NewReader(""), &b, &b)
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	return exitCode(err), b.String()
}

// noConfigs lets a test have the places of configs to itself.
func noConfigs(t *testing.T) (system string) {
	t.Helper()
	t.Setenv("KEYPOST_CONFIG", "")
	system = filepath.Join(t.TempDir(), "etc", config.Name)
	before := config.Places
	config.Places = []string{config.Name, system}
	t.Cleanup(func() { config.Places = before })
	return system
}

// fileNames are all files below a folder.
func fileNames(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(folder, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// init makes all that serve needs, once.
func TestInitMakesTheDatabase(t *testing.T) {
	noConfigs(t)
	folder := t.TempDir()
	code, out := here(t, folder, "init")
	if code != 0 || !strings.Contains(out, "\n  keypost check\n") {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, name := range []string{"keypost.toml", "data/keypost.db", "data/keypost.key"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if code, out := here(t, folder, "check"); code != 0 {
		t.Errorf("check: %d\n%s", code, out)
	}
	if code, out := here(t, folder, "db", "create"); code != 1 || !strings.Contains(out, "already exists") {
		t.Errorf("db create: %d\n%s", code, out)
	}
	// A second shop is not made in the place of the first, nor of a demo.
	if code, out := here(t, folder, "init"); code != 1 || !strings.Contains(out, "was not changed") {
		t.Errorf("init again: %d\n%s", code, out)
	}
	if err := os.Remove(filepath.Join(folder, config.Name)); err != nil {
		t.Fatal(err)
	}
	before := fileNames(t, folder)
	if code, out := here(t, folder, "init"); code != 1 || !strings.Contains(out, "keypost.db already exists") {
		t.Errorf("init beside a database: %d\n%s", code, out)
	}
	if diff := cmp.Diff(before, fileNames(t, folder)); diff != "" {
		t.Error(diff)
	}
}

// A typo in the database's URL opens no empty shop.
func TestServeMakesNoDatabase(t *testing.T) {
	s := boxedSite(t)
	folder := filepath.Dir(s.config)
	stop := s.serve()
	s.post("--product", "boxed")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := fileNames(t, folder)
	s.write(s.text() + "[database]\nurl = \"sqlite:data/keypots.db\"\n")
	for _, command := range [][]string{{"serve"}, {"check"}, {"order", "list"}, {"db", "migrate"}, {"pool", "load", "boxed", filepath.Join(folder, "codes.txt")}} {
		if out := s.must(1, command...); !strings.Contains(out, "keypots.db: it is not set up yet") || !strings.Contains(out, "keypost db create --config "+s.config) {
			t.Errorf("%v:\n%s", command, out)
		}
	}
	// Another key than the database's is none of a new one, either.
	s.write(siteConfig + boxed + "[keys]\nmaster_file = \"other.key\"\n")
	for _, command := range [][]string{{"serve"}, {"db", "create"}, {"check"}} {
		if out := s.must(1, command...); !strings.Contains(out, "restore it from your backup") {
			t.Errorf("%v without the key:\n%s", command, out)
		}
	}
	if diff := cmp.Diff(before, fileNames(t, folder)); diff != "" {
		t.Errorf("files were made: %s", diff)
	}
}

// db create makes nothing with a key that is none, and finishes what a killed
// one began.
func TestDBCreate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		c, err := config.Load(s.config)
		if err != nil {
			t.Fatal(err)
		}
		key := c.Keys.MasterFile
		if err := errors.Join(os.MkdirAll(filepath.Dir(key), 0o700), os.WriteFile(key, []byte("nonsense\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if out := s.must(1, "db", "create"); !strings.Contains(out, "is not a master key") {
			t.Errorf("with a broken key:\n%s", out)
		}
		if out := s.must(1, "serve"); !strings.Contains(out, "it is not set up yet") {
			t.Errorf("the broken key left a database behind:\n%s", out)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		halfMade(t, c.Database.URL)
		if out := s.must(1, "serve"); !strings.Contains(out, "keypost db create") {
			t.Errorf("serve on a database that is half made:\n%s", out)
		}
		var made struct{ Database, Master string }
		s.read(0, &made, "db", "create")
		if strings.Contains(made.Database, "p%40ss") {
			t.Errorf("%+v", made)
		}
		s.serve()
		s.post()
		s.must(0, "check")
	})
}

// A second daemon on a port that is taken touches nothing.
func TestServeTriesItsPortFirst(t *testing.T) {
	noConfigs(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "127.0.0.1:0", l.Addr().String(), 1))
	if out := s.must(1, "serve"); !strings.Contains(out, "another address: [server] listen") {
		t.Errorf("serve:\n%s", out)
	}
	if got := fileNames(t, filepath.Dir(s.config)); len(got) != 1 {
		t.Errorf("files were made: %q", got)
	}
}

// A named config comes first, then KEYPOST_CONFIG, the folder, the system. One
// that is named and missing does not become the demo.
func TestConfigPlaces(t *testing.T) {
	system := noConfigs(t)
	folder := t.TempDir()
	t.Chdir(folder)
	at := func(file string) string {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(siteConfig), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	want := func(named, want string) {
		t.Helper()
		if got := config.Find(named); got != want {
			t.Errorf("config.Find(%q) = %q, want %q", named, got, want)
		}
	}
	want("", "")
	want("x.toml", "x.toml")
	want("", at(system))
	want("", at(config.Name))
	other := at(filepath.Join(folder, "other.toml"))
	t.Setenv("KEYPOST_CONFIG", other)
	want("", other)
	want("x.toml", "x.toml")
	t.Setenv("KEYPOST_CONFIG", filepath.Join(folder, "missing.toml"))
	if code, out := here(t, folder, "order", "list"); code != 1 || !strings.Contains(out, "missing.toml") || !strings.Contains(out, "keypost init") {
		t.Errorf("%d\n%s", code, out)
	}
}

// Commands that change something leave the store of a demo alone, unless they
// are told; those that only look say whose store it is.
func TestDemoStoreIsNotChangedByMistake(t *testing.T) {
	noConfigs(t)
	folder := t.TempDir()
	t.Chdir(folder)
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateDatabase(t.Context(), c.Admin()); err != nil {
		t.Fatal(err)
	}
	if code, out := here(t, folder, "order", "list"); code != 0 || !strings.Contains(out, "using the demo's database") {
		t.Errorf("order list: %d\n%s", code, out)
	}
	issue := []string{"license", "issue", "demo", "--transaction", "gift-1"}
	if code, out := here(t, folder, issue...); code != 2 || !strings.Contains(out, "--demo") {
		t.Errorf("license issue: %d\n%s", code, out)
	}
	if code, out := here(t, folder, append(issue, "--demo")...); code != 0 || strings.Contains(out, "no config file") {
		t.Errorf("license issue --demo: %d\n%s", code, out)
	}
	if err := os.WriteFile(config.Name, []byte(siteConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := here(t, folder, append(issue, "--demo")...); code != 2 || !strings.Contains(out, "here is keypost.toml") {
		t.Errorf("--demo beside a config: %d\n%s", code, out)
	}
}

// A store that a lost config leaves behind is not served as a demo, whose
// secret everybody knows.
func TestDemoServesNoOtherStore(t *testing.T) {
	noConfigs(t)
	s := newSite(t)
	stop := s.serve()
	s.must(0, "license", "issue", "other", "--transaction", "gift-1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(s.config))
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	db, err := admin.OpenToServe(t.Context(), c.Admin())
	if err == nil {
		db.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "licenses of product other") || !strings.Contains(err.Error(), "--config") {
		t.Errorf("OpenToServe: %v", err)
	}
}

// Each command says whether it changes the store: the list is the contract's.
func TestChangingCommands(t *testing.T) {
	var c commands
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	var changing, looking []string
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		if len(n.Children) == 0 {
			if _, ok := n.Target.Addr().Interface().(changer); ok {
				changing = append(changing, path)
			} else {
				looking = append(looking, path)
			}
		}
		for _, child := range n.Children {
			walk(child, strings.TrimSpace(path+" "+child.Name))
		}
	}
	walk(parser.Model.Node, "")
	wantLooking := []string{
		"init", "serve", "check", "post krps", "parse krps", "parse mail", "profile show", "profile test", "profile draft",
		"order list", "order show", "license list", "license show", "license file", "keygen try", "pool show", "export csv", "customer show",
		"db verify", "db copy", "db backup", "audit verify", "outbox list", "mail preview", "mail template", "mail test", "mail digest", "mail list", "mail show",
		"webhook test", "keys list", "version", "completion",
	}
	if diff := cmp.Diff(wantLooking, looking); diff != "" {
		t.Errorf("commands that do not change the store: %s", diff)
	}
	if len(changing) < 15 {
		t.Errorf("only %q change it", changing)
	}
}

// halfMade is a database as a killed db create leaves it: with its first schema
// and no keys.
func halfMade(t *testing.T, source string) {
	t.Helper()
	db, err := store.Open(t.Context(), source, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}
