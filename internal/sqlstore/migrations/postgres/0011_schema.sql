-- All of schema 11: latchkey has no older database on PostgreSQL. What a later
-- migration brings stands in ../NNNN_name.sql, or here where the text is another.
--
-- Texts are in the order of their bytes, on every server and after every upgrade of its
-- libraries. Moments are microseconds since 1970 in UTC; 0 is "never".

CREATE TABLE users (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username     TEXT COLLATE "C" NOT NULL,
    username_key TEXT COLLATE "C" NOT NULL UNIQUE,
    email        TEXT COLLATE "C" NOT NULL,
    email_key    TEXT COLLATE "C" UNIQUE,
    name         TEXT COLLATE "C" NOT NULL,
    scope        TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT           NOT NULL,
    updated_at   BIGINT           NOT NULL,
    version      BIGINT           NOT NULL,
    roles        TEXT COLLATE "C" NOT NULL DEFAULT '',
    attributes   TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE sign_ins (
    user_id        TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash  TEXT COLLATE "C" NOT NULL,
    disabled       BOOLEAN          NOT NULL,
    email_verified BOOLEAN          NOT NULL,
    pending_email  TEXT COLLATE "C" NOT NULL,
    epoch          BIGINT           NOT NULL,
    epoch_at       BIGINT           NOT NULL,
    rights         BIGINT           NOT NULL,
    updated_at     BIGINT           NOT NULL,
    version        BIGINT           NOT NULL
);

-- A refresh writes the new row beside the old one as long as the page has room: no index
-- is touched.
CREATE TABLE sessions (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id         TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch           BIGINT           NOT NULL,
    amr             TEXT COLLATE "C" NOT NULL,
    acr             TEXT COLLATE "C" NOT NULL,
    proved_at       BIGINT           NOT NULL,
    client_id       TEXT COLLATE "C" NOT NULL,
    scope           TEXT COLLATE "C" NOT NULL,
    seed            BYTEA            NOT NULL,
    refreshes       BIGINT           NOT NULL,
    chain_hash      BYTEA            NOT NULL,
    chain_previous  BYTEA            NOT NULL,
    chain_rotations BIGINT           NOT NULL,
    device          TEXT COLLATE "C" NOT NULL,
    address         TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT           NOT NULL,
    last_used_at    BIGINT           NOT NULL,
    expires_at      BIGINT           NOT NULL,
    ended_at        BIGINT           NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_listed ON sessions (user_id, epoch DESC, created_at DESC, id) WHERE ended_at = 0;

CREATE TABLE credentials (
    key        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL,
    data       BYTEA            NOT NULL,
    created_at BIGINT           NOT NULL,
    version    BIGINT           NOT NULL
);
CREATE INDEX credentials_by_user ON credentials (user_id, key);

CREATE TABLE deleted_users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE tickets (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    purpose       TEXT COLLATE "C" NOT NULL,
    email         TEXT COLLATE "C" NOT NULL,
    secret_hash   BYTEA            NOT NULL,
    code_mac      BYTEA            NOT NULL,
    tries         BIGINT           NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    bound         BYTEA            NOT NULL,
    created_at    BIGINT           NOT NULL,
    link_until    BIGINT           NOT NULL,
    code_until    BIGINT           NOT NULL,
    expires_at    BIGINT           NOT NULL
);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

CREATE TABLE marks (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    expires_at BIGINT           NOT NULL
);
CREATE INDEX marks_by_expiry ON marks (expires_at);

CREATE TABLE mails (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed     BYTEA            NOT NULL,
    created_at BIGINT           NOT NULL,
    due_at     BIGINT           NOT NULL,
    give_up_at BIGINT           NOT NULL,
    attempts   BIGINT           NOT NULL
);
CREATE INDEX mails_by_due ON mails (due_at);

CREATE TABLE events (
    time       BIGINT           NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    device     TEXT COLLATE "C" NOT NULL,
    count      BIGINT           NOT NULL,
    PRIMARY KEY (time, id)
);

CREATE TABLE revocations (
    time       BIGINT           NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    epoch      BIGINT           NOT NULL,
    rights     BIGINT           NOT NULL,
    survivor   TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    PRIMARY KEY (time, id)
);

CREATE TABLE counts (
    key      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    empty_at BIGINT           NOT NULL,
    last_at  BIGINT           NOT NULL,
    reserved BIGINT           NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE pings (
    id     BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    number     BIGINT           NOT NULL PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm  TEXT COLLATE "C" NOT NULL,
    public     BYTEA            NOT NULL,
    sealed     BYTEA            NOT NULL,
    created_at BIGINT           NOT NULL,
    active_at  BIGINT           NOT NULL,
    retires_at BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL
);
