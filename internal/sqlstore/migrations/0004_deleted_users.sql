-- An id is never given to anybody else: not by an import either.
CREATE TABLE deleted_users (
    id TEXT NOT NULL PRIMARY KEY
);
