package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// bearer finds the living session and the user of verified claims; ErrInvalidToken.
func (s *Service) bearer(ctx context.Context, c latchkey.Claims) (Session, User, error) {
	session, user, err := s.Store.SessionUser(ctx, SessionID(c.SessionID))
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, User{}, ErrInvalidToken
	case err != nil:
		return Session{}, User{}, fmt.Errorf("reading session: %w", err)
	case string(user.ID) != c.Subject || !session.alive(user, s.Now(), s.SessionIdle):
		return Session{}, User{}, ErrInvalidToken
	}
	return session, user, nil
}

// bearerWith is bearer for whoever has proved the password of the hash.
// ErrInvalidCredentials when it was changed meanwhile: what was proved is void.
func (s *Service) bearerWith(ctx context.Context, c latchkey.Claims, proved string) (Session, User, error) {
	session, user, err := s.bearer(ctx, c)
	if err == nil && user.PasswordHash != proved {
		err = ErrInvalidCredentials
	}
	return session, user, err
}

// LogoutScope says which sessions a logout ends.
type LogoutScope string

const (
	LogoutThis   LogoutScope = "this"   // the one of the bearer token
	LogoutOthers LogoutScope = "others" // all but that one
	LogoutAll    LogoutScope = "all"
)

// Logout ends sessions of the bearer. It is idempotent: a session that has
// ended before is no error. *InvalidError for an unknown scope.
func (s *Service) Logout(ctx context.Context, claims latchkey.Claims, scope LogoutScope, c Client) error {
	if scope != LogoutThis && scope != LogoutOthers && scope != LogoutAll {
		return invalid("scope", "must be this, others or all")
	}
	if claims.SessionID == "" && claims.Legacy {
		return s.legacyLogout(ctx, claims, scope, c)
	}
	end := s.logoutAll
	switch scope {
	case LogoutThis:
		end = s.logoutThis
	case LogoutOthers:
		end = s.logoutOthers
	}
	if err := end(ctx, claims, c); !errors.Is(err, ErrInvalidToken) {
		return err
	}
	return nil
}

func (s *Service) logoutThis(ctx context.Context, claims latchkey.Claims, c Client) error {
	return retry("logging out", func() error {
		session, _, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		return s.endSession(ctx, session, c, s.Now())
	})
}

func (s *Service) logoutOthers(ctx context.Context, claims latchkey.Claims, c Client) error {
	return s.bearerAlone(ctx, claims, EventLogout, c, "logging out", func(session Session, user User) error {
		now := s.Now()
		b := Batch{Events: []Event{sessionEvent(c, EventLogout, Outcome(LogoutOthers), session, now)}}
		if err := s.stayHome(ctx, &b, &user, c, func() { b.endOthers(&user, &session, now) }); err != nil {
			return err
		}
		return s.Store.Commit(ctx, b)
	})
}

func (s *Service) logoutAll(ctx context.Context, claims latchkey.Claims, c Client) error {
	_, user, err := s.bearer(ctx, claims)
	if err != nil {
		return err
	}
	return s.alone(ctx, user.ID, "", "logging out", func() error { // ends who asks, too
		session, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		now := s.Now()
		user.endSessions(now)
		return s.Store.Commit(ctx, Batch{
			UpdateUsers: []User{user},
			Events:      []Event{sessionEvent(c, EventLogout, Outcome(LogoutAll), session, now)},
		})
	})
}

// legacyLogout ends a token of the old system, which has no session: it is
// remembered as ended for as long as it would live. With it end all sessions of its
// user, unless it is to go alone; there is none that it could spare.
func (s *Service) legacyLogout(ctx context.Context, claims latchkey.Claims, scope LogoutScope, c Client) error {
	by := "bearer " + string(s.endedToken(claims))
	err := s.alone(ctx, UserID(claims.Subject), by, "logging out", func() error {
		user, err := s.legacyBearer(ctx, claims)
		if errors.Is(err, ErrInvalidToken) {
			return nil
		}
		if err != nil {
			return err
		}
		now := s.Now()
		e := c.event(EventLogout, Outcome(scope), now)
		e.UserID = UserID(claims.Subject)
		b := Batch{Events: []Event{e}, PutTickets: []Ticket{{
			ID: s.endedToken(claims), Purpose: purposeEnded, CreatedAt: now, ExpiresAt: claims.ExpiresAt,
		}}}
		if user.ID != "" && scope != LogoutThis {
			user.endSessions(now)
			b.UpdateUsers = []User{user}
		}
		return s.Store.Commit(ctx, b)
	})
	return s.recordLimited(ctx, c, EventLogout, User{ID: UserID(claims.Subject)}, err)
}

