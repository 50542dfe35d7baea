package sqlstore

import (
	"context"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// sessions remembers look-ups. They hold for as long as nobody has committed, this
// process or another, and after that they are good for changes that are bound to
// their versions (RecentSessionUser).
//
// SQLite tells its connections what has been committed by the header of the
// wal-index, the file DATA/latchkey.db-shm: a commit shows once it is there, and is
// there before it is acknowledged. (The log itself is written, and synced, before
// that.) So a header that has not changed means that what was read is still true.
// Looking at it is a small part of the work of reading.
type sessions struct {
	index index // not open: nothing is remembered

	mu    sync.RWMutex
	known map[auth.SessionID]sessionUser
}

type sessionUser struct {
	session auth.Session
	user    auth.User
	state   indexState // in which this was true; zero: no more can be said of it
}

// indexState is one copy of the header: the number of commits, the end of the log
// and a checksum of all of it, among others (sqlite.org/walformat.html).
type indexState [headerSize]byte

const headerSize = 48

// Where a header says that it is one, and which log it is of: zero for none that has
// been written to.
const (
	isInit = 12
	salts  = 32
)

// headerState takes the two copies of the header. They differ while a commit is
// being shown.
func headerState(copies [2 * headerSize]byte) (indexState, bool) {
	first, second := indexState(copies[:headerSize]), indexState(copies[headerSize:])
	return first, first == second && first[isInit] != 0 && [8]byte(first[salts:]) != [8]byte{}
}

const maxSessions = 2048

// get returns what was read while the index was in the state.
func (c *sessions) get(id auth.SessionID, state indexState) (sessionUser, bool) {
	found, ok := c.recent(id)
	return found, ok && found.state == state
}

// recent returns what was last known, which may be out of date.
func (c *sessions) recent(id auth.SessionID) (sessionUser, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.known[id]
	return found, ok
}

func (c *sessions) put(found sessionUser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxSessions {
		c.known = make(map[auth.SessionID]sessionUser)
	}
	c.known[found.session.ID] = found
}

// committed notes to what a batch has rotated sessions that are known.
func (c *sessions) committed(b auth.Batch) {
	if len(b.RotateSessions) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range b.RotateSessions {
		s := r.Session
		if found, ok := c.known[s.ID]; ok && found.session.Version == s.Version {
			s.Version++
			c.known[s.ID] = sessionUser{session: s, user: found.user}
		}
	}
}

// RecentSessionUser returns a session with its user as they were a while ago.
func (s *Store) RecentSessionUser(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	if found, ok := s.sessions.recent(id); ok {
		return found.session, found.user, nil
	}
	return s.SessionUser(ctx, id)
}

// SessionUser returns a session with its user.
func (s *Store) SessionUser(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	state, ok := s.sessions.index.state() // before reading: what is committed meanwhile shows
	if ok {
		if found, ok := s.sessions.get(id, state); ok {
			return found.session, found.user, nil
		}
	}
	var found sessionUser
	row := s.stmts.sessionUser.QueryRowContext(context.WithoutCancel(ctx), string(id))
	fields := &fieldList{}
	fields.session(&found.session)
	fields.user(&found.user)
	if err := fields.scan(row); err != nil {
		return auth.Session{}, auth.User{}, unavailable(err)
	}
	if ok {
		found.state = state
	}
	s.sessions.put(found)
	return found.session, found.user, nil
}
