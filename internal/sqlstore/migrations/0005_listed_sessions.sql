-- The sessions that a list may show, latest begun first. Nothing of it changes when
-- a session is refreshed.
CREATE INDEX sessions_listed ON sessions (user_id, since, created_at DESC, id) WHERE ended_at = 0;