// endedToken is the ticket that says that a token without session has ended. Such
// a token has no id either; two of one user and second are as good as one.
func (s *Service) endedToken(c latchkey.Claims) TicketID {
	return s.ticketID(purposeEnded, fmt.Sprintf("%s %d %d", c.Subject, c.IssuedAt.Unix(), c.ExpiresAt.Unix()))
}

// stayHome does what ends the user's sessions, and the client's network stays one
// of the user's if it was.
func (s *Service) stayHome(ctx context.Context, b *Batch, user *User, c Client, end func()) error {
	before, err := s.homeOf(ctx, *user, c)
	if err != nil {
		return err
	}
	end()
	if !before.known {
		return nil
	}
	after, err := s.homeOf(ctx, *user, c)
	if err != nil {
		return err
	}
	after.stay(b, s.Now())
	return nil
}

// endOthers ends all of the user's sessions but the given one, in one write
// for however many there are.
func (b *Batch) endOthers(user *User, session *Session, now time.Time) {
	user.endSessions(now)
	session.Since = user.SessionsFrom
	b.UpdateUsers, b.UpdateSessions = []User{*user}, []Session{*session}
}

// LogoutByRefreshToken ends the session that the token belongs to, for clients
// whose access token has expired. Idempotent: any other token is no error, and
// changes nothing but that it counts. *LimitError.
func (s *Service) LogoutByRefreshToken(ctx context.Context, token string, c Client) error {
	id, secret, ok := parseRefreshToken(token)
	if !ok {
		return nil
	}
	return retry("logging out", func() error {
		session, user, err := s.Store.SessionUser(ctx, id)
		now := s.Now()
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("reading session: %w", err)
		case !session.alive(user, now, s.SessionIdle):
			return nil
		case session.live(secret):
			return s.endSession(ctx, session, c, now)
		}
		spent, done, err := s.wasSpent(ctx, c, session, secret)
		if err != nil {
			return s.recordLimited(ctx, c, EventLogout, User{}, err)
		}
		defer done()
		if spent {
			return s.endSession(ctx, session, c, now)
		}
		e := sessionEvent(c, EventLogout, OutcomeWrongToken, session, now)
		return wrap("recording wrong token", s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: s.stray(c).hits(now)}))
	})
}

// endSession ends a session by the wish of its owner.
func (s *Service) endSession(ctx context.Context, session Session, c Client, now time.Time) error {
	session.EndedAt = now
	return s.Store.Commit(ctx, Batch{
		UpdateSessions: []Session{session},
		Events:         []Event{sessionEvent(c, EventLogout, Outcome(LogoutThis), session, now)},
	})
}

// Sessions returns the bearer's living sessions, latest used first, and the id
// of the bearer's own.
func (s *Service) Sessions(ctx context.Context, claims latchkey.Claims) ([]Session, SessionID, error) {
	own, user, err := s.bearer(ctx, claims)
	if err != nil {
		return nil, "", err
	}
	now := s.Now()
	all, err := s.Store.UserSessions(ctx, user.ID, user.SessionsFrom, now, s.SessionIdle, maxSessions)
	if err != nil {
		return nil, "", fmt.Errorf("reading sessions: %w", err)
	}
	var living []Session
	for _, session := range all {
		if session.alive(user, now, s.SessionIdle) {
			living = append(living, session)
		}
	}
	if !slices.ContainsFunc(living, func(s Session) bool { return s.ID == own.ID }) {
		living = append(living[:min(len(living), maxSessions-1)], own) // it began before all of these
	}
	slices.SortStableFunc(living, func(a, b Session) int { return b.LastUsedAt.Compare(a.LastUsedAt) })
	return living, own.ID, nil
}

// maxSessions is how many living sessions a user has: those that began last. No index
// knows which were used last, every refresh would pay for it.
const maxSessions = 100

