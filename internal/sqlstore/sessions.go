package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// sessions remembers look-ups. They hold for as long as nobody has written, this
// process or another, and after that they are good for changes that are bound to
// their versions (RecentSessionUser). Every commit, whoever makes it, goes into the
// write-ahead log before it is acknowledged, so a log that has not changed means
// that what was read is still true. Looking at the file is a small part of the
// work of reading.
//
// A change within the grain of the file system's clock would not show. What is
// read while the log is that young is not remembered.
type sessions struct {
	log logFile          // without one nothing is remembered
	now func() time.Time // the clock that stamps files

	mu    sync.RWMutex
	known map[auth.SessionID]sessionUser
}

type sessionUser struct {
	session auth.Session
	user    auth.User
	state   logState // in which this was true; zero: no more can be said of it
}

// logState tells two states of the log apart.
type logState struct {
	size     int64
	modified time.Time
}

const (
	// grain is above that of every clock that stamps files in fractions of a
	// second (Linux: 10 ms at most).
	grain = 100 * time.Millisecond
	// coarseGrain is above that of clocks that stamp whole seconds (FAT: 2 s).
	coarseGrain = 3 * time.Second
	maxSessions = 2048
)

// look returns the state of the log and whether it may be relied on.
func (c *sessions) look() (logState, bool) {
	if c.log.path == "" {
		return logState{}, false
	}
	state, ok := c.log.state()
	settled := grain
	if state.modified.Nanosecond() == 0 {
		settled = coarseGrain
	}
	return state, ok && c.now().Sub(state.modified) > settled
}

// get returns what was read while the log was in the state.
func (c *sessions) get(id auth.SessionID, state logState) (sessionUser, bool) {
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

// committed notes what a batch has made of sessions that are known.
func (c *sessions) committed(b auth.Batch) {
	if len(b.UpdateSessions)+len(b.RotateSessions) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range b.UpdateSessions {
		c.changed(s)
	}
	for _, r := range b.RotateSessions {
		c.changed(r.Session)
	}
}

func (c *sessions) changed(s auth.Session) {
	if found, ok := c.known[s.ID]; ok && found.session.Version == s.Version {
		s.Version++
		c.known[s.ID] = sessionUser{session: s, user: found.user}
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
	state, settled := s.sessions.look() // before reading: what is written meanwhile shows
	if settled {
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
	if settled {
		found.state = state
	}
	s.sessions.put(found)
	return found.session, found.user, nil
}
