package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/ticket"
)

// NewUser is what an operator gives to add a user.
type NewUser struct {
	ID       storage.UserID // empty: a new random one
	Username string         // empty: the id, for those who have an e-mail address to log in with
	Email    string
	// EmailUnverified: the owner is yet to prove the address; nobody vouches for it.
	EmailUnverified bool
	Name            string
	Scope           string
	Roles           []string          // see rights.CleanRoles
	Attributes      map[string]string // see rights.CleanAttributes
	Password        string            // checked and hashed; empty: nobody can log in with one
}

// AddUser creates a user. *InvalidError, ErrTaken.
func (s *Service) AddUser(ctx context.Context, n NewUser) (storage.User, error) {
	u, err := s.newUser(n)
	if err != nil {
		return storage.User{}, err
	}
	if n.Password != "" {
		if u.PasswordHash, err = s.hashNew(ctx, n.Password, u); err != nil {
			return storage.User{}, err
		}
	}
	if err := s.Store.Commit(ctx, storage.CreateUser{User: u}, storage.AppendEvent{Event: s.adminEvent(storage.EventUserAdded, u)}); err != nil {
		return storage.User{}, fmt.Errorf("adding user %q: %w", u.Username, err)
	}
	u.Version, u.SignInVersion = 1, 1
	return u, nil
}

// newUser checks every member but the password.
func (s *Service) newUser(n NewUser) (storage.User, error) {
	n.Username, n.Email = identifier.Trim(n.Username), identifier.Trim(n.Email)
	email, err := identifier.CleanEmail(n.Email)
	if err != nil && n.Email != "" {
		return storage.User{}, invalidMember("email", err)
	}
	if n.ID == "" {
		n.ID = storage.UserID(newID())
	} else if err := checkID(n.ID); err != nil {
		return storage.User{}, err
	}
	if n.Username == "" && email != "" {
		// Nothing personal, and nobody else's.
		n.Username = string(n.ID)
		if _, err := UsernameKey(n.Username); err != nil {
			n.Username = newID()
		}
	}
	if _, err := UsernameKey(n.Username); err != nil {
		return storage.User{}, err
	}
	if err := checkName(n.Name); err != nil {
		return storage.User{}, err
	}
	scope, err := rights.CleanScope(n.Scope)
	if err != nil {
		return storage.User{}, invalidMember("scope", err)
	}
	roles, err := rights.CleanRoles(n.Roles)
	if err != nil {
		return storage.User{}, invalidMember("roles", err)
	}
	attributes, err := rights.CleanAttributes(n.Attributes)
	if err != nil {
		return storage.User{}, invalidMember("attributes", err)
	}
	now := s.Now()
	return storage.User{
		ID: n.ID, Username: n.Username, Email: email, EmailVerified: email != "" && !n.EmailUnverified, Name: n.Name, Scope: scope,
		Roles: roles, Attributes: attributes, CreatedAt: now, UpdatedAt: now,
	}, nil
}

func checkName(name string) error { return invalidMember("name", identifier.CheckName(name)) }

// checkID holds ids to visible ASCII: they become "sub", the principalId of a
// policy and the value of a header.
func checkID(id storage.UserID) error {
	if len(id) > maxUserID || strings.ContainsFunc(string(id), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return invalid("id", "must be at most %d visible ASCII characters without spaces", maxUserID)
	}
	return nil
}

// UserByLogin finds a user by username or e-mail address; ErrNotFound.
func (s *Service) UserByLogin(ctx context.Context, login string) (storage.User, error) {
	return storage.FindUser(ctx, s.Store, login)
}

// NamedUser is [storage.NamedUser] on the service's store.
func (s *Service) NamedUser(ctx context.Context, text string) (storage.User, error) {
	return storage.NamedUser(ctx, s.Store, text)
}

// UpdateUser changes a user and keeps trying while others change it too. Only the address,
// the name, scope, roles and attributes may be changed this way: ids and usernames stay.
func (s *Service) UpdateUser(ctx context.Context, named string, change func(*storage.User)) (storage.User, error) {
	return s.update(ctx, named, storage.EventUserUpdated, func(u *storage.User) error {
		changed := *u
		changed.Roles, changed.Attributes = slices.Clone(u.Roles), maps.Clone(u.Attributes)
		change(&changed)
		checked, err := s.newUser(NewUser{
			ID: u.ID, Username: u.Username, Email: changed.Email, Name: changed.Name, Scope: changed.Scope, Roles: changed.Roles, Attributes: changed.Attributes,
		})
		if err == nil && checked.Email != u.Email {
			u.Email, u.EmailVerified, u.PendingEmail = checked.Email, checked.EmailVerified, ""
		}
		u.Name, u.Scope, u.Roles, u.Attributes = checked.Name, checked.Scope, checked.Roles, checked.Attributes
		return err
	})
}

