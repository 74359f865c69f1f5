-- name: InsertUpgrade :exec
INSERT INTO upgrade (license_id, order_id, created_at) VALUES (?, ?, ?);

-- name: UpgradeOfLicense :one
SELECT * FROM upgrade WHERE license_id = ?;

-- name: DeleteUpgrades :exec
DELETE FROM upgrade WHERE order_id = ?;
