-- +goose Up

-- What the vendor noted about a license; nobody else reads it.
ALTER TABLE license ADD COLUMN note VARCHAR(1024) NOT NULL DEFAULT '';
