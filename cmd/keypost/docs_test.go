package main

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

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
			args := words(m[1])
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
	for _, part := range []any{serverConfig{}, databaseConfig{}, keysConfig{}, productConfig{}, channelConfig{}} {
		for f := range reflect.TypeOf(part).Fields() {
			if key := f.Tag.Get("toml"); key != "" {
				built[key] = true
			}
		}
	}
	if diff := cmp.Diff(built, shown); diff != "" {
		t.Errorf("built and shown keys differ: %s", diff)
	}
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

// The rights that the tests have are those that the page names.
func TestDocsRights(t *testing.T) {
	if page := pages(t)["../../docs/mysql.md"]; !strings.Contains(page, "GRANT "+storetest.Rights+" ON ") {
		t.Errorf("docs/mysql.md does not grant %s", storetest.Rights)
	}
}
