package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"runtime"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// Statements whose plans matter.
const (
	SelectUserSessions = selectUserSessions
	SelectSessionUser  = selectSessionUser
	SelectEvents       = selectEvents
	RefreshSession     = refreshSession
)

// SetDriver has SQLite opened by another driver, until back is called.
func SetDriver(name string) (back func()) {
	before := driverName
	driverName = name
	return func() { driverName = before }
}

// Pooled reports whether a pooler was found before PostgreSQL.
func (s *Store) Pooled() bool { return len(s.postgres.begin) > 1 }

// CheckPostgresURL says what is wrong with a URL, and checks that what is accepted is
// verified.
func CheckPostgresURL(text string) error {
	pc, err := parsePostgres(text)
	if err != nil {
		return err
	}
	if host := unverified(&pc.ConnConfig.Config); host != "" {
		panic("accepted without verification: " + host)
	}
	return nil
}

// Write is the connection for writing.
func (s *Store) Write() *sql.DB { return s.write }

// Commits is a number that grows by one with every transaction that is committed.
func (s *Store) Commits() uint32 {
	state, _ := s.sessions.index.state()
	return binary.NativeEndian.Uint32(state[8:])
}

// HeaderState is what two copies of the header say.
func HeaderState(first, second [48]byte) bool {
	_, ok := headerState([2 * headerSize]byte(append(first[:], second[:]...)))
	return ok
}

// Remembers reports whether a look-up of the session would spare the query.
func (s *Store) Remembers(id storage.SessionID) bool {
	state, ok := s.sessions.index.state()
	_, known := s.sessions.get(id, state)
	return ok && known
}

// Known reports whether a look-up of the session was remembered, also after later
// writes.
func (s *Store) Known(id storage.SessionID) bool {
	s.sessions.mu.RLock()
	defer s.sessions.mu.RUnlock()
	_, ok := s.sessions.known[id]
	return ok
}

// SetWaits sets how long what begins from now on waits for a lock, and for those
// before it.
func (s *Store) SetWaits(lock, queue time.Duration) { s.patience, s.queueWait = lock, queue }

// Gather has commits wait until so many do, and begins with them then.
func (s *Store) Gather(n int) (begin func()) {
	for idle := false; !idle; runtime.Gosched() { // who worked before may yet take some
		s.group.mu.Lock()
		idle = !s.group.working
		s.group.working = true
		s.group.mu.Unlock()
	}
	return func() {
		for gathered := 0; gathered < n; runtime.Gosched() {
			s.group.mu.Lock()
			gathered = len(s.group.waiting)
			s.group.mu.Unlock()
		}
		s.work(context.Background())
	}
}

// SessionUserBySQL is SessionUser by database/sql, in PostgreSQL.
func (s *Store) SessionUserBySQL(ctx context.Context, id storage.SessionID) error {
	var found sessionUser
	return s.postgres.plain.QueryRowContext(ctx, selectSessionUser, string(id)).
		Scan(append(sessionFields(&found.session), userFields(&found.user)...)...)
}
