package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/keypost/keypost/store/queries"
)

// poolTries bounds how often an order looks for a code that nobody else takes
// at the same moment.
const poolTries = 20

// takePoolCode takes a code out of a pool, for an order. ErrPoolEmpty: there is
// none, or pools rest.
func (t *tx) takePoolCode(ctx context.Context, pool, product, orderID string) (code string, err error) {
	pauses, err := t.Pauses(ctx)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(pauses, func(p queries.Pause) bool { return p.Name == PausePools }) {
		return "", ErrPoolEmpty
	}
	for range poolTries {
		free, err := t.FreePoolCode(ctx, queries.FreePoolCodeParams{Pool: pool, Product: product})
		if errors.Is(err, sql.ErrNoRows) {
			return "", ErrPoolEmpty
		}
		if err != nil {
			return "", err
		}
		// The row that changes decides: of two orders one finds it taken.
		n, err := t.TakePoolCode(ctx, queries.TakePoolCodeParams{OrderID: orderID, ID: free.ID})
		if err != nil {
			return "", err
		}
		if n > 0 {
			return free.Code, nil
		}
	}
	return "", errAgain
}

// codeOf is a new license's code: as it was made, or out of its pool.
func (t *tx) codeOf(ctx context.Context, n NewLicense, product, orderID string) (code string, err error) {
	code = n.Code
	if n.Pool != "" {
		if code, err = t.takePoolCode(ctx, n.Pool, product, orderID); err != nil {
			return "", err
		}
	}
	if n.Plain && strings.ContainsFunc(code, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", ErrUncarried
	}
	return code, nil
}

// NextPoolCodes are those that a product's next orders would get; they stay.
func (db *DB) NextPoolCodes(ctx context.Context, pool, product string, n int) ([]string, error) {
	codes, err := db.read.NextPoolCodes(ctx, queries.NextPoolCodesParams{Pool: pool, Product: product, Limit: int32(n)})
	return codes, db.explain(err)
}

const poolBatch = 500

// LoadPool adds codes to a pool, in their order; those that it knows already,
// used or not, are passed over. It tells how many were added.
func (db *DB) LoadPool(ctx context.Context, pool string, codes []string, actor string) (added int, err error) {
	hashes, err := db.read.PoolHashes(ctx, pool)
	if err != nil {
		return 0, db.explain(err)
	}
	known := make(map[string]bool, len(hashes)+len(codes))
	for _, h := range hashes {
		known[string(h)] = true
	}
	var fresh []queries.InsertPoolCodeParams
	for _, code := range codes {
		hash := codeHash(code)
		if !known[string(hash)] {
			known[string(hash)] = true
			fresh = append(fresh, queries.InsertPoolCodeParams{ID: NewID(), Pool: pool, Code: code, CodeHash: hash})
		}
	}
	for batch := range slices.Chunk(fresh, poolBatch) {
		n, err := db.loadPool(ctx, pool, batch, actor)
		added += n
		if err != nil {
			return added, err
		}
	}
	return added, nil
}

func (db *DB) loadPool(ctx context.Context, pool string, batch []queries.InsertPoolCodeParams, actor string) (added int, err error) {
	err = db.act(ctx, actor, "pool.load", pool, func(ctx context.Context, t *tx) error {
		added = 0
		for _, row := range batch {
			row.CreatedAt = t.now
			err := t.InsertPoolCode(ctx, row)
			if db.dialect.duplicate(err) {
				continue // another process loads the same
			}
			if err != nil {
				return err
			}
			added++
		}
		return nil
	})
	return added, err
}

// A PoolLevel tells how full a pool is.
type PoolLevel struct {
	Pool        string
	Codes, Free int
}

// Pools are all pools by name.
func (db *DB) Pools(ctx context.Context) (list []PoolLevel, err error) {
	rows, err := db.read.PoolLevels(ctx)
	for _, r := range rows {
		list = append(list, PoolLevel{r.Pool, int(r.Codes), int(r.Free)})
	}
	return list, db.explain(err)
}
