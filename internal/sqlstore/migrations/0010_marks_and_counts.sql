-- Tickets that nobody was given to redeem only say that something was: that a network is
-- known, that a token without session has ended, that a link was used.
CREATE TABLE marks (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
INSERT INTO marks (id, expires_at) SELECT id, expires_at FROM tickets WHERE purpose IN ('home', 'ended', 'used');
DELETE FROM tickets WHERE purpose IN ('home', 'ended', 'used');
CREATE INDEX marks_by_expiry ON marks (expires_at);

-- Leaky buckets by a MAC of what they are of. The counts that are there are dropped: they
-- do not say how fast they fade, and with another fade they would keep people out for
-- longer than their limit allows. Whoever was held back has the tries of a new start,
-- once. There is no index by time: every attempt would pay for it, and purging walks the
-- keys.
DROP TABLE counts;
CREATE TABLE counts (
    key      TEXT   NOT NULL PRIMARY KEY,
    empty_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    reserved BIGINT NOT NULL
);
