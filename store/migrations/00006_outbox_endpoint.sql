-- +goose Up

-- The webhook that a notice is for; '': it is a mail.
ALTER TABLE outbox ADD COLUMN endpoint VARCHAR(64) NOT NULL DEFAULT '';
