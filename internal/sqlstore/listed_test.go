package sqlstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// withSessions is a store with one user, "u", who has as many sessions, numbered from 1
// and begun one microsecond after the other. columns gives epoch and ended_at of
// session n.
func withSessions(t *testing.T, sessions int, columns string) *sqlstore.Store {
	t.Helper()
	s := open(t, sqlstore.Memory, true)
	if err := s.Commit(t.Context(), create("u")); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d)
		INSERT INTO sessions (id, user_id, amr, acr, proved_at, client_id, scope, seed, refreshes, chain_hash, chain_previous,
			chain_rotations, device, address, created_at, last_used_at, expires_at, epoch, ended_at)
		SELECT 's' || n, 'u', '', '', 0, '', '', x'', 0, x'', x'', 0, '', '', n, 1, 9000000000000000, %s FROM numbers`, sessions, columns)
	if _, err := s.Write().ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	return s
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

// usesIndexes checks the plan of a statement, before and after SQLite knows how many rows
// there are.
func usesIndexes(t *testing.T, s *sqlstore.Store, want []string, text string, args ...any) {
	t.Helper()
	for _, known := range []string{"nothing", "all"} {
		if known == "all" {
			if _, err := s.Write().ExecContext(t.Context(), `ANALYZE`); err != nil {
				t.Fatal(err)
			}
		}
		// Above all: no USE TEMP B-TREE, which sorts, and no SCAN.
		if got := plan(t, s, text, args...); got != strings.Join(want, "\n") {
			t.Errorf("with %s known the plan is:\n%s\nwant:\n%s", known, got, strings.Join(want, "\n"))
		}
	}
}

// TestListReadsWhatItShows: a user may have any number of sessions, and those that
// were ended, one by one or all at once, are not even read.
func TestListReadsWhatItShows(t *testing.T) {
	// 50 of epoch 7 and 10,000 of epoch 8 have not ended.
	s := withSessions(t, 30_000, `CASE WHEN n % 3 = 1 THEN 6 WHEN n % 3 = 2 THEN 8 ELSE 7 END, CASE WHEN n % 600 = 0 OR n % 3 <> 0 THEN 0 ELSE 9 END`)
	for _, c := range []struct {
		epoch       int64
		limit, want int
		first, last storage.SessionID
	}{
		{8, 100, 100, "s29999", "s29702"},
		{7, 10_050, 10_050, "s29999", "s600"},
		{7, 20_000, 10_050, "s29999", "s600"},
		{9, 100, 0, "", ""},
	} {
		got, err := s.UserSessions(t.Context(), "u", c.epoch, 0, c.limit)
		if err != nil || len(got) != c.want || c.want > 0 && (got[0].ID != c.first || got[c.want-1].ID != c.last) {
			t.Errorf("from epoch %d, %d at most: got %d sessions, %v; want %d from %s to %s", c.epoch, c.limit, len(got), err, c.want, c.first, c.last)
		}
	}
	usesIndexes(t, s, []string{"SEARCH sessions USING INDEX sessions_listed (user_id=? AND epoch>?)"}, sqlstore.SelectUserSessions, "u", 7, 100, 0)
	usesIndexes(t, s, []string{"SEARCH sessions USING COVERING INDEX sessions_by_user (user_id=?)"}, `SELECT rowid FROM sessions WHERE user_id = $1`, "u")
}

// TestLookUpsScanNothing: no look-up reads more rows than it returns.
func TestLookUpsScanNothing(t *testing.T) {
	s := withSessions(t, 1000, `7, 0`)
	others := make([]storage.LoadedUser, 1000)
	for i := range others {
		others[i].User, others[i].Event = create(fmt.Sprint("user", i)).User, event(fmt.Sprint(i)).Event
	}
	if _, err := s.LoadUsers(t.Context(), others); err != nil {
		t.Fatal(err)
	}
	usesIndexes(t, s, []string{
		"SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)",
		"SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)",
		"SEARCH sign_ins USING INDEX sqlite_autoindex_sign_ins_1 (user_id=?)",
	}, sqlstore.SelectSessionUser, "s")
	usesIndexes(t, s, []string{"SEARCH events USING PRIMARY KEY (time>?)"}, sqlstore.SelectEvents, 1, 0, "", 10)
}

// TestRefreshWritesNoIndex: refreshes are what runs most, and each would pay for it.
func TestRefreshWritesNoIndex(t *testing.T) {
	s := open(t, sqlstore.Memory, true)
	rows, err := s.Write().QueryContext(t.Context(), `EXPLAIN `+sqlstore.RefreshSession, make([]any, 7)...)
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
