-- +goose Up

-- The license that a notice is about; '': all of its order's.
ALTER TABLE outbox ADD COLUMN license_id CHAR(26) NOT NULL DEFAULT '';
