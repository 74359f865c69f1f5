package external

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// needsClang leaves a test out where clang builds no modules.
func needsClang(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program: make test does it")
	}
	if err := exec.Command("sh", "-c", "echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -o /dev/null -x c -").Run(); err == nil {
		return
	}
	const why = "clang, lld, wasi-libc or libclang-rt-dev-wasm32 is missing: make test installs them"
	if os.Getenv("KEYPOST_TEST_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip("left out: " + why)
}

// inC builds a module of testdata.
func inC(t *testing.T, source string, l Limits) *Wasm {
	t.Helper()
	file := filepath.Join(built, strings.TrimSuffix(source, ".c")+".wasm")
	if _, err := os.Stat(file); err == nil {
		return made(t, file, l)
	}
	needsClang(t)
	if out, err := exec.Command("clang", "--target=wasm32-wasi", "-O1", "-Wall", "-Wno-infinite-recursion", "-o", file, "testdata/"+source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return made(t, file, l)
}

// made is a module that is compiled.
func made(t *testing.T, file string, l Limits) *Wasm {
	t.Helper()
	w, err := NewWasm(file, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	return w
}

// heap is the memory in use that is no garbage.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// isBack wants memory to be as it was. What an instance leaves running, to
// watch its context, may take a moment to end.
func isBack(t *testing.T, before int64) {
	t.Helper()
	kept := int64(0)
	for range 20 {
		if kept = heap() - before; kept < 1<<20 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d KiB are not back", kept>>10)
}

// Whatever harm a module does: it is over within 100 ms of the limit, the
// reason is told, memory is back, and the next order is served.
func TestWasmHostile(t *testing.T) {
	const late = "it took more than 100ms"
	short, patient := Limits{Timeout: limit}, Limits{Timeout: time.Minute}
	for _, c := range []struct {
		do     string
		limits Limits
		want   string
	}{
		{"loop", short, late},
		{"sleep", short, late},
		{"memory and loop", short, late},
		{"chance", short, late},
		{"poll", short, late},
		{"vectors", patient, "more than 64 KiB of output"},
		{"renumber", patient, "unreachable"},
		{"memory", patient, "unreachable: had 56 MiB and more"}, // of 64, with its own
		{"recursion", patient, "stack overflow"},
		{"recursion in memory", patient, "out of bounds memory access"},
		{"output", patient, "more than 64 KiB of output"},
		{"lines", patient, "more than 64 KiB of output"},
		{"errors", patient, "more than 64 KiB of output"},
		{"trap", patient, "unreachable"},
		{"divide", patient, "integer divide by zero"},
		{"pointer", patient, "out of bounds memory access"},
		{"abort", patient, "unreachable"},
		{"nothing", patient, "it printed no code"},
		{"few", patient, "it made 1 codes, 3 were wanted"},
		{"many", patient, "it made 4 codes, 3 were wanted"},
		{"empty", patient, "code 2 of 3 is empty"},
		{"bytes", patient, "code 2 of 3 is not UTF-8"},
		{"control", patient, "code 2 of 3 has a control character in it"},
		{"long", patient, "code 3 of 3 has more than 255 characters"},
	} {
		harm(t, inC(t, "hostile.c", c.limits), c.do, c.want)
	}
}

// served wants an order's codes; a machine that is busy elsewhere has more tries.
func served(t *testing.T, w *Wasm) {
	t.Helper()
	var codes []string
	var err error
	for range 10 {
		if codes, err = w.Generate(t.Context(), request(3, "good")); err == nil || !strings.Contains(err.Error(), "it took more than") {
			break
		}
	}
	if err != nil || len(codes) != 3 || codes[2] != "C-3" {
		t.Fatalf("the next order: %q, %v", codes, err)
	}
}

func harm(t *testing.T, w *Wasm, do, want string) {
	t.Run(do, func(t *testing.T) {
		served(t, w)
		before := heap()
		call := func() { bad(t, w, request(3, do), "hostile.wasm: ", want) }
		if w.limits.Timeout == limit {
			stoppedInTime(t, call)
		} else {
			call()
		}
		isBack(t, before)
		served(t, w)
	})
}

// A module finds no file and no socket, in the library or past it.
func TestWasmReachesNothing(t *testing.T) {
	w := inC(t, "hostile.c", Limits{Timeout: 20 * time.Second})
	for do, want := range map[string]string{"file": "NO-FILES", "socket": "NO-SOCKETS"} {
		if codes := good(t, w, request(1, do)); codes[0] != want {
			t.Errorf("%s: %q", do, codes)
		}
	}
	bad(t, inC(t, "socket.c", Limits{}), request(1), "sock_open", "not exported")
}

// All slots are given back by modules that are stopped.
func TestWasmHostileSlots(t *testing.T) {
	w := inC(t, "hostile.c", Limits{Timeout: limit})
	done := make(chan error, 2*slots)
	for range 2 * slots {
		go func() {
			_, err := w.Generate(t.Context(), request(1, "loop"))
			done <- err
		}()
	}
	for range 2 * slots {
		if err := <-done; err == nil || !strings.Contains(err.Error(), "it took more than 100ms") {
			t.Error(err)
		}
	}
	if len(w.gate) != 0 {
		t.Errorf("%d slots are taken", len(w.gate))
	}
	served(t, w)
}

// Randomness comes in pieces, and ends with the call.
func TestChance(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := make([]byte, 1<<20)
	if n, err := (chance{ctx}).Read(b); n == 0 || n > wasmPage || err != nil || bytes.Equal(b[:32], make([]byte, 32)) {
		t.Errorf("%d, %v", n, err)
	}
	cancel()
	if n, err := (chance{ctx}).Read(b); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}
