-- Notification mails, as they were found in a mailbox.

-- +goose NO TRANSACTION
-- +goose Up

-- Each message seen, known by its content: a server may give it another number.
-- What was refused or held has a row of the same id among the messages, with
-- what came, if it was kept.
CREATE TABLE IF NOT EXISTS mail (
  id           CHAR(26)      NOT NULL PRIMARY KEY,
  channel      VARCHAR(64)   NOT NULL,
  content_hash VARBINARY(32) NOT NULL, -- SHA-256 of its bytes
  folder       VARCHAR(255)  NOT NULL,
  uid_validity BIGINT        NOT NULL,
  uid          BIGINT        NOT NULL,
  message_id   VARCHAR(255)  NOT NULL, -- as its header says
  domain       VARCHAR(255)  NOT NULL, -- that signed it; '': none of ours
  body_hash    VARBINARY(32) NOT NULL, -- of what that domain signed
  profile      VARCHAR(64)   NOT NULL, -- that it was read by; '': none knows it
  verdict      VARCHAR(16)   NOT NULL, -- taken, held, refused, unknown, waiting
  reason       VARCHAR(32)   NOT NULL,
  detail       VARCHAR(255)  NOT NULL,
  store        VARCHAR(64)   NOT NULL, -- the sale that it tells of; '': none
  sale_fold    VARCHAR(255)  NOT NULL,
  told         MEDIUMTEXT    NOT NULL, -- what was taken of it, as JSON: given to the desk again after a crash
  arrived_at   BIGINT        NOT NULL,
  created_at   BIGINT        NOT NULL,
  UNIQUE (channel, content_hash)
);
CREATE INDEX IF NOT EXISTS mail_by_verdict ON mail (verdict, id);
CREATE INDEX IF NOT EXISTS mail_by_sale ON mail (store, sale_fold);

-- A signed body is taken once: whoever has a copy can have it delivered again.
CREATE TABLE IF NOT EXISTS mail_body (
  hash       VARBINARY(32) NOT NULL PRIMARY KEY,
  mail_id    CHAR(26)      NOT NULL,
  created_at BIGINT        NOT NULL
);

-- The running numbers that mails carried, by which a lost one shows.
CREATE TABLE IF NOT EXISTS mail_number (
  id         CHAR(26)     NOT NULL PRIMARY KEY,
  mail_id    CHAR(26)     NOT NULL,
  store      VARCHAR(64)  NOT NULL,
  name       VARCHAR(255) NOT NULL, -- the blurb's, folded
  number     INT          NOT NULL,
  dated_at   BIGINT       NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_number_by_date ON mail_number (dated_at);

-- Where a mailbox is read on.
CREATE TABLE IF NOT EXISTS mailbox (
  channel      VARCHAR(64)  NOT NULL PRIMARY KEY,
  folder       VARCHAR(255) NOT NULL,
  uid_validity BIGINT       NOT NULL,
  next_uid     BIGINT       NOT NULL,
  updated_at   BIGINT       NOT NULL
);
