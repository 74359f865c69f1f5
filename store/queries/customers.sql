-- name: OrdersByEmail :many
-- As it is, in upper and in lower case: SQLite's LOWER knows ASCII alone.
SELECT id FROM orders WHERE LOWER(TRIM(email)) IN (LOWER(?), LOWER(?), LOWER(?)) ORDER BY id DESC;

-- name: OrdersByName :many
SELECT id FROM orders WHERE LOWER(TRIM(name)) IN (LOWER(?), LOWER(?), LOWER(?)) ORDER BY id DESC;

-- name: EditCustomer :execrows
UPDATE orders SET name = ?, email = ?, updated_at = ? WHERE id = ?;

-- name: ForgetCustomer :execrows
UPDATE orders SET name = '', email = '', seeds = '', oem_seed = '', forgotten = TRUE, updated_at = ? WHERE id = ?;

-- name: ForgetMachines :exec
UPDATE activation SET machine_name = '' WHERE license_id IN (SELECT id FROM license WHERE order_id = ?);

-- name: EmptyMessagesOfOrder :exec
UPDATE message SET raw = '' WHERE order_id = ?;

-- name: EmptyMessage :exec
UPDATE message SET raw = '' WHERE id = ?;

-- name: FullMessages :many
SELECT id FROM message WHERE id > ? AND id < ? AND LENGTH(raw) > 0 ORDER BY id LIMIT ?;

-- name: LooseMessages :many
SELECT id, raw FROM message WHERE order_id = '' AND id > ? ORDER BY id LIMIT ?;
