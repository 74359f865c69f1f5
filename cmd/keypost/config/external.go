package config

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen/external"
)

const (
	minTimeout     = 10 * time.Millisecond
	maxTimeout     = time.Minute      // of a program or a module
	maxTimeoutHTTP = 30 * time.Second // of one of three tries
	minMemory      = 16               // MiB
	maxMemory      = 4096
)

// timeLimit bounds one call of a generator.
type timeLimit struct {
	Timeout *channel.Duration `toml:"timeout"`
}

// read is the limit; 0 is the kind's default.
func (t timeLimit) read(most time.Duration) (time.Duration, error) {
	if t.Timeout == nil {
		return 0, nil
	}
	if d := t.Timeout.Duration; d < minTimeout || d > most {
		return 0, wrong("timeout", "it must be between %s and %s", minTimeout, most)
	}
	return t.Timeout.Duration, nil
}

// limits bound a program or a module.
type limits struct {
	timeLimit
	Memory *int `toml:"memory"` // MiB
}

func (g limits) read() (l external.Limits, err error) {
	if l.Timeout, err = g.timeLimit.read(maxTimeout); err != nil {
		return l, err
	}
	if g.Memory != nil {
		if *g.Memory < minMemory || *g.Memory > maxMemory {
			return l, wrong("memory", "it must be between %d and %d, in MiB", minMemory, maxMemory)
		}
		l.Memory = int64(*g.Memory) << 20
	}
	return l, nil
}

// command: a program of the vendor's, run for each request.
type command struct {
	limits
	Command []string `toml:"command"`
	RunAs   string   `toml:"run_as"`
}

func (g *command) build(c *Config, _ *Product) (ingest.Codes, error) {
	l, err := g.read()
	if err != nil {
		return ingest.Codes{}, err
	}
	if len(g.Command) == 0 {
		return ingest.Codes{}, wrong("command", `it is missing: set the program and its arguments, ["/path/to/program", "argument"]`)
	}
	args := slices.Clone(g.Command)
	if args[0], err = filepath.Abs(c.path(args[0])); err != nil { // it is run in /
		return ingest.Codes{}, wrong("command", "%v", err)
	}
	made, err := external.NewCommand(args, g.RunAs, l)
	if err != nil {
		return ingest.Codes{}, err
	}
	return ingest.Codes{Outside: made}, nil
}

// httpServer: a server of the vendor's, asked by signed POSTs.
type httpServer struct {
	timeLimit
	URL        string   `toml:"url"`
	Secret     string   `toml:"secret"`
	SecretFile string   `toml:"secret_file"`
	Secrets    []string `toml:"secrets"`
	Private    bool     `toml:"private"`
}

func (g *httpServer) build(c *Config, _ *Product) (ingest.Codes, error) {
	timeout, err := g.read(maxTimeoutHTTP)
	if err != nil {
		return ingest.Codes{}, err
	}
	if _, _, err := callable(g.URL, g.Private); err != nil {
		return ingest.Codes{}, wrong("url", "%v", err)
	}
	secrets, err := g.secrets(c)
	if err != nil {
		return ingest.Codes{}, err
	}
	sign := func(h http.Header, id string, at time.Time, body []byte) { delivery.Sign(h, id, at, body, secrets...) }
	return ingest.Codes{Outside: external.NewHTTP(caller(g.Private), g.URL, sign, external.Limits{Timeout: timeout})}, nil
}

// secrets are what requests are signed with.
func (g *httpServer) secrets(c *Config) (list []delivery.Secret, err error) {
	texts := g.Secrets
	switch {
	case len(texts) > 0 && (g.Secret != "" || g.SecretFile != ""):
		return nil, wrong("secrets", "secret is set too: keep one of them")
	case len(texts) > 0:
	case g.SecretFile == "":
		texts = []string{g.Secret}
	case g.Secret != "":
		return nil, wrong("secret_file", "secret is set too: keep one of them")
	default:
		text, err := channel.ReadSecret(c.path(g.SecretFile))
		if err != nil {
			return nil, wrong("secret_file", "%v", err)
		}
		texts = []string{text}
	}
	for _, text := range texts {
		secret, err := delivery.ParseSecret(text)
		if err != nil {
			return nil, wrong("secret", "%v: use whsec_ followed by the output of openssl rand -base64 32", err)
		}
		list = append(list, secret)
	}
	return list, nil
}

// wasm: a module of the vendor's, run in here.
type wasm struct {
	limits
	Module string `toml:"module"`
}

func (g *wasm) build(c *Config, _ *Product) (ingest.Codes, error) {
	l, err := g.read()
	if err != nil {
		return ingest.Codes{}, err
	}
	if g.Module == "" {
		return ingest.Codes{}, wrong("module", "it is missing: set the module's file")
	}
	made, err := external.NewWasm(c.path(g.Module), l)
	if err != nil {
		return ingest.Codes{}, err
	}
	return ingest.Codes{Outside: made}, nil
}

// Warm makes ready what takes long at first, so that no order waits for it.
func (c *Config) Warm() {
	for _, p := range c.Products {
		g, ok := p.codes.Outside.(interface{ Load() error })
		if !ok {
			continue
		}
		if err := g.Load(); err != nil {
			slog.Error("a generator cannot be used: its orders will wait and then be held", "product", p.ID, "err", err)
		}
	}
}
