package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// A Proof says that somebody has shown to be a user: by what, and when.
type Proof struct {
	AMR []string // how, RFC 8176: "pwd"
	ACR string   // how sure that is
	At  time.Time
}

// A Grant is what a token is minted for.
type Grant struct {
	ClientID string // RFC 9068 section 2.2
	// Scope is what was asked for; empty: all that the user has.
	Scope string
}

// A Session is one sign-in on one device: the family of its refresh tokens.
type Session struct {
	ID     SessionID
	UserID UserID
	// Epoch is that of the user when the session began, or when its user ended all the
	// others from it.
	Epoch int64
	Proof Proof
	// ClientID and Scope are those of the grant.
	ClientID string
	Scope    string
	// Seed makes the refresh tokens, together with a key that the store does not know.
	Seed []byte
	// Refreshes is the number of the live refresh token: how many were spent before.
	Refreshes int64
	// Chain is what is left of a session of the version before, see chain.go.
	Chain Chain

	Device     string // the User-Agent, shortened
	Address    string // the client's address
	CreatedAt  time.Time
	LastUsedAt time.Time // when it began or was refreshed last
	ExpiresAt  time.Time
	EndedAt    time.Time // zero: not ended
}

// alive reports whether the session may still be used by its user at now, when it ends
// after so long without use.
func (s Session) alive(u User, now time.Time, idle time.Duration) bool {
	return s.UserID == u.ID && !u.Disabled && s.Epoch >= u.Epoch && s.living(now, idle)
}

// living is alive as far as the session itself says.
func (s Session) living(now time.Time, idle time.Duration) bool {
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
	return Tokens{}, fmt.Errorf("logging in: %w: %w", ErrUnavailable, errOtherCredentials)
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
		changes := []Change{CreateSession{session}, AppendEvent{sessionEvent(c, EventLogin, OutcomeOK, session, session.CreatedAt)}}
		changes = append(changes, a.network.remember(session.CreatedAt)...)
		changes = append(changes, boundToEpoch(user, a.strongerHash, session.CreatedAt))
		return wrap("storing session", s.Store.Commit(ctx, changes...))
	})
	if err != nil {
		return Tokens{}, err
	}
	s.endSurplus(ctx, user, c)
	return tokens, nil
}

// boundToEpoch binds a commit to the epoch of the user, and stores a stronger hash.
func boundToEpoch(user User, strongerHash string, now time.Time) Change {
	if strongerHash == "" {
		return CheckEpoch{user.ID, user.Epoch}
	}
	better := user
	better.PasswordHash, better.UpdatedAt = strongerHash, now
	return UpdateUser{user, better}
}

// stillAuthenticated reads the user again. errOtherCredentials.
func (s *Service) stillAuthenticated(ctx context.Context, a authenticated) (User, error) {
	user, err := s.Store.User(ctx, a.user.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, errOtherCredentials
	case err != nil:
		return User{}, fmt.Errorf("reading user: %w", err)
	case !sameCredentials(a.user, user) || user.Disabled || s.awaitsVerification(user):
		return User{}, errOtherCredentials
	}
	return user, nil
}

// newSession returns a session that begins now, and its tokens.
func (s *Service) newSession(ctx context.Context, user User, p Proof, g Grant, c Client, now time.Time) (Session, Tokens, error) {
	session := Session{
		ID: SessionID(newID()), UserID: user.ID, Epoch: user.Epoch, Proof: p, ClientID: g.ClientID, Scope: g.Scope, Seed: newSeed(),
		Device: shorten(c.Device, maxDevice), Address: c.Address, CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(s.SessionLifetime),
	}
	access, err := s.mint(ctx, user, session, now)
	if err != nil {
		return Session{}, Tokens{}, err
	}
	return session, Tokens{access, s.AccessTokenTTL, s.refreshToken(session)}, nil
}

const (
	// maxSessions is how many living sessions a user has; beyond it the oldest end.
	maxSessions = 100
	// endedAtOnce is how many one login ends at most: more than it begins, so that a
	// user with very many has fewer after each.
	endedAtOnce = 5
	// triesToEnd is how often one login tries.
	triesToEnd = 5
)

// endSurplus ends the user's oldest sessions when there are too many. It is done after
// the login and apart from it, as far as it can be: logins that meet here end the same
// ones, and leave the rest to the next one.
func (s *Service) endSurplus(ctx context.Context, user User, c Client) {
	for range triesToEnd {
		unended, err := s.Store.UserSessions(ctx, user.ID, user.Epoch, 2*maxSessions)
		if err != nil || len(unended) <= maxSessions {
			return
		}
		var changes []Change
		for _, session := range unended[max(maxSessions, len(unended)-endedAtOnce):] {
			changes = append(changes, s.ending(session, sessionEvent(c, EventLogout, OutcomeTooMany, session, s.Now()))...)
		}
		if err := s.Store.Commit(ctx, changes...); !errors.Is(err, ErrConflict) {
			return
		}
	}
}

// ending is the changes that end a session by what the event tells.
func (s *Service) ending(session Session, e Event) []Change {
	session.EndedAt = e.Time
	return []Change{EndSession{session}, s.revoked(Revocation{UserID: session.UserID, SessionID: session.ID}, e.Time), AppendEvent{e}}
}

func sessionEvent(c Client, kind EventKind, outcome Outcome, session Session, now time.Time) Event {
	e := c.event(kind, outcome, now)
	e.UserID, e.SessionID = session.UserID, session.ID
	return e
}

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

// bearerWith is bearer for whoever has proved the credentials of the user as it was
// before. ErrInvalidCredentials when they were changed meanwhile: what was proved is void.
func (s *Service) bearerWith(ctx context.Context, c latchkey.Claims, before User) (Session, User, error) {
	session, user, err := s.bearer(ctx, c)
	if err == nil && !sameCredentials(before, user) {
		err = ErrInvalidCredentials
	}
	return session, user, err
}
