package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/keygen/external"
)

// codeRows are of generators. They are measured in this process, held to one
// processor, by one caller that asks for one code a call.
var codeRows = []row{
	{"random codes", "", 200_000, "codes/s", generated(func(*bench) (keygen.Generator, error) { return keygen.Random{}, nil })},
	{"pattern codes", "", 200_000, "codes/s", generated(func(*bench) (keygen.Generator, error) { return keygen.NewPattern("KP-####-####-@@@@", "luhn") })},
	{"random codes that are alike", "", 1, "codes", alike},
	{"signed codes", "plain Ed25519 signatures", 0.8, "", signed},
	{"codes of a module in C", "", 5000, "codes/s", generated(module)},
	{"codes of a program in C", "", 200, "codes/s", generated(program)},
	{"a looping module ends after its limit", "", 100, "ms", ending},
}

func request(seeds ...string) keygen.Request {
	return keygen.Request{OrderID: "01ORDER", Product: "demo", LicenseType: "single", Name: "Ada Lovelace", Seeds: seeds, Quantity: 1, Limit: 3}
}

// oneProcessor holds this process to one, until back is called.
func oneProcessor() (back func()) {
	before := runtime.GOMAXPROCS(1)
	return func() { runtime.GOMAXPROCS(before) }
}

// oneByOne is a side of one caller.
func oneByOne(do func(ctx context.Context) error) side {
	return func(ctx context.Context, n int) (time.Duration, error) {
		begin := time.Now()
		for range n {
			if err := do(ctx); err != nil {
				return 0, err
			}
		}
		return time.Since(begin), nil
	}
}

func asked(g keygen.Generator) side {
	return oneByOne(func(ctx context.Context) error {
		_, err := g.Generate(ctx, request())
		return err
	})
}

// generated is how many codes a second a generator makes.
func generated(build func(*bench) (keygen.Generator, error)) figure {
	return func(ctx context.Context, b *bench, _ float64) (result, error) {
		g, err := build(b)
		if err != nil {
			return result{}, err
		}
		defer oneProcessor()()
		calls := asked(g)
		count, err := b.warm(ctx, calls, b.round/4)
		if err != nil {
			return result{}, err
		}
		var figures []float64
		for range b.rounds {
			took, err := calls(ctx, count)
			if err != nil {
				return result{}, err
			}
			figures = append(figures, float64(count)/took.Seconds())
		}
		return median(figures), nil
	}
}

// signed compares signed codes with signatures of messages as long.
func signed(ctx context.Context, b *bench, _ float64) (result, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return result{}, err
	}
	defer oneProcessor()()
	message := []byte("keypost-signed-code\ndemo\n\x161234\x03\x06single")
	plain := oneByOne(func(context.Context) error {
		_, err := key.Sign(rand.Reader, message, crypto.Hash(0))
		return err
	})
	return b.ratio(ctx, plain, asked(keygen.Signed{Signer: func() (crypto.Signer, error) { return key, nil }, Group: 5}))
}

// alike counts codes that were there before, by hashes of 64 bits. Among n that
// all differ, n²/2 pairs of 2⁶⁴: two of ten million have one hash once in
// 370,000 runs.
func alike(ctx context.Context, b *bench, _ float64) (result, error) {
	seed := maphash.MakeSeed()
	hashes := make([]uint64, 0, b.unique)
	for len(hashes) < b.unique {
		codes, err := (keygen.Random{}).Generate(ctx, keygen.Request{Quantity: 1000})
		if err != nil {
			return result{}, err
		}
		for _, code := range codes {
			hashes = append(hashes, maphash.String(seed, code))
		}
	}
	return median([]float64{float64(repeated(hashes))}), nil
}

// repeated is how many of a list were there before; it reorders the list.
func repeated(list []uint64) int {
	slices.Sort(list)
	return len(list) - len(slices.Compact(list))
}

// module is the example in C of the page on generators of one's own.
func module(b *bench) (keygen.Generator, error) {
	source, err := b.example("gen.c", "c")
	if err != nil {
		return nil, err
	}
	return b.compile(source, external.Limits{})
}

// compile builds a module from C.
func (b *bench) compile(source string, l external.Limits) (*external.Wasm, error) {
	file := filepath.Join(b.folder, filepath.Base(source)+".wasm")
	if out, err := exec.Command("clang", "--target=wasm32-wasi", "-O2", "-o", file, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("clang: %w (make parts installs it)\n%s", err, out)
	}
	return external.NewWasm(file, l)
}

// program is the same example, as a program of this machine: what a process
// costs, not what a script does.
func program(b *bench) (keygen.Generator, error) {
	source, err := b.example("gen.c", "c")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.folder, "gen")
	if out, err := exec.Command("cc", "-O2", "-o", file, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w (make parts installs it)\n%s", err, out)
	}
	return external.NewCommand([]string{file}, "", external.Limits{})
}

// example writes the page's first code of a language to a file.
func (b *bench) example(name, language string) (file string, err error) {
	page, err := os.ReadFile("docs/external.md")
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```").FindSubmatch(page)
	if m == nil {
		return "", fmt.Errorf("docs/external.md has no %s", language)
	}
	file = filepath.Join(b.folder, name)
	return file, os.WriteFile(file, m[1], 0o600)
}

// ending is how long after its limit a module in an endless loop is stopped;
// each time the next order must be served.
func ending(ctx context.Context, b *bench, _ float64) (result, error) {
	const limit = 100 * time.Millisecond
	w, err := b.compile("keygen/external/testdata/hostile.c", external.Limits{Timeout: limit})
	if err != nil {
		return result{}, err
	}
	defer oneProcessor()()
	good := request("good")
	good.Quantity = 3
	if _, err := w.Generate(ctx, good); err != nil { // compiled
		return result{}, err
	}
	var figures []float64
	for range b.rounds {
		begin := time.Now()
		if codes, err := w.Generate(ctx, request("loop")); err == nil {
			return result{}, fmt.Errorf("an endless loop made %d codes", len(codes))
		}
		figures = append(figures, float64(time.Since(begin)-limit)/float64(time.Millisecond))
		if _, err := w.Generate(ctx, good); err != nil {
			return result{}, fmt.Errorf("the next order: %w", err)
		}
	}
	return median(figures), nil
}
