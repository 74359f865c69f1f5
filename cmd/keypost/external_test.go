package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/keygen/external"
	"github.com/keypost/keypost/store/storetest"
)

// place writes a file, perhaps a program, beside a site's config.
func (s *site) place(name, text string) (file string) {
	s.t.Helper()
	file = filepath.Join(filepath.Dir(s.config), name)
	if err := os.WriteFile(file+".new", []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil { // one that runs cannot be written
		s.t.Fatal(err)
	}
	return file
}

// module builds a Go program as a WASI module, beside a site's config.
func (s *site) module(name, source string) {
	s.t.Helper()
	cmd := exec.Command("go", "build", "-o", filepath.Join(filepath.Dir(s.config), name), source)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if b, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, b)
	}
}

const externalConfig = `
[[product]]
id = "scripted"
limit = 1
generator = { kind = "command", command = ["gen.sh", "S"] }
[[product]]
id = "sandboxed"
limit = 1
generator = { kind = "wasm", module = "gen.wasm", timeout = "30s" }
[[product]]
id = "asked"
limit = 1
generator = { kind = "http", url = "%s/?key=query-secret", secret = "` + hookSecret + `", private = true }
[[product]]
id = "all"
gives = ["demo", "scripted", "asked"]
`

// A Kagi order gets its codes from each kind, alone and in a bundle; what fails
// is tried again.
func TestOutsideGenerators(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module, and waits for the sweeper: make test does it")
	}
	eachDatabase(t, testOutsideGenerators)
}

