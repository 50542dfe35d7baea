-- One SQL text for SQLite and PostgreSQL. Moments are microseconds since 1970
-- in UTC; 0 is "never".
CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL,
    username_key  TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL,
    email_key     TEXT    UNIQUE,
    name          TEXT    NOT NULL,
    scope         TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    sessions_from BIGINT  NOT NULL,
    version       BIGINT  NOT NULL
);

CREATE TABLE sessions (
    id            TEXT   NOT NULL PRIMARY KEY,
    user_id       TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_hash  BYTEA  NOT NULL,
    previous_hash BYTEA  NOT NULL,
    rotated_at    BIGINT NOT NULL,
    rotations     BIGINT NOT NULL,
    device        TEXT   NOT NULL,
    address       TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL,
    version       BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Failures by a MAC of what they count under.
CREATE TABLE counts (
    key      TEXT             NOT NULL PRIMARY KEY,
    level    DOUBLE PRECISION NOT NULL,
    last_hit BIGINT           NOT NULL
);
CREATE INDEX counts_by_last_hit ON counts (last_hit);

CREATE TABLE events (
    number     BIGINT NOT NULL PRIMARY KEY,
    time       BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    request_id TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    device     TEXT   NOT NULL
);
CREATE INDEX events_by_time ON events (time);

-- The number of the last event. Its row lock makes numbers grow in the order of
-- the commits, which an identity column does not promise.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0);

CREATE TABLE signing_keys (
    number     BIGINT NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
    algorithm  TEXT   NOT NULL,
    public     BYTEA  NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL,
    retires_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
