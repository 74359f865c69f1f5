-- name: EditCustomer :execrows
UPDATE orders SET name = ?, name_fold = ?, email = ?, email_fold = ?, updated_at = ? WHERE id = ?;

-- name: SetLanguage :execrows
UPDATE orders SET language = ?, updated_at = ? WHERE id = ?;

-- name: ForgetCustomer :execrows
UPDATE orders SET name = '', name_fold = '', email = '', email_fold = '', seeds = '', oem_seed = '', differs = NULL, forgotten = TRUE, updated_at = ? WHERE id = ?;

-- name: ForgetNotes :exec
UPDATE license SET note = '' WHERE order_id = ? AND note <> '';

-- name: ForgetMachines :exec
UPDATE activation SET machine_name = '' WHERE license_id IN (SELECT id FROM license WHERE order_id = ?);

-- name: EmptyMessagesOfOrder :exec
UPDATE message SET raw = '' WHERE order_id = ?;

-- name: EmptyMessage :exec
UPDATE message SET raw = '' WHERE id = ?;

-- name: FullMessages :many
SELECT id FROM message WHERE id > ? AND id < ? AND LENGTH(raw) > 0 ORDER BY id LIMIT ?;

-- name: LooseMessages :many
-- The plus keeps SQLite off the index of orders, where it would sort all of them, with what came, for each page.
SELECT id, channel, verdict, reason, raw FROM message WHERE +order_id = '' AND LENGTH(raw) > 0 AND id > ? ORDER BY id LIMIT ?;

-- name: EmptyMessagesOfSale :exec
-- Of an order's sale: what no order keeps, since it was held or refused.
UPDATE message SET raw = '' WHERE order_id = '' AND id IN (
  SELECT mail.id FROM mail JOIN sale ON sale.store = mail.store AND sale.transaction_fold = mail.sale_fold
  JOIN orders ON orders.sale_id = sale.id WHERE orders.id = ?);

-- name: DismissMailsOfOrder :exec
UPDATE mail SET verdict = 'unknown', reason = 'dismissed'
WHERE verdict = 'held' AND (store, sale_fold) IN (SELECT sale.store, sale.transaction_fold FROM sale JOIN orders ON orders.sale_id = sale.id WHERE orders.id = ?);

-- name: ForgetMail :exec
-- MySQL assigns from left to right, so the verdict comes last.
UPDATE mail SET message_id = '', detail = '', told = '',
  reason = CASE WHEN verdict = 'held' THEN 'dismissed' ELSE reason END, verdict = CASE WHEN verdict = 'held' THEN 'unknown' ELSE verdict END
WHERE id = ?;

-- name: ToldMails :many
SELECT id, told FROM mail WHERE told <> '' AND id > ? ORDER BY id LIMIT ?;
