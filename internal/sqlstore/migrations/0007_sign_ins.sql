-- What signing in depends on is an item of its own: a login and a change of the
-- profile never meet on one row. The epoch of the users that are there is the moment
-- from which their sessions counted: it is a number that grows, and their sessions
-- bear it already.
CREATE TABLE sign_ins (
    user_id        TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash  TEXT    NOT NULL,
    disabled       BOOLEAN NOT NULL,
    email_verified BOOLEAN NOT NULL,
    pending_email  TEXT    NOT NULL,
    epoch          BIGINT  NOT NULL,
    epoch_at       BIGINT  NOT NULL,
    rights         BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    version        BIGINT  NOT NULL
);
INSERT INTO sign_ins (user_id, password_hash, disabled, email_verified, pending_email, epoch, epoch_at, rights,
    updated_at, version)
SELECT id, password_hash, disabled, email_verified, pending_email, sessions_from, sessions_from, 0, updated_at, 1
FROM users;

ALTER TABLE users DROP COLUMN password_hash;
ALTER TABLE users DROP COLUMN disabled;
ALTER TABLE users DROP COLUMN email_verified;
ALTER TABLE users DROP COLUMN pending_email;
ALTER TABLE users DROP COLUMN sessions_from;

-- JSON, a list of texts and an object of texts; empty: none.
ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN attributes TEXT NOT NULL DEFAULT '';
