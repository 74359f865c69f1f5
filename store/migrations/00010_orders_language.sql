-- +goose Up

-- The buyer's language, as the store tells it (RFC 5646: de, pt-BR); '': unknown.
ALTER TABLE orders ADD COLUMN language VARCHAR(35) NOT NULL DEFAULT '';
