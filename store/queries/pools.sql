-- name: FreePoolCode :one
-- One that a license of the product has already is of no use.
SELECT * FROM pool_code WHERE pool = ? AND order_id = ''
  AND NOT EXISTS (SELECT 1 FROM license WHERE license.product = ? AND license.code_hash = pool_code.code_hash)
ORDER BY id LIMIT 1;

-- name: NextPoolCodes :many
SELECT code FROM pool_code WHERE pool = ? AND order_id = ''
  AND NOT EXISTS (SELECT 1 FROM license WHERE license.product = ? AND license.code_hash = pool_code.code_hash)
ORDER BY id LIMIT ?;

-- name: TakePoolCode :execrows
UPDATE pool_code SET order_id = ? WHERE id = ? AND order_id = '';

-- name: InsertPoolCode :exec
INSERT INTO pool_code (id, pool, code, code_hash, created_at) VALUES (?, ?, ?, ?, ?);

-- name: PoolHashes :many
SELECT code_hash FROM pool_code WHERE pool = ?;

-- name: PoolLevels :many
SELECT pool, COUNT(*) AS codes, COUNT(CASE WHEN order_id = '' THEN 1 END) AS free FROM pool_code GROUP BY pool ORDER BY pool;
