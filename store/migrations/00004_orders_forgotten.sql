-- +goose Up

-- TRUE: the person was erased; what comes again of the order is held.
ALTER TABLE orders ADD COLUMN forgotten BOOLEAN NOT NULL DEFAULT FALSE;
