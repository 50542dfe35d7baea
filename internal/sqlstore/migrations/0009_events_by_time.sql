-- Events have their place by time and a random id. To number them without a gap, every
-- commit had to write one row. What was a number is an id now, with zeros before it:
-- texts sort as the numbers did.
CREATE TABLE events_new (
    time       BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    request_id TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    device     TEXT   NOT NULL,
    count      BIGINT NOT NULL,
    PRIMARY KEY (time, id)
) WITHOUT ROWID; -- in SQLite: one tree instead of two, and half the pages of each commit
INSERT INTO events_new (time, id, kind, outcome, user_id, session_id, request_id, address, device, count)
SELECT time, SUBSTR('0000000000000000000' || number, LENGTH(CAST(number AS TEXT)) + 1),
    kind, outcome, user_id, session_id, request_id, address, device, count
FROM events;
DROP TABLE events;
ALTER TABLE events_new RENAME TO events;
DROP TABLE counters;

-- What a ping writes.
CREATE TABLE pings (
    id     BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);

-- Access tokens that end before they expire.
CREATE TABLE revocations (
    time       BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    rights     BIGINT NOT NULL,
    survivor   TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (time, id)
);
