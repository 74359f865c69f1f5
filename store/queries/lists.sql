-- What lists show, for a page of ids each: a page costs as many queries as these,
-- however many rows it has.

-- name: OrdersByIDs :many
SELECT sqlc.embed(orders), sale.store, sale.transaction_id, sale.transaction_fold
FROM orders JOIN sale ON sale.id = orders.sale_id WHERE orders.id IN (sqlc.slice(ids));

-- name: LicensesOfOrders :many
SELECT * FROM license WHERE order_id IN (sqlc.slice(orders)) AND replaced = FALSE;

-- name: SharedByOrders :many
SELECT share.order_id AS sharer, share.ordinal AS place, sqlc.embed(license)
FROM share JOIN license ON license.id = share.license_id
WHERE share.order_id IN (sqlc.slice(orders)) AND license.order_id <> share.order_id AND license.replaced = FALSE;

-- name: MoneyEventsOfSales :many
SELECT * FROM money_event WHERE sale_id IN (sqlc.slice(sales));

-- name: OrdersOfSales :many
SELECT sale_id, id, line, quantity, price, currency, status FROM orders WHERE sale_id IN (sqlc.slice(sales));

-- name: LicensesByIDs :many
SELECT sqlc.embed(license), sale.store, sale.transaction_id, orders.line, orders.name, orders.email, orders.store_product
FROM license JOIN orders ON orders.id = license.order_id JOIN sale ON sale.id = orders.sale_id WHERE license.id IN (sqlc.slice(ids));

-- name: SharedLicenses :many
-- Those of some licenses that several orders share.
SELECT license_id FROM share WHERE license_id IN (sqlc.slice(ids)) GROUP BY license_id;

-- name: MailsByIDs :many
SELECT sqlc.embed(mail), COALESCE(sale.transaction_id, mail.sale_fold) AS transaction_id
FROM mail LEFT JOIN sale ON sale.store = mail.store AND sale.transaction_fold = mail.sale_fold WHERE mail.id IN (sqlc.slice(ids));

-- name: NoticesByIDs :many
SELECT sqlc.embed(outbox), sale.store, sale.transaction_id, orders.line
FROM outbox LEFT JOIN orders ON orders.id = outbox.order_id LEFT JOIN sale ON sale.id = orders.sale_id WHERE outbox.id IN (sqlc.slice(ids));

-- name: ActivationsOfLicenses :many
SELECT * FROM activation WHERE license_id IN (sqlc.slice(licenses));

-- name: MessagesOfOrders :many
SELECT * FROM message WHERE order_id IN (sqlc.slice(orders));

-- name: UnfoldedOrders :many
-- What the version before wrote since the columns are there.
SELECT orders.id, orders.name, orders.email, (SELECT sale.store FROM sale WHERE sale.id = orders.sale_id) AS sold_at FROM orders WHERE orders.email_fold IS NULL LIMIT ?;

-- name: UnfoldedLicenses :many
SELECT id, code FROM license WHERE status IN ('active', 'suspended', 'revoked') AND code_fold IS NULL LIMIT ?;

-- name: OrdersToFold :many
-- For the migration, by the primary key: there is no other index yet.
SELECT orders.id, orders.name, orders.email, (SELECT sale.store FROM sale WHERE sale.id = orders.sale_id) AS sold_at FROM orders
WHERE orders.id > ? AND orders.email_fold IS NULL ORDER BY orders.id LIMIT ?;

-- name: LicensesToFold :many
SELECT id, code FROM license WHERE id > ? AND code_fold IS NULL ORDER BY id LIMIT ?;