func testOutsideGenerators(t *testing.T, s *site) {
	t.Parallel() // the sweeper takes its time
	maker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Order, Product string
			Quantity       int
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("webhook-signature") == "" || r.Header.Get("Idempotency-Key") != q.Order+":"+q.Product {
			t.Errorf("%+v, %v, %v", q, r.Header, err)
		}
		codes := []string{}
		for i := range q.Quantity {
			codes = append(codes, fmt.Sprintf("H-%s-%d", q.Order, i))
		}
		json.NewEncoder(w).Encode(map[string]any{"codes": codes})
	}))
	defer maker.Close()
	crm := newCRM(t)
	s.place("gen.sh", "#!/bin/sh\nid=$(od -An -N8 -tx8 /dev/urandom)\necho \"$1-${id# }\"\n")
	s.module("gen.wasm", "../../keygen/external/testdata/guest")
	s.add(fmt.Sprintf(externalConfig, maker.URL) + crm.config("events = [\"order.issued\"]\n"))

	s.create()
	out := s.must(0, "check")
	for _, want := range []string{"generator of scripted: command, like S-", "ok      generator of sandboxed: wasm, like ", "ok      generator of asked: http, like H-check-"} {
		if !strings.Contains(out, want) {
			t.Errorf("check lacks %q:\n%s", want, out)
		}
	}
	s.serve()
	scripted := s.post("--transaction", "S1", "--product", "scripted")
	if again := s.post("--transaction", "S1", "--product", "scripted"); len(scripted) != 1 || again[0] != scripted[0] || !strings.HasPrefix(again[0], "S-") {
		t.Errorf("scripted: %v, %v", scripted, again)
	}
	if codes := s.post("--transaction", "W1", "--product", "sandboxed", "--quantity", "2"); len(codes) != 2 || codes[0] == codes[1] {
		t.Errorf("sandboxed: %v", codes)
	}
	if codes := s.post("--transaction", "H1", "--product", "asked", "--quantity", "2"); len(codes) != 2 || !strings.HasPrefix(codes[1], "H-") {
		t.Errorf("asked: %v", codes)
	}
	if codes := s.post("--transaction", "B1", "--product", "all"); len(codes) != 3 || !strings.HasPrefix(codes[1], "S-") || !strings.HasPrefix(codes[2], "H-") {
		t.Errorf("all: %v", codes)
	}
	for range 4 {
		<-crm.told
	}

	// What the order lacks a person mends, at once.
	good, err := os.ReadFile(filepath.Join(filepath.Dir(s.config), "gen.sh"))
	if err != nil {
		t.Fatal(err)
	}
	s.place("gen.sh", "#!/bin/sh\nread -r line\necho \"no machine: $line\" >&2\nexit 65\n")
	s.must(4, "post", "krps", s.url+"/in/kagi", "--transaction", "S2", "--product", "scripted")
	if out := s.must(0, "order", "show", "kagi", "S2"); !strings.Contains(out, "incomplete") {
		t.Errorf("show: %s", out)
	}
	if out := s.must(0, "check"); !strings.Contains(out, "warning generator of scripted: command answers, but needs more") {
		t.Errorf("check: %s", out)
	}

	// What else fails leaves the order reserved, and the sweeper goes on.
	s.place("gen.sh", "#!/bin/sh\nexit 1\n")
	if out := s.must(1, "check"); !strings.Contains(out, "failed  generator of scripted: the program gen.sh: exit code 1") {
		t.Errorf("check: %s", out)
	}
	s.must(1, "post", "krps", s.url+"/in/kagi", "--transaction", "S3", "--product", "scripted")
	var o admin.Order
	s.read(0, &o, "order", "show", "kagi", "S3")
	if o.Status != "reserved" {
		t.Errorf("%+v", o)
	}
	if code, out, _ := s.run("order", "approve", "kagi", "S2"); code == 0 || strings.Contains(out, "S-") {
		t.Errorf("approve: %d, %s", code, out)
	}
	s.place("gen.sh", string(good))
	s.must(0, "order", "approve", "kagi", "S2")
	for range 2 {
		if e := <-crm.told; e.Data.Order["status"] != "issued" {
			t.Errorf("%+v", e)
		}
	}
	s.read(0, &o, "order", "show", "kagi", "S3")
	if o.Status != "issued" || len(o.Licenses) != 1 || !strings.HasPrefix(o.Licenses[0], "S-") {
		t.Errorf("%+v", o)
	}
	if log := s.log.String(); strings.Contains(log, "query-secret") || strings.Contains(log, "Fragola") || strings.Contains(log, scripted[0]) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestConfigExternal(t *testing.T) {
	folder := t.TempDir()
	for name, mode := range map[string]os.FileMode{"gen": 0o755, "text": 0o644, "secret": 0o600, "empty": 0o600} {
		text := ""
		if name == "secret" {
			text = hookSecret + "\n"
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	load := func(generator string) error {
		file := filepath.Join(folder, "keypost.toml")
		if err := os.WriteFile(file, []byte(goodProduct+"generator = { "+generator+" }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(file)
		return err
	}
	good := func(generator string) {
		t.Helper()
		if err := load(generator); err != nil {
			t.Errorf("%s: %v", generator, err)
		}
	}
	bad := func(generator, want string) {
		t.Helper()
		err := load(generator)
		if err == nil || !strings.Contains(err.Error(), "keypost.toml:4: product[0].generator") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", generator, err, want)
		}
	}
	good(`kind = "command", command = ["gen", "-x"], run_as = "root", timeout = "1m", memory = 16`)
	good(`kind = "command", command = ["` + folder + `/gen"]`)
	bad(`kind = "command"`, "generator.command: it is missing")
	bad(`kind = "command", command = ["text"]`, "text is not a program")
	bad(`kind = "command", command = ["none"]`, "generator.command: stat ")
	bad(`kind = "command", command = ["gen"], run_as = "nobody-of-this-name"`, "generator.run_as: ")
	bad(`kind = "command", command = ["gen"], timeout = "61s"`, "generator.timeout: it must be between 10ms and 1m0s")
	bad(`kind = "command", command = ["gen"], timeout = "0s"`, "generator.timeout: ")
	bad(`kind = "command", command = ["gen"], memory = 0`, "generator.memory: it must be between 16 and 4096")
	bad(`kind = "command", command = ["gen"], module = "gen"`, "generator.module: a command generator has no such key")
	bad(`kind = "random", run_as = "root"`, "generator.run_as: a random generator has no such key")
	good(`kind = "wasm", module = "text"`) // it is compiled when it is needed
	bad(`kind = "wasm"`, "generator.module: it is missing")
	bad(`kind = "wasm", module = "none.wasm"`, "generator.module: stat ")
	const url = `kind = "http", url = "https://codes.example.com/?s3cret"`
	good(url + `, secret_file = "secret", timeout = "30s"`)
	good(`kind = "http", url = "http://10.0.0.1/", private = true, secret = "` + hookSecret + `"`)
	good(url + `, secrets = ["` + hookSecret + `", "` + hookSecret + `"]`)
	bad(url+`, secrets = ["s3cret"]`, "generator.secret: it must be whsec_")
	bad(url+`, secrets = ["`+hookSecret+`"], secret_file = "secret"`, "generator.secrets: secret is set too")
	bad(url, "generator.secret: it must be whsec_")
	bad(url+`, secret = "s3cret"`, "generator.secret: it must be whsec_")
	bad(url+`, secret = "s3cret", secret_file = "secret"`, "generator.secret_file: secret is set too")
	bad(url+`, secret_file = "empty"`, "generator.secret_file: ")
	bad(url+`, secret_file = "none"`, "generator.secret_file: open ")
	bad(url+`, secret_file = "secret", timeout = "31s"`, "between 10ms and 30s")
	bad(url+`, secret_file = "secret", memory = 64`, "generator.memory: a http generator")
	bad(`kind = "http", url = "http://codes.example.com/?s3cret", secret_file = "secret"`, "generator.url: names and codes would be sent unencrypted")
	bad(`kind = "http", url = "https://127.0.0.1/", secret_file = "secret"`, "private = true allows it")
}

const externalPage = "../../docs/external.md"

// The page names every key of the three kinds, and no other.
func TestDocsExternalKeys(t *testing.T) {
	shown, built := map[string]bool{}, map[string]bool{}
	keys := false
	for line := range strings.Lines(pages(t)[externalPage]) {
		cells := strings.Split(line, "|")
		keys = len(cells) > 3 && (keys || cells[1] == " key ")
		if !keys {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			shown[m[1]] = true
		}
	}
	for _, kind := range []string{"command", "http", "wasm"} {
		for _, key := range config.GeneratorKeys()[kind] {
			built[key] = true
		}
	}
	if diff := cmp.Diff(built, shown); diff != "" {
		t.Errorf("built and shown keys differ: %s", diff)
	}
}

// The page's generators make codes, as pasted.
func TestDocsExternal(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs: make test does it")
	}
	if err := exec.Command("python3", "-c", "").Run(); err != nil {
		storetest.LeaveOut(t, "python3 does not run: make test installs it")
	}
	folder := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	write("gen.py", strings.Replace(block(t, externalPage, "python"), "/usr/bin/python3", python, 1))
	write("gen.sh", block(t, externalPage, "sh"))
	write("gen.go", block(t, externalPage, "golang"))
	mustRun(t, "sh", "-ec", "cd "+folder+"\n"+buildLine(t, "go build"))
	address := freeAddress(t)
	mustRun(t, "go", "build", "-o", filepath.Join(folder, "server"), write("server.go", strings.ReplaceAll(block(t, externalPage, "go"), "127.0.0.1:8090", address)))
	server := exec.Command(filepath.Join(folder, "server"))
	server.Env = append(os.Environ(), "SECRET="+hookSecret)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	load := func(generator string) keygen.Generator {
		t.Helper()
		c, err := config.Load(write("keypost.toml", goodProduct+"generator = { "+generator+" }\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Catalog().Products[0].Codes.Outside
	}
	try := func(generator string) (codes []string, err error) {
		t.Helper()
		return load(generator).Generate(t.Context(), keygen.Request{OrderID: "1", Product: "demo", Name: "Ada Lovelace", Quantity: 3})
	}
	for _, g := range []string{
		`kind = "command", command = ["gen.py"], timeout = "1m"`, `kind = "command", command = ["gen.sh"], timeout = "1m"`,
		`kind = "wasm", module = "gen.wasm", timeout = "1m"`,
		`kind = "http", url = "http://` + address + `/", private = true, secret = "` + hookSecret + `"`, // it waits for the server to be up
	} {
		if codes, err := try(g); err != nil || len(codes) != 3 || codes[0] == codes[1] {
			t.Errorf("%s: %q, %v", g, codes, err)
		}
	}
	if _, err := try(`kind = "http", url = "http://` + address + `/", private = true, secret = "` + "whsec_" + strings.Repeat("c3Vw", 8) + `"`); err == nil || !strings.Contains(err.Error(), "HTTP 401: not signed with our secret") {
		t.Errorf("another secret: %v", err)
	}
	nameless := keygen.Request{Quantity: 1}
	for _, g := range []string{`kind = "command", command = ["gen.py"], timeout = "1m"`, `kind = "http", url = "http://` + address + `/", private = true, secret = "` + hookSecret + `"`} {
		if _, err := load(g).Generate(t.Context(), nameless); !errors.Is(err, keygen.ErrRequest) || !strings.HasSuffix(err.Error(), ": the buyer's name is missing") {
			t.Errorf("%s: %v", g, err)
		}
	}
}

// buildLine is the line of the page that builds gen.wasm with a tool.
func buildLine(t *testing.T, tool string) string {
	t.Helper()
	for line := range strings.Lines(pages(t)[externalPage]) {
		if strings.Contains(line, tool+" ") && strings.Contains(line, " -o gen.wasm ") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s has no line with %s", externalPage, tool)
	return ""
}

// The module in C, built with the page's line, finds the quantity whatever a
// buyer writes.
func TestDocsModuleInC(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "gen.c"), []byte(block(t, externalPage, "c")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("sh", "-c", "echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -o /dev/null -x c -").Run(); err != nil {
		storetest.LeaveOut(t, "clang, lld, wasi-libc or libclang-rt-dev-wasm32 is missing: make test installs them")
	}
	mustRun(t, "sh", "-ec", "cd "+folder+"\n"+buildLine(t, "clang")+" -Wall -Wextra -Werror")
	w, err := external.NewWasm(filepath.Join(folder, "gen.wasm"), external.Limits{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"quantity":7,`, `{"quantity":7}`, `\"quantity":7`, `quantity`, "\"quantity\":\n7", strings.Repeat("<", 200_000)} {
		codes, err := w.Generate(t.Context(), keygen.Request{OrderID: "1", Name: name, Seeds: []string{name, name}, Quantity: 250})
		if err != nil || len(codes) != 250 || len(codes[249]) != 22 || codes[0] == codes[1] {
			t.Errorf("%.30q: %d codes, %v", name, len(codes), err)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What the README says to type makes a generator.
func TestReadmeExternal(t *testing.T) {
	section := regexp.MustCompile("(?s)## Bring your own generator.*?```sh\n(.*?)```.*?```toml\n(.*?)```").FindStringSubmatch(pages(t)["../../README.md"])
	if section == nil {
		t.Fatal("the README has no such section")
	}
	s := newSite(t)
	cmd := exec.Command("sh", "-ec", section[1])
	cmd.Dir = filepath.Dir(s.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.write(strings.Replace(siteConfig, "limit = 2\n", "limit = 2\n"+section[2], 1))
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "generator of demo: command, like ") {
		t.Errorf("check:\n%s", out)
	}
	s.must(0, "keygen", "try", "demo", "--name", "Ada Lovelace")
}
