package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// Statements whose plans matter.
const (
	SelectUserSessions = selectUserSessions
	SelectSessionUser  = selectSessionUser
	SelectEvents       = selectEvents
	RefreshSession     = refreshSession
)

// Write is the connection for writing.
func (s *Store) Write() *sql.DB { return s.write }

// indexes are open until the tests end: closing a descriptor of a file drops all locks
// that the process has on it, those of SQLite too.
var indexes sync.Map

// Commits is a number that grows by one with every transaction that is committed: it
// stands in the header of the wal-index (sqlite.org/walformat.html).
func (s *Store) Commits() uint32 {
	f, ok := indexes.Load(s.path)
	if !ok {
		f, _ = os.Open(s.path + "-shm")
		indexes.Store(s.path, f)
	}
	var header [12]byte
	if _, err := f.(*os.File).ReadAt(header[:], 0); err != nil {
		panic(err)
	}
	return binary.NativeEndian.Uint32(header[8:])
}

// Remembers reports whether a look-up of the session would spare the query.
func (s *Store) Remembers(id auth.SessionID) bool {
	version, ok := s.sessions.version(context.Background())
	_, known := s.sessions.get(id, version)
	return ok && known
}

// Forget has all look-ups read.
func (s *Store) Forget() {
	s.sessions.close()
	s.sessions.ask, s.sessions.idle = nil, nil
}

// BreakIdle ends the connection that tells of commits.
func (s *Store) BreakIdle() error {
	return s.sessions.idle.Raw(func(any) error { return driver.ErrBadConn })
}

// Known reports whether a look-up of the session was remembered, whatever has been
// written since.
func (s *Store) Known(id auth.SessionID) bool {
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
