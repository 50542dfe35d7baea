-- A session remembers how its user signed in and what for, and its refresh tokens are
-- numbered. chain_hash, chain_previous and chain_rotations are of the tokens before
-- that; they may go when the last session of schema 7 has expired. amr is JSON, a list
-- of texts; empty: not known.
CREATE TABLE sessions_new (
    id              TEXT   NOT NULL PRIMARY KEY,
    user_id         TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch           BIGINT NOT NULL,
    amr             TEXT   NOT NULL,
    acr             TEXT   NOT NULL,
    proved_at       BIGINT NOT NULL,
    client_id       TEXT   NOT NULL,
    scope           TEXT   NOT NULL,
    seed            BYTEA  NOT NULL,
    refreshes       BIGINT NOT NULL,
    chain_hash      BYTEA  NOT NULL,
    chain_previous  BYTEA  NOT NULL,
    chain_rotations BIGINT NOT NULL,
    device          TEXT   NOT NULL,
    address         TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL
);
INSERT INTO sessions_new (id, user_id, epoch, amr, acr, proved_at, client_id, scope, seed, refreshes,
    chain_hash, chain_previous, chain_rotations, device, address, created_at, last_used_at, expires_at, ended_at)
SELECT id, user_id, since, '', '', created_at, 'latchkey', '', '', 0,
    refresh_hash, previous_hash, rotations, device, address, created_at, last_used_at, expires_at, ended_at
FROM sessions;
DROP TABLE sessions;
ALTER TABLE sessions_new RENAME TO sessions;

-- Those of a user who is deleted, and those that have expired.
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
-- Those that a list may show, in its order. Nothing of it changes when a session is
-- refreshed.
CREATE INDEX sessions_listed ON sessions (user_id, epoch DESC, created_at DESC, id) WHERE ended_at = 0;
