package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// data is what commits change of a [Memory].
type data struct {
	accounts    map[storage.UserID]account
	deleted     map[storage.UserID]bool
	credentials map[storage.CredentialKey]storage.Credential
	sessions    map[storage.SessionID]storage.Session
	tickets     map[storage.TicketID]storage.Ticket
	marks       map[storage.MarkID]storage.Mark
	mails       map[string]outbox.Mail
	events      []storage.Event // by place, never changed in place
	revocations []storage.Revocation
}

// An account is a user with the keys of its names, and a moment of change for each of its
// two items.
type account struct {
	storage.User
	usernameKey, emailKey string // empty: none
	profileAt, signInAt   time.Time
}

func (a account) read() storage.User {
	u := ownUser(a.User)
	u.UpdatedAt = a.profileAt
	if a.signInAt.After(a.profileAt) {
		u.UpdatedAt = a.signInAt
	}
	return u
}

func (d *data) clone() data {
	return data{
		clone(d.accounts), clone(d.deleted), clone(d.credentials), clone(d.sessions), clone(d.tickets), clone(d.marks), clone(d.mails),
		d.events, d.revocations,
	}
}

// clone is maps.Clone, but never nil.
func clone[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m)+1)
	maps.Copy(c, m)
	return c
}

// listed are the sessions of a user that have not been ended, from an epoch on.
func (d *data) listed(id storage.UserID, epoch int64) (all []storage.Session) {
	for _, s := range d.sessions {
		if s.UserID == id && s.EndedAt.IsZero() && s.Epoch >= epoch {
			all = append(all, ownSession(s))
		}
	}
	return all
}

func (d *data) apply(c storage.Change) error {
	switch c := c.(type) {
	case storage.CheckEpoch:
		return d.checkEpoch(c)
	case storage.CreateUser:
		return d.createUser(c.User)
	case storage.UpdateUser:
		return d.updateUser(c)
	case storage.DeleteUser:
		return d.deleteUser(c.User)
	case storage.ReplaceUser:
		if err := d.deleteUser(c.Old); err != nil {
			return err
		}
		return d.createUser(c.New)
	case storage.CreateCredential:
		c.Credential.Version = 1
		return create(d.credentials, c.Credential.Key, ownCredential(c.Credential))
	case storage.UpdateCredential:
		return d.changeCredential(c.Credential, func(stored storage.Credential) {
			c.Credential.Version = stored.Version + 1
			d.credentials[stored.Key] = ownCredential(c.Credential)
		})
	case storage.DeleteCredential:
		return d.changeCredential(c.Credential, func(stored storage.Credential) { delete(d.credentials, stored.Key) })
	case storage.CreateSession:
		return create(d.sessions, c.Session.ID, ownSession(c.Session))
	case storage.RefreshSession:
		return d.refreshSession(c.Session)
	case storage.KeepSession:
		return d.changeSession(c.Session.ID, func(s *storage.Session) { s.Epoch = c.Session.Epoch })
	case storage.EndSession:
		return d.changeSession(c.Session.ID, func(s *storage.Session) { s.EndedAt = moment(c.Session.EndedAt) })
	case storage.PutMark:
		d.marks[c.Mark.ID] = storage.Mark{ID: c.Mark.ID, ExpiresAt: moment(c.Mark.ExpiresAt)}
		return nil
	case storage.AppendEvent:
		d.appendEvent(c.Event)
		return nil
	case storage.AppendRevocation:
		d.revocations = addLine(d.revocations, ownRevocation(c.Revocation), revocationPlace)
		return nil
	}
	return d.applyToTickets(c)
}

func (d *data) changeCredential(c storage.Credential, change func(stored storage.Credential)) error {
	stored, ok := d.credentials[c.Key]
	if !ok || stored.Version != c.Version {
		return storage.ErrConflict
	}
	change(stored)
	return nil
}

func (d *data) applyToTickets(c storage.Change) error {
	switch c := c.(type) {
	case storage.PutTicket:
		d.tickets[c.Ticket.ID] = ownTicket(c.Ticket)
		return nil
	case storage.ReplaceTicket:
		if stored, ok := d.tickets[c.Ticket.ID]; !ok || !bytes.Equal(stored.SecretHash, c.Old) {
			return storage.ErrConflict
		}
		d.tickets[c.Ticket.ID] = ownTicket(c.Ticket)
		return nil
	case storage.TakeTicket:
		return d.changeTicket(c.Ticket, func(t storage.Ticket) { delete(d.tickets, t.ID) })
	case storage.CountTry:
		return d.changeTicket(c.Ticket, func(t storage.Ticket) {
			t.Tries++
			d.tickets[t.ID] = t
		})
	}
	return d.applyToMails(c)
}

