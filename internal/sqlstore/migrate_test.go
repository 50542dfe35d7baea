package sqlstore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// TestSchemaOneIsBroughtForward opens a database of the first schema, with users
// in it: operators have vouched for the address, and sessions that have been ended
// stay so.
func TestSchemaOneIsBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	schema, err := os.ReadFile("migrations/0001_accounts.sql")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, text := range []string{
		string(schema),
		`CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`,
		`INSERT INTO migrations VALUES (1, 0)`,
		`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled,
			created_at, updated_at, sessions_from, version)
			VALUES ('u1', 'Ada', 'ada', 'ada@example.com', 'ada@example.com', 'Ada L.', 'read', '$hash', FALSE, 1, 2, 0, 7)`,
		`INSERT INTO sessions VALUES ('s1', 'u1', x'01', x'', 0, 0, '', '', 1, 1, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled,
			created_at, updated_at, sessions_from, version)
			VALUES ('u2', 'Grace', 'grace', '', NULL, '', '', '$hash', FALSE, 1, 2, 5, 1)`,
		`INSERT INTO sessions VALUES ('s2', 'u2', x'02', x'', 0, 0, '', '', 1, 4, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO sessions VALUES ('s3', 'u2', x'03', x'', 0, 0, '', '', 1, 6, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO events VALUES (1, 1, 'login', 'ok', 'u1', 's1', '', '', '')`,
		`INSERT INTO events VALUES (2, 1, 'user.deleted', 'ok', 'u9', '', '', '', '')`,
		`UPDATE counters SET value = 2 WHERE name = 'events'`,
	} {
		if _, err := raw.Exec(text); err != nil {
			t.Fatalf("%.60s: %v", text, err)
		}
	}
	s := open(t, path, false)
	session, u, err := s.SessionUser(t.Context(), "s1")
	if err != nil || session.Version != 1 || u.Email != "ada@example.com" || !u.EmailVerified || u.PendingEmail != "" || u.Version != 7 {
		t.Errorf("got %+v, %v", u, err)
	}
	if !session.Since.Equal(u.SessionsFrom) {
		t.Errorf("the session is since %v, its user's are from %v", session.Since, u.SessionsFrom)
	}
	if deleted, err := s.UserDeleted(t.Context(), "u9"); err != nil || !deleted {
		t.Errorf("who was deleted before is known as such: %v, %v", deleted, err)
	}
	for id, alive := range map[auth.SessionID]bool{"s2": false, "s3": true} {
		session, u, err := s.SessionUser(t.Context(), id)
		if err != nil || session.Since.Equal(u.SessionsFrom) != alive || session.Since.After(u.SessionsFrom) {
			t.Errorf("%s is since %v, its user's are from %v, %v; want alive %v", id, session.Since, u.SessionsFrom, err, alive)
		}
	}
	if err := s.Commit(t.Context(), auth.Batch{
		UpdateUsers: []auth.User{u}, PutTickets: []auth.Ticket{{ID: "t"}}, QueueMails: []auth.Mail{{ID: "m"}}, Events: []auth.Event{{Kind: "x"}},
	}); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 3 || events[2].Number != 3 {
		t.Errorf("got events %v, %v", events, err)
	}
}
