package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/identifier"
)

// NewUser is what an operator gives to add a user.
type NewUser struct {
	ID       UserID // empty: a new random one
	Username string // empty: the id, for those who have an e-mail address to log in with
	Email    string
	// EmailUnverified: the owner is yet to prove the address; nobody vouches for it.
	EmailUnverified bool
	Name            string
	Scope           string
	Password        string // checked and hashed; empty: nobody can log in with one
}

// AddUser creates a user. *InvalidError, ErrTaken.
func (s *Service) AddUser(ctx context.Context, n NewUser) (User, error) {
	u, err := s.newUser(n)
	if err != nil {
		return User{}, err
	}
	if n.Password != "" {
		if u.PasswordHash, err = s.hashNew(ctx, n.Password, u); err != nil {
			return User{}, err
		}
	}
	e := s.adminEvent(EventUserAdded, u)
	if err := s.Store.Commit(ctx, Batch{CreateUsers: []User{u}, Events: []Event{e}}); err != nil {
		return User{}, fmt.Errorf("adding user %q: %w", u.Username, err)
	}
	u.Version = 1
	return u, nil
}

// newUser checks every member but the password.
func (s *Service) newUser(n NewUser) (User, error) {
	n.Username, n.Email = identifier.Trim(n.Username), identifier.Trim(n.Email)
	email, err := identifier.CleanEmail(n.Email)
	if err != nil && n.Email != "" {
		return User{}, invalidMember("email", err)
	}
	if n.ID == "" {
		n.ID = UserID(newID())
	} else if err := checkID(n.ID); err != nil {
		return User{}, err
	}
	if n.Username == "" && email != "" {
		// Nothing personal, and nobody else's.
		n.Username = string(n.ID)
		if _, err := UsernameKey(n.Username); err != nil {
			n.Username = newID()
		}
	}
	if _, err := UsernameKey(n.Username); err != nil {
		return User{}, err
	}
	if err := identifier.CheckName(n.Name); err != nil {
		return User{}, invalidMember("name", err)
	}
	scope, err := CleanScope(n.Scope)
	if err != nil {
		return User{}, err
	}
	now := s.Now()
	return User{
		ID: n.ID, Username: n.Username, Email: email, EmailVerified: email != "" && !n.EmailUnverified, Name: n.Name, Scope: scope,
		CreatedAt: now, UpdatedAt: now,
	}, nil
}

// checkID holds ids to visible ASCII: they become "sub", the principalId of a
// policy and the value of a header.
func checkID(id UserID) error {
	if len(id) > 128 || strings.ContainsFunc(string(id), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return invalid("id", "must be at most 128 visible ASCII characters without spaces")
	}
	return nil
}

// UserByLogin finds a user by username or e-mail address; ErrNotFound.
func (s *Service) UserByLogin(ctx context.Context, login string) (User, error) {
	return s.userByLogin(ctx, login)
}

// NamedUser finds the user whom an operator names: by id, username or e-mail
// address. ErrNotFound; [ErrAmbiguous] where the text is the id of one user and the
// username of another.
func NamedUser(ctx context.Context, store Store, text string) (User, error) {
	u, err := FindUser(ctx, store, text)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, err
	}
	byID, idErr := store.User(ctx, UserID(text))
	switch {
	case errors.Is(idErr, ErrNotFound):
		return u, err
	case idErr != nil:
		return User{}, idErr
	case err == nil && u.ID != byID.ID:
		return User{}, ErrAmbiguous
	}
	return byID, nil
}

// NamedUser is the function of that name on the service's store.
func (s *Service) NamedUser(ctx context.Context, text string) (User, error) {
	return NamedUser(ctx, s.Store, text)
}

// CheckPassword returns the enabled user with the password, for operators.
// ErrNotFound when there is no such user, ErrInvalidCredentials when the
// password is another one or the user is disabled.
func (s *Service) CheckPassword(ctx context.Context, login, password string) (User, error) {
	u, err := s.userByLogin(ctx, login)
	if err != nil {
		return User{}, err
	}
	if u.Disabled || u.PasswordHash == "" {
		return User{}, ErrInvalidCredentials
	}
	ok, _, err := s.verify(ctx, u.PasswordHash, password)
	if err == nil && !ok {
		err = ErrInvalidCredentials
	}
	return u, err
}

