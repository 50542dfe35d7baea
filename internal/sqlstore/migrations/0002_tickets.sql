-- Operators vouch for the addresses of the users that are there.
ALTER TABLE users ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE users ADD COLUMN pending_email TEXT NOT NULL DEFAULT '';

-- What was mailed to somebody and can be used once.
CREATE TABLE tickets (
    id            TEXT   NOT NULL PRIMARY KEY,
    purpose       TEXT   NOT NULL,
    email         TEXT   NOT NULL,
    secret_hash   BYTEA  NOT NULL,
    code_mac      BYTEA  NOT NULL,
    tries         BIGINT NOT NULL,
    user_id       TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    password_hash TEXT   NOT NULL,
    bound         BYTEA  NOT NULL,
    created_at    BIGINT NOT NULL,
    link_until    BIGINT NOT NULL,
    code_until    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

-- Mail that is yet to be delivered, sealed under the master key.
CREATE TABLE mails (
    id         TEXT   NOT NULL PRIMARY KEY,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL
);
CREATE INDEX mails_by_due ON mails (due_at);

-- Every event paid for it, and purging does without.
DROP INDEX events_by_time;
