-- What the second schema adds in tables and indexes; its columns have a file
-- each, since SQLite adds one at a time and MySQL commits at every one.

-- +goose NO TRANSACTION
-- +goose Up

-- The old license that an order upgraded: no license is upgraded twice. The
-- row goes when the upgrade is refunded.
CREATE TABLE IF NOT EXISTS upgrade (
  license_id CHAR(26) NOT NULL PRIMARY KEY,
  order_id   CHAR(26) NOT NULL,
  created_at BIGINT   NOT NULL,
  FOREIGN KEY (license_id) REFERENCES license (id)
);
CREATE INDEX IF NOT EXISTS upgrade_by_order ON upgrade (order_id);

-- What must not go on until a person says so: the outbox and the pools after
-- a restore, everything while a copy is being written into this database.
CREATE TABLE IF NOT EXISTS pause (
  name       VARCHAR(64)  NOT NULL PRIMARY KEY, -- outbox, pools, copy
  reason     VARCHAR(255) NOT NULL,
  created_at BIGINT       NOT NULL
);

-- The chain of seals has no fork: each has one successor.
CREATE UNIQUE INDEX IF NOT EXISTS audit_seal_chain ON audit_seal (previous);
