-- +goose Up

-- FALSE: the store takes a status line alone, and codes go by mail.
ALTER TABLE orders ADD COLUMN reply_codes BOOLEAN NOT NULL DEFAULT TRUE;
