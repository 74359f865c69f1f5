-- name: InsertAudit :exec
INSERT INTO audit (id, actor, action, subject, created_at) VALUES (?, ?, ?, ?, ?);

-- name: CountUnsealed :one
SELECT COUNT(*) FROM audit WHERE seal_id = '';

-- name: SealAudit :exec
UPDATE audit SET seal_id = ? WHERE seal_id = '';

-- name: AuditOfSeal :many
SELECT * FROM audit WHERE seal_id = ? ORDER BY id;

-- name: CountSealed :one
SELECT COUNT(*) FROM audit WHERE seal_id <> '';

-- name: InsertSeal :exec
INSERT INTO audit_seal (id, previous, root, signature, created_at) VALUES (?, ?, ?, ?, ?);

-- name: LastSeal :one
SELECT * FROM audit_seal WHERE NOT EXISTS (SELECT 1 FROM audit_seal AS next WHERE next.previous = audit_seal.id) ORDER BY id DESC LIMIT 1;

-- name: SealByPrevious :one
SELECT * FROM audit_seal WHERE previous = ?;

-- name: SealByID :one
SELECT * FROM audit_seal WHERE id = ?;

-- name: CountSeals :one
SELECT COUNT(*) FROM audit_seal;
