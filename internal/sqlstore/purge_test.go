package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// old fills each table that is purged with rows of which most lie before 100 and a few
// do not.
func old(t *testing.T, s *sqlstore.Store, rows int) {
	t.Helper()
	if err := s.Commit(t.Context(), create("u")); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []string{
		`INSERT INTO sessions SELECT n, 'u', 0, '', '', 0, '', '', '', 0, '', '', 0, '', '', 0, 0, moment, 0 FROM old`,
		`INSERT INTO tickets SELECT n, '', '', '', '', 0, '', '', '', '', 0, 0, 0, moment FROM old`,
		`INSERT INTO marks SELECT n, moment FROM old`,
		`INSERT INTO mails SELECT n, '', 0, 0, moment, 0 FROM old`,
		`INSERT INTO events SELECT moment, n, '', '', '', '', '', '', '', 1 FROM old`,
		`INSERT INTO revocations SELECT n, n, '', '', 0, 0, '', moment FROM old`,
		`INSERT INTO counts SELECT n, 0, moment, 0 FROM old`,
	} {
		text := fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d),
			old AS (SELECT n, CASE WHEN n %% 500 = 0 THEN 100 ELSE 99 END AS moment FROM numbers) `, rows)
		if _, err := s.Write().ExecContext(t.Context(), text+insert); err != nil {
			t.Fatalf("%.30s: %v", insert, err)
		}
	}
}

// TestPurge deletes what lies before the moments, from each table, and in no one
// transaction that everybody waits for.
func TestPurge(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latchkey.db"), true)
	old(t, s, 3000)
	before := s.Commits()
	at := time.UnixMicro(100)
	if err := s.Purge(t.Context(), storage.Moments{Expired: at, Events: at, Counts: at}); err != nil {
		t.Fatal(err)
	}
	if n := s.Commits() - before; n < 7*3 {
		t.Errorf("3,000 rows of each of 7 tables went in %d transactions, want 3 for each at least", n)
	}
	for _, table := range []string{"sessions", "tickets", "marks", "mails", "events", "revocations", "counts"} {
		var n int
		if err := s.Write().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil || n != 6 {
			t.Errorf("%s: %d rows are left, %v; want 6", table, n, err)
		}
	}
	before = s.Commits()
	if err := s.Purge(t.Context(), storage.Moments{Expired: at, Events: at, Counts: at}); err != nil {
		t.Fatal(err)
	}
	if n := s.Commits() - before; n > 0 {
		t.Errorf("a purge of nothing makes %d commits", n)
	}
}
