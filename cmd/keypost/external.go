package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/keygen/external"
	"github.com/keypost/keypost/store"
)

const (
	minGeneratorTimeout = 10 * time.Millisecond
	maxGeneratorTimeout = time.Minute      // of a program or a module
	maxGeneratorTry     = 30 * time.Second // of one of three tries over HTTP
	minGeneratorMemory  = 16               // MiB
	maxGeneratorMemory  = 4096
)

// buildCommand: a program of the vendor's, run for each request.
func buildCommand(c *config, p *productConfig) (ingest.Codes, error) {
	g := &p.Generator
	l, err := g.limits(maxGeneratorTimeout)
	if err != nil {
		return ingest.Codes{}, err
	}
	if len(g.Command) == 0 {
		return ingest.Codes{}, errors.New(`command: it is missing: set the program and its arguments, ["/path/to/program", "argument"]`)
	}
	args := slices.Clone(g.Command)
	if args[0], err = filepath.Abs(c.path(args[0])); err != nil { // it is run in /
		return ingest.Codes{}, fmt.Errorf("command: %w", err)
	}
	made, err := external.NewCommand(args, g.RunAs, l)
	if err != nil {
		return ingest.Codes{}, err
	}
	return ingest.Codes{Outside: made}, nil
}

// buildHTTP: a server of the vendor's, asked by signed POSTs.
func buildHTTP(c *config, p *productConfig) (ingest.Codes, error) {
	g := &p.Generator
	l, err := g.limits(maxGeneratorTry)
	if err != nil {
		return ingest.Codes{}, err
	}
	if _, _, err := callable(g.URL, g.Private); err != nil {
		return ingest.Codes{}, fmt.Errorf("url: %w", err)
	}
	secrets, err := c.signingSecrets(*g)
	if err != nil {
		return ingest.Codes{}, err
	}
	sign := func(h http.Header, id string, at time.Time, body []byte) { delivery.Sign(h, id, at, body, secrets...) }
	return ingest.Codes{Outside: external.NewHTTP(caller(g.Private), g.URL, sign, l)}, nil
}

// signingSecrets are what a server's requests are signed with.
func (c *config) signingSecrets(g generatorConfig) (list []delivery.Secret, err error) {
	texts := g.Secrets
	switch {
	case len(texts) > 0 && (g.Secret != "" || g.SecretFile != ""):
		return nil, errors.New("secrets: secret is there too: keep one of them")
	case len(texts) > 0:
	case g.SecretFile == "":
		texts = []string{g.Secret}
	case g.Secret != "":
		return nil, errors.New("secret_file: secret is there too: keep one of them")
	default:
		text, err := readSecret(c.path(g.SecretFile))
		if err != nil {
			return nil, fmt.Errorf("secret_file: %w", err)
		}
		texts = []string{text}
	}
	for _, text := range texts {
		secret, err := delivery.ParseSecret(text)
		if err != nil {
			return nil, fmt.Errorf("secret: %w, such as whsec_ and what openssl rand -base64 32 prints", err)
		}
		list = append(list, secret)
	}
	return list, nil
}

// buildWasm: a module of the vendor's, run in here.
func buildWasm(c *config, p *productConfig) (ingest.Codes, error) {
	g := &p.Generator
	l, err := g.limits(maxGeneratorTimeout)
	if err != nil {
		return ingest.Codes{}, err
	}
	if g.Module == "" {
		return ingest.Codes{}, errors.New("module: it is missing: set the module's file")
	}
	made, err := external.NewWasm(c.path(g.Module), l)
	if err != nil {
		return ingest.Codes{}, err
	}
	return ingest.Codes{Outside: made}, nil
}

// warm makes ready what takes long at first, so that no order waits for it.
func (c *config) warm() {
	for _, p := range c.Products {
		g, ok := p.codes.Outside.(interface{ Load() error })
		if !ok {
			continue
		}
		if err := g.Load(); err != nil {
			slog.Error("a generator cannot be used: its orders will wait, and then be held", "product", p.ID, "err", err)
		}
	}
}

// limits reads timeout and memory; what is not there is the kind's default.
func (g *generatorConfig) limits(most time.Duration) (l external.Limits, err error) {
	if g.Timeout != nil {
		if l.Timeout = time.Duration(*g.Timeout); l.Timeout < minGeneratorTimeout || l.Timeout > most {
			return l, fmt.Errorf("timeout: it must be from %s to %s", minGeneratorTimeout, most)
		}
	}
	if g.Memory != nil {
		if *g.Memory < minGeneratorMemory || *g.Memory > maxGeneratorMemory {
			return l, fmt.Errorf("memory: it must be from %d to %d, in MiB", minGeneratorMemory, maxGeneratorMemory)
		}
		l.Memory = int64(*g.Memory) << 20
	}
	return l, nil
}

// dryRequest is what check asks an outside generator for: an order like any
// other, but for its id, by which the generator may know it.
func dryRequest(p productConfig) keygen.Request {
	return keygen.Request{
		OrderID: "check-" + store.NewID(), Product: p.ID, LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com",
		Quantity: 1, Limit: *p.Limit,
	}
}

// checkOutside has a generator outside make a code that is thrown away.
func (p productConfig) checkOutside(ctx context.Context) finding {
	f := finding{"generator of " + p.ID, "ok", ""}
	made, err := p.codes.Outside.Generate(ctx, dryRequest(p))
	switch {
	case errors.Is(err, keygen.ErrRequest):
		f.Result, f.Detail = "warning", fmt.Sprintf("%s answers, and wants more than check's order has: %v", p.Generator.Kind, err)
	case err != nil:
		f.Result, f.Detail = "failed", err.Error()
	case len(made) != 1:
		f.Result, f.Detail = "failed", fmt.Sprintf("%s made %d codes of 1", p.Generator.Kind, len(made))
	case ingest.CheckCode(made[0]) != nil:
		f.Result, f.Detail = "failed", fmt.Sprintf("%s: its code %v", p.Generator.Kind, ingest.CheckCode(made[0]))
	default:
		f.Detail = p.Generator.Kind + ", like " + made[0]
	}
	if g, ok := p.codes.Outside.(interface{ Warning() string }); ok && g.Warning() != "" && f.Result != "failed" {
		f.Result, f.Detail = "warning", f.Detail+"; "+g.Warning()
	}
	return f
}
