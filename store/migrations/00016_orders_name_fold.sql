-- +goose Up

-- The buyer's name, trimmed and in lower case; NULL as for store.
ALTER TABLE orders ADD COLUMN name_fold VARCHAR(256);
