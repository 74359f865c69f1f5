-- name: InsertNotice :exec
INSERT INTO outbox (id, kind, audience, order_id, license_id, endpoint, subject, status, next_at, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?);

-- name: NoticesOfOrder :many
SELECT * FROM outbox WHERE order_id = ? ORDER BY id;

-- name: NoticeByID :one
SELECT * FROM outbox WHERE id = ?;

-- name: DueEndpoints :many
SELECT DISTINCT endpoint FROM outbox WHERE status = 'waiting' AND next_at <= ? AND endpoint <> '' ORDER BY endpoint;

-- name: DueWebhooks :many
SELECT * FROM outbox WHERE status = 'waiting' AND next_at <= ? AND endpoint = ? ORDER BY next_at, id LIMIT ?;

-- name: CountNotices :one
SELECT COUNT(*) FROM outbox WHERE status = ?;

-- name: SettleNotice :execrows
UPDATE outbox SET status = ?, tries = tries + 1, next_at = ?, error = ?, updated_at = ? WHERE id = ? AND status = 'waiting' AND tries = ?;

-- name: RetryNotice :execrows
UPDATE outbox SET status = 'waiting', tries = 0, next_at = ?, updated_at = ? WHERE id = ? AND status = 'dead';

-- name: DeleteSentNotices :execrows
DELETE FROM outbox WHERE status = 'sent' AND updated_at < ? AND (kind <> 'digest' OR updated_at < ?);

-- name: DropNoticesTo :exec
DELETE FROM outbox WHERE order_id = ? AND audience = ? AND status <> 'sent';

-- name: DueMails :many
SELECT * FROM outbox WHERE status = 'waiting' AND next_at <= ? AND endpoint = '' AND kind <> ? ORDER BY next_at, id LIMIT ?;

-- name: DueMailsOfKind :many
SELECT * FROM outbox WHERE status = 'waiting' AND next_at <= ? AND endpoint = '' AND kind = ? ORDER BY id LIMIT ?;

-- name: PostponeNotice :exec
UPDATE outbox SET next_at = ?, updated_at = ? WHERE id = ? AND status = 'waiting';

-- name: BounceNotice :execrows
UPDATE outbox SET status = 'dead', error = ?, updated_at = ? WHERE id = ? AND kind = 'codes' AND status = 'sent';

-- name: CountNoticesByKind :many
SELECT kind, error, COUNT(*) AS n FROM outbox WHERE status = ? GROUP BY kind, error ORDER BY kind, error;

-- name: LastNoticeOfKind :one
-- One seek in an index for each status.
SELECT * FROM outbox WHERE outbox.id IN (
  (SELECT MAX(a.id) FROM outbox AS a WHERE a.kind = sqlc.arg(kind) AND a.status = 'waiting'),
  (SELECT MAX(b.id) FROM outbox AS b WHERE b.kind = sqlc.arg(kind) AND b.status = 'sent'),
  (SELECT MAX(c.id) FROM outbox AS c WHERE c.kind = sqlc.arg(kind) AND c.status = 'dead'))
ORDER BY outbox.id DESC LIMIT 1;

-- name: LastDigestSent :one
SELECT next_at FROM outbox WHERE kind = 'digest' AND status = 'sent' ORDER BY next_at DESC LIMIT 1;
