-- name: InsertUpgrade :exec
INSERT INTO upgrade (license_id, order_id, created_at) VALUES (?, ?, ?);

-- name: UpgradeOfLicense :one
SELECT * FROM upgrade WHERE license_id = ?;

-- name: DeleteUpgrades :exec
DELETE FROM upgrade WHERE order_id = ?;

-- name: MoveUpgrade :exec
UPDATE upgrade SET license_id = ? WHERE license_id = ?;
