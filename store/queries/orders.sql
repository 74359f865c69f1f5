-- name: InsertOrderKey :exec
INSERT INTO order_key (hash, order_id, created_at) VALUES (?, ?, ?);

-- name: OrderByKey :one
SELECT order_id FROM order_key WHERE hash = ?;

-- name: SaleByFold :one
SELECT * FROM sale WHERE store = ? AND transaction_fold = ?;

-- name: InsertSale :exec
INSERT INTO sale (id, store, transaction_id, transaction_fold, line_count, created_at, updated_at)
VALUES (?, ?, ?, ?, 1, ?, ?);

-- name: TouchSaleOfOrder :execrows
UPDATE sale SET updated_at = ? WHERE id = (SELECT sale_id FROM orders WHERE orders.id = ?);

-- name: AddSaleLine :execrows
UPDATE sale SET line_count = line_count + 1, updated_at = ? WHERE store = ? AND transaction_fold = ?;

-- name: InsertOrder :exec
INSERT INTO orders (id, sale_id, line, channel, store_product, product, license_type, name, email, price, currency, seeds,
  oem_seed, quantity, seat_max, expires_at, test, eight_bit, status_only, forgotten, language, differs, store, email_fold, name_fold, status, reason, prose, reserve_token, reserved_until, tries, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: OrderByID :one
SELECT sqlc.embed(orders), sale.store, sale.transaction_id, sale.transaction_fold
FROM orders JOIN sale ON sale.id = orders.sale_id WHERE orders.id = ?;

-- name: LicensesOfOrder :many
-- Those that were issued for it, and those that it shares.
SELECT id, order_id, ordinal, generation, replaced, product, code, code_hash, type, status, test, seat_max, used, expires_at, created_at, updated_at, note, code_fold
FROM license WHERE license.order_id = sqlc.arg(order_id) AND license.replaced = FALSE
UNION ALL
SELECT license.id, license.order_id, share.ordinal, license.generation, license.replaced, license.product, license.code, license.code_hash, license.type, license.status, license.test, license.seat_max, license.used, license.expires_at, license.created_at, license.updated_at, license.note, license.code_fold
FROM share JOIN license ON license.id = share.license_id
WHERE share.order_id = sqlc.arg(order_id) AND license.order_id <> share.order_id AND license.replaced = FALSE
ORDER BY ordinal;

-- name: ReserveOrder :execrows
-- tries before status: MySQL evaluates from left to right with what it has set.
UPDATE orders SET tries = CASE WHEN status = 'reserved' THEN tries + 1 ELSE 1 END, status = 'reserved',
  product = ?, seat_max = ?, reserve_token = ?, reserved_until = ?, updated_at = ?
WHERE id = ? AND (status IN ('held', 'rejected') OR (status = 'reserved' AND reserved_until <= ?));

-- name: SettleOrder :execrows
UPDATE orders SET status = ?, reason = ?, prose = ?, reserve_token = '', reserved_until = 0, updated_at = ?
WHERE id = ? AND status = 'reserved' AND reserve_token = ?;

-- name: ReleaseOrder :execrows
UPDATE orders SET reserved_until = ?, updated_at = ? WHERE id = ? AND status = 'reserved' AND reserve_token = ?;

-- name: RejectOrder :execrows
UPDATE orders SET status = 'rejected', updated_at = ? WHERE id = ? AND status = 'held';

-- name: CountKeys :one
SELECT COUNT(*) FROM order_key WHERE order_id = ?;

-- name: StaleProducts :many
SELECT DISTINCT product FROM orders WHERE status = 'reserved' AND reserved_until <= ? ORDER BY product;

-- name: StaleOrders :many
SELECT id FROM orders WHERE status = 'reserved' AND reserved_until <= ? AND product = ? ORDER BY reserved_until LIMIT ?;

-- name: InsertEmptySale :exec
INSERT INTO sale (id, store, transaction_id, transaction_fold, line_count, created_at, updated_at)
VALUES (?, ?, ?, ?, 0, ?, ?);

-- name: TouchSale :execrows
UPDATE sale SET updated_at = ? WHERE store = ? AND transaction_fold = ?;

-- name: OrdersOfSale :many
SELECT id, line, quantity, price, currency, status FROM orders WHERE sale_id = ? ORDER BY line;

-- name: MoneyEventsOfSale :many
SELECT * FROM money_event WHERE sale_id = ? ORDER BY id;

-- name: InsertMoneyEvent :exec
INSERT INTO money_event (id, sale_id, line, kind, reference, amount, currency, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: InsertMessage :exec
INSERT INTO message (id, channel, verdict, reason, order_id, raw, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: MessagesOfOrder :many
SELECT * FROM message WHERE order_id = ? ORDER BY id;

-- name: CountMessages :one
SELECT COUNT(*) FROM message WHERE order_id = ?;

-- name: CountHeld :many
SELECT channel, reason, COUNT(*) AS n FROM orders WHERE status = 'held' GROUP BY channel, reason ORDER BY channel, reason;

-- name: CountRefused :many
-- Ids begin with the time, so they bound it too.
SELECT channel, reason, COUNT(*) AS n FROM message
WHERE id >= ? AND id < ? AND verdict = 'refused' GROUP BY channel, reason ORDER BY channel, reason;

-- name: CountRefusedSince :many
-- A mail's id is of when it was first seen, and its message of when it was
-- refused: it may have waited. One that was approved, dismissed, or taken since
-- is not refused any more.
SELECT message.channel, message.reason, COUNT(*) AS n FROM message LEFT JOIN mail ON mail.id = message.id
WHERE message.id >= ? AND message.created_at >= ? AND message.created_at < ? AND message.verdict = 'refused'
  AND (mail.id IS NULL OR mail.verdict = 'refused')
GROUP BY message.channel, message.reason ORDER BY message.channel, message.reason;

-- name: RefusedMessages :many
SELECT * FROM message WHERE id >= ? AND id < ? AND channel = ? AND reason = ? AND verdict = 'refused' ORDER BY id LIMIT ?;
