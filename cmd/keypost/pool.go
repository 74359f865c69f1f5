package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// defaultLow is how few codes left in a pool are worth a warning.
const defaultLow = 20

// buildPool: codes that were made elsewhere and loaded. A pool has its
// product's name, unless several share one.
func buildPool(c *config, p *productConfig) (ingest.Codes, error) {
	g := &p.Generator
	if g.Pool == "" {
		g.Pool = p.ID
	}
	if !idShape.MatchString(g.Pool) {
		return ingest.Codes{}, fmt.Errorf("pool: %q: %s", g.Pool, idHint)
	}
	if g.Low == nil {
		g.Low = new(int)
		*g.Low = defaultLow
	}
	if *g.Low < 0 {
		return ingest.Codes{}, errors.New("low: it must be 0 or more")
	}
	if g.File != "" {
		g.File = c.path(g.File)
		if _, err := os.Stat(g.File); err != nil {
			return ingest.Codes{}, fmt.Errorf("file: %w", err)
		}
	}
	return ingest.Codes{Pool: g.Pool}, nil
}

// loadPools loads what the pools' files have that is not known yet. While a
// product that has licenses is not in the config, a pool that holds nothing yet
// stays empty: it may be that product's under a mistyped id, and its file may
// hold codes that were sold.
func (c *config) loadPools(ctx context.Context, db *store.DB) error {
	missing, err := c.missingProducts(ctx, db)
	if err != nil {
		return err
	}
	levels, err := db.Pools(ctx)
	if err != nil {
		return err
	}
	for _, p := range c.Products {
		if p.Generator.Kind != "pool" || p.Generator.File == "" {
			continue
		}
		held := func(l store.PoolLevel) bool { return l.Pool == p.Generator.Pool && l.Codes > 0 }
		if len(missing) > 0 && !slices.ContainsFunc(levels, held) {
			slog.Error("a new pool is not filled from its file while "+missing[0].Subject+" is not in the config: correct that first, or use keypost pool load",
				"pool", p.Generator.Pool)
			continue
		}
		codes, err := readCodes(p.Generator.File)
		if err != nil {
			return fmt.Errorf("the pool of product %s: %w", p.ID, err)
		}
		added, err := db.LoadPool(ctx, p.Generator.Pool, codes, "config")
		if err != nil {
			return err
		}
		if added > 0 {
			slog.Info("codes were loaded", "pool", p.Generator.Pool, "added", added)
		}
	}
	return nil
}

// readCodes reads a file of codes, one a line; empty lines and lines that begin
// with # are passed over. A line that cannot be a code is an error with its
// number: nobody wants half a pool.
func readCodes(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return scanCodes(f, file)
}

func scanCodes(r io.Reader, file string) (codes []string, err error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		code := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")) // some editors begin a file with a mark
		switch {
		case code == "" || strings.HasPrefix(code, "#"):
			continue
		case !isCode(code):
			return nil, fmt.Errorf("%s:%d: a code has 1-255 characters of UTF-8, letters or digits among them and no control characters", file, n)
		}
		codes = append(codes, code)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return codes, nil
}

// isCode tells whether a text can be a code.
func isCode(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= 255 && store.NormalCode(s) != "" && !strings.ContainsFunc(s, unicode.IsControl)
}

func (poolCommands) Help() string { return "Example: keypost pool show" }

type poolCommands struct {
	Load poolLoad `cmd:"" help:"Add codes to a product's pool."`
	Show poolShow `cmd:"" help:"Show how many codes are left."`
}

type poolLoad struct {
	changing
	jsonFlag
	Product string `arg:"" help:"The product, by its id."`
	File    string `arg:"" help:"The codes, one a line; - is standard input. What the pool knows already is passed over."`
}

func (poolLoad) Help() string {
	return "Codes go out in the file's order. It can be run twice.\n\nExample: keypost pool load demo codes.txt"
}

func (c poolLoad) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	p, ok := conf.product(c.Product)
	if !ok {
		return fmt.Errorf("product %s: %w in the config", c.Product, store.ErrNotFound)
	}
	if p.Generator.Kind != "pool" {
		return fmt.Errorf("product %s takes its codes from a %s generator: give it generator = { kind = \"pool\" }", p.ID, p.Generator.Kind)
	}
	var codes []string
	if c.File == "-" {
		codes, err = scanCodes(a.in, "standard input")
	} else {
		codes, err = readCodes(c.File)
	}
	if err != nil {
		return err
	}
	added, err := db.LoadPool(a, p.Generator.Pool, codes, actor)
	if err != nil {
		return fmt.Errorf("%w (%d of %d codes were added; run it again)", err, added, len(codes))
	}
	if c.JSON {
		return printJSON(a.out, struct {
			Pool  string `json:"pool"`
			Added int    `json:"added"`
			Known int    `json:"known"`
		}{p.Generator.Pool, added, len(codes) - added})
	}
	fmt.Fprintf(a.out, "%d codes were added to the pool %s, %d it knew already.\n", added, p.Generator.Pool, len(codes)-added)
	return nil
}

type poolShow struct {
	jsonFlag
}

func (poolShow) Help() string { return "Example: keypost pool show --json" }

// poolJSON is a pool as scripts see it.
type poolJSON struct {
	Pool  string `json:"pool"`
	Codes int    `json:"codes"`
	Free  int    `json:"free"`
	Low   bool   `json:"low"` // fewer are left than the product's low
}

func (c poolShow) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	pools, err := conf.pools(a, db)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, pools)
	}
	if len(pools) == 0 {
		fmt.Fprintln(a.out, "No pools.")
		return nil
	}
	rows := [][]string{{"POOL", "CODES", "LEFT", "LOW"}}
	for _, p := range pools {
		rows = append(rows, []string{p.Pool, strconv.Itoa(p.Codes), strconv.Itoa(p.Free), yes(p.Low)})
	}
	return table(a.out, rows)
}

// pools are those of the config, whether there is a code in them or not, and
// those that have codes; never nil.
func (c *config) pools(ctx context.Context, db *store.DB) ([]poolJSON, error) {
	levels, err := db.Pools(ctx)
	if err != nil {
		return nil, err
	}
	list := []poolJSON{}
	at := map[string]int{}
	for _, l := range levels {
		at[l.Pool] = len(list)
		list = append(list, poolJSON{l.Pool, l.Codes, l.Free, false})
	}
	for _, p := range c.Products {
		if p.Generator.Kind != "pool" {
			continue
		}
		i, ok := at[p.Generator.Pool]
		if !ok {
			i, at[p.Generator.Pool] = len(list), len(list)
			list = append(list, poolJSON{Pool: p.Generator.Pool})
		}
		list[i].Low = list[i].Low || list[i].Free < *p.Generator.Low
	}
	return list, nil
}

// watchPools warns of pools that run low, once each time they do.
func (d *daemon) watchPools(ctx context.Context) error {
	pools, err := d.config.Load().pools(ctx, d.db)
	if err != nil {
		return err
	}
	for _, p := range pools {
		if p.Low && !d.low[p.Pool] {
			slog.Warn("a pool runs low: load more with keypost pool load", "pool", p.Pool, "left", p.Free)
		}
		d.low[p.Pool] = p.Low
	}
	return nil
}
