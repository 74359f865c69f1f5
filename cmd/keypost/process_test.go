package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store/storetest"
)

// Tests with real processes: signals, the printed commands, completion.

// built is the folder of the binary, once a test needed it.
var built string

var buildOnce = sync.OnceValues(func() (binary string, err error) {
	if built, err = os.MkdirTemp("", "keypost-test-"); err != nil {
		return "", err
	}
	binary = filepath.Join(built, "keypost")
	if b, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, b)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	mailboxtest.Stop()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// program is the real binary.
func program(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts real processes: make test does it")
	}
	binary, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// A process is a running keypost serve.
type process struct {
	cmd    *exec.Cmd
	url    string
	lines  *bufio.Reader // what it prints after the address
	stderr *watched
}

// start runs the daemon as a process of its own.
func (s *site) start(binary string) *process {
	s.t.Helper()
	s.create()
	return start(s.t, s.t.TempDir(), binary, "--config", s.config)
}

// start runs keypost serve in a folder.
func start(t *testing.T, folder, binary string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, append([]string{"serve"}, args...)...), stderr: &watched{}}
	p.cmd.Dir, p.cmd.Stderr = folder, p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	p.lines = bufio.NewReader(out)
	line, err := p.lines.ReadString('\n')
	if p.url = regexp.MustCompile(`http://[0-9.:]+`).FindString(line); p.url == "" {
		t.Fatalf("serve printed %q, %v\n%s", line, err, p.stderr)
	}
	return p
}

// watched keeps a log and lets a test wait for a line of it.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	wait []chan bool
	want []string
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	for i, want := range w.want {
		if w.wait[i] != nil && strings.Contains(w.text.String(), want) {
			close(w.wait[i])
			w.wait[i] = nil
		}
	}
	return len(b), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// expect is closed once the log holds want.
func (w *watched) expect(want string) <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan bool)
	w.want, w.wait = append(w.want, want), append(w.wait, c)
	return c
}

// Without a config, the commands that serve prints work as printed. The
// address is the contract's, so the test must have it to itself.
func TestPrintedCommands(t *testing.T) {
	binary := program(t)
	if err := exec.Command("curl", "--version").Run(); err != nil {
		storetest.LeaveOut(t, "curl does not run: make test installs it")
	}
	l, err := net.Listen("tcp", config.DefaultListen)
	if err != nil {
		storetest.LeaveOut(t, config.DefaultListen+" is in use on this machine")
	}
	l.Close()
	folder := t.TempDir()
	p := start(t, folder, binary)
	var commands []string
	for {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "   ") {
			commands = append(commands, strings.TrimSpace(line))
		}
		if strings.Contains(line, "license show") {
			break
		}
	}
	want := []string{"order is issued", "kagiRemotePostStatus=GOOD", `"lease":"`, "1 of 3"}
	if len(commands) != len(want) {
		t.Fatalf("printed commands: %q", commands)
	}
	for i, command := range commands {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want[i]) {
			t.Errorf("%s: %v\n%s\nwant %q", command, err, out, want[i])
		}
	}
}

// SIGTERM: an order whose post is half here gets its answer; then the daemon
// ends well.
func TestSIGTERMFinishesWhatIsInHand(t *testing.T) {
	s := newSite(t)
	p := s.start(program(t))
	body, _, err := postKRPS{}.body(&app{Context: t.Context(), file: s.config}, "kagi")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /in/kagi HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	answer := bufio.NewReader(conn)
	// The handler is reading the body now: it asked for it.
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	ending := p.stderr.expect("ending: what is in hand is finished first")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ending
	fmt.Fprint(conn, body)
	rest, err := io.ReadAll(answer)
	if err != nil || !strings.Contains(string(rest), "kagiRemotePostStatus=GOOD") {
		t.Errorf("the order in hand got %q, %v", rest, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, p.stderr)
	}
	s.must(0, "order", "show", "kagi", "CH0123456789")
}