// SetPassword gives a user a new password and ends the user's sessions.
func (s *Service) SetPassword(ctx context.Context, named, password string) (storage.User, error) {
	u, err := s.NamedUser(ctx, named)
	if err != nil {
		return storage.User{}, fmt.Errorf("user %q: %w", named, err)
	}
	hash, err := s.hashNew(ctx, password, u)
	if err != nil {
		return storage.User{}, err
	}
	return s.update(ctx, named, storage.EventPasswordSet, func(u *storage.User) error {
		u.PasswordHash, u.PendingEmail = hash, ""
		moveEpoch(u, s.Now())
		return nil
	})
}

// Invite creates a user who chooses a password by a link in a mail, or mails
// another link to one who has not done so yet. *InvalidError; ErrTaken when the
// address, the id or the username is somebody else's; ErrNoMail.
func (s *Service) Invite(ctx context.Context, n NewUser) (storage.User, error) {
	if !s.SendsMail {
		return storage.User{}, ErrNoMail
	}
	n.EmailUnverified = true
	u, err := s.newUser(n)
	if err != nil {
		return storage.User{}, err
	}
	if u.Email == "" {
		return storage.User{}, invalid("email", "must not be empty: the link goes there")
	}
	key, err := EmailKey(u.Email)
	if err != nil {
		return storage.User{}, err
	}
	now := s.Now()
	u, change, err := s.invited(ctx, u, n, key, now)
	if err != nil {
		return storage.User{}, err
	}
	t := storage.Ticket{Purpose: storage.PurposeInvite, Email: u.Email, UserID: u.ID, Bound: ticket.Bound(u)}
	mailed, err := s.mailTicket(t, nil, key, message.Message{Kind: message.Invite}, Client{}, now)
	if err != nil {
		return storage.User{}, err
	}
	changes := append(mailed, storage.AppendEvent{Event: s.adminEvent(storage.EventUserInvited, u)})
	return u, wrap("storing invitation", s.commit(ctx, append(changes, change...)))
}

// invited is the user who is to be invited: a new one, or one who was before and has not
// chosen a password. ErrTaken.
func (s *Service) invited(ctx context.Context, u storage.User, n NewUser, key string, now time.Time) (storage.User, []storage.Change, error) {
	there, _, err := s.Store.UserByEmail(ctx, key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return u, []storage.Change{storage.CreateUser{User: u}}, nil
	case err != nil:
		return storage.User{}, nil, fmt.Errorf("looking up user: %w", err)
	case there.PasswordHash != "" || there.Disabled:
		return storage.User{}, nil, storage.ErrTaken
	}
	again := there // what is said now counts, what is not said stays
	again.Name, again.Scope = cmp.Or(u.Name, there.Name), cmp.Or(u.Scope, there.Scope)
	if len(u.Roles) > 0 {
		again.Roles = u.Roles
	}
	attributes := make(map[string]string)
	maps.Copy(attributes, there.Attributes)
	maps.Copy(attributes, u.Attributes)
	if again.Attributes, err = rights.CleanAttributes(attributes); err != nil {
		return storage.User{}, nil, invalidMember("attributes", err)
	}
	if named := identifier.Trim(n.Username); named != "" {
		again.Username = named
	}
	return again, s.changed(there, again, "", now), nil
}

// Disable stops a user from logging in and ends the user's sessions, or lets
// the user log in again.
func (s *Service) Disable(ctx context.Context, named string, disabled bool) (storage.User, error) {
	kind := storage.EventEnabled
	if disabled {
		kind = storage.EventDisabled
	}
	return s.update(ctx, named, kind, func(u *storage.User) error {
		u.Disabled = disabled
		if disabled {
			moveEpoch(u, s.Now())
		}
		return nil
	})
}

// EndSessions ends all of a user's sessions.
func (s *Service) EndSessions(ctx context.Context, named string) (storage.User, error) {
	logout := storage.Event{Kind: storage.EventLogout, Outcome: storage.OutcomeAll}
	return s.change(ctx, named, logout, func(u *storage.User) error {
		moveEpoch(u, s.Now())
		return nil
	})
}

// endAtOnce is how many users' sessions end at the same time.
const endAtOnce = 16

// EndAllSessions ends every session of every user, and voids the links and codes that
// were mailed to their addresses. A registration that nobody has confirmed is no
// user's, and stays. tell gets the number of users so far. Whoever is interrupted
// begins anew.
func (s *Service) EndAllSessions(ctx context.Context, tell func(users int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	permits := make(chan struct{}, endAtOnce)
	n := 0
	for u, err := range s.Users(ctx) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		permits <- struct{}{}
		all.Go(func() {
			defer func() { <-permits }()
			if err := s.endAll(ctx, u.ID); err != nil {
				cancel(err)
			}
		})
		n++
		tell(n)
	}
	all.Wait()
	return context.Cause(ctx)
}

// endAll ends a user's sessions, and takes the tickets of the user's addresses.
func (s *Service) endAll(ctx context.Context, id storage.UserID) error {
	return retry(fmt.Sprintf("ending sessions of user %q", id), func() error {
		u, err := s.Store.User(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // deleted, with all sessions
		}
		if err != nil {
			return fmt.Errorf("reading user: %w", err)
		}
		now := s.Now()
		ended := u
		moveEpoch(&ended, now)
		changes := append(s.changed(u, ended, "", now),
			storage.AppendEvent{Event: storage.Event{ID: storage.NewEventID(), Time: now, Kind: storage.EventLogout, Outcome: storage.OutcomeAll, UserID: u.ID}})
		tickets, err := s.ticketsOf(ctx, u)
		if err != nil {
			return err
		}
		for _, t := range tickets {
			changes = append(changes, storage.TakeTicket{Ticket: t})
		}
		return s.Store.Commit(ctx, changes...)
	})
}

