package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// pages are the README and all of docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	text := map[string]string{}
	for _, f := range append(files, "../../README.md", "../../CHANGELOG.md") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text[f] = string(b)
	}
	return text
}

// Every command that a page shows can be typed.
func TestDocsCommands(t *testing.T) {
	commandIn := regexp.MustCompile("(?m)(?:^ *|`)keypost ([^`#\n]*)")
	found := 0
	for file, text := range pages(t) {
		for _, m := range commandIn.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1], " >") // into a file
			args := words(line)
			if len(args) < 2 && !strings.Contains("init check serve version", args[0]) || args[len(args)-1] == "…" {
				continue // the name of a group
			}
			found++
			var c commands
			parser, err := kong.New(&c, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			_, err = parser.Parse(args)
			if err != nil && !strings.Contains(err.Error(), "expected \"<") { // a command shown without its arguments
				t.Errorf("%s: keypost %s: %v", file, m[1], err)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d commands found", found)
	}
}

// words splits a command line as a shell does, as far as pages need it.
func words(line string) (list []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		list = append(list, m[1]+m[2])
	}
	return list
}

// Every link between pages leads somewhere.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// The page on the config names every key, and no other.
func TestDocsConfigKeys(t *testing.T) {
	page := pages(t)["../../docs/configuration.md"]
	shown, built := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				shown[m[1]] = true
			}
		}
	}
	for _, key := range config.TableKeys() {
		built[key] = true
	}
	if diff := cmp.Diff(built, shown); diff != "" {
		t.Errorf("built and shown keys differ: %s", diff)
	}
}

// The page on generators has a section for each kind, with its keys and no
// others.
func TestDocsGenerators(t *testing.T) {
	sections := map[string]string{}
	for _, part := range strings.Split(pages(t)["../../docs/generators.md"], "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		sections[title] = text
	}
	for kind, keys := range config.GeneratorKeys() {
		if slices.Contains([]string{"command", "http", "wasm"}, kind) { // docs/external.md has these
			continue
		}
		shown := []string{}
		for _, m := range regexp.MustCompile("(?m)^\\| `([^|]*)` \\|").FindAllStringSubmatch(sections[kind], -1) {
			shown = append(shown, strings.Split(m[1], "`, `")...)
		}
		slices.Sort(shown)
		slices.Sort(keys)
		if diff := cmp.Diff(keys, shown); diff != "" {
			t.Errorf("%s: built and shown keys differ: %s", kind, diff)
		}
	}
}

