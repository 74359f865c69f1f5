-- name: SigningKeys :many
SELECT * FROM signing_key ORDER BY created_at, kid;

-- name: InsertSigningKey :exec
INSERT INTO signing_key (kid, slot, public, sealed, created_at) VALUES (?, ?, ?, ?, ?);

-- name: MoveSigningKey :execrows
UPDATE signing_key SET slot = ? WHERE slot = ? AND kid = ?;
