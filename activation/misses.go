package activation

import (
	"log/slog"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

const (
	maxAddresses   = 1 << 16 // addresses remembered; the longest unseen go first
	productMisses  = 1000    // an hour and product, before a warning
	warningsPerDay = 24
)

// misses counts codes that do not exist. An address has a budget of them that
// fills up by one a second; over it, it must wait, unless it has activated
// before. A product's count only warns: it must not lock honest users out.
type misses struct {
	budget    int
	addresses *lru.Cache[string, *rate.Limiter]
	honest    *lru.Cache[string, bool]
	products  *lru.Cache[string, *rate.Limiter]
	warnings  *rate.Limiter
}

func newMisses(budget int) *misses {
	m := &misses{budget: budget, warnings: rate.NewLimiter(rate.Every(24*time.Hour/warningsPerDay), 1)}
	// New fails for sizes below 1 alone.
	m.addresses, _ = lru.New[string, *rate.Limiter](maxAddresses)
	m.honest, _ = lru.New[string, bool](maxAddresses)
	m.products, _ = lru.New[string, *rate.Limiter](1024)
	return m
}

// wait is for how many seconds an address must wait; 0: it may call.
func (m *misses) wait(address string, now time.Time) int {
	l, ok := m.addresses.Get(address)
	if !ok || m.honest.Contains(address) {
		return 0
	}
	if missing := 1 - l.TokensAt(now); missing > 0 {
		return int(math.Ceil(missing))
	}
	return 0
}

// add counts a miss; product is "" where it does not exist either. within tells
// whether the address's budget had room for it.
func (m *misses) add(address, product string, now time.Time) (within bool) {
	// Reserve goes below zero: calls that came at once are paid for later.
	within = limiter(m.addresses, address, rate.NewLimiter(1, m.budget)).ReserveN(now, 1).DelayFrom(now) == 0
	within = within || m.honest.Contains(address)
	if product == "" {
		return within
	}
	if !limiter(m.products, product, rate.NewLimiter(rate.Every(time.Hour/productMisses), productMisses)).AllowN(now, 1) && m.warnings.AllowN(now, 1) {
		slog.Warn("many unknown codes: somebody may be guessing", "product", product, "an hour", productMisses)
	}
	return within
}

// activated notes that an address has a code that works.
func (m *misses) activated(address string) { m.honest.Add(address, true) }

// limiter is a key's limiter, which is fresh for a new key.
func limiter(table *lru.Cache[string, *rate.Limiter], key string, fresh *rate.Limiter) *rate.Limiter {
	l, ok, _ := table.PeekOrAdd(key, fresh)
	if !ok {
		return fresh
	}
	table.Get(key) // it was seen now
	return l
}
