package activation_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// clientModule is a module of its own.
const clientModule = "github.com/keypost/keypost/activation/client"

// The program that docs/client.md shows is built and run as a reader would.
func TestDocsProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program: make test does it")
	}
	page, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/client.md has no program")
	}
	r := newRig(t)
	r.clock = time.Now() // the program's own
	l := r.issue()
	folder, program := t.TempDir(), string(block[1])
	id := filepath.Join(folder, "machine-id")
	keys := r.keys()
	for from, to := range map[string]string{
		`"https://keys.example.com"`: fmt.Sprintf("%q", r.url),
		"THE-CURRENT-PUBLIC-KEY":     keys[0],
		"THE-NEXT-PUBLIC-KEY":        keys[1],
		"/etc/machine-id":            id,
	} {
		if strings.Count(program, from) != 1 {
			t.Fatalf("the program has %s %d times", from, strings.Count(program, from))
		}
		program = strings.Replace(program, from, to, 1)
	}
	here, err := filepath.Abs("client")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.go":    program,
		"go.mod":     "module example.com/program\n\ngo 1.21\n\nrequire " + clientModule + " v0.0.0\n\nreplace " + clientModule + " => " + here + "\n",
		"machine-id": "0123456789abcdef0123456789abcdef\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Built as a vendor does: from outside, and with nothing but the client.
	binary := filepath.Join(folder, "program")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	runs := func(fine bool, want string, args ...string) {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder)
		out, err := cmd.CombinedOutput()
		if (err == nil) != fine || !strings.Contains(string(out), want) {
			t.Errorf("example %v: %v\n%s\nwant %q", args, err, out, want)
		}
	}
	runs(false, "Please activate")
	runs(false, "not right", "activate", "NO-SUCH-CODE")
	runs(true, "Licensed, offline until ", "activate", l.Code)
	r.called()
	runs(true, "Licensed, offline until ")
	if calls := r.called(); calls != "" {
		t.Errorf("a start within the interval called %s", calls)
	}
	r.breaks(down)
	runs(true, "Licensed, offline until ")
	runs(false, "cannot be reached", "deactivate")
	r.breaks(nil)
	runs(true, "", "deactivate")
	runs(false, "Please activate")
}