// The lines that the page on generators shows can be pasted.
func TestDocsGeneratorLines(t *testing.T) {
	line := regexp.MustCompile("(?m)^generator = .*$")
	found := line.FindAllString(pages(t)["../../docs/generators.md"], -1)
	codes := filepath.Join(t.TempDir(), "codes.txt")
	if err := os.WriteFile(codes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files := strings.NewReplacer("codes.txt", codes, "cocoafob.pem", testKey(t, "cocoafob.pem"), "aquaticprime.plist", testKey(t, "aquaticprime.plist"))
	for _, l := range found {
		if _, err := parsed(t, goodProduct+files.Replace(l)+"\n"); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
	if len(found) < len(config.GeneratorKeys()) {
		t.Errorf("only %d lines for %d kinds", len(found), len(config.GeneratorKeys()))
	}
}

// section is a part of a page.
func section(t *testing.T, page, title string) string {
	t.Helper()
	_, text, ok := strings.Cut(pages(t)[page], "\n## "+title+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", page, title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// codeIn is a section's block of code in a language.
func codeIn(t *testing.T, section, language string) string {
	t.Helper()
	_, code, ok := strings.Cut(section, "```"+language+"\n")
	code, _, end := strings.Cut(code, "```")
	if !ok || !end {
		t.Fatalf("no %s", language)
	}
	return code
}

// The page on activation names every problem code, and no other.
func TestDocsProblemCodes(t *testing.T) {
	source, err := os.ReadFile("../../activation/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?:newProblem\(http\.\w+, |\{store\.\w+, )"([a-z_]+)"`)
	built := map[string]bool{}
	for _, m := range code.FindAllStringSubmatch(string(source), -1) {
		built[m[1]] = true
	}
	if len(built) < 12 {
		t.Fatalf("only %d codes found: %v", len(built), built)
	}
	page := pages(t)["../../docs/activation.md"]
	page = page[strings.Index(page, "## Problems"):strings.Index(page, "## Leases")]
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
				if !built[m[1]] {
					t.Errorf("docs/activation.md has the code %s, problem.go has not", m[1])
				}
				delete(built, m[1])
			}
		}
	}
	if len(built) > 0 {
		t.Errorf("docs/activation.md lacks %v", built)
	}
}

// The rights that the tests have are those that the pages name.
func TestDocsRights(t *testing.T) {
	for _, file := range []string{"../../docs/mysql.md", "../../README.md"} {
		if !strings.Contains(pages(t)[file], "GRANT "+storetest.Rights+" ON ") {
			t.Errorf("%s does not grant %s", file, storetest.Rights)
		}
	}
}

// block is the first code block of a language on a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(pages(t)[page])
	if m == nil {
		t.Fatalf("%s has no %s", page, language)
	}
	return m[1]
}

const webhooksPage = "../../docs/webhooks.md"

// The page on webhooks names every event, and no other, and its example is
// what is sent.
func TestDocsWebhooks(t *testing.T) {
	shown, built := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(pages(t)[webhooksPage]) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z]+)`").FindAllStringSubmatch(cells[1], -1) {
				shown[m[1]] = true
			}
		}
	}
	for _, e := range store.Events {
		built[string(e)] = true
	}
	if diff := cmp.Diff(built, shown); diff != "" {
		t.Errorf("built and shown events differ: %s", diff)
	}
	l := store.License{Code: "4KJMX-9RTWA-2XK7P-HFD3C-V8M6T", Product: "demo", Status: store.Revoked, Type: "single", Limit: 3, Used: 1}
	sent, err := delivery.Document(
		store.Notice{Kind: "license.revoked", CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		store.Order{
			Store: "kagi", Transaction: "CH0123456789", Line: 1, Product: "demo", Quantity: 1, Status: store.Issued, Licenses: []store.License{l},
			LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com", Price: "29.95", Currency: "USD",
		}, &l)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(sent, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(block(t, webhooksPage, "json")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page's example is not what is sent: %s", diff)
	}
}

// The code on the page verifies what is sent, and nothing else.
func TestDocsVerify(t *testing.T) {
	if err := exec.Command("python3", "-c", "").Run(); err != nil {
		storetest.LeaveOut(t, "python3 does not run: make test installs it")
	}
	code := block(t, webhooksPage, "python") + `
import json, sys
call = json.load(sys.stdin)
try:
    verify(call["secret"], call["headers"], call["body"].encode())
    print("good")
except ValueError as e:
    print("bad:", e)
`
	body := `{"type":"order.issued","name":"Zoë"}`
	for _, c := range []struct {
		name, secret, body string
		at                 time.Time
		want               string
	}{
		{"as sent", hookSecret, body, time.Now(), "good"},
		{"another body", hookSecret, body + " ", time.Now(), "bad: not signed with this secret"},
		{"another secret", "whsec_" + strings.Repeat("c3Vw", 8), body, time.Now(), "bad: not signed with this secret"},
		{"an old one", hookSecret, body, time.Now().Add(-time.Hour), "bad: too old, or from the future"},
	} {
		secret, err := delivery.ParseSecret(hookSecret)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		delivery.Sign(h, store.NewID(), c.at, []byte(body), []byte(strings.Repeat("x", 32)), secret)
		headers := map[string]string{}
		for name := range h {
			headers[strings.ToLower(name)] = h.Get(name)
		}
		in, err := json.Marshal(map[string]any{"secret": c.secret, "headers": headers, "body": c.body})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("python3", "-c", code)
		cmd.Stdin = strings.NewReader(string(in))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%s: %v, %s, want %s", c.name, err, out, c.want)
		}
	}
}
