package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// LogoutScope says which sessions a logout ends.
type LogoutScope string

const (
	LogoutThis   = LogoutScope(storage.OutcomeThis)   // the one of the bearer token
	LogoutOthers = LogoutScope(storage.OutcomeOthers) // all but that one
	LogoutAll    = LogoutScope(storage.OutcomeAll)
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
	err := end(ctx, claims, c)
	if errors.Is(err, ErrInvalidToken) && scope == LogoutThis {
		return nil
	}
	return err
}

func (s *Service) logoutThis(ctx context.Context, claims latchkey.Claims, c Client) error {
	return retry("logging out", func() error {
		session, _, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		return s.endByOwner(ctx, session, c, s.Now())
	})
}

// logoutOthers moves the epoch and takes the bearer's session along, in one write for
// however many others there are. Where there are none it moves nothing: whoever has a
// token cannot make others' sign-ins lose by asking over and over.
func (s *Service) logoutOthers(ctx context.Context, claims latchkey.Claims, c Client) error {
	return retry("logging out", func() error {
		session, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		others, err := s.hasOtherSessions(ctx, session, user)
		if err != nil {
			return err
		}
		now := s.Now()
		e := sessionEvent(c, storage.EventLogout, storage.OutcomeOthers, session, now)
		if !others {
			return s.repeats.Record(ctx, "no other sessions than "+string(session.ID), e)
		}
		ended := user
		moveEpoch(&ended, now)
		known, err := s.stayKnown(ctx, user, ended, c)
		if err != nil {
			return err
		}
		changes := append(s.outlived(user, ended, session, now), storage.AppendEvent{Event: e})
		return s.Store.Commit(ctx, append(changes, known...)...)
	})
}

func (s *Service) hasOtherSessions(ctx context.Context, own storage.Session, user storage.User) (bool, error) {
	unended, err := s.Store.UserSessions(ctx, user.ID, user.Epoch, 0, 2*maxSessions) // some nobody uses any more
	if err != nil {
		return false, fmt.Errorf("reading sessions: %w", err)
	}
	now := s.Now()
	return slices.ContainsFunc(unended, func(other storage.Session) bool {
		return other.ID != own.ID && alive(other, user, now, s.SessionIdle)
	}), nil
}

// outlived is the changes that store a user whose epoch has moved, and the one session
// that goes on.
func (s *Service) outlived(before, after storage.User, session storage.Session, now time.Time) []storage.Change {
	session.Epoch = after.Epoch
	return append(s.changed(before, after, session.ID, now), storage.KeepSession{Session: session})
}

func (s *Service) logoutAll(ctx context.Context, claims latchkey.Claims, c Client) error {
	return retry("logging out", func() error {
		session, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		now := s.Now()
		ended := user
		moveEpoch(&ended, now)
		e := sessionEvent(c, storage.EventLogout, storage.OutcomeAll, session, now)
		return s.Store.Commit(ctx, append(s.changed(user, ended, "", now), storage.AppendEvent{Event: e})...)
	})
}

// endByOwner ends a session by the wish of its owner.
func (s *Service) endByOwner(ctx context.Context, session storage.Session, c Client, now time.Time) error {
	return s.Store.Commit(ctx, s.ending(session, sessionEvent(c, storage.EventLogout, storage.OutcomeThis, session, now))...)
}

// Sessions returns the bearer's living sessions, latest used first, and the id
// of the bearer's own.
func (s *Service) Sessions(ctx context.Context, claims latchkey.Claims) ([]storage.Session, storage.SessionID, error) {
	own, user, err := s.bearer(ctx, claims)
	if err != nil {
		return nil, "", err
	}
	now := s.Now()
	all, err := s.Store.UserSessions(ctx, user.ID, user.Epoch, 0, 2*maxSessions) // some nobody uses any more
	if err != nil {
		return nil, "", fmt.Errorf("reading sessions: %w", err)
	}
	var living []storage.Session
	for _, session := range all {
		if alive(session, user, now, s.SessionIdle) {
			living = append(living, session)
		}
	}
	if !slices.ContainsFunc(living, func(s storage.Session) bool { return s.ID == own.ID }) {
		living = append(living[:min(len(living), maxSessions-1)], own) // it began before all of these
	}
	living = living[:min(len(living), maxSessions)]
	slices.SortStableFunc(living, func(a, b storage.Session) int { return b.LastUsedAt.Compare(a.LastUsedAt) })
	return living, own.ID, nil
}

// EndSession ends one of the bearer's sessions; ErrNotFound when there is no
// living one of that id.
func (s *Service) EndSession(ctx context.Context, claims latchkey.Claims, id storage.SessionID, c Client) error {
	return retry("ending session", func() error {
		_, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		session, err := s.session(ctx, id)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		now := s.Now()
		if err != nil || !alive(session, user, now, s.SessionIdle) { // nor is somebody else's
			e := c.event(storage.EventLogout, storage.OutcomeDeadSession, now)
			e.UserID = user.ID
			return cmp.Or(s.repeats.Record(ctx, "no session of "+string(user.ID), e), storage.ErrNotFound)
		}
		return s.endByOwner(ctx, session, c, now)
	})
}

