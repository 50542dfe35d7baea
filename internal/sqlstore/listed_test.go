package sqlstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// crowded is a store with one user, "u", who has as many sessions, numbered from 1
// and begun one microsecond after the other. columns gives since, last_used_at and
// ended_at of session n.
func crowded(t *testing.T, sessions int, columns string) *sqlstore.Store {
	t.Helper()
	s := open(t, sqlstore.Memory, true)
	if err := s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{{ID: "u", Username: "ada"}}}); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d)
		INSERT INTO sessions (id, user_id, refresh_hash, previous_hash, rotated_at, rotations, device, address, created_at,
			expires_at, version, since, last_used_at, ended_at)
		SELECT 's' || n, 'u', x'01', x'', 0, 0, '', '', n, 9000000000000000, 1, %s FROM numbers`, sessions, columns)
	if _, err := s.Write().ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	return s
}

// list returns the first sessions of who was crowded, at a time when they die that
// were used last at 0.
func list(t *testing.T, s *sqlstore.Store) []auth.Session {
	t.Helper()
	const idle = time.Hour
	got, err := s.UserSessions(t.Context(), "u", time.UnixMicro(7), time.UnixMicro(0).Add(idle), idle, 100)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// plan returns the steps that SQLite would take.
func plan(t *testing.T, s *sqlstore.Store, text string, args ...any) string {
	t.Helper()
	rows, err := s.Write().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil || len(steps) == 0 {
		t.Fatalf("got the plan %q, %v", steps, err)
	}
	return strings.Join(steps, "\n")
}

// TestListReadsWhatItShows: a user may have any number of sessions, and those that
// were ended, one by one or all at once, are not even read.
func TestListReadsWhatItShows(t *testing.T) {
	// 50 live. Of the others some were ended, some are from before all were.
	s := crowded(t, 30_000, `CASE WHEN n % 3 = 1 THEN 6 ELSE 7 END, 1, CASE WHEN n % 600 = 0 OR n % 3 = 1 THEN 0 ELSE 9 END`)
	got := list(t, s)
	if len(got) != 50 || got[0].ID != "s30000" || got[49].ID != "s600" {
		t.Errorf("got %d sessions, want 50 from s30000 to s600", len(got))
	}
	var inReach int
	const reach = `SELECT COUNT(*) FROM sessions INDEXED BY sessions_listed WHERE user_id = 'u' AND since = 7 AND ended_at = 0`
	if err := s.Write().QueryRowContext(t.Context(), reach).Scan(&inReach); err != nil || inReach != 50 {
		t.Errorf("%d rows are in reach of the query, %v; want 50", inReach, err)
	}
	for _, known := range []string{"nothing", "all"} { // of how many rows there are
		if known == "all" {
			if _, err := s.Write().ExecContext(t.Context(), `ANALYZE`); err != nil {
				t.Fatal(err)
			}
		}
		steps := plan(t, s, sqlstore.SelectUserSessions, "u", 7, 0, 0, 100)
		want := []string{
			"SEARCH sessions USING INDEX sessions_listed (user_id=? AND since=? AND created_at>?)",
			"SCALAR SUBQUERY 1",
			"SEARCH sessions USING COVERING INDEX sessions_listed (user_id=? AND since=?)",
		}
		if steps != strings.Join(want, "\n") { // above all: no USE TEMP B-TREE, which sorts
			t.Errorf("with %s known the plan is:\n%s\nwant:\n%s", known, steps, strings.Join(want, "\n"))
		}
		if steps := plan(t, s, `DELETE FROM sessions WHERE user_id = $1`, "u"); !strings.Contains(steps, "sessions_by_user ") {
			t.Errorf("the sessions of a deleted user are looked for by %s", steps)
		}
	}
}

// TestListGivesUp: what only the rows tell is not looked for in all of them.
func TestListGivesUp(t *testing.T) {
	for unused, want := range map[int]int{999: 1, 1000: 0} {
		s := crowded(t, 1+unused, `7, CASE WHEN n = 1 THEN 1 ELSE 0 END, 0`)
		if got := list(t, s); len(got) != want {
			t.Errorf("behind %d sessions that nobody uses %d are found, want %d", unused, len(got), want)
		}
	}
}

// TestRefreshWritesNoIndex: refreshes are what runs most, and each would pay for it.
func TestRefreshWritesNoIndex(t *testing.T) {
	s := open(t, sqlstore.Memory, true)
	rows, err := s.Write().QueryContext(t.Context(), `EXPLAIN `+sqlstore.RotateSession, make([]any, 11)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var writes []string
	for rows.Next() {
		var address, p1, p2, p3, p4, p5, comment any
		var code string
		if err := rows.Scan(&address, &code, &p1, &p2, &p3, &p4, &p5, &comment); err != nil {
			t.Fatal(err)
		}
		if code == "Insert" || code == "IdxInsert" || code == "IdxDelete" {
			writes = append(writes, code)
		}
	}
	if err := rows.Err(); err != nil || !slices.Equal(writes, []string{"Insert"}) {
		t.Errorf("a refresh writes by %v, %v; want the row's Insert alone", writes, err)
	}
}
