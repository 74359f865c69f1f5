-- +goose Up

-- What a held delivery says other than the order before it: a JSON list of
-- {field, before, now}; NULL: nothing.
ALTER TABLE orders ADD COLUMN differs MEDIUMTEXT;
