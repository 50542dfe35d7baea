package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

var _ Store = (*Memory)(nil)

// Memory is a store in memory, for tests of what stands on a store. It passes
// the same suite as the real ones. The zero value is empty and ready.
type Memory struct {
	// Fail, when set, is called before every operation with the name of its method;
	// its error is returned as storage.ErrUnavailable is by a real store, and nothing
	// happens. Set it before use.
	Fail func(operation string) error

	mu     sync.Mutex // guards everything below
	data   data
	counts map[string]limit.Count
	keys   []keyring.Record  // by number
	mark   storage.StoreKind // empty: none
	hold   string            // encoded
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

// counted returns the one user that matches, and the number of sessions.
func (m *Memory) counted(operation string, match func(account) bool) (storage.User, int, error) {
	unlock, err := m.lock(operation)
	if err != nil {
		return storage.User{}, 0, err
	}
	defer unlock()
	for _, a := range m.data.accounts {
		if match(a) {
			return a.read(), min(storage.MaxCounted, len(m.data.listed(a.ID, a.Epoch))), nil
		}
	}
	return storage.User{}, 0, storage.ErrNotFound
}

// User returns the user with the id.
func (m *Memory) User(_ context.Context, id storage.UserID) (storage.User, error) {
	u, _, err := m.counted("User", func(a account) bool { return a.ID == id })
	return u, err
}

// UserByUsername returns the user with the username key.
func (m *Memory) UserByUsername(_ context.Context, key string) (storage.User, int, error) {
	return m.counted("UserByUsername", func(a account) bool { return key != "" && a.usernameKey == key })
}

// UserByEmail returns the user with the e-mail key.
func (m *Memory) UserByEmail(_ context.Context, key string) (storage.User, int, error) {
	return m.counted("UserByEmail", func(a account) bool { return key != "" && a.emailKey == key })
}

// UserDeleted reports whether there was a user of that id.
func (m *Memory) UserDeleted(_ context.Context, id storage.UserID) (bool, error) {
	unlock, err := m.lock("UserDeleted")
	if err != nil {
		return false, err
	}
	defer unlock()
	return m.data.deleted[id], nil
}

// Users returns users by id. The cursor is the last id.
func (m *Memory) Users(_ context.Context, after storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
	unlock, err := m.lock("Users")
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	var page []storage.User
	for _, id := range slices.Sorted(maps.Keys(m.data.accounts)) {
		if id > storage.UserID(after) && len(page) < limit {
			page = append(page, m.data.accounts[id].read())
		}
	}
	if len(page) > 0 {
		after = storage.Cursor(page[len(page)-1].ID)
	}
	return page, after, nil
}

// Credential returns the credential with the key.
func (m *Memory) Credential(_ context.Context, key storage.CredentialKey) (storage.Credential, error) {
	unlock, err := m.lock("Credential")
	if err != nil {
		return storage.Credential{}, err
	}
	defer unlock()
	c, ok := m.data.credentials[key]
	if !ok {
		return storage.Credential{}, storage.ErrNotFound
	}
	return ownCredential(c), nil
}

// UserCredentials returns a user's credentials.
func (m *Memory) UserCredentials(_ context.Context, id storage.UserID, limit int) ([]storage.Credential, error) {
	unlock, err := m.lock("UserCredentials")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []storage.Credential
	for _, key := range slices.Sorted(maps.Keys(m.data.credentials)) {
		if c := m.data.credentials[key]; c.UserID == id && len(page) < limit {
			page = append(page, ownCredential(c))
		}
	}
	return page, nil
}

// SessionUser returns a session with its user.
func (m *Memory) SessionUser(_ context.Context, id storage.SessionID) (storage.Session, storage.User, error) {
	unlock, err := m.lock("SessionUser")
	if err != nil {
		return storage.Session{}, storage.User{}, err
	}
	defer unlock()
	session, ok := m.data.sessions[id]
	account, known := m.data.accounts[session.UserID]
	if !ok || !known {
		return storage.Session{}, storage.User{}, storage.ErrNotFound
	}
	return ownSession(session), account.read(), nil
}

// UserSessions returns a user's sessions.
func (m *Memory) UserSessions(_ context.Context, id storage.UserID, epoch int64, skip, limit int) ([]storage.Session, error) {
	unlock, err := m.lock("UserSessions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	page := m.data.listed(id, epoch)
	slices.SortFunc(page, latestFirst)
	page = page[min(skip, len(page)):]
	return page[:min(limit, len(page))], nil
}

// latestFirst is the order of UserSessions.
func latestFirst(a, b storage.Session) int {
	return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// Ticket returns the ticket with the id.
func (m *Memory) Ticket(_ context.Context, id storage.TicketID) (storage.Ticket, error) {
	unlock, err := m.lock("Ticket")
	if err != nil {
		return storage.Ticket{}, err
	}
	defer unlock()
	t, ok := m.data.tickets[id]
	if !ok {
		return storage.Ticket{}, storage.ErrNotFound
	}
	return ownTicket(t), nil
}

// Mark returns the mark with the id.
func (m *Memory) Mark(_ context.Context, id storage.MarkID) (storage.Mark, error) {
	unlock, err := m.lock("Mark")
	if err != nil {
		return storage.Mark{}, err
	}
	defer unlock()
	mark, ok := m.data.marks[id]
	if !ok {
		return storage.Mark{}, storage.ErrNotFound
	}
	return mark, nil
}

// DueMails returns queued mails, longest due first.
func (m *Memory) DueMails(_ context.Context, now time.Time, limit int) ([]outbox.Mail, error) {
	unlock, err := m.lock("DueMails")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var page []outbox.Mail
	for _, mail := range m.data.mails {
		if !mail.DueAt.After(now) {
			page = append(page, ownMail(mail))
		}
	}
	slices.SortFunc(page, func(a, b outbox.Mail) int { return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID)) })
	return page[:min(limit, len(page))], nil
}

// Events returns events by time.
func (m *Memory) Events(_ context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Event, storage.Cursor, error) {
	unlock, err := m.lock("Events")
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	return pageOf(m.data.events, eventPlace, since, after, limit)
}

// Revocations returns revocations by time.
func (m *Memory) Revocations(_ context.Context, since time.Time, after storage.Cursor, limit int) ([]storage.Revocation, storage.Cursor, error) {
	unlock, err := m.lock("Revocations")
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	return pageOf(m.data.revocations, revocationPlace, since, after, limit)
}

// A place is where an event or revocation stands among the others.
type place struct {
	time time.Time
	id   string
}

func (p place) compare(q place) int { return cmp.Or(p.time.Compare(q.time), cmp.Compare(p.id, q.id)) }

func (p place) cursor() storage.Cursor {
	return storage.Cursor(strconv.FormatInt(p.time.UnixMicro(), 10) + " " + p.id)
}

func parsePlace(c storage.Cursor) (place, error) {
	text, id, _ := strings.Cut(string(c), " ")
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("cursor of another list: %w", err)
	}
	return place{time.UnixMicro(micros), id}, nil
}

