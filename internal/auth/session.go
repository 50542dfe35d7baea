package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A Grant is what a token is minted for.
type Grant struct {
	ClientID string // RFC 9068 section 2.2
	// Scope is what was asked for; empty: all that the user has.
	Scope string
}

// alive reports whether the session may still be used by its user at now, when it ends
// after so long without use.
func alive(s storage.Session, u storage.User, now time.Time, idle time.Duration) bool {
	return s.UserID == u.ID && !u.Disabled && s.Epoch >= u.Epoch && living(s, now, idle)
}

// living is alive as far as the session itself says.
func living(s storage.Session, now time.Time, idle time.Duration) bool {
	return s.EndedAt.IsZero() && now.Before(s.ExpiresAt) && now.Sub(s.LastUsedAt) < idle
}

// Tokens is what a sign-in gives.
type Tokens struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
}

// Login checks the password, opens a session and returns its tokens.
// ErrInvalidCredentials says neither whether the user exists nor whether it is disabled;
// *InvalidError, *LimitError, ErrBusy and ErrUnavailable are as their comments say.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Tokens, error) {
	if err := checkLogin(r); err != nil {
		return Tokens{}, err
	}
	for range maxAttempts {
		a, err := s.authenticate(ctx, r)
		if err != nil {
			return Tokens{}, err
		}
		tokens, err := s.openSession(ctx, a, directGrant(), r.Client)
		if !errors.Is(err, errOtherCredentials) {
			return tokens, err
		}
	}
	return Tokens{}, fmt.Errorf("logging in: %w: %w", storage.ErrUnavailable, errOtherCredentials)
}

// errOtherCredentials: what was checked of the user does not hold any more.
var errOtherCredentials = errors.New("the user's credentials have changed")

// directGrant is the grant of users who sign in here directly.
func directGrant() Grant { return Grant{ClientID: ClientID} }

// openSession stores a session of the user who was authenticated, bound to the epoch: a
// password that is changed while the old one is being checked must not open a session. A
// login that has lost only to ended sessions or to a rename goes on without another hash.
// errOtherCredentials.
func (s *Service) openSession(ctx context.Context, a authenticated, g Grant, c Client) (tokens Tokens, err error) {
	user, lost := a.user, false
	err = retry("storing session", func() error {
		if lost {
			if user, err = s.stillAuthenticated(ctx, a); err != nil {
				return err
			}
			if a.network, err = s.knownNetwork(ctx, user, c); err != nil { // of the sessions since
				return err
			}
			a.strongerHash = ""
		}
		lost = true
		session, minted, err := s.newSession(ctx, user, a.proof, g, c, s.Now())
		if err != nil {
			return err
		}
		tokens = minted
		changes := []storage.Change{storage.CreateSession{Session: session}, storage.AppendEvent{Event: sessionEvent(c, storage.EventLogin, storage.OutcomeOK, session, session.CreatedAt)}}
		changes = append(changes, a.network.remember(session.CreatedAt)...)
		changes = append(changes, boundToEpoch(user, a.strongerHash, session.CreatedAt))
		return wrap("storing session", s.Store.Commit(ctx, changes...))
	})
	if err != nil {
		return Tokens{}, err
	}
	if a.sessions >= maxSessions { // with this one there are more
		s.endSurplus(ctx, user, c)
	}
	return tokens, nil
}

// boundToEpoch binds a commit to the epoch of the user, and stores a stronger hash.
func boundToEpoch(user storage.User, strongerHash string, now time.Time) storage.Change {
	if strongerHash == "" {
		return storage.CheckEpoch{UserID: user.ID, Epoch: user.Epoch}
	}
	better := user
	better.PasswordHash, better.UpdatedAt = strongerHash, now
	return storage.UpdateUser{Old: user, New: better}
}

