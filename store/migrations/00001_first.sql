-- The first schema. It runs unchanged on SQLite and on MariaDB, and again
-- after a crash half-way: MySQL commits at every DDL statement, so each one
-- stands alone (IF NOT EXISTS), outside a transaction.
--
-- Ids are ULIDs, times UTC microseconds, money decimal text. What is unique
-- is a hash, or folded and trimmed before it gets here, since utf8mb4_bin
-- takes 'A' and 'A ' for equal and SQLite does not.

-- +goose NO TRANSACTION
-- +goose Up

-- One transaction of a store. Every order commit and every money event
-- updates its row, so that they cannot pass each other.
CREATE TABLE IF NOT EXISTS sale (
  id               CHAR(26)     NOT NULL PRIMARY KEY,
  store            VARCHAR(64)  NOT NULL,
  transaction_id   VARCHAR(255) NOT NULL, -- as first received
  transaction_fold VARCHAR(255) NOT NULL, -- trimmed, in lower case
  payment_ref      VARCHAR(255) NOT NULL DEFAULT '',
  subscription_ref VARCHAR(255) NOT NULL DEFAULT '',
  line_count       INT          NOT NULL DEFAULT 0,
  created_at       BIGINT       NOT NULL,
  updated_at       BIGINT       NOT NULL,
  UNIQUE (store, transaction_fold)
);

-- One line of a sale: all that a reply is rendered from.
CREATE TABLE IF NOT EXISTS orders (
  id             CHAR(26)      NOT NULL PRIMARY KEY,
  sale_id        CHAR(26)      NOT NULL,
  line           INT           NOT NULL,
  channel        VARCHAR(64)   NOT NULL,
  store_product  VARCHAR(256)  NOT NULL,
  product        VARCHAR(64)   NOT NULL, -- '' while unknown
  license_type   VARCHAR(256)  NOT NULL,
  name           VARCHAR(256)  NOT NULL,
  email          VARCHAR(256)  NOT NULL,
  price          VARCHAR(32)   NOT NULL, -- of one copy; '' where the channel does not know
  currency       VARCHAR(8)    NOT NULL,
  seeds          TEXT          NOT NULL, -- a JSON list; '' where the channel does not know
  oem_seed       VARCHAR(256)  NOT NULL,
  quantity       INT           NOT NULL,
  seat_max       INT           NOT NULL,
  expires_at     BIGINT,                 -- when its licenses end; NULL: never
  test           BOOLEAN       NOT NULL,
  eight_bit      BOOLEAN       NOT NULL, -- the buyer's program takes bytes beyond ASCII
  status         VARCHAR(16)   NOT NULL, -- reserved, issued, held, rejected
  reason         VARCHAR(32)   NOT NULL,
  prose          VARCHAR(1024) NOT NULL, -- what a held order's buyer reads
  reserve_token  CHAR(26)      NOT NULL DEFAULT '',
  reserved_until BIGINT        NOT NULL DEFAULT 0,
  tries          INT           NOT NULL DEFAULT 0,
  created_at     BIGINT        NOT NULL,
  updated_at     BIGINT        NOT NULL,
  UNIQUE (sale_id, line),
  FOREIGN KEY (sale_id) REFERENCES sale (id)
);
CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, reserved_until);

-- Inserting a key decides whose the order is. It comes before the order's
-- row, so there is no foreign key.
CREATE TABLE IF NOT EXISTS order_key (
  hash       VARBINARY(32) NOT NULL PRIMARY KEY,
  order_id   CHAR(26)      NOT NULL,
  created_at BIGINT        NOT NULL
);
CREATE INDEX IF NOT EXISTS order_key_by_order ON order_key (order_id);

-- Refunds, disputes and the like; they may come before their order.
CREATE TABLE IF NOT EXISTS money_event (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  sale_id    CHAR(26)     NOT NULL,
  line       INT          NOT NULL, -- 0: the whole sale
  kind       VARCHAR(32)  NOT NULL,
  reference  VARCHAR(255) NOT NULL, -- the store's id of the event
  amount     VARCHAR(32)  NOT NULL, -- '': all of it
  currency   VARCHAR(8)   NOT NULL,
  created_at BIGINT       NOT NULL,
  UNIQUE (sale_id, line, kind, reference),
  FOREIGN KEY (sale_id) REFERENCES sale (id)
);

-- One activation code with its policy.
CREATE TABLE IF NOT EXISTS license (
  id          CHAR(26)      NOT NULL PRIMARY KEY,
  order_id    CHAR(26)      NOT NULL,
  ordinal     INT           NOT NULL, -- which of the order's codes, from 1
  generation  INT           NOT NULL, -- 0, and one more for each replacement
  replaced    BOOLEAN       NOT NULL DEFAULT FALSE,
  product     VARCHAR(64)   NOT NULL,
  code        VARCHAR(255)  NOT NULL,
  code_hash   VARBINARY(32) NOT NULL, -- SHA-256 of the normal form
  type        VARCHAR(256)  NOT NULL,
  status      VARCHAR(16)   NOT NULL, -- active, suspended, revoked: the worst of its reasons
  test        BOOLEAN       NOT NULL,
  seat_max    INT           NOT NULL, -- 0: no limit
  used        INT           NOT NULL DEFAULT 0,
  expires_at  BIGINT,
  created_at  BIGINT        NOT NULL,
  updated_at  BIGINT        NOT NULL,
  UNIQUE (product, code_hash),
  UNIQUE (order_id, ordinal, generation),
  FOREIGN KEY (order_id) REFERENCES orders (id)
);
CREATE INDEX IF NOT EXISTS license_by_code ON license (code_hash);

