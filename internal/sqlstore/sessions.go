package sqlstore

import (
	"context"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// sessions remembers look-ups. They hold for as long as nobody has committed, this
// process or another.
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
	state   indexState // in which this was true
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
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.known[id]
	return found, ok && found.state == state
}

func (c *sessions) put(found sessionUser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxSessions {
		c.known = make(map[auth.SessionID]sessionUser)
	}
	c.known[found.session.ID] = found
}

// SessionUser returns a session with its user.
func (s *Store) SessionUser(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	state, ok := s.sessions.index.state() // before reading: what is committed meanwhile shows
	if ok {
		if found, ok := s.sessions.get(id, state); ok {
			return found.session, found.user, nil
		}
	}
	found := sessionUser{state: state}
	row := s.stmts.sessionUser.QueryRowContext(context.WithoutCancel(ctx), string(id))
	if err := row.Scan(append(sessionFields(&found.session), userFields(&found.user)...)...); err != nil {
		return auth.Session{}, auth.User{}, unavailable(err)
	}
	if ok {
		s.sessions.put(found)
	}
	return found.session, found.user, nil
}

// UserSessions returns a user's sessions.
func (s *Store) UserSessions(ctx context.Context, id auth.UserID, epoch int64, limit int) ([]auth.Session, error) {
	return collect(ctx, s.stmts.userSessions, scanSession, string(id), epoch, limit)
}

func (a *application) createSession(s auth.Session) error {
	return a.one(a.stmts.insertSession, auth.ErrTaken, string(s.ID), string(s.UserID), s.Epoch,
		list(s.Proof.AMR), s.Proof.ACR, micros(s.Proof.At), s.ClientID, s.Scope, blob(s.Seed), s.Refreshes,
		blob(s.Chain.Hash), blob(s.Chain.Previous), s.Chain.Rotations, s.Device, s.Address,
		micros(s.CreatedAt), micros(s.LastUsedAt), micros(s.ExpiresAt), micros(s.EndedAt))
}

func (a *application) refreshSession(s auth.Session) error {
	return a.one(a.stmts.refreshSession, auth.ErrConflict, string(s.ID), s.Refreshes, blob(s.Seed), micros(s.LastUsedAt),
		s.Device, s.Address, s.Refreshes-1)
}
