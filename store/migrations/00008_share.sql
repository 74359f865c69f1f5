-- +goose NO TRANSACTION
-- +goose Up

-- The orders that share one license, each with the seats that it brought: two
-- buyers of one name, say, whose code is made of it. The order that the license
-- was issued for has a row as well. A license that is not shared has none.
CREATE TABLE IF NOT EXISTS share (
  id         CHAR(26) NOT NULL PRIMARY KEY,
  license_id CHAR(26) NOT NULL,
  order_id   CHAR(26) NOT NULL,
  ordinal    INT      NOT NULL, -- which of the order's codes, from 1
  seats      INT      NOT NULL, -- 0: no limit
  refunded   BOOLEAN  NOT NULL,
  created_at BIGINT   NOT NULL,
  UNIQUE (license_id, order_id),
  FOREIGN KEY (license_id) REFERENCES license (id)
);
CREATE INDEX IF NOT EXISTS share_by_order ON share (order_id);
