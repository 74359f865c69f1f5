package external

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/keygen"
)

const limit = 100 * time.Millisecond

func request(quantity int, seeds ...string) keygen.Request {
	return keygen.Request{
		OrderID: "01ORDER", Product: "demo", LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com",
		Seeds: seeds, OEMSeed: "oem", Quantity: quantity, Limit: 3,
	}
}

// good wants codes, and not the same twice.
func good(t *testing.T, g keygen.Generator, r keygen.Request) []string {
	t.Helper()
	codes, err := g.Generate(t.Context(), r)
	if err != nil || len(codes) != r.Quantity {
		t.Fatalf("%q: %v, %v", r.Seeds, codes, err)
	}
	return codes
}

// bad wants an error with these words, and no buyer in it.
func bad(t *testing.T, g keygen.Generator, r keygen.Request, want ...string) {
	t.Helper()
	codes, err := g.Generate(t.Context(), r)
	if err == nil || codes != nil {
		t.Errorf("%q: %v, %v", r.Seeds, codes, err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q: %v, want %q", r.Seeds, err, w)
		}
	}
	if strings.Contains(err.Error(), "Ada") || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 10<<10 {
		t.Errorf("%q: an error for no log: %v", r.Seeds, err)
	}
}

// stoppedInTime holds a call to its limit; a machine that is busy elsewhere has
// more tries.
func stoppedInTime(t *testing.T, call func()) {
	t.Helper()
	var took time.Duration
	for range 10 {
		start := time.Now()
		call()
		if took = time.Since(start); took <= 2*limit {
			return
		}
	}
	t.Errorf("stopped after %s", took)
}

// guest builds the program of testdata.
var guest = func() func(t *testing.T, os, arch string) string {
	var mu sync.Mutex
	return func(t *testing.T, goos, goarch string) string {
		t.Helper()
		if testing.Short() {
			t.Skip("builds a program: make test does it")
		}
		mu.Lock()
		defer mu.Unlock()
		file := filepath.Join(built, "guest-"+goos)
		if _, err := os.Stat(file); err == nil {
			return file
		}
		cmd := exec.Command("go", "build", "-o", file, "./testdata/guest")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return file
	}
}()

var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "keypost-external-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

func TestEncode(t *testing.T) {
	b, err := encode(keygen.Request{OrderID: "1", Name: "a\nb", Quantity: 2})
	if err != nil || strings.Count(string(b), "\n") != 1 || !strings.HasSuffix(string(b), "\n") {
		t.Errorf("%q, %v", b, err)
	}
	at := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600))
	r := request(2, "Keyword: x")
	r.ExpiresAt = &at
	if b, err = encode(r); err != nil {
		t.Fatal(err)
	}
	var got, want any
	page, err := os.ReadFile("testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(b, &got) != nil || json.Unmarshal(page, &want) != nil {
		t.Fatalf("%s, %s", b, page)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	ok := func(out string, want ...string) {
		t.Helper()
		if got, err := lines([]byte(out), len(want)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %q, %v", out, got, err)
		}
	}
	no := func(out string, quantity int, want string) {
		t.Helper()
		if _, err := lines([]byte(out), quantity); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", out, err, want)
		}
	}
	ok("A", "A")
	ok("A\r\nB\r\n\n", "A", "B")
	ok("Zoë 1", "Zoë 1")
	no("", 1, "printed no code")
	no("\n\n", 1, "printed no code")
	no("A\n", 2, "made 1 codes, 2 were wanted")
	no("A\nB\n", 1, "made 2 codes, 1 were wanted")
	no("A\n\nB", 3, "code 2 of 3 is empty")
	no("A\n\x1b[31m", 2, "code 2 of 2 has a control character")
	no("A\xff", 1, "not UTF-8")
	ok(strings.Repeat("é", maxCode), strings.Repeat("é", maxCode))
	no(strings.Repeat("é", maxCode+1), 1, "code 1 of 1 has more than 255 characters")
}

func TestTold(t *testing.T) {
	r := request(1, "MACHINE-7", " ")
	if got := told(" MACHINE-7 of Ada Lovelace <ada@example.com>\x1b[31m\n", r); got != `… of … <…>\x1b[31m` {
		t.Errorf("%q", got)
	}
	if err := lacks("", r); !errors.Is(err, keygen.ErrRequest) || err.Error() != keygen.ErrRequest.Error() {
		t.Error(err)
	}
}

// Who waits too long for a slot is told so.
func TestGate(t *testing.T) {
	g := make(gate, 1)
	leave, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 0, errBusy)
	defer cancel()
	if _, err := g.enter(ctx); !errors.Is(err, errBusy) {
		t.Error(err)
	}
	leave()
	if _, err := g.enter(t.Context()); err != nil {
		t.Error(err)
	}
}
