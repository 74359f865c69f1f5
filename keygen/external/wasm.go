package external

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/keypost/keypost/keygen"
)

const (
	wasmTimeout  = time.Second
	wasmMemory   = 64 << 20
	wasmPage     = 64 << 10
	wasmPatience = 90 * time.Second

	notSupported = 58 // WASI's errno ENOTSUP
)

// A Wasm generator runs a WebAssembly module, a WASI preview 1 command, once
// for each request, in an instance of its own that is thrown away. The module
// reaches nothing but its three streams, the clock and real randomness.
type Wasm struct {
	file     string
	limits   Limits
	patience time.Duration // with a compilation
	gate     gate
	mu       sync.Mutex
	compiled *compilation // nil: it was not tried, or failed; guarded by mu
}

// A compilation ends with a module or an error.
type compilation struct {
	ended   chan struct{}
	err     error
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// cache keeps machine code, so that a config that is read again does not
// compile its modules again.
var cache = sync.OnceValue(wazero.NewCompilationCache)

// NewWasm makes a generator of a module's file. It is compiled by Load, or when
// the first code is made; that takes a second or two.
func NewWasm(file string, l Limits) (*Wasm, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("module: %s is not a file", file)
	}
	return &Wasm{file: file, limits: l.or(wasmTimeout, wasmMemory), patience: wasmPatience, gate: make(gate, slots)}, nil
}

// Generate runs the module once.
func (w *Wasm) Generate(ctx context.Context, r keygen.Request) ([]string, error) {
	in, err := encode(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTerm, errBusy)
	defer cancel()
	leave, err := w.gate.enter(ctx)
	if err != nil {
		return nil, w.failed(err)
	}
	defer leave()
	c, err := w.compile()
	if err != nil {
		return nil, w.failed(err)
	}
	codes, err := w.run(ctx, c, in, r)
	if err != nil {
		return nil, w.failed(err)
	}
	return codes, nil
}

// failed names the module, but where the order is at fault.
func (w *Wasm) failed(err error) error {
	if errors.Is(err, keygen.ErrRequest) {
		return err
	}
	return fmt.Errorf("the module %s: %w", filepath.Base(w.file), err)
}

// Load compiles the module, unless it is compiled. Nobody's time limit counts:
// the next one needs it too.
func (w *Wasm) Load() error {
	if _, err := w.compile(); err != nil {
		return w.failed(err)
	}
	return nil
}

// compile waits for the compilation, which goes on when nobody waits any more:
// the runtime cannot be stopped within a function, and a module may be made to
// take very long. There is one at a time; after one that failed, the next call
// begins another.
func (w *Wasm) compile() (*compilation, error) {
	w.mu.Lock()
	c := w.compiled
	if c == nil {
		c = &compilation{ended: make(chan struct{})}
		w.compiled = c
		go func() {
			defer close(c.ended)
			if c.err = c.run(w.file, w.limits); c.err != nil {
				w.mu.Lock()
				w.compiled = nil
				w.mu.Unlock()
			}
		}()
	}
	w.mu.Unlock()
	select {
	case <-c.ended:
		return c, c.err
	case <-time.After(w.patience):
		return nil, fmt.Errorf("it is not compiled after %s: is it very large, or the machine busy?", w.patience)
	}
}

func (c *compilation) run(file string, l Limits) error {
	code, err := readModule(file)
	if err != nil {
		return err
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(cache()).
		WithCloseOnContextDone(true). // an endless loop ends with its context
		WithMemoryLimitPages(uint32(l.Memory/wasmPage)))
	if err := wasi(ctx, r); err != nil {
		return errors.Join(err, r.Close(ctx))
	}
	module, err := r.CompileModule(ctx, code)
	if err != nil {
		return errors.Join(errors.New(firstLine(err)), r.Close(ctx))
	}
	if _, ok := module.ExportedFunctions()["_start"]; !ok {
		return errors.Join(errors.New("it has no _start: build it as a WASI command, not as a library"), r.Close(ctx))
	}
	c.runtime, c.module = r, module
	return nil
}

// wasi is what a module may call. To give a stream another number would have the
// runtime make a list up to that number, of gigabytes; a module that has its three
// streams alone needs none of that.
func wasi(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	b.NewFunctionBuilder().
		WithFunc(func(_, _ uint32) uint32 { return notSupported }).
		Export("fd_renumber")
	_, err := b.Instantiate(ctx)
	return err
}

// run runs one instance to its end or ctx's.
func (w *Wasm) run(ctx context.Context, c *compilation, in []byte, r keygen.Request) ([]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, w.limits.Timeout, errTimeout)
	defer stop()
	out := &capped{kept: maxOutput, max: maxOutput, over: func() { cancel(errOutput) }}
	errs := &capped{kept: keptErrors, max: maxErrors, over: func() { cancel(errOutput) }}
	instance, err := c.runtime.InstantiateModule(ctx, c.module, wazero.NewModuleConfig().
		WithName(""). // many at once
		WithArgs(strings.TrimSuffix(filepath.Base(w.file), filepath.Ext(w.file))).
		WithStdin(bytes.NewReader(in)).WithStdout(out).WithStderr(errs).
		WithSysWalltime().WithSysNanotime().
		WithNanosleep(func(ns int64) { nap(ctx, time.Duration(ns)) }). // wazero's own outlasts ctx
		WithRandSource(chance{ctx}))                                   // wazero's own is the same each time
	if instance != nil {
		_ = instance.Close(context.WithoutCancel(ctx))
	}
	if ctx.Err() != nil {
		return nil, stopped(ctx, w.limits.Timeout)
	}
	said := errs.buf.String()
	if exit, ok := errors.AsType[*sys.ExitError](err); ok && exit.ExitCode() != 0 {
		return nil, exited(int(exit.ExitCode()), said, r)
	} else if err != nil && !ok {
		return nil, fmt.Errorf("%s%s", firstLine(err), because(said, r))
	}
	codes, err := lines(out.buf.Bytes(), r.Quantity)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, because(said, r))
	}
	return codes, nil
}

func nap(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// chance is randomness for as long as ctx lasts: one call of the module may ask
// for all of its memory, and wazero ends no call in the middle.
type chance struct{ ctx context.Context }

func (c chance) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return rand.Read(b[:min(len(b), wasmPage)])
}

// firstLine is an error without the module's stack.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
