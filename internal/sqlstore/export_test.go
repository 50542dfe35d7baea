package sqlstore

import "github.com/latchkey-auth/latchkey/internal/auth"

// Remembers reports whether a look-up of the session would spare the query.
func (s *Store) Remembers(id auth.SessionID) bool {
	state, ok := s.sessions.index.state()
	_, known := s.sessions.get(id, state)
	return ok && known
}

// Known reports whether a look-up of the session was remembered as one to rely
// on, whatever has been written since.
func (s *Store) Known(id auth.SessionID) bool {
	found, _ := s.sessions.recent(id)
	return found.state != indexState{}
}
