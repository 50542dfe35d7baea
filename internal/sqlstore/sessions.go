package sqlstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// sessions remembers look-ups. They hold for as long as nobody has committed what they
// are of, this process or another.
//
// SQLite tells its connections what has been committed by the header of the
// wal-index, the file DATA/latchkey.db-shm: a commit shows once it is there, and is
// there before it is acknowledged. (The log itself is written, and synced, before
// that.) So a header that has not changed means that what was read is still true, and one
// that only a commit of this process has changed, that all is which it did not touch.
// Looking at it is a small part of the work of reading.
type sessions struct {
	index index // not open: nothing is remembered

	mu    sync.RWMutex
	state indexState // in which all that is known is true
	known map[storage.SessionID]sessionUser
}

type sessionUser struct {
	session storage.Session
	user    storage.User
}

// indexState is one copy of the header: the number of commits, the end of the log
// and a checksum of all of it, among others (sqlite.org/walformat.html).
type indexState [headerSize]byte

const headerSize = 48

// Where a header says that it is one, and which log it is of: zero for none that has
// been written to.
const (
	changes = 8
	isInit  = 12
	salts   = 32
)

// commits is how often there was a commit, of any process.
func (s indexState) commits() uint32 { return binary.NativeEndian.Uint32(s[changes:]) }

// headerState takes the two copies of the header. They differ while a commit is
// being shown.
func headerState(copies [2 * headerSize]byte) (indexState, bool) {
	first, second := indexState(copies[:headerSize]), indexState(copies[headerSize:])
	return first, first == second && first[isInit] != 0 && [8]byte(first[salts:]) != [8]byte{}
}

const (
	maxSessions = 2048
	// farBehind is more commits than there are during a look-up. An index that is made
	// anew counts from zero.
	farBehind = 1 << 20
)

// get returns what was read while the index was in the state.
func (c *sessions) get(id storage.SessionID, state indexState) (sessionUser, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.known[id]
	return found, ok && c.state == state
}

// put takes in what was read after the index was in the state.
func (c *sessions) put(found sessionUser, state indexState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if behind := c.state.commits() - state.commits(); behind > 0 && behind < farBehind {
		return // a commit since then may have touched it
	}
	if c.state != state {
		c.state, c.known = state, nil
	}
	if c.known == nil || len(c.known) >= maxSessions {
		c.known = make(map[storage.SessionID]sessionUser)
	}
	c.known[found.session.ID] = found
}

// shown is what a transaction of this process has made of the index: before it, when
// nobody else could write any more, and after it.
type shown struct {
	before, after indexState
	ok            bool
}

// committed goes on to the state after a transaction of this process with the changes,
// unless another process has committed since.
func (c *sessions) committed(s shown, changes []storage.Change) {
	if !s.ok || s.after.commits() != s.before.commits()+1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != s.before {
		return
	}
	c.state = s.after
	for _, change := range changes {
		c.touch(change)
	}
}

// touch has what is known follow a change.
func (c *sessions) touch(change storage.Change) {
	switch change := change.(type) {
	case storage.UpdateUser, storage.DeleteUser, storage.ReplaceUser:
		c.known = nil // the user's sessions are among the others
	case storage.KeepSession:
		delete(c.known, change.Session.ID)
	case storage.EndSession:
		delete(c.known, change.Session.ID)
	case storage.RefreshSession:
		found, ok := c.known[change.Session.ID]
		if !ok {
			return
		}
		found.session.Refreshes, found.session.Seed = change.Session.Refreshes, bytes.Clone(change.Session.Seed)
		found.session.LastUsedAt = moment(micros(change.Session.LastUsedAt))
		found.session.Device, found.session.Address = change.Session.Device, change.Session.Address
		c.known[change.Session.ID] = found
	}
}

// SessionUser returns a session with its user.
func (s *Store) SessionUser(ctx context.Context, id storage.SessionID) (storage.Session, storage.User, error) {
	state, ok := s.sessions.index.state() // before reading: what is committed meanwhile shows
	if ok {
		if found, ok := s.sessions.get(id, state); ok {
			return found.session, found.user, nil
		}
	}
	var found sessionUser
	row := s.stmts.sessionUser.row(context.WithoutCancel(ctx), string(id))
	if err := row.Scan(append(sessionFields(&found.session), userFields(&found.user)...)...); err != nil {
		return storage.Session{}, storage.User{}, unavailable(err)
	}
	if ok {
		s.sessions.put(found, state)
	}
	return found.session, found.user, nil
}

// UserSessions returns a user's sessions.
func (s *Store) UserSessions(ctx context.Context, id storage.UserID, epoch int64, skip, limit int) ([]storage.Session, error) {
	return collect(ctx, s.stmts.userSessions, scanSession, string(id), epoch, limit, skip)
}

func (a *application) createSession(s storage.Session) error {
	return a.one(a.stmts.insertSession, storage.ErrTaken, sessionArgs(s)...)
}

// sessionArgs are the values of sessionColumns.
func sessionArgs(s storage.Session) []any {
	return []any{string(s.ID), string(s.UserID), s.Epoch,
		list(s.Proof.AMR), s.Proof.ACR, micros(s.Proof.At), s.ClientID, s.Scope, blob(s.Seed), s.Refreshes,
		blob(s.Chain.Hash), blob(s.Chain.Previous), s.Chain.Rotations, s.Device, s.Address,
		micros(s.CreatedAt), micros(s.LastUsedAt), micros(s.ExpiresAt), micros(s.EndedAt)}
}

func (a *application) refreshSession(s storage.Session) error {
	return a.one(a.stmts.refreshSession, storage.ErrConflict, refreshArgs(s)...)
}

// refreshArgs are $1 to $7 of refreshSession and refreshBound.
func refreshArgs(s storage.Session) []any {
	return []any{string(s.ID), s.Refreshes, blob(s.Seed), micros(s.LastUsedAt), s.Device, s.Address, s.Refreshes - 1}
}

// boundRefresh finds a refresh that is bound to an epoch, the first two changes of most
// commits, and returns what is left.
func boundRefresh(changes []storage.Change) (s storage.Session, check storage.CheckEpoch, rest []storage.Change, ok bool) {
	if len(changes) < 2 {
		return s, check, changes, false
	}
	refresh, isRefresh := changes[0].(storage.RefreshSession)
	check, isCheck := changes[1].(storage.CheckEpoch)
	return refresh.Session, check, changes[2:], isRefresh && isCheck
}

func (a *application) refreshBound(s storage.Session, check storage.CheckEpoch) error {
	return a.one(a.stmts.refreshBound, storage.ErrConflict, append(refreshArgs(s), string(check.UserID), check.Epoch)...)
}
