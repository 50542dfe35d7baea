-- An id is never given to anybody else: not by an import either.
CREATE TABLE deleted_users (
    id TEXT NOT NULL PRIMARY KEY
);
INSERT INTO deleted_users (id)
SELECT DISTINCT user_id FROM events
WHERE kind = 'user.deleted' AND user_id <> '' AND user_id NOT IN (SELECT id FROM users);
