-- A session's since is its user's sessions_from as it was when the session began,
-- no longer when that was. Sessions that have been ended stay so.
UPDATE sessions SET since = (SELECT sessions_from FROM users WHERE users.id = sessions.user_id)
WHERE since > (SELECT sessions_from FROM users WHERE users.id = sessions.user_id);