func (d *data) applyToMails(c storage.Change) error {
	switch c := c.(type) {
	case storage.QueueMail:
		return create(d.mails, c.Mail.ID, ownMail(c.Mail))
	case storage.DeferMail:
		stored, ok := d.mails[c.Mail.ID]
		if !ok || stored.Attempts != c.Mail.Attempts {
			return storage.ErrConflict
		}
		stored.DueAt = moment(c.Mail.DueAt)
		stored.Attempts++
		d.mails[stored.ID] = stored
		return nil
	case storage.DeleteMail:
		delete(d.mails, c.Mail.ID)
		return nil
	}
	return fmt.Errorf("%w: %T is no kind of change", storage.ErrChanges, c)
}

// create stores what must not be there yet.
func create[K comparable, V any](m map[K]V, id K, one V) error {
	if _, taken := m[id]; taken {
		return storage.ErrTaken
	}
	m[id] = one
	return nil
}

func (d *data) checkEpoch(c storage.CheckEpoch) error {
	if stored, ok := d.accounts[c.UserID]; !ok || stored.Epoch != c.Epoch {
		return storage.ErrConflict
	}
	return nil
}

func (d *data) createUser(u storage.User) error {
	var a account
	a.ID = u.ID
	a.setProfile(ownUser(u))
	a.setSignIn(ownUser(u))
	if _, taken := d.accounts[u.ID]; taken || d.deleted[u.ID] || d.namesTaken(a) {
		return storage.ErrTaken
	}
	d.accounts[u.ID] = a
	return nil
}

func (d *data) updateUser(c storage.UpdateUser) error {
	profile, signIn := c.Profile(), c.SignIn()
	if !profile && !signIn {
		return nil
	}
	stored, ok := d.accounts[c.Old.ID]
	if !ok || profile && stored.Version != c.Old.Version || signIn && stored.SignInVersion != c.Old.SignInVersion {
		return storage.ErrConflict
	}
	u := ownUser(c.New)
	if profile {
		stored.setProfile(u)
	}
	if signIn {
		stored.setSignIn(u)
	}
	if d.namesTaken(stored) {
		return storage.ErrTaken
	}
	d.accounts[c.Old.ID] = stored
	return nil
}

func (a *account) setProfile(u storage.User) {
	a.Username, a.Email, a.Name, a.Scope = u.Username, u.Email, u.Name, u.Scope
	a.usernameKey, a.emailKey = usernameKey(u), emailKey(u)
	a.Roles, a.Attributes, a.CreatedAt = u.Roles, u.Attributes, u.CreatedAt
	a.profileAt = u.UpdatedAt
	a.Version++
}

func (a *account) setSignIn(u storage.User) {
	a.PasswordHash, a.Disabled, a.EmailVerified, a.PendingEmail = u.PasswordHash, u.Disabled, u.EmailVerified, u.PendingEmail
	a.Epoch, a.EpochAt, a.Rights = u.Epoch, u.EpochAt, u.Rights
	a.signInAt = u.UpdatedAt
	a.SignInVersion++
}

func (d *data) deleteUser(u storage.User) error {
	if stored, ok := d.accounts[u.ID]; !ok || stored.SignInVersion != u.SignInVersion {
		return storage.ErrConflict
	}
	delete(d.accounts, u.ID)
	d.deleted[u.ID] = true
	maps.DeleteFunc(d.sessions, func(_ storage.SessionID, s storage.Session) bool { return s.UserID == u.ID })
	return nil
}

func (d *data) namesTaken(a account) bool {
	for _, other := range d.accounts {
		sameName := other.usernameKey != "" && other.usernameKey == a.usernameKey
		sameEmail := other.emailKey != "" && other.emailKey == a.emailKey
		if other.ID != a.ID && (sameName || sameEmail) {
			return true
		}
	}
	return false
}

func usernameKey(u storage.User) string {
	key, _ := identifier.UsernameKey(u.Username)
	return key
}

func emailKey(u storage.User) string {
	key, _ := identifier.EmailKey(u.Email)
	return key
}

// changeSession changes a session that has not ended.
func (d *data) changeSession(id storage.SessionID, change func(*storage.Session)) error {
	stored, ok := d.sessions[id]
	if !ok || !stored.EndedAt.IsZero() {
		return storage.ErrConflict
	}
	change(&stored)
	d.sessions[id] = stored
	return nil
}

