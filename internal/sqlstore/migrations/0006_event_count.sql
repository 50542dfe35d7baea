-- Refusals that come at any rate are one line a minute with their number.
ALTER TABLE events ADD COLUMN count BIGINT NOT NULL DEFAULT 1;
