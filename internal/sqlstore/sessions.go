package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// sessions remembers look-ups. They hold for as long as nobody has committed, this
// process or another: SQLite tells an idle connection by its data version. Asking for it
// is a third of the work of reading.
type sessions struct {
	// idle is only asked for its data version, which means nothing on another
	// connection. nil: nothing is remembered.
	idle *sql.Conn
	ask  *sql.Stmt // nil: idle is nil, or broken

	asking sync.Mutex // guards ask, and lets one ask at a time
	mu     sync.RWMutex
	known  map[auth.SessionID]sessionUser
}

type sessionUser struct {
	session auth.Session
	user    auth.User
	version int64 // at which this was true
}

const maxSessions = 2048

// open takes a connection of its own. One that breaks later is not replaced.
func (c *sessions) open(ctx context.Context, db *sql.DB) (err error) {
	if c.idle, err = db.Conn(ctx); err == nil {
		c.ask, err = c.idle.PrepareContext(ctx, `PRAGMA data_version`)
	}
	return err
}

func (c *sessions) close() {
	if c.ask != nil {
		c.ask.Close()
	}
	if c.idle != nil {
		c.idle.Close()
	}
}

// version changes with every commit of another connection, which are all that write.
func (c *sessions) version(ctx context.Context) (version int64, ok bool) {
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.ask == nil {
		return 0, false
	}
	err := c.ask.QueryRowContext(context.WithoutCancel(ctx)).Scan(&version)
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		c.ask = nil // gone with its connection
	}
	return version, err == nil
}

// get returns what was read at the version.
func (c *sessions) get(id auth.SessionID, version int64) (sessionUser, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.known[id]
	return found, ok && found.version == version
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
	version, ok := s.sessions.version(ctx) // before reading: what is committed meanwhile shows
	if ok {
		if found, ok := s.sessions.get(id, version); ok {
			return found.session, found.user, nil
		}
	}
	found := sessionUser{version: version}
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
