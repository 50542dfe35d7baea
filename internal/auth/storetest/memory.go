package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

var (
	_ auth.Store    = (*Memory)(nil)
	_ keyring.Store = (*Memory)(nil)
)

// Memory is a store in memory, for tests of what stands on a store. It passes
// the same suite as the real ones. The zero value is empty and ready.
type Memory struct {
	// Fail, when set, is called before every operation; its error is returned
	// as auth.ErrUnavailable is by a real store. Set it before use.
	Fail func(operation string) error

	mu       sync.Mutex // guards everything below
	users    map[auth.UserID]auth.User
	sessions map[auth.SessionID]auth.Session
	counts   map[string]auth.Count
	events   []auth.Event
	number   int64
	keys     []keyring.Record
}

func (m *Memory) lock(operation string) (unlock func(), err error) {
	if m.Fail != nil {
		if err := m.Fail(operation); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *Memory) find(operation string, match func(auth.User) bool) (auth.User, error) {
	unlock, err := m.lock(operation)
	if err != nil {
		return auth.User{}, err
	}
	defer unlock()
	for _, u := range m.users {
		if match(u) {
			return u, nil
		}
	}
	return auth.User{}, auth.ErrNotFound
}

// User returns the user with the id.
func (m *Memory) User(_ context.Context, id auth.UserID) (auth.User, error) {
	return m.find("User", func(u auth.User) bool { return u.ID == id })
}

// UserByUsername returns the user with the username key.
func (m *Memory) UserByUsername(_ context.Context, key string) (auth.User, error) {
	return m.find("UserByUsername", func(u auth.User) bool { return usernameKey(u) == key })
}

// UserByEmail returns the user with the e-mail key.
func (m *Memory) UserByEmail(_ context.Context, key string) (auth.User, error) {
	return m.find("UserByEmail", func(u auth.User) bool { return u.Email != "" && emailKey(u) == key })
}

func usernameKey(u auth.User) string {
	key, _ := auth.UsernameKey(u.Username)
	return key
}

func emailKey(u auth.User) string {
	key, _ := auth.EmailKey(u.Email)
	return key
}

// Users returns users by id.
func (m *Memory) Users(_ context.Context, after auth.UserID, limit int) ([]auth.User, error) {
	unlock, err := m.lock("Users")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []auth.User
	for _, u := range m.users {
		if u.ID > after {
			page = append(page, u)
		}
	}
	slices.SortFunc(page, func(a, b auth.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return page[:min(limit, len(page))], nil
}

// SessionUser returns a session with its user.
func (m *Memory) SessionUser(_ context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	unlock, err := m.lock("SessionUser")
	if err != nil {
		return auth.Session{}, auth.User{}, err
	}
	defer unlock()
	session, ok := m.sessions[id]
	user, known := m.users[session.UserID]
	if !ok || !known {
		return auth.Session{}, auth.User{}, auth.ErrNotFound
	}
	return session, user, nil
}

// UserSessions returns a user's sessions.
func (m *Memory) UserSessions(_ context.Context, id auth.UserID, from, now time.Time, limit int) ([]auth.Session, error) {
	unlock, err := m.lock("UserSessions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []auth.Session
	for _, s := range m.sessions {
		if s.UserID == id && s.EndedAt.IsZero() && s.ExpiresAt.After(now) && !s.Since.Before(from) {
			page = append(page, s)
		}
	}
	slices.SortFunc(page, func(a, b auth.Session) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), strings.Compare(string(a.ID), string(b.ID)))
	})
	return page[:min(limit, len(page))], nil
}

// Counts returns the counts of keys.
func (m *Memory) Counts(_ context.Context, keys []string) ([]auth.Count, error) {
	unlock, err := m.lock("Counts")
	if err != nil {
		return nil, err
	}
	defer unlock()
	counts := make([]auth.Count, len(keys))
	for i, key := range keys {
		counts[i] = m.counts[key]
	}
	return counts, nil
}

// Events returns events by number.
func (m *Memory) Events(_ context.Context, after int64, limit int) ([]auth.Event, error) {
	unlock, err := m.lock("Events")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []auth.Event
	for _, e := range m.events {
		if e.Number > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

// Commit carries out the batch: on copies, which then take the place of what
// was there.
func (m *Memory) Commit(_ context.Context, b auth.Batch) error {
	unlock, err := m.lock("Commit")
	if err != nil {
		return err
	}
	defer unlock()
	users, sessions := clone(m.users), clone(m.sessions)
	for _, u := range b.CheckUsers {
		if stored, ok := users[u.ID]; !ok || stored.Version != u.Version {
			return auth.ErrConflict
		}
	}
	for _, u := range b.CreateUsers {
		if _, taken := users[u.ID]; taken || namesTaken(users, u) {
			return auth.ErrTaken
		}
		u.Version = 1
		users[u.ID] = u
	}
	for _, u := range b.UpdateUsers {
		if stored, ok := users[u.ID]; !ok || stored.Version != u.Version {
			return auth.ErrConflict
		}
		if namesTaken(users, u) {
			return auth.ErrTaken
		}
		u.Version++
		users[u.ID] = u
	}
	for _, u := range b.DeleteUsers {
		if stored, ok := users[u.ID]; !ok || stored.Version != u.Version {
			return auth.ErrConflict
		}
		delete(users, u.ID)
		maps.DeleteFunc(sessions, func(_ auth.SessionID, s auth.Session) bool { return s.UserID == u.ID })
	}
	for _, s := range b.CreateSessions {
		if _, taken := sessions[s.ID]; taken {
			return auth.ErrTaken
		}
		if _, known := users[s.UserID]; !known {
			return auth.ErrConflict
		}
		s.Version = 1
		sessions[s.ID] = s
	}
	for _, s := range b.UpdateSessions {
		if stored, ok := sessions[s.ID]; !ok || stored.Version != s.Version {
			return auth.ErrConflict
		}
		s.Version++
		sessions[s.ID] = s
	}
	if len(b.Hits) > 0 && m.counts == nil {
		m.counts = make(map[string]auth.Count)
	}
	for _, h := range b.Hits {
		c := m.counts[h.Key]
		if !c.Last.IsZero() {
			c.Level = max(0, c.Level-float64(h.At.Sub(c.Last))/float64(h.Fade))
		}
		m.counts[h.Key] = auth.Count{Level: c.Level + 1, Last: h.At}
	}
	for _, e := range b.Events {
		m.number++
		e.Number = m.number
		m.events = append(m.events, e)
	}
	m.users, m.sessions = users, sessions
	return nil
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}

func namesTaken(users map[auth.UserID]auth.User, u auth.User) bool {
	for _, other := range users {
		sameName := usernameKey(other) == usernameKey(u)
		sameEmail := u.Email != "" && other.Email != "" && emailKey(other) == emailKey(u)
		if other.ID != u.ID && (sameName || sameEmail) {
			return true
		}
	}
	return false
}

// Purge deletes what expired.
func (m *Memory) Purge(_ context.Context, sessions, events time.Time) error {
	unlock, err := m.lock("Purge")
	if err != nil {
		return err
	}
	defer unlock()
	for id, s := range m.sessions {
		if s.ExpiresAt.Before(sessions) {
			delete(m.sessions, id)
		}
	}
	maps.DeleteFunc(m.counts, func(_ string, c auth.Count) bool { return c.Last.Before(events) })
	m.events = slices.DeleteFunc(m.events, func(e auth.Event) bool { return e.Time.Before(events) })
	m.keys = slices.DeleteFunc(m.keys, func(r keyring.Record) bool {
		return !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(sessions)
	})
	return nil
}

// Ping succeeds unless Fail says otherwise.
func (m *Memory) Ping(context.Context) error {
	unlock, err := m.lock("Ping")
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// Keys returns all keys.
func (m *Memory) Keys(context.Context) ([]keyring.Record, error) {
	unlock, err := m.lock("Keys")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(m.keys), nil
}

// AddKey stores a key and retires those it replaces.
func (m *Memory) AddKey(_ context.Context, r keyring.Record, replaced []keyring.Record) error {
	unlock, err := m.lock("AddKey")
	if err != nil {
		return err
	}
	defer unlock()
	if slices.ContainsFunc(m.keys, func(k keyring.Record) bool { return k.ID == r.ID || k.Number == r.Number }) {
		return keyring.ErrExists
	}
	for _, old := range replaced {
		for i := range m.keys {
			if m.keys[i].ID == old.ID {
				m.keys[i].RetiresAt, m.keys[i].ExpiresAt = old.RetiresAt, old.ExpiresAt
			}
		}
	}
	m.keys = append(m.keys, r)
	return nil
}