// session reads the session of an id that a stranger chose. ErrNotFound.
func (s *Service) session(ctx context.Context, id storage.SessionID) (storage.Session, error) {
	if len(id) > opaque.MaxID {
		return storage.Session{}, storage.ErrNotFound
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
	place, err := s.confirm(ctx, user, current, storage.EventPasswordSet, c)
	if err != nil {
		return named(err, "current_password")
	}
	defer place.Release()
	reservation, err := s.reserve(ctx, s.notified(limit.Attempt{}, user))
	if err != nil {
		return s.recordLimited(ctx, c, storage.EventPasswordSet, user, err)
	}
	defer reservation.Release()
	hash, err := s.hashNew(ctx, password, user)
	if err != nil {
		e := sessionEvent(c, storage.EventPasswordSet, storage.OutcomeOK, session, s.Now())
		return named(s.recordRefused(ctx, e, err), "new_password")
	}
	if err := reservation.Failed(ctx); err != nil { // the notice counts
		return err
	}
	proved := user
	return retry("changing password", func() error {
		session, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		return s.storePassword(ctx, session, user, hash, c)
	})
}

// storePassword stores a new password and ends the other sessions.
func (s *Service) storePassword(ctx context.Context, session storage.Session, user storage.User, hash string, c Client) error {
	now := s.Now()
	changed := user
	changed.PasswordHash, changed.PendingEmail = hash, ""
	moveEpoch(&changed, now)
	changes := append(s.outlived(user, changed, session, now), storage.AppendEvent{Event: sessionEvent(c, storage.EventPasswordSet, storage.OutcomeOK, session, now)})
	notice, err := s.notice(changed, message.PasswordChanged, c)
	if err != nil {
		return err
	}
	known, err := s.becomeKnown(ctx, changed, c)
	if err != nil {
		return err
	}
	return s.commit(ctx, slices.Concat(changes, notice, known))
}

// named gives a refused password the name of the member that it stood in.
func named(err error, field string) error {
	var refused *InvalidError
	if errors.As(err, &refused) {
		return &InvalidError{Field: field, Reason: refused.Reason}
	}
	return err
}

// Rename changes the bearer's name and returns who that is now.
func (s *Service) Rename(ctx context.Context, claims latchkey.Claims, name string, c Client) (Identity, error) {
	var now Identity
	err := retry("changing name", func() error {
		session, user, err := s.bearer(ctx, claims)
		if err != nil {
			return err
		}
		renamed := user
		renamed.Name = name
		if err := checkName(name); err != nil {
			return err
		}
		now = s.identity(renamed, session.ID)
		e := sessionEvent(c, storage.EventUserUpdated, storage.OutcomeOK, session, s.Now())
		return s.Store.Commit(ctx, append(s.changed(user, renamed, "", e.Time), storage.AppendEvent{Event: e})...)
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
	place, err := s.confirm(ctx, user, password, storage.EventUserDeleted, c)
	if err != nil {
		return err
	}
	defer place.Release()
	proved := user
	return retry("deleting account", func() error {
		session, user, err := s.bearerWith(ctx, claims, proved)
		if err != nil {
			return err
		}
		now := s.Now()
		notice, err := s.notice(user, message.AccountDeleted, c)
		if err != nil {
			return err
		}
		changes, err := s.deletion(ctx, user, now)
		if err != nil {
			return err
		}
		e := sessionEvent(c, storage.EventUserDeleted, storage.OutcomeOK, session, now)
		return s.commit(ctx, append(slices.Concat(changes, notice), storage.AppendEvent{Event: e}))
	})
}

// Identity is the answer to "who am I".
type Identity struct {
	ID            storage.UserID
	Username      string
	Name          string
	Email         string
	EmailVerified bool
	PendingEmail  string            // takes the place of Email once it is proved
	Scope         string            // what the user may do, by roles too
	SessionID     storage.SessionID // empty: a token that belongs to no session
}

// Me returns who bears the token whose claims were verified, as the store knows
// them now. ErrInvalidToken when the session has ended or its user is disabled
// or gone.
func (s *Service) Me(ctx context.Context, c latchkey.Claims) (Identity, error) {
	if c.SessionID == "" && c.Legacy {
		return s.legacyMe(ctx, c)
	}
	session, user, err := s.bearer(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	return s.identity(user, session.ID), nil
}

func (s *Service) identity(u storage.User, sid storage.SessionID) Identity {
	return Identity{
		ID: u.ID, Username: u.Username, Name: u.Name, Scope: s.Roles.Scope(u), SessionID: sid,
		Email: u.Email, EmailVerified: u.EmailVerified, PendingEmail: u.PendingEmail,
	}
}
