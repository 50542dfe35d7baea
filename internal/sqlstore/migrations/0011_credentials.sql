-- What proves a user besides the password. Its key is nobody else's.
CREATE TABLE credentials (
    key        TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    data       BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL
);
CREATE INDEX credentials_by_user ON credentials (user_id, key);