func (d *data) refreshSession(s storage.Session) error {
	if d.sessions[s.ID].Refreshes != s.Refreshes-1 {
		return storage.ErrConflict
	}
	s = ownSession(s)
	return d.changeSession(s.ID, func(stored *storage.Session) {
		stored.Refreshes, stored.Seed, stored.LastUsedAt = s.Refreshes, s.Seed, s.LastUsedAt
		stored.Device, stored.Address = s.Device, s.Address
	})
}

// changeTicket changes a ticket that is as it was read.
func (d *data) changeTicket(read storage.Ticket, change func(stored storage.Ticket)) error {
	stored, ok := d.tickets[read.ID]
	if !ok || !bytes.Equal(stored.SecretHash, read.SecretHash) || stored.Tries != read.Tries {
		return storage.ErrConflict
	}
	change(stored)
	return nil
}

func (d *data) appendEvent(e storage.Event) {
	e.Time, e.Count = moment(e.Time), max(1, e.Count)
	d.events = addLine(d.events, e, eventPlace)
}

func (d *data) purge(before storage.Moments) {
	expired := before.Expired
	maps.DeleteFunc(d.sessions, func(_ storage.SessionID, s storage.Session) bool { return s.ExpiresAt.Before(expired) })
	maps.DeleteFunc(d.tickets, func(_ storage.TicketID, t storage.Ticket) bool { return t.ExpiresAt.Before(expired) })
	maps.DeleteFunc(d.marks, func(_ storage.MarkID, m storage.Mark) bool { return m.ExpiresAt.Before(expired) })
	maps.DeleteFunc(d.mails, func(_ string, m outbox.Mail) bool { return m.GiveUpAt.Before(expired) })
	d.revocations = slices.DeleteFunc(slices.Clone(d.revocations), func(r storage.Revocation) bool { return r.ExpiresAt.Before(expired) })
	d.events = slices.DeleteFunc(slices.Clone(d.events), func(e storage.Event) bool { return e.Time.Before(before.Events) })
}

// What comes in and goes out is copied, so that nobody changes what is stored, and
// moments are as finely kept as by other stores.

// moment is t in microseconds and UTC.
func moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

func ownUser(u storage.User) storage.User {
	u.Roles, u.Attributes = slices.Clone(u.Roles), maps.Clone(u.Attributes)
	u.CreatedAt, u.UpdatedAt, u.EpochAt = moment(u.CreatedAt), moment(u.UpdatedAt), moment(u.EpochAt)
	return u
}

func ownCredential(c storage.Credential) storage.Credential {
	c.Data, c.CreatedAt = bytes.Clone(c.Data), moment(c.CreatedAt)
	return c
}

func ownSession(s storage.Session) storage.Session {
	s.Proof.AMR, s.Proof.At = slices.Clone(s.Proof.AMR), moment(s.Proof.At)
	s.Seed, s.Chain.Hash, s.Chain.Previous = bytes.Clone(s.Seed), bytes.Clone(s.Chain.Hash), bytes.Clone(s.Chain.Previous)
	s.CreatedAt, s.LastUsedAt = moment(s.CreatedAt), moment(s.LastUsedAt)
	s.ExpiresAt, s.EndedAt = moment(s.ExpiresAt), moment(s.EndedAt)
	return s
}

func ownTicket(t storage.Ticket) storage.Ticket {
	t.SecretHash, t.CodeMAC, t.Bound = bytes.Clone(t.SecretHash), bytes.Clone(t.CodeMAC), bytes.Clone(t.Bound)
	t.CreatedAt, t.LinkUntil = moment(t.CreatedAt), moment(t.LinkUntil)
	t.CodeUntil, t.ExpiresAt = moment(t.CodeUntil), moment(t.ExpiresAt)
	return t
}

func ownMail(m outbox.Mail) outbox.Mail {
	m.Sealed = bytes.Clone(m.Sealed)
	m.CreatedAt, m.DueAt, m.GiveUpAt = moment(m.CreatedAt), moment(m.DueAt), moment(m.GiveUpAt)
	return m
}

func ownRevocation(r storage.Revocation) storage.Revocation {
	r.Time, r.ExpiresAt = moment(r.Time), moment(r.ExpiresAt)
	return r
}

func ownRecord(r keyring.Record) keyring.Record {
	r.Public, r.Sealed = bytes.Clone(r.Public), bytes.Clone(r.Sealed)
	r.CreatedAt, r.ActiveAt = moment(r.CreatedAt), moment(r.ActiveAt)
	r.RetiresAt, r.ExpiresAt = moment(r.RetiresAt), moment(r.ExpiresAt)
	return r
}