// ticketsOf finds the tickets that were mailed to the user's addresses.
func (s *Service) ticketsOf(ctx context.Context, u storage.User) ([]storage.Ticket, error) {
	var all []storage.Ticket
	for _, email := range []string{u.Email, u.PendingEmail} {
		key, err := EmailKey(email)
		if err != nil { // there is none
			continue
		}
		for _, purpose := range ticket.Purposes() {
			t, err := s.Store.Ticket(ctx, s.tickets.ID(purpose, key))
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return nil, fmt.Errorf("reading ticket: %w", err)
			}
			known := slices.ContainsFunc(all, func(other storage.Ticket) bool { return other.ID == t.ID })
			if err == nil && !known {
				all = append(all, t)
			}
		}
	}
	return all, nil
}

// DeleteUser deletes a user with all sessions. The username and the address are
// free then; the id is never given to anybody else.
func (s *Service) DeleteUser(ctx context.Context, id storage.UserID) error {
	doing := fmt.Sprintf("deleting user %q", id)
	return retry(doing, func() error {
		u, err := s.Store.User(ctx, id)
		if err != nil {
			return fmt.Errorf("user %q: %w", id, err)
		}
		e := s.adminEvent(storage.EventUserDeleted, u)
		changes, err := s.deletion(ctx, u, e.Time)
		if err != nil {
			return err
		}
		return wrap(doing, s.Store.Commit(ctx, append(changes, storage.AppendEvent{Event: e})...))
	})
}

func (s *Service) update(ctx context.Context, named string, kind storage.EventKind, edit func(*storage.User) error) (storage.User, error) {
	return s.change(ctx, named, storage.Event{Kind: kind, Outcome: storage.OutcomeOK}, edit)
}

// change edits the user whom [Service.NamedUser] finds, records the event, and keeps trying
// while others change the user too.
func (s *Service) change(ctx context.Context, named string, e storage.Event, edit func(*storage.User) error) (changed storage.User, err error) {
	doing := fmt.Sprintf("updating user %q", named)
	err = retry(doing, func() error {
		u, err := s.NamedUser(ctx, named)
		if err != nil {
			return fmt.Errorf("user %q: %w", named, err)
		}
		edited := u
		if err := edit(&edited); err != nil {
			return err
		}
		e.ID, e.Time, e.UserID = storage.NewEventID(), s.Now(), u.ID
		if err := s.Store.Commit(ctx, append(s.changed(u, edited, "", e.Time), storage.AppendEvent{Event: e})...); err != nil {
			return wrap(doing, err)
		}
		changed, err = s.Store.User(ctx, u.ID)
		return wrap("reading user", err)
	})
	return changed, err
}

func (s *Service) adminEvent(kind storage.EventKind, u storage.User) storage.Event {
	return storage.Event{ID: storage.NewEventID(), Time: s.Now(), Kind: kind, Outcome: storage.OutcomeOK, UserID: u.ID}
}

// Users yields every user.
func (s *Service) Users(ctx context.Context) iter.Seq2[storage.User, error] {
	return storage.AllUsers(ctx, s.Store)
}

// An ImportRecord is one user of another system, with the password hash as it
// was there.
type ImportRecord struct {
	NewUser
	PasswordHash string // empty: the user sets a password by recovery
	Disabled     bool
	CreatedAt    time.Time // zero: now
}

// clockSkew is how far ahead the clock may be that made a record.
const clockSkew = 24 * time.Hour

// ImportedUser returns the user of the record, with the event that says where it comes
// from, for a [storage.Loader]. It applies the rules of users and stores nothing. *InvalidError.
func (s *Service) ImportedUser(r ImportRecord) (storage.LoadedUser, error) {
	u, err := s.newUser(r.NewUser)
	if err != nil {
		return storage.LoadedUser{}, err
	}
	u.PasswordHash, u.Disabled = r.PasswordHash, r.Disabled
	if !r.CreatedAt.IsZero() {
		if r.CreatedAt.Unix() <= 0 || r.CreatedAt.After(s.Now().Add(clockSkew)) {
			return storage.LoadedUser{}, invalid("created_at", "must lie after 1970 and not in the future")
		}
		u.CreatedAt = r.CreatedAt.UTC().Truncate(time.Microsecond) // as stores keep it
	}
	return storage.LoadedUser{User: u, Event: s.adminEvent(storage.EventImported, u)}, nil
}

// AddImported creates the user of a record. *InvalidError, ErrTaken.
func (s *Service) AddImported(ctx context.Context, r ImportRecord) error {
	u, err := s.ImportedUser(r)
	if err != nil {
		return err
	}
	return s.Store.Commit(ctx, storage.CreateUser{User: u.User}, storage.AppendEvent{Event: u.Event})
}