// EndSession ends one of the bearer's sessions; ErrNotFound when there is no
// living one of that id.
func (s *Service) EndSession(ctx context.Context, claims latchkey.Claims, id SessionID, c Client) error {
	return retry("ending session", func() error {
		_, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		session, err := s.session(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		now := s.Now()
		if err != nil || !session.alive(user, now, s.SessionIdle) { // nor is somebody else's
			e := c.event(EventLogout, OutcomeDeadSession, now)
			e.UserID = user.ID
			return cmp.Or(s.recordRepeated(ctx, "no session of "+string(user.ID), e), ErrNotFound)
		}
		return s.endSession(ctx, session, c, now)
	})
}

// session reads the session of an id that a stranger chose. ErrNotFound.
func (s *Service) session(ctx context.Context, id SessionID) (Session, error) {
	if len(id) > maxID {
		return Session{}, ErrNotFound
	}
	session, _, err := s.Store.SessionUser(ctx, id)
	return session, wrap("reading session", err)
}

// ChangePassword gives the bearer a new password and ends the other sessions.
// ErrInvalidCredentials when current is wrong.
func (s *Service) ChangePassword(ctx context.Context, claims latchkey.Claims, current, password string, c Client) error {
	session, user, err := s.bearer(ctx, claims)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, user, current, EventPasswordSet, c); err != nil {
		return named(err, "current_password")
	}
	attempt := s.notified(s.uncounted("signed in", c), user)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return s.recordLimited(ctx, c, EventPasswordSet, user, err)
	}
	defer done()
	hash, err := s.hashNew(ctx, password, user)
	if err != nil {
		e := sessionEvent(c, EventPasswordSet, OutcomeOK, session, s.Now())
		return named(s.recordRefused(ctx, e, err), "new_password")
	}
	proved := user.PasswordHash
	return s.alone(ctx, user.ID, "", "changing password", func() error {
		session, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		now := s.Now()
		user.PasswordHash, user.UpdatedAt, user.PendingEmail = hash, now, ""
		b := Batch{Events: []Event{sessionEvent(c, EventPasswordSet, OutcomeOK, session, now)}, Hits: attempt.hits(now)}
		b.endOthers(&user, &session, now)
		if err := s.notify(&b, user, MessagePasswordChanged, c); err != nil {
			return err
		}
		home, err := s.homeOf(ctx, user, c)
		if err != nil {
			return err
		}
		home.stay(&b, now)
		return s.commit(ctx, b)
	})
}

// named gives a refused password the name of the member that it stood in.
func named(err error, field string) error {
	var refused *InvalidError
	if errors.As(err, &refused) {
		return &InvalidError{Field: field, Reason: refused.Reason}
	}
	return err
}

// confirm has the bearer prove the password again.
func (s *Service) confirm(ctx context.Context, user User, password string, kind EventKind, c Client) error {
	if err := checkLogin(LoginRequest{Username: user.Username, Password: password}); err != nil {
		return err
	}
	attempt := s.signedIn(user, c)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return s.recordLimited(ctx, c, kind, user, err)
	}
	defer done()
	ok, _, err := s.verify(ctx, user.PasswordHash, password)
	if err != nil {
		return err
	}
	if ok {
		return nil
	}
	e := c.event(kind, OutcomeWrongPassword, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: attempt.hits(s.Now())}); err != nil {
		return fmt.Errorf("recording wrong password: %w", err)
	}
	return ErrInvalidCredentials
}

// Rename changes the bearer's name and returns who that is now.
func (s *Service) Rename(ctx context.Context, claims latchkey.Claims, name string, c Client) (Identity, error) {
	var now Identity
	err := s.bearerAlone(ctx, claims, EventUserUpdated, c, "changing name", func(session Session, user User) error {
		user.Name, user.UpdatedAt = name, s.Now()
		if _, err := s.newUser(NewUser{ID: user.ID, Username: user.Username, Email: user.Email, Name: name, Scope: user.Scope}); err != nil {
			return err
		}
		now = identity(user, session.ID)
		return s.Store.Commit(ctx, Batch{
			UpdateUsers: []User{user},
			Events:      []Event{sessionEvent(c, EventUserUpdated, OutcomeOK, session, user.UpdatedAt)},
		})
	})
	return now, err
}

// DeleteAccount deletes the bearer, who proves the password again, with all
// sessions. The username and the address are free then; the id is never given
// to anybody else.
func (s *Service) DeleteAccount(ctx context.Context, claims latchkey.Claims, password string, c Client) error {
	_, user, err := s.bearer(ctx, claims)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, user, password, EventUserDeleted, c); err != nil {
		return err
	}
	proved := user.PasswordHash
	return s.alone(ctx, user.ID, "", "deleting account", func() error {
		session, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		b := Batch{DeleteUsers: []User{user}, Events: []Event{sessionEvent(c, EventUserDeleted, OutcomeOK, session, s.Now())}}
		if err := s.notify(&b, user, MessageAccountDeleted, c); err != nil {
			return err
		}
		return s.commit(ctx, b)
	})
}
