-- +goose Up

-- TRUE: the store takes a status line alone, and codes go by mail.
ALTER TABLE orders ADD COLUMN status_only BOOLEAN NOT NULL DEFAULT FALSE;
