package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

// records are all there are, users first, each kind by its key.
func (m *Memory) records() (all []transfer.Record) {
	for _, id := range slices.Sorted(maps.Keys(m.data.accounts)) {
		a := m.data.accounts[id]
		u := transfer.User{User: ownUser(a.User), ProfileAt: a.profileAt, SignInAt: a.signInAt}
		u.UpdatedAt = time.Time{}
		all = append(all, u)
	}
	for _, id := range slices.Sorted(maps.Keys(m.data.deleted)) {
		all = append(all, transfer.DeletedUser{ID: id})
	}
	all = appendOwn(all, m.data.credentials, ownCredential)
	all = appendOwn(all, m.data.sessions, ownSession)
	all = appendOwn(all, m.data.tickets, ownTicket)
	all = appendOwn(all, m.data.marks, func(m storage.Mark) storage.Mark { return m })
	all = appendOwn(all, m.data.mails, ownMail)
	for _, e := range m.data.events {
		all = append(all, e)
	}
	for _, r := range m.data.revocations {
		all = append(all, r)
	}
	for _, key := range slices.Sorted(maps.Keys(m.counts)) {
		all = append(all, transfer.Count{Key: key, Count: m.counts[key]})
	}
	for _, r := range m.keys {
		all = append(all, ownRecord(r))
	}
	return all
}

func appendOwn[K cmp.Ordered, V any](all []transfer.Record, of map[K]V, own func(V) V) []transfer.Record {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all = append(all, own(of[key]))
	}
	return all
}

// Export returns records. The cursor is how many came before.
func (m *Memory) Export(_ context.Context, after storage.Cursor, limit int) ([]transfer.Record, storage.Cursor, error) {
	unlock, err := m.lock("Export")
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	all, n := m.records(), 0
	if after != "" {
		if n, err = strconv.Atoi(string(after)); err != nil || n < 0 || n > len(all) {
			return nil, "", fmt.Errorf("%w: %q is no place in an export", storage.ErrUnavailable, after)
		}
	}
	end := min(n+limit, len(all))
	if end == len(all) {
		return all[n:], "", nil
	}
	return all[n:end], storage.Cursor(strconv.Itoa(end)), nil
}

// Import stores records.
func (m *Memory) Import(_ context.Context, records []transfer.Record) error {
	unlock, err := m.lock("Import")
	if err != nil {
		return err
	}
	defer unlock()
	m.data = m.data.clone()
	for _, r := range records {
		if err := m.take(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) take(r transfer.Record) error {
	switch r := r.(type) {
	case transfer.User:
		a := account{User: ownUser(r.User), usernameKey: usernameKey(r.User), emailKey: emailKey(r.User), profileAt: moment(r.ProfileAt), signInAt: moment(r.SignInAt)}
		m.data.accounts[r.ID] = a
	case transfer.DeletedUser:
		m.data.deleted[r.ID] = true
	case storage.Credential:
		m.data.credentials[r.Key] = ownCredential(r)
	case storage.Session:
		m.data.sessions[r.ID] = ownSession(r)
	case storage.Ticket:
		m.data.tickets[r.ID] = ownTicket(r)
	case storage.Mark:
		m.data.marks[r.ID] = storage.Mark{ID: r.ID, ExpiresAt: moment(r.ExpiresAt)}
	case outbox.Mail:
		m.data.mails[r.ID] = ownMail(r)
	case storage.Event:
		m.data.appendEvent(r)
	case storage.Revocation:
		m.data.revocations = addLine(m.data.revocations, ownRevocation(r), revocationPlace)
	case transfer.Count:
		if m.counts == nil {
			m.counts = make(map[string]limit.Count)
		}
		m.counts[r.Key] = limit.Count{Empty: moment(r.Empty), Last: moment(r.Last), Reserved: r.Reserved}
	case keyring.Record:
		m.keys = slices.DeleteFunc(m.keys, func(k keyring.Record) bool { return k.Number == r.Number })
		m.keys = append(m.keys, ownRecord(r))
		slices.SortFunc(m.keys, func(a, b keyring.Record) int { return cmp.Compare(a.Number, b.Number) })
	default:
		return fmt.Errorf("%w: %T is no record", storage.ErrChanges, r)
	}
	return nil
}

// Erase deletes all records.
func (m *Memory) Erase(context.Context) error {
	unlock, err := m.lock("Erase")
	if err != nil {
		return err
	}
	defer unlock()
	m.data, m.counts, m.keys = (&data{}).clone(), nil, nil
	return nil
}

// Size counts records.
func (m *Memory) Size(context.Context) (int64, error) {
	unlock, err := m.lock("Size")
	if err != nil {
		return 0, err
	}
	defer unlock()
	return int64(len(m.records())), nil
}

// Hold returns the hold on the store.
func (m *Memory) Hold(context.Context) (transfer.Hold, error) {
	unlock, err := m.lock("Hold")
	if err != nil {
		return transfer.Hold{}, err
	}
	defer unlock()
	return transfer.ParseHold(m.hold)
}

// PutHold replaces the hold.
func (m *Memory) PutHold(_ context.Context, was string, h transfer.Hold) error {
	unlock, err := m.lock("PutHold")
	if err != nil {
		return err
	}
	defer unlock()
	stored, err := transfer.ParseHold(m.hold)
	switch {
	case err != nil:
		return err
	case stored.ID != was:
		return storage.ErrConflict
	}
	m.hold = ""
	if h.ID != "" {
		m.hold = h.Encode()
	}
	return nil
}

// Bounds are zero: a hold is noticed at once, and no write takes any time.
func (m *Memory) Bounds() transfer.Bounds { return transfer.Bounds{} }
