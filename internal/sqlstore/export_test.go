package sqlstore

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// Remembers reports whether a look-up of the session would spare the query.
func (s *Store) Remembers(id auth.SessionID) bool {
	state, settled := s.sessions.look()
	_, ok := s.sessions.get(id, state)
	return settled && ok
}

// SetClock replaces the clock by which the age of the log is told.
func (s *Store) SetClock(now func() time.Time) { s.sessions.now = now }

// Known reports whether a look-up of the session was remembered as one to rely
// on, whatever has been written since.
func (s *Store) Known(id auth.SessionID) bool {
	found, _ := s.sessions.recent(id)
	return found.state != logState{}
}
