package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keypost/keypost/store"
)

// A Pool is how many codes that were made elsewhere are left.
type Pool struct {
	Pool  string `json:"pool"`
	Codes int    `json:"codes"`
	Free  int    `json:"free"`
	Low   bool   `json:"low"` // fewer are left than the product's low
}

// Pools are those of the config, whether there is a code in them or not, and
// those that have codes.
func (a *Admin) Pools(ctx context.Context) ([]Pool, error) { return a.pools(ctx, a.db) }

func (c Config) pools(ctx context.Context, db *store.DB) ([]Pool, error) {
	levels, err := db.Pools(ctx)
	if err != nil {
		return nil, err
	}
	list := []Pool{}
	at := map[string]int{}
	for _, l := range levels {
		at[l.Pool] = len(list)
		list = append(list, Pool{l.Pool, l.Codes, l.Free, false})
	}
	for _, p := range c.Products {
		if p.Pool == nil {
			continue
		}
		i, ok := at[p.Pool.Name]
		if !ok {
			i, at[p.Pool.Name] = len(list), len(list)
			list = append(list, Pool{Pool: p.Pool.Name})
		}
		list[i].Low = list[i].Low || list[i].Free < p.Pool.Low
	}
	return list, nil
}

// A PoolLoad is what came of loading codes.
type PoolLoad struct {
	Pool  string `json:"pool"`
	Added int    `json:"added"`
	Known int    `json:"known"` // they were there before
}

// LoadPool adds codes to a product's pool. It can be run twice. from is what the
// codes are read from, for messages.
func (a *Admin) LoadPool(ctx context.Context, actor, product string, codes io.Reader, from string) (PoolLoad, error) {
	p, err := a.product(product)
	if err != nil {
		return PoolLoad{}, err
	}
	if p.Pool == nil {
		return PoolLoad{}, fail(State, `set generator = { kind = "pool" }`, "product %s uses a %s generator, not a pool", p.ID, p.Generator)
	}
	list, err := scanCodes(codes, from)
	if err != nil {
		return PoolLoad{}, err
	}
	added, err := a.db.LoadPool(ctx, p.Pool.Name, list, actor)
	if err != nil {
		return PoolLoad{}, fmt.Errorf("%w (%d of %d codes were added; run it again)", err, added, len(list))
	}
	return PoolLoad{p.Pool.Name, added, len(list) - added}, nil
}

// LoadPools loads what the pools' files have that is not known yet. While a
// product that has licenses is not in the config, a pool that holds nothing yet
// stays empty: it may be that product's under a mistyped id, and its file may
// hold codes that were sold.
func (a *Admin) LoadPools(ctx context.Context) error {
	missing, err := a.missingProducts(ctx, a.db)
	if err != nil {
		return err
	}
	levels, err := a.db.Pools(ctx)
	if err != nil {
		return err
	}
	for _, p := range a.Products {
		if p.Pool == nil || p.Pool.File == "" {
			continue
		}
		held := func(l store.PoolLevel) bool { return l.Pool == p.Pool.Name && l.Codes > 0 }
		if len(missing) > 0 && !slices.ContainsFunc(levels, held) {
			slog.Error("a new pool is not loaded from its file while "+missing[0].Subject+" is not in the config: correct that first, or use keypost pool load",
				"pool", p.Pool.Name)
			continue
		}
		codes, err := readCodes(p.Pool.File)
		if err != nil {
			return fmt.Errorf("the pool of product %s: %w", p.ID, err)
		}
		added, err := a.db.LoadPool(ctx, p.Pool.Name, codes, "config")
		if err != nil {
			return err
		}
		if added > 0 {
			slog.Info("codes were loaded", "pool", p.Pool.Name, "added", added)
		}
	}
	return nil
}

// readCodes reads a file of codes.
func readCodes(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return scanCodes(f, file)
}

// scanCodes reads codes, one a line; empty lines and lines that begin with # are
// skipped. A line that cannot be a code is an error with its number: nobody wants
// half a pool.
func scanCodes(r io.Reader, from string) (codes []string, err error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		code := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")) // some editors begin a file with a mark
		switch {
		case code == "" || strings.HasPrefix(code, "#"):
			continue
		case !isCode(code):
			return nil, fmt.Errorf("%s:%d: a code must have 1-255 characters of UTF-8, with at least one letter or digit and no control characters", from, n)
		}
		codes = append(codes, code)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return codes, nil
}

// isCode tells whether a text can be a code.
func isCode(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= 255 && store.NormalCode(s) != "" && !strings.ContainsFunc(s, unicode.IsControl)
}
