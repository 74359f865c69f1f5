-- What lists and searches go by; the columns were filled in before (see fills in
-- migrate.go). A list shows a page in the order of its key, so each index ends
-- with it. Where an index has a status before the key, a list of all statuses
-- asks for a page of each.

-- +goose NO TRANSACTION
-- +goose Up

CREATE INDEX IF NOT EXISTS orders_by_email ON orders (email_fold, id);
CREATE INDEX IF NOT EXISTS orders_by_name ON orders (name_fold, id);
CREATE INDEX IF NOT EXISTS orders_listed ON orders (status, id);
CREATE INDEX IF NOT EXISTS orders_of_store ON orders (store, status, id);
CREATE INDEX IF NOT EXISTS orders_of_product ON orders (product, status, id);
CREATE INDEX IF NOT EXISTS orders_of_both ON orders (store, product, status, id);

CREATE INDEX IF NOT EXISTS license_listed ON license (status, id);
CREATE INDEX IF NOT EXISTS license_of_product ON license (product, status, id);
-- By the beginning of the code, whatever the product: a second index of all
-- codes, by product, would cost each order a random page.
CREATE INDEX IF NOT EXISTS license_by_beginning ON license (status, code_fold, product, id);

CREATE INDEX IF NOT EXISTS mail_of_channel ON mail (channel, verdict, id);

CREATE INDEX IF NOT EXISTS outbox_listed ON outbox (status, id);
CREATE INDEX IF NOT EXISTS outbox_of_kind ON outbox (kind, status, id);
CREATE INDEX IF NOT EXISTS outbox_of_endpoint ON outbox (endpoint, status, id);
CREATE INDEX IF NOT EXISTS outbox_of_order ON outbox (order_id, id);

-- The next free code of a pool, without sorting all of them.
CREATE INDEX IF NOT EXISTS pool_code_next ON pool_code (pool, order_id, id);
