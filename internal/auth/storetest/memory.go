package storetest

import (
	"bytes"
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
	deleted  map[auth.UserID]bool
	sessions map[auth.SessionID]auth.Session
	tickets  map[auth.TicketID]auth.Ticket
	mails    map[string]auth.Mail
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

// UserDeleted reports whether there was a user of that id.
func (m *Memory) UserDeleted(_ context.Context, id auth.UserID) (bool, error) {
	unlock, err := m.lock("UserDeleted")
	if err != nil {
		return false, err
	}
	defer unlock()
	return m.deleted[id], nil
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

// RecentSessionUser is SessionUser.
func (m *Memory) RecentSessionUser(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	return m.SessionUser(ctx, id)
}

// UserSessions returns a user's sessions.
func (m *Memory) UserSessions(_ context.Context, id auth.UserID, since, now time.Time, idle time.Duration, limit int) ([]auth.Session, error) {
	unlock, err := m.lock("UserSessions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []auth.Session
	for _, s := range m.sessions {
		if s.UserID == id && s.EndedAt.IsZero() && s.ExpiresAt.After(now) && now.Sub(s.LastUsedAt) < idle && s.Since.Equal(since) {
			page = append(page, s)
		}
	}
	slices.SortFunc(page, func(a, b auth.Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(string(a.ID), string(b.ID)))
	})
	return page[:min(limit, len(page))], nil
}

// Ticket returns the ticket with the id.
func (m *Memory) Ticket(_ context.Context, id auth.TicketID) (auth.Ticket, error) {
	unlock, err := m.lock("Ticket")
	if err != nil {
		return auth.Ticket{}, err
	}
	defer unlock()
	t, ok := m.tickets[id]
	if !ok {
		return auth.Ticket{}, auth.ErrNotFound
	}
	return t, nil
}

// DueMails returns queued mails, longest due first.
func (m *Memory) DueMails(_ context.Context, now time.Time, limit int) ([]auth.Mail, error) {
	unlock, err := m.lock("DueMails")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []auth.Mail
	for _, mail := range m.mails {
		if !mail.DueAt.After(now) {
			page = append(page, mail)
		}
	}
	slices.SortFunc(page, func(a, b auth.Mail) int { return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.ID, b.ID)) })
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
	c := &Memory{users: clone(m.users), deleted: clone(m.deleted), sessions: clone(m.sessions), tickets: clone(m.tickets), mails: clone(m.mails), counts: clone(m.counts)}
	for _, change := range []func(auth.Batch) error{c.changeUsers, c.changeSessions, c.changeTickets, c.changeMails} {
		if err := change(b); err != nil {
			return err
		}
	}
	for _, h := range b.Hits {
		before := c.counts[h.Key]
		if !before.Last.IsZero() {
			before.Level = max(0, before.Level-float64(max(0, h.At.Sub(before.Last)))/float64(h.Fade))
		}
		c.counts[h.Key] = auth.Count{Level: before.Level + 1, Last: h.At}
	}
	for _, e := range b.Events {
		m.number++
		e.Number, e.Count = m.number, max(1, e.Count)
		m.events = append(m.events, e)
	}
	m.users, m.deleted, m.sessions, m.tickets, m.mails, m.counts = c.users, c.deleted, c.sessions, c.tickets, c.mails, c.counts
	return nil
}

func (m *Memory) changeUsers(b auth.Batch) error {
	current := func(u auth.User) bool {
		stored, ok := m.users[u.ID]
		return ok && stored.Version == u.Version
	}
	for _, u := range b.CheckUsers {
		if !current(u) {
			return auth.ErrConflict
		}
	}
	for _, u := range b.DeleteUsers {
		if !current(u) {
			return auth.ErrConflict
		}
		delete(m.users, u.ID)
		m.deleted[u.ID] = true
		maps.DeleteFunc(m.sessions, func(_ auth.SessionID, s auth.Session) bool { return s.UserID == u.ID })
	}
	for _, u := range b.CreateUsers {
		if _, taken := m.users[u.ID]; taken || m.deleted[u.ID] || namesTaken(m.users, u) {
			return auth.ErrTaken
		}
		u.Version = 1
		m.users[u.ID] = u
	}
	for _, u := range b.UpdateUsers {
		if !current(u) {
			return auth.ErrConflict
		}
		if namesTaken(m.users, u) {
			return auth.ErrTaken
		}
		u.Version++
		m.users[u.ID] = u
	}
	return nil
}

