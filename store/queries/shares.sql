-- name: InsertShare :exec
INSERT INTO share (id, license_id, order_id, ordinal, seats, refunded, created_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: ShareByID :one
SELECT * FROM share WHERE id = ?;

-- name: SharersOfLicense :many
SELECT sqlc.embed(share), sale.store, sale.transaction_id, orders.line
FROM share JOIN orders ON orders.id = share.order_id JOIN sale ON sale.id = orders.sale_id
WHERE share.license_id = ? ORDER BY share.created_at, share.id;

-- name: SharesOfLicense :many
SELECT * FROM share WHERE license_id = ? ORDER BY created_at, id;

-- name: RefundShares :exec
UPDATE share SET refunded = ? WHERE order_id = ?;

-- name: MoveShares :exec
UPDATE share SET license_id = ? WHERE license_id = ?;

-- name: TouchLicenseByCode :execrows
UPDATE license SET updated_at = ? WHERE product = ? AND code_hash = ?;

-- name: SetSeats :exec
UPDATE license SET seat_max = ?, updated_at = ? WHERE id = ?;
