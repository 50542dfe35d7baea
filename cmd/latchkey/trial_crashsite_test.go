package main

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// A crashSite is a service on a store, to be killed.
type crashSite struct {
	start func() *program
	// server has the database; nil: it is a file.
	server *pgtest.Server
	// maxReady is how soon after a crash the service has to serve again.
	maxReady time.Duration
	// check wants what is stored to be sound, and each write to be there with all that it
	// consists of. Nothing serves any more.
	check func(t *testing.T)
}

// killsServer: every third crash is of latchkey alone, of the server alone, and of both.
func (s *crashSite) killsServer(cycle int) bool { return s.server != nil && cycle%3 != 0 }

func (s *crashSite) killsLatchkey(cycle int) bool { return s.server == nil || cycle%3 != 1 }

func (s *crashSite) crash(t *testing.T, cycle int, p *program) {
	if s.killsLatchkey(cycle) {
		p.stop()
	}
	if s.killsServer(cycle) {
		s.server.Crash(t)
	}
}

// revive starts what was killed, and returns how long it was until the service served again:
// since it was started, or since the server answered.
func (s *crashSite) revive(t *testing.T, cycle int, p *program) (*program, time.Duration) {
	if s.killsServer(cycle) {
		if err := s.server.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if s.killsLatchkey(cycle) {
		p = s.start()
		return p, p.ready
	}
	began := time.Now()
	newCaller(t).awaitReadiness(t, p.url, http.StatusOK)
	return p, time.Since(began)
}

func sqliteSite(t *testing.T) *crashSite {
	dir := initialized(t, cheapHash)
	return &crashSite{
		start:    func() *program { return startService(t, dir, cheapHash, "--no-verify-email") },
		maxReady: time.Second,
		check:    func(t *testing.T) { checkSQLite(t, filepath.Join(dir, "data", "latchkey.db")) },
	}
}

// postgresSite is on a server that keeps what it has acknowledged, as in production.
func postgresSite(t *testing.T) *crashSite {
	server := pgtest.Start(t)
	url := server.Database(t)
	env := slices.Concat(cheapHash, []string{"LATCHKEY_STORE=" + url})
	dir := initialized(t, env)
	return &crashSite{
		start:    func() *program { return startService(t, dir, env, "--no-verify-email") },
		server:   server,
		maxReady: 5 * time.Second,
		check:    func(t *testing.T) { checkPostgres(t, url) },
	}
}

// Events are looked for by user and by session, which takes long without these.
const (
	eventsByUser    = `CREATE INDEX trial_users ON events (user_id)`
	eventsBySession = `CREATE INDEX trial_sessions ON events (session_id)`
)

func checkSQLite(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Fatalf("integrity check: %q, %v", sound, err)
	}
	if _, err := db.Exec(eventsByUser + `;` + eventsBySession); err != nil {
		t.Fatal(err)
	}
	count := func(query string) (n int64, err error) { return n, db.QueryRow(query).Scan(&n) }
	if n, err := count(`SELECT count(*) FROM pragma_foreign_key_check`); err != nil || n != 0 {
		t.Errorf("%d foreign keys are broken, %v", n, err)
	}
	checkRows(t, count)
}

// checkPostgres also has the server hold its indexes against the tables.
func checkPostgres(t *testing.T, url string) {
	t.Helper()
	pgtest.Exec(t, url, eventsByUser, eventsBySession, `CREATE EXTENSION amcheck`,
		`SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
			WHERE relnamespace = 'public'::regnamespace AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	checkRows(t, func(query string) (n int64, err error) { return n, conn.QueryRow(t.Context(), query).Scan(&n) })
}

// checkRows asks whether each write is there with all that it consists of, and once.
func checkRows(t *testing.T, count func(query string) (int64, error)) {
	t.Helper()
	for _, query := range []string{
		`SELECT count(*) FROM users WHERE username <> 'ada'
			AND 1 <> (SELECT count(*) FROM events WHERE events.user_id = users.id AND kind = 'register' AND outcome = 'ok')`,
		`SELECT count(*) FROM events WHERE kind = 'register' AND outcome = 'ok' AND user_id NOT IN (SELECT id FROM users)`,
		`SELECT count(*) FROM sessions
			WHERE 1 <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind IN ('register', 'login') AND outcome = 'ok')`,
		`SELECT count(*) FROM events WHERE kind IN ('register', 'login') AND outcome = 'ok' AND session_id NOT IN (SELECT id FROM sessions)`,
		`SELECT count(*) FROM sessions
			WHERE refreshes <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind = 'refresh' AND outcome = 'ok')`,
		`SELECT count(*) FROM sessions
			WHERE CASE WHEN ended_at > 0 THEN 1 ELSE 0 END <> (SELECT count(*) FROM events WHERE events.session_id = sessions.id AND kind = 'logout')`,
	} {
		if n, err := count(query); err != nil || n != 0 {
			t.Errorf("%s: %d, %v; want 0", query, n, err)
		}
	}
}