// UpdateUser changes a user and keeps trying while others change it too. Only
// profile and scope may be changed this way: ids and usernames stay.
func (s *Service) UpdateUser(ctx context.Context, named string, change func(*User)) (User, error) {
	return s.update(ctx, named, EventUserUpdated, func(u *User) error {
		changed := *u
		change(&changed)
		checked, err := s.newUser(NewUser{ID: u.ID, Username: u.Username, Email: changed.Email, Name: changed.Name, Scope: changed.Scope})
		if err == nil && checked.Email != u.Email {
			u.Email, u.EmailVerified, u.PendingEmail = checked.Email, checked.EmailVerified, ""
		}
		u.Name, u.Scope = checked.Name, checked.Scope
		return err
	})
}

// SetPassword gives a user a new password and ends the user's sessions.
func (s *Service) SetPassword(ctx context.Context, named, password string) (User, error) {
	u, err := s.NamedUser(ctx, named)
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", named, err)
	}
	hash, err := s.hashNew(ctx, password, u)
	if err != nil {
		return User{}, err
	}
	return s.update(ctx, named, EventPasswordSet, func(u *User) error {
		u.PasswordHash, u.PendingEmail = hash, ""
		u.endSessions(s.Now())
		return nil
	})
}

// Invite creates a user who chooses a password by a link in a mail, or mails
// another link to one who has not done so yet. *InvalidError; ErrTaken when the
// address, the id or the username is somebody else's; ErrNoMail.
func (s *Service) Invite(ctx context.Context, n NewUser) (User, error) {
	if !s.SendsMail {
		return User{}, ErrNoMail
	}
	n.EmailUnverified = true
	u, err := s.newUser(n)
	if err != nil {
		return User{}, err
	}
	if u.Email == "" {
		return User{}, invalid("email", "must not be empty: the link goes there")
	}
	key, err := EmailKey(u.Email)
	if err != nil {
		return User{}, err
	}
	var b Batch
	switch invited, err := s.Store.UserByEmail(ctx, key); {
	case errors.Is(err, ErrNotFound):
		b.CreateUsers = []User{u}
	case err != nil:
		return User{}, fmt.Errorf("looking up user: %w", err)
	case invited.PasswordHash != "" || invited.Disabled:
		return User{}, ErrTaken
	default: // what is said now counts, what is not said stays
		invited.Name, invited.Scope = cmp.Or(u.Name, invited.Name), cmp.Or(u.Scope, invited.Scope)
		if named := identifier.Trim(n.Username); named != "" {
			invited.Username = named
		}
		u = invited
		u.UpdatedAt = s.Now()
		b.UpdateUsers = []User{u}
	}
	b.Events = []Event{s.adminEvent(EventUserInvited, u)}
	t := Ticket{Purpose: PurposeInvite, Email: u.Email, UserID: u.ID, Bound: bound(u)}
	if err := s.mailTicket(&b, t, key, Message{Kind: MessageInvite}, Client{}, s.Now()); err != nil {
		return User{}, err
	}
	return u, wrap("storing invitation", s.commit(ctx, b))
}

// Disable stops a user from logging in and ends the user's sessions, or lets
// the user log in again.
func (s *Service) Disable(ctx context.Context, named string, disabled bool) (User, error) {
	kind := EventEnabled
	if disabled {
		kind = EventDisabled
	}
	return s.update(ctx, named, kind, func(u *User) error {
		u.Disabled = disabled
		if disabled {
			u.endSessions(s.Now())
		}
		return nil
	})
}

// EndSessions ends all of a user's sessions.
func (s *Service) EndSessions(ctx context.Context, named string) (User, error) {
	logout := Event{Kind: EventLogout, Outcome: Outcome(LogoutAll)}
	return s.change(ctx, named, logout, func(u *User) error {
		u.endSessions(s.Now())
		return nil
	})
}

// endedTogether is how many users' sessions end in one commit.
const endedTogether = 50

// EndAllSessions ends every session of every user, and voids the links and codes that
// were mailed to their addresses. A registration that nobody has confirmed is no
// user's, and stays. tell gets the number of users so far. Whoever is interrupted
// begins anew.
func (s *Service) EndAllSessions(ctx context.Context, tell func(users int)) error {
	n := 0
	end := func(some []User) error {
		if err := s.endAllOf(ctx, some); err != nil {
			return err
		}
		n += len(some)
		tell(n)
		return nil
	}
	var some []User
	for u, err := range s.Users(ctx) {
		if err != nil {
			return err
		}
		if some = append(some, u); len(some) < endedTogether {
			continue
		}
		if err := end(some); err != nil {
			return err
		}
		some = some[:0]
	}
	return end(some)
}

