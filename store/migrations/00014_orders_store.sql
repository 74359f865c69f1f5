-- +goose Up

-- The sale's store, so that an index finds a store's orders; NULL in what the
-- version before wrote, until the next search fills it in.
ALTER TABLE orders ADD COLUMN store VARCHAR(64);