-- Why a license is suspended or revoked; its status is computed from these.
CREATE TABLE IF NOT EXISTS status_reason (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  license_id CHAR(26)     NOT NULL,
  source     VARCHAR(16)  NOT NULL, -- refund, dispute, manual, replaced
  reference  VARCHAR(255) NOT NULL,
  effect     VARCHAR(16)  NOT NULL, -- suspended, revoked
  created_at BIGINT       NOT NULL,
  UNIQUE (license_id, source, reference),
  FOREIGN KEY (license_id) REFERENCES license (id)
);

-- One machine on one license; it occupies a seat. There is no foreign key: on
-- MySQL it would make the INSERT share a lock on the license's row, and two
-- machines at once, each about to UPDATE that row, would deadlock.
CREATE TABLE IF NOT EXISTS activation (
  id               CHAR(26)      NOT NULL PRIMARY KEY,
  license_id       CHAR(26)      NOT NULL,
  fp_mac           VARBINARY(32) NOT NULL, -- HMAC of the fingerprint: finds the machine
  salt             VARBINARY(16) NOT NULL,
  fp_hash          VARBINARY(32) NOT NULL, -- SHA-256(salt, fingerprint): what leases carry
  lease_id         CHAR(26)      NOT NULL,
  lease_issued_at  BIGINT        NOT NULL,
  lease_expires_at BIGINT        NOT NULL,
  machine_name     VARCHAR(256)  NOT NULL,
  platform         VARCHAR(256)  NOT NULL,
  app_version      VARCHAR(256)  NOT NULL,
  created_at       BIGINT        NOT NULL,
  UNIQUE (license_id, fp_mac)
);

-- Codes loaded beforehand, claimed in the order's own transaction.
CREATE TABLE IF NOT EXISTS pool_code (
  id         CHAR(26)      NOT NULL PRIMARY KEY,
  pool       VARCHAR(64)   NOT NULL,
  code       VARCHAR(255)  NOT NULL,
  code_hash  VARBINARY(32) NOT NULL,
  order_id   CHAR(26)      NOT NULL DEFAULT '', -- '': free
  created_at BIGINT        NOT NULL,
  UNIQUE (pool, code_hash)
);
CREATE INDEX IF NOT EXISTS pool_code_free ON pool_code (pool, order_id);

-- Notices to send; rendered when they are sent.
CREATE TABLE IF NOT EXISTS outbox (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  kind       VARCHAR(32)  NOT NULL,
  audience   VARCHAR(16)  NOT NULL, -- buyer, vendor, test
  order_id   CHAR(26)     NOT NULL,
  status     VARCHAR(16)  NOT NULL, -- waiting, sent, dead
  tries      INT          NOT NULL DEFAULT 0,
  next_at    BIGINT       NOT NULL,
  error      VARCHAR(255) NOT NULL DEFAULT '',
  created_at BIGINT       NOT NULL,
  updated_at BIGINT       NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (status, next_at);

-- Posts and mails as they came, without secrets.
CREATE TABLE IF NOT EXISTS message (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  channel    VARCHAR(64)  NOT NULL,
  verdict    VARCHAR(16)  NOT NULL, -- accepted, duplicate, held, refused
  reason     VARCHAR(255) NOT NULL,
  order_id   CHAR(26)     NOT NULL, -- '': none
  raw        MEDIUMBLOB   NOT NULL,
  created_at BIGINT       NOT NULL
);
CREATE INDEX IF NOT EXISTS message_by_order ON message (order_id);

-- Management actions: ids, no personal data.
CREATE TABLE IF NOT EXISTS audit (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  actor      VARCHAR(64)  NOT NULL,
  action     VARCHAR(64)  NOT NULL,
  subject    VARCHAR(64)  NOT NULL,
  seal_id    CHAR(26)     NOT NULL DEFAULT '',
  created_at BIGINT       NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_unsealed ON audit (seal_id);

CREATE TABLE IF NOT EXISTS audit_seal (
  id         CHAR(26)       NOT NULL PRIMARY KEY,
  previous   CHAR(26)       NOT NULL,
  root       VARBINARY(32)  NOT NULL,
  signature  VARBINARY(128) NOT NULL,
  created_at BIGINT         NOT NULL
);

-- Who may do a thing alone (a mailbox, the outbox, the sweeper): one is dead
-- when its version stood still for a whole term.
CREATE TABLE IF NOT EXISTS claim (
  name       VARCHAR(64) NOT NULL PRIMARY KEY,
  owner      CHAR(26)    NOT NULL,
  version    BIGINT      NOT NULL,
  updated_at BIGINT      NOT NULL
);

-- Lease-signing keys: the private half sealed by the master key.
CREATE TABLE IF NOT EXISTS signing_key (
  kid        VARCHAR(64)    NOT NULL PRIMARY KEY,
  slot       VARCHAR(64)    NOT NULL, -- current, next; a retired key's own kid
  public     VARBINARY(32)  NOT NULL,
  sealed     VARBINARY(255) NOT NULL,
  created_at BIGINT         NOT NULL,
  UNIQUE (slot)
);