// stillAuthenticated reads the user again. errOtherCredentials.
func (s *Service) stillAuthenticated(ctx context.Context, a authenticated) (storage.User, error) {
	user, err := s.Store.User(ctx, a.user.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return storage.User{}, errOtherCredentials
	case err != nil:
		return storage.User{}, fmt.Errorf("reading user: %w", err)
	case !sameCredentials(a.user, user) || user.Disabled || s.awaitsVerification(user):
		return storage.User{}, errOtherCredentials
	}
	return user, nil
}

// newSession returns a session that begins now, and its tokens.
func (s *Service) newSession(ctx context.Context, user storage.User, p storage.Proof, g Grant, c Client, now time.Time) (storage.Session, Tokens, error) {
	session := storage.Session{
		ID: storage.SessionID(newID()), UserID: user.ID, Epoch: user.Epoch, Proof: p, ClientID: g.ClientID, Scope: g.Scope, Seed: newSeed(),
		Device: shorten(c.Device, maxDevice), Address: c.Address, CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(s.SessionLifetime),
	}
	access, err := s.mint(ctx, user, session, now)
	if err != nil {
		return storage.Session{}, Tokens{}, err
	}
	return session, Tokens{access, s.AccessTokenTTL, s.refreshKey().Live(session)}, nil
}

const (
	// maxSessions is how many living sessions a user has; beyond it the oldest end.
	maxSessions = storage.MaxCounted
	// endedAtOnce is how many one login ends at most: more than it begins, so that a
	// user with very many has fewer after each.
	endedAtOnce = 5
	// triesToEnd is how often one login tries.
	triesToEnd = 5
)

// endSurplus ends the user's oldest sessions when there are too many. It is done after
// the login and apart from it, as far as it can be: logins that meet here end the same
// ones, and leave the rest to the next one.
func (s *Service) endSurplus(ctx context.Context, user storage.User, c Client) {
	for range triesToEnd {
		surplus, err := s.Store.UserSessions(ctx, user.ID, user.Epoch, maxSessions, maxSessions)
		if err != nil || len(surplus) == 0 {
			return
		}
		var changes []storage.Change
		for _, session := range surplus[max(0, len(surplus)-endedAtOnce):] {
			changes = append(changes, s.ending(session, sessionEvent(c, storage.EventLogout, storage.OutcomeTooMany, session, s.Now()))...)
		}
		if err := s.Store.Commit(ctx, changes...); !errors.Is(err, storage.ErrConflict) {
			return
		}
	}
}

// ending is the changes that end a session by what the event tells.
func (s *Service) ending(session storage.Session, e storage.Event) []storage.Change {
	session.EndedAt = e.Time
	return []storage.Change{storage.EndSession{Session: session}, s.revoked(storage.Revocation{UserID: session.UserID, SessionID: session.ID}, e.Time), storage.AppendEvent{Event: e}}
}

func sessionEvent(c Client, kind storage.EventKind, outcome storage.Outcome, session storage.Session, now time.Time) storage.Event {
	e := c.event(kind, outcome, now)
	e.UserID, e.SessionID = session.UserID, session.ID
	return e
}

// bearer finds the living session and the user of verified claims; ErrInvalidToken.
func (s *Service) bearer(ctx context.Context, c latchkey.Claims) (storage.Session, storage.User, error) {
	session, user, err := s.Store.SessionUser(ctx, storage.SessionID(c.SessionID))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return storage.Session{}, storage.User{}, ErrInvalidToken
	case err != nil:
		return storage.Session{}, storage.User{}, fmt.Errorf("reading session: %w", err)
	case string(user.ID) != c.Subject || !alive(session, user, s.Now(), s.SessionIdle):
		return storage.Session{}, storage.User{}, ErrInvalidToken
	}
	return session, user, nil
}

// bearerWith is bearer for whoever has proved the credentials of the user as it was
// before. ErrInvalidCredentials when they were changed meanwhile: what was proved is void.
func (s *Service) bearerWith(ctx context.Context, c latchkey.Claims, before storage.User) (storage.Session, storage.User, error) {
	session, user, err := s.bearer(ctx, c)
	if err == nil && !sameCredentials(before, user) {
		err = ErrInvalidCredentials
	}
	return session, user, err
}
