-- +goose Up

-- What a notice about no order tells of: refused posts (the channel, a space and
-- the reason), a digest (the audit log's head by then).
ALTER TABLE outbox ADD COLUMN subject VARCHAR(320) NOT NULL DEFAULT '';
