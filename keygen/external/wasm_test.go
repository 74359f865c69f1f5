package external

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/keygen"
)

func wasm(t *testing.T, l Limits) *Wasm {
	t.Helper()
	return made(t, guest(t, "wasip1", "wasm"), l)
}

// A hostile module is stopped, and the next order is served.
func TestWasm(t *testing.T) {
	w := wasm(t, Limits{Timeout: limit})
	patient := wasm(t, Limits{Timeout: 20 * time.Second})
	seen := map[string]bool{}
	for range 3 {
		for _, code := range good(t, patient, request(2)) {
			seen[code] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("random codes repeat themselves: %v", seen)
	}
	for _, do := range []string{"loop", "sleep"} {
		stoppedInTime(t, func() { bad(t, w, request(1, do), "guest-wasip1", "it took more than 100ms") })
	}
	bad(t, patient, request(1, "memory"), "exit code 2", "out of …")
	bad(t, patient, request(1, "output"), "more than 64 KiB of output")
	bad(t, patient, request(1, "errors"), "more than 64 KiB of output")
	bad(t, patient, request(1, "trap"), "exit code 2", "nil pointer")
	bad(t, patient, request(1, "few"), "printed no code")
	bad(t, patient, request(2, "env"), "made 1 codes, 2 were wanted")
	bad(t, patient, request(1, "exit"), "exit code 3: no luck for … ")
	bad(t, patient, request(1, "lacks"), "a machine's number is missing")
	if _, err := patient.Generate(t.Context(), request(1, "lacks")); !errors.Is(err, keygen.ErrRequest) || strings.Contains(err.Error(), "more") {
		t.Error(err)
	}
	for do, want := range map[string]string{"file": "NO-FILES", "net": "NO-NET", "env": "0-1"} {
		if codes := good(t, patient, request(1, do)); codes[0] != want {
			t.Errorf("%s: %v", do, codes)
		}
	}
	var all sync.WaitGroup
	for range 2 * slots {
		all.Go(func() {
			if codes, err := patient.Generate(t.Context(), request(1)); err != nil || len(codes) != 1 {
				t.Errorf("%v, %v", codes, err)
			}
		})
	}
	all.Wait()
}

// A trap of the machine itself: a module of eleven bytes of code.
func TestWasmTrap(t *testing.T) {
	// (module (func (export "_start") unreachable))
	const module = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x07\x0a\x01\x06_start\x00\x00" + "\x0a\x05\x01\x03\x00\x00\x0b"
	bad(t, write(t, module), request(1), "unreachable")
	loop := module[:len(module)-6] + "\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b" // (loop br 0)
	w := write(t, loop)
	w.limits.Timeout = limit
	stoppedInTime(t, func() { bad(t, w, request(1), "it took more than 100ms") })
	bad(t, write(t, "nonsense"), request(1), "the module gen.wasm: invalid magic number")
	bad(t, write(t, module[:8]), request(1), "it has no _start")
	if _, err := NewWasm(filepath.Join(t.TempDir(), "none.wasm"), Limits{}); err == nil || !strings.Contains(err.Error(), "module: ") {
		t.Error(err)
	}
	if _, err := NewWasm(t.TempDir(), Limits{}); err == nil {
		t.Error("a folder is a module")
	}
}

func write(t *testing.T, module string) *Wasm {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gen.wasm")
	if err := os.WriteFile(file, []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWasm(file, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
