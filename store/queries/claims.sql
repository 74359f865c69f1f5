-- name: ClaimByName :one
SELECT * FROM claim WHERE name = ?;

-- name: InsertClaim :exec
INSERT INTO claim (name, owner, version, updated_at) VALUES (?, ?, 1, ?);

-- name: TakeClaim :execrows
UPDATE claim SET owner = ?, version = version + 1, updated_at = ? WHERE name = ? AND owner = ? AND version = ?;

-- name: DeleteClaim :exec
DELETE FROM claim WHERE name = ? AND owner = ?;

-- name: InsertPause :exec
INSERT INTO pause (name, reason, created_at) VALUES (?, ?, ?);

-- name: Pauses :many
SELECT * FROM pause ORDER BY name;

-- name: DeletePause :execrows
DELETE FROM pause WHERE name = ?;

-- name: ClaimsLike :many
SELECT * FROM claim WHERE name LIKE ? ORDER BY name;

-- name: DeleteOldClaims :exec
DELETE FROM claim WHERE name LIKE ? AND updated_at < ?;
