-- +goose Up

-- The buyer's address, trimmed and in lower case; NULL as for store.
ALTER TABLE orders ADD COLUMN email_fold VARCHAR(256);