func eventPlace(e storage.Event) place           { return place{e.Time, e.ID} }
func revocationPlace(r storage.Revocation) place { return place{r.Time, r.ID} }

// addLine adds a line where its place is, unless there is one. It leaves the given slice
// as it is.
func addLine[T any](lines []T, one T, at func(T) place) []T {
	i, found := slices.BinarySearchFunc(lines, at(one), func(line T, p place) int { return at(line).compare(p) })
	if found {
		return lines
	}
	return slices.Insert(slices.Clone(lines), i, one)
}

// pageOf returns the lines after the cursor, or those that are not before since. The
// cursor is the place of the last line.
func pageOf[T any](lines []T, at func(T) place, since time.Time, after storage.Cursor, limit int) ([]T, storage.Cursor, error) {
	begins := func(line T) bool { return !at(line).time.Before(since) }
	if after != "" {
		last, err := parsePlace(after)
		if err != nil {
			return nil, "", err
		}
		begins = func(line T) bool { return at(line).compare(last) > 0 }
	}
	var page []T
	for _, line := range lines {
		if begins(line) && len(page) < limit {
			page = append(page, line)
		}
	}
	if len(page) > 0 {
		after = at(page[len(page)-1]).cursor()
	}
	return page, after, nil
}

// Commit carries out the changes: on a copy, which then takes the place of what was
// there.
func (m *Memory) Commit(_ context.Context, changes ...storage.Change) error {
	unlock, err := m.lock("Commit")
	if err != nil {
		return err
	}
	defer unlock()
	if err := storage.CheckChanges(changes); err != nil {
		return err
	}
	next := m.data.clone()
	for _, c := range changes {
		if err := next.apply(c); err != nil {
			return err
		}
	}
	m.data = next
	return nil
}