// SIGHUP: a new config counts at once; a wrong one changes nothing.
func TestSIGHUP(t *testing.T) {
	s := newSite(t)
	p := s.start(program(t))
	s.url = p.url
	hup := func(text, want string) {
		t.Helper()
		s.write(text)
		seen := p.stderr.expect(want)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-seen
	}
	s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "New_Name")
	hup(strings.Replace(siteConfig, `"Product_Name"`, `"Product_Name", "New_Name"`, 1), "the config was read again")
	s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "New_Name") // held is held
	s.must(0, "post", "krps", s.url+"/in/kagi", "--product", "New_Name", "--transaction", "T2")
	hup("nonsense", "the config stays as it was: the new one is wrong")
	s.write(siteConfig)
	s.must(0, "post", "krps", s.url+"/in/kagi", "--product", "New_Name", "--transaction", "T3")
}

// A config that is gone does not become the demo, whose secret everybody knows.
func TestSIGHUPWithoutTheConfig(t *testing.T) {
	s := newSite(t)
	s.create()
	p := start(t, filepath.Dir(s.config), program(t)) // ./keypost.toml, without --config
	s.url = p.url
	if err := os.Rename(s.config, s.config+".away"); err != nil {
		t.Fatal(err)
	}
	seen := p.stderr.expect("the config stays as it was: the new one is wrong")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-seen
	if err := os.Rename(s.config+".away", s.config); err != nil {
		t.Fatal(err)
	}
	s.must(0, "post", "krps", s.url+"/in/kagi")
	s.must(1, "post", "krps", s.url+"/in/kagi", "--secret", krps.ExampleSecret, "--digest", "md5")
}

func TestCompletion(t *testing.T) {
	binary := program(t)
	complete := func(line string) []string {
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), "COMP_LINE="+line)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	if got := complete("keypost order a"); !slices.Equal(got, []string{"approve"}) {
		t.Errorf("keypost order a: %q", got)
	}
	if got := complete("keypost lic"); !slices.Equal(got, []string{"license"}) {
		t.Errorf("keypost lic: %q", got)
	}
	out, err := exec.Command(binary, "completion", "-c", "bash").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "complete") {
		t.Errorf("completion: %v\n%s", err, out)
	}
}

// The direction of imports is the design's; nothing else holds it.
func TestImports(t *testing.T) {
	allowed := map[string][]string{
		"keygen":                     {},
		"keygen/external":            {"keygen"},
		"store":                      {"store/queries"},
		"store/queries":              {},
		"store/storetest":            {}, // for tests
		"ingest":                     {"keygen", "store"},
		"ingest/authentic":           {},
		"ingest/channel":             {"ingest", "store"},
		"ingest/intake":              {"ingest", "ingest/authentic", "ingest/channel", "ingest/mailbox", "ingest/tfyp", "store"},
		"ingest/mailbox":             {},
		"ingest/mailbox/mailboxtest": {}, // for tests
		"ingest/tfyp":                {"ingest", "ingest/authentic"},
		"krps":                       {"ingest", "ingest/channel", "store"},
		"activation":                 {"store"},
		"delivery":                   {"store"},
		"delivery/deliverytest":      {"store/storetest"}, // for tests
		"admin":                      {"activation", "delivery", "ingest", "ingest/channel", "ingest/intake", "ingest/tfyp", "keygen", "store"},
		"cmd/keypost":                {"admin", "cmd/keypost/config", "cmd/keypost/daemon", "krps"}, // krps: to play Kagi
		"cmd/keypost/config":         {"activation", "admin", "delivery", "ingest", "ingest/channel", "ingest/intake", "keygen", "keygen/external", "krps", "store"},
		"cmd/keypost/daemon":         {"activation", "admin", "cmd/keypost/config", "delivery", "ingest", "ingest/channel", "store"},
		"cmd/torture":                {"krps", "store/storetest"},
		"cmd/bench":                  {"activation", "delivery/deliverytest", "ingest/mailbox/mailboxtest", "ingest/tfyp", "keygen", "keygen/external", "krps", "store", "store/storetest"},
	}
	const module = "github.com/keypost/keypost/"
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		pkg := strings.TrimPrefix(names[0], module)
		may, known := allowed[pkg]
		if !known {
			t.Errorf("package %s is new: say here what it may import", pkg)
		}
		for _, name := range names[1:] {
			if name, ours := strings.CutPrefix(name, module); ours && !slices.Contains(may, name) {
				t.Errorf("%s imports %s", pkg, name)
			}
		}
	}
}