// endAllOf ends the sessions of some users together, or of each alone when one of them
// has changed since.
func (s *Service) endAllOf(ctx context.Context, users []User) error {
	var b Batch
	for _, u := range users {
		if err := s.endAll(ctx, &b, u); err != nil {
			return err
		}
	}
	err := s.Store.Commit(ctx, b)
	if !errors.Is(err, ErrConflict) {
		return wrap("ending sessions", err)
	}
	for _, u := range users {
		err := retry(fmt.Sprintf("ending sessions of user %q", u.ID), func() error {
			u, err := s.Store.User(ctx, u.ID)
			if errors.Is(err, ErrNotFound) {
				return nil // deleted, with all sessions
			}
			if err != nil {
				return fmt.Errorf("reading user: %w", err)
			}
			var b Batch
			if err := s.endAll(ctx, &b, u); err != nil {
				return err
			}
			return s.Store.Commit(ctx, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endAll has the batch end the user's sessions, and take the tickets of the user's
// addresses.
func (s *Service) endAll(ctx context.Context, b *Batch, u User) error {
	now := s.Now()
	u.endSessions(now)
	u.UpdatedAt = now
	b.UpdateUsers = append(b.UpdateUsers, u)
	b.Events = append(b.Events, Event{Time: now, Kind: EventLogout, Outcome: Outcome(LogoutAll), UserID: u.ID})
	for _, email := range []string{u.Email, u.PendingEmail} {
		key, err := EmailKey(email)
		if err != nil { // there is none
			continue
		}
		for purpose := range pages {
			t, err := s.Store.Ticket(ctx, s.ticketID(purpose, key))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("reading ticket: %w", err)
			}
			b.TakeTickets = append(b.TakeTickets, t)
		}
	}
	return nil
}

// DeleteUser deletes a user with all sessions. The username and the address are
// free then; the id is never given to anybody else.
func (s *Service) DeleteUser(ctx context.Context, id UserID) error {
	return retry(fmt.Sprintf("deleting user %q", id), func() error {
		u, err := s.Store.User(ctx, id)
		if err != nil {
			return fmt.Errorf("user %q: %w", id, err)
		}
		b := Batch{DeleteUsers: []User{u}, Events: []Event{s.adminEvent(EventUserDeleted, u)}}
		return wrap(fmt.Sprintf("deleting user %q", id), s.Store.Commit(ctx, b))
	})
}

func (s *Service) update(ctx context.Context, named string, kind EventKind, edit func(*User) error) (User, error) {
	return s.change(ctx, named, Event{Kind: kind, Outcome: OutcomeOK}, edit)
}

// change edits the user whom [NamedUser] finds, records the event, and keeps trying
// while others change the user too.
func (s *Service) change(ctx context.Context, named string, e Event, edit func(*User) error) (changed User, err error) {
	doing := fmt.Sprintf("updating user %q", named)
	err = retry(doing, func() error {
		u, err := s.NamedUser(ctx, named)
		if err != nil {
			return fmt.Errorf("user %q: %w", named, err)
		}
		if err := edit(&u); err != nil {
			return err
		}
		u.UpdatedAt = s.Now()
		e.Time, e.UserID = u.UpdatedAt, u.ID
		if err := s.Store.Commit(ctx, Batch{UpdateUsers: []User{u}, Events: []Event{e}}); err != nil {
			return wrap(doing, err)
		}
		u.Version++
		changed = u
		return nil
	})
	return changed, err
}

func (s *Service) adminEvent(kind EventKind, u User) Event {
	return Event{Time: s.Now(), Kind: kind, Outcome: OutcomeOK, UserID: u.ID}
}

// usersPage is how many users are read at a time.
const usersPage = 500

// Users yields every user, by id.
func (s *Service) Users(ctx context.Context) iter.Seq2[User, error] { return AllUsers(ctx, s.Store) }

// AllUsers yields every user of a store, by id, for those who need no service.
func AllUsers(ctx context.Context, store Store) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		var after UserID
		for {
			page, err := store.Users(ctx, after, usersPage)
			if err != nil {
				yield(User{}, fmt.Errorf("reading users: %w", err))
				return
			}
			for _, u := range page {
				if !yield(u, nil) {
					return
				}
			}
			if len(page) < usersPage {
				return
			}
			after = page[len(page)-1].ID
		}
	}
}