func (m *Memory) changeSessions(b auth.Batch) error {
	for _, s := range b.CreateSessions {
		if _, taken := m.sessions[s.ID]; taken {
			return auth.ErrTaken
		}
		if _, known := m.users[s.UserID]; !known {
			return auth.ErrConflict
		}
		s.Version = 1
		m.sessions[s.ID] = s
	}
	for _, s := range b.UpdateSessions {
		stored, ok := m.sessions[s.ID]
		if !ok || !stored.EndedAt.IsZero() {
			return auth.ErrConflict
		}
		stored.Since, stored.EndedAt = s.Since, s.EndedAt
		stored.Version++
		m.sessions[s.ID] = stored
	}
	for _, r := range b.RotateSessions {
		s := r.Session
		user, known := m.users[r.User.ID]
		stored, ok := m.sessions[s.ID]
		if !ok || stored.Version != s.Version || !known || user.Version != r.User.Version {
			return auth.ErrConflict
		}
		s.Version++
		m.sessions[s.ID] = s
	}
	return nil
}

func (m *Memory) changeTickets(b auth.Batch) error {
	current := func(t auth.Ticket) bool {
		stored, ok := m.tickets[t.ID]
		return ok && bytes.Equal(stored.SecretHash, t.SecretHash) && stored.Tries == t.Tries
	}
	for _, t := range b.TakeTickets {
		if !current(t) {
			return auth.ErrConflict
		}
		delete(m.tickets, t.ID)
	}
	for _, t := range b.CountTries {
		if !current(t) {
			return auth.ErrConflict
		}
		stored := m.tickets[t.ID]
		stored.Tries++
		m.tickets[t.ID] = stored
	}
	for _, t := range b.PutTickets {
		if len(t.Replaces) > 0 && !bytes.Equal(m.tickets[t.ID].SecretHash, t.Replaces) {
			return auth.ErrConflict
		}
		t.Replaces = nil
		m.tickets[t.ID] = t
	}
	return nil
}

func (m *Memory) changeMails(b auth.Batch) error {
	for _, mail := range b.QueueMails {
		if _, taken := m.mails[mail.ID]; taken {
			return auth.ErrTaken
		}
		m.mails[mail.ID] = mail
	}
	for _, mail := range b.DeferMails {
		stored, ok := m.mails[mail.ID]
		if !ok || stored.Attempts != mail.Attempts {
			return auth.ErrConflict
		}
		stored.DueAt = mail.DueAt
		stored.Attempts++
		m.mails[mail.ID] = stored
	}
	for _, mail := range b.DeleteMails {
		delete(m.mails, mail.ID)
	}
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

// Purge deletes what nobody has a use for any more.
func (m *Memory) Purge(_ context.Context, before auth.Moments) error {
	unlock, err := m.lock("Purge")
	if err != nil {
		return err
	}
	defer unlock()
	expired := before.Expired
	maps.DeleteFunc(m.sessions, func(_ auth.SessionID, s auth.Session) bool { return s.ExpiresAt.Before(expired) })
	maps.DeleteFunc(m.tickets, func(_ auth.TicketID, t auth.Ticket) bool { return t.ExpiresAt.Before(expired) })
	maps.DeleteFunc(m.mails, func(_ string, mail auth.Mail) bool { return mail.GiveUpAt.Before(expired) })
	m.keys = slices.DeleteFunc(m.keys, func(r keyring.Record) bool {
		return !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(expired)
	})
	m.events = slices.DeleteFunc(m.events, func(e auth.Event) bool { return e.Time.Before(before.Events) })
	maps.DeleteFunc(m.counts, func(_ string, c auth.Count) bool { return c.Last.Before(before.Hits) })
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
