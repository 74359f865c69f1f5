-- +goose Up

-- Webhooks that are due are found past any number of mails that wait.
CREATE INDEX IF NOT EXISTS outbox_by_endpoint ON outbox (status, endpoint, next_at);