// LoadUsers creates users with their events.
func (m *Memory) LoadUsers(_ context.Context, users []storage.LoadedUser) ([]bool, error) {
	unlock, err := m.lock("LoadUsers")
	if err != nil {
		return nil, err
	}
	defer unlock()
	m.data = m.data.clone()
	stored := make([]bool, len(users))
	for i, u := range users {
		if stored[i] = m.data.createUser(u.User) == nil; stored[i] {
			m.data.appendEvent(u.Event)
		}
	}
	return stored, nil
}

// Purge deletes what nobody has a use for any more.
func (m *Memory) Purge(_ context.Context, before storage.Moments) error {
	unlock, err := m.lock("Purge")
	if err != nil {
		return err
	}
	defer unlock()
	m.data.purge(before)
	maps.DeleteFunc(m.counts, func(_ string, c limit.Count) bool { return c.Last.Before(before.Counts) })
	m.keys = slices.DeleteFunc(m.keys, func(r keyring.Record) bool {
		return !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(before.Expired)
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

// Counts returns the counts of keys.
func (m *Memory) Counts(_ context.Context, keys []string, mark string) ([]limit.Count, time.Time, error) {
	unlock, err := m.lock("Counts")
	if err != nil {
		return nil, time.Time{}, err
	}
	defer unlock()
	counts := make([]limit.Count, len(keys))
	for i, key := range keys {
		counts[i] = m.counts[key]
	}
	return counts, m.data.marks[storage.MarkID(mark)].ExpiresAt, nil
}

// Take takes from all buckets or from none.
func (m *Memory) Take(_ context.Context, takes []limit.Take) (bool, error) {
	unlock, err := m.lock("Take")
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, t := range takes {
		if !holds(t, m.counts[t.Key]) {
			return false, nil
		}
	}
	for _, t := range takes {
		m.count(t, 1)
	}
	return true, nil
}

// holds reports whether the guard of a take holds.
func holds(t limit.Take, stored limit.Count) bool {
	switch t.Guard {
	case limit.GuardRoom:
		return !stored.Empty.After(t.Most)
	case limit.GuardUnchanged:
		return stored.Empty.Equal(t.Was.Empty) && stored.Last.Equal(t.Was.Last)
	}
	return true
}

// count fills a bucket.
func (m *Memory) count(t limit.Take, reserved int64) {
	c := m.counts[t.Key]
	if t.At.After(c.Empty) {
		c.Empty = t.At
	}
	c = limit.Count{Empty: moment(c.Empty.Add(t.Fade)), Last: moment(t.At), Reserved: c.Reserved + reserved}
	if m.counts == nil {
		m.counts = make(map[string]limit.Count)
	}
	m.counts[t.Key] = c
}

// Settle ends reservations.
func (m *Memory) Settle(_ context.Context, given, kept, counted []limit.Take) error {
	unlock, err := m.lock("Settle")
	if err != nil {
		return err
	}
	defer unlock()
	for _, t := range given {
		m.release(t, func(c *limit.Count) {
			if c.Last.Equal(moment(t.At)) && c.Empty.Equal(moment(t.Made())) {
				c.Last = moment(t.Was.Last)
			}
			c.Empty = moment(c.Empty.Add(-t.Fade))
		})
	}
	for _, t := range kept {
		m.release(t, func(*limit.Count) {})
	}
	for _, t := range counted {
		m.count(t, 0)
	}
	return nil
}

// release ends a reservation of a bucket, if it is still there.
func (m *Memory) release(t limit.Take, change func(*limit.Count)) {
	c, ok := m.counts[t.Key]
	if !ok {
		return
	}
	c.Reserved = max(0, c.Reserved-1)
	change(&c)
	m.counts[t.Key] = c
}

// Keys returns all keys.
func (m *Memory) Keys(context.Context) ([]keyring.Record, error) {
	unlock, err := m.lock("Keys")
	if err != nil {
		return nil, err
	}
	defer unlock()
	keys := make([]keyring.Record, len(m.keys))
	for i, r := range m.keys {
		keys[i] = ownRecord(r)
	}
	return keys, nil
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
				m.keys[i].RetiresAt, m.keys[i].ExpiresAt = moment(old.RetiresAt), moment(old.ExpiresAt)
			}
		}
	}
	m.keys = append(m.keys, ownRecord(r))
	slices.SortFunc(m.keys, func(a, b keyring.Record) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}
