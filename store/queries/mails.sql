-- name: InsertMail :exec
INSERT INTO mail (id, channel, content_hash, folder, uid_validity, uid, message_id, domain, body_hash, profile, verdict, reason, detail,
  store, sale_fold, told, arrived_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: MailsByContent :many
SELECT * FROM mail WHERE channel = ? AND content_hash IN (sqlc.slice(contents));

-- name: MailByID :one
SELECT * FROM mail WHERE id = ?;

-- name: SettleMail :execrows
UPDATE mail SET verdict = ?, reason = ?, store = ?, sale_fold = ? WHERE id = ? AND verdict = ?;

-- name: RejudgeMail :execrows
UPDATE mail SET verdict = ?, reason = ?, detail = ?, profile = ?, domain = ?, body_hash = ?, store = ?, sale_fold = ?, told = ?
WHERE id = ? AND verdict IN ('unknown', 'refused', 'held', 'waiting');

-- name: BlankMails :exec
UPDATE mail SET message_id = '', detail = '', told = '' WHERE id > ? AND id < ?;

-- name: ForgetMailsOfOrder :exec
UPDATE mail SET message_id = '', detail = '', told = ''
WHERE (store, sale_fold) IN (SELECT sale.store, sale.transaction_fold FROM sale JOIN orders ON orders.sale_id = sale.id WHERE orders.id = ?);

-- name: DeleteUnknownMails :exec
DELETE FROM mail WHERE verdict IN ('unknown', 'waiting') AND id < ?;

-- name: DeleteMailNumbers :exec
DELETE FROM mail_number WHERE dated_at < ?;

-- name: InsertMailBody :exec
INSERT INTO mail_body (hash, mail_id, created_at) VALUES (?, ?, ?);

-- name: MailOfBody :one
SELECT mail_id FROM mail_body WHERE hash = ?;

-- name: PassMailBody :execrows
UPDATE mail_body SET mail_id = sqlc.arg(heir) WHERE hash = sqlc.arg(hash) AND mail_id = sqlc.arg(owner);

-- name: SupersedeMail :execrows
UPDATE mail SET verdict = 'refused', reason = 'body_taken', detail = '' WHERE id = ? AND verdict = 'held';

-- name: InsertMailNumber :exec
INSERT INTO mail_number (id, mail_id, store, name, number, dated_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: MailNumbers :many
SELECT id, store, name, number, dated_at FROM mail_number WHERE dated_at >= ? ORDER BY store, name, dated_at, id;

-- name: MailboxPlace :one
SELECT * FROM mailbox WHERE channel = ?;

-- name: InsertMailboxPlace :exec
INSERT INTO mailbox (channel, folder, uid_validity, next_uid, updated_at) VALUES (?, ?, ?, ?, ?);

-- name: SetMailboxPlace :execrows
UPDATE mailbox SET folder = ?, uid_validity = ?, next_uid = ?, updated_at = ? WHERE channel = ?;

-- name: MessageByID :one
SELECT * FROM message WHERE id = ?;

-- name: HeldMails :many
SELECT * FROM mail WHERE verdict = 'held' AND channel = ? AND reason = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?;

-- name: CountHeldMails :many
SELECT channel, reason, COUNT(*) AS n FROM mail WHERE verdict = 'held' GROUP BY channel, reason ORDER BY channel, reason;
