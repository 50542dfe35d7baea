package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/password"
)

// A LoginRequest names a user and proves it.
type LoginRequest struct {
	Username string // or an e-mail address
	Email    string // in place of Username: an address and nothing else
	Password string
	Client   Client
}

// Tokens is what a login gives.
type Tokens struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
}

// Login opens a session and returns its tokens. ErrInvalidCredentials says
// neither whether the user exists nor whether it is disabled; *InvalidError,
// ErrBusy and ErrUnavailable are as their comments say.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Tokens, error) {
	if err := checkLogin(r); err != nil {
		return Tokens{}, err
	}
	r.Username, r.Email = r.Username+r.Email, "" // one of them is empty
	// What the login stores is bound to the user as it was read: a password
	// that is changed while the old one is being checked must not open a session.
	for range maxAttempts {
		tokens, err := s.login(ctx, r)
		if !errors.Is(err, errOtherUser) {
			return tokens, err
		}
	}
	return Tokens{}, fmt.Errorf("logging in: %w: %w", ErrUnavailable, errOtherUser)
}

// errOtherUser: what has been checked of the user does not hold any more.
var errOtherUser = errors.New("the user has changed")

func (s *Service) login(ctx context.Context, r LoginRequest) (Tokens, error) {
	user, err := s.userByLogin(ctx, r.Username)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Tokens{}, fmt.Errorf("looking up user: %w", err)
	}
	home, err := s.homeOf(ctx, user, r.Client)
	if err != nil {
		return Tokens{}, err
	}
	attempt := s.loginAttempt(accountOf(user, r.Username), home, r.Client)
	done, err := s.allow(ctx, attempt)
	if err != nil {
		return Tokens{}, s.recordLimited(ctx, r.Client, EventLogin, user, err)
	}
	defer done()
	// An unknown user has no hash, and Verify then checks the decoy: the time
	// and the work are those of a known one.
	ok, weak, err := s.verify(ctx, user.PasswordHash, r.Password)
	if err != nil {
		return Tokens{}, err
	}
	registering := false
	if !ok || user.Disabled {
		// The attempt has failed for the account, and that counts, whatever becomes
		// of the other check and of the client.
		if registering, err = s.registering(context.WithoutCancel(ctx), r); err != nil {
			if refused := s.refuseLogin(ctx, r.Client, user, ok, attempt); !errors.Is(refused, ErrInvalidCredentials) {
				return Tokens{}, refused
			}
			return Tokens{}, err
		}
	}
	switch {
	case registering: // whatever the account with that address is
		return Tokens{}, s.refuseUnverified(ctx, r.Client, user, attempt)
	case !ok || user.Disabled:
		return Tokens{}, s.refuseLogin(ctx, r.Client, user, ok, attempt)
	case s.awaited(user):
		return Tokens{}, s.refuseUnverified(ctx, r.Client, user, attempt)
	}
	return s.openSession(ctx, r, user, weak, home, s.Now())
}

// registering reports whether the password is that of a registration of the
// address which is yet to be proved. An address with an account has such a ticket
// too once somebody has registered it (see registerByMail): or else whoever
// registers it could tell the two apart by logging in.
func (s *Service) registering(ctx context.Context, r LoginRequest) (bool, error) {
	key, err := EmailKey(r.Username)
	if err != nil {
		return false, nil
	}
	if s.Registration != RegistrationOpen || !s.VerifyEmail {
		return false, nil
	}
	t, err := s.Store.Ticket(ctx, s.ticketID(PurposeRegister, key))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, fmt.Errorf("reading ticket: %w", err)
	}
	if !s.Now().Before(t.ExpiresAt) {
		t = Ticket{}
	}
	// Without a registration the decoy is checked: the time must not tell whether
	// there is one.
	ok, _, err := s.verify(ctx, t.PasswordHash, r.Password)
	return ok, err
}

// refuseUnverified tells only whoever knows the password. It counts: somebody may
// have registered the address to try passwords of its account.
func (s *Service) refuseUnverified(ctx context.Context, c Client, user User, attempt limited) error {
	e := c.event(EventLogin, OutcomeUnverified, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: attempt.hits(s.Now())}); err != nil {
		return fmt.Errorf("recording refused login: %w", err)
	}
	return ErrEmailNotVerified
}

func checkLogin(r LoginRequest) error {
	switch {
	case r.Username != "" && r.Email != "":
		return invalid("email", "goes in place of the username, not beside it")
	case r.Username == "" && r.Email == "":
		return invalid("username", "must not be empty")
	case len(r.Username) > identifier.MaxLogin:
		return invalid("username", "must have at most %d bytes", identifier.MaxLogin)
	case r.Password == "":
		return invalid("password", "must not be empty")
	}
	if err := password.CheckLength(r.Password); err != nil {
		return invalidMember("password", err)
	}
	if r.Email != "" {
		_, err := EmailKey(r.Email)
		return named(err, "email")
	}
	if strings.Contains(r.Username, "@") { // no username has one
		_, err := EmailKey(r.Username)
		return named(err, "username")
	}
	return nil
}

func (s *Service) userByLogin(ctx context.Context, login string) (User, error) {
	return FindUser(ctx, s.Store, login)
}

// FindUser finds a user by username or e-mail address. ErrNotFound also for names
// that nobody can have.
func FindUser(ctx context.Context, store Store, login string) (User, error) {
	if strings.Contains(login, "@") {
		key, err := EmailKey(login)
		if err != nil {
			return User{}, ErrNotFound
		}
		return store.UserByEmail(ctx, key)
	}
	key, err := UsernameKey(login)
	if err != nil {
		return User{}, ErrNotFound
	}
	return store.UserByUsername(ctx, key)
}

// refuseLogin records why, and returns the one error that does not say so.
func (s *Service) refuseLogin(ctx context.Context, c Client, user User, passwordRight bool, attempt limited) error {
	outcome := OutcomeWrongPassword
	switch {
	case user.ID == "":
		outcome = OutcomeUnknownUser
	case passwordRight:
		outcome = OutcomeDisabledUser
	}
	e := c.event(EventLogin, outcome, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: attempt.hits(s.Now())}); err != nil {
		return fmt.Errorf("recording refused login: %w", err)
	}
	return ErrInvalidCredentials
}

// recordLimited records an attempt that was turned away unchecked, and returns
// why. Those at one limit are coalesced.
func (s *Service) recordLimited(ctx context.Context, c Client, kind EventKind, user User, why error) error {
	var limit *LimitError
	if !errors.As(why, &limit) {
		return why
	}
	e := c.event(kind, OutcomeLimited, s.Now())
	e.UserID = user.ID
	if err := s.recordRepeated(ctx, string(kind)+" "+limit.key, e); err != nil {
		return err
	}
	return why
}

// newSession returns a session that begins now, and its tokens.
func (s *Service) newSession(ctx context.Context, user User, c Client, now time.Time) (Session, Tokens, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails, crypto/rand
	session := Session{
		ID: SessionID(newID()), UserID: user.ID, RefreshHash: hashSecret(secret),
		Device: shorten(c.Device, maxDevice), Address: c.Address,
		CreatedAt: now, Since: user.SessionsFrom, LastUsedAt: now, ExpiresAt: now.Add(s.SessionLifetime),
	}
	access, err := s.mint(ctx, user, session.ID, now)
	if err != nil {
		return Session{}, Tokens{}, fmt.Errorf("signing access token: %w", err)
	}
	return session, Tokens{access, s.AccessTokenTTL, formatRefreshToken(session.ID, secret)}, nil
}

// openSession stores a session of the user whose password was checked, with a
// stronger hash of it when the stored one is weak. That hash is a bonus: when hashing
// is too busy the login goes on without it. errOtherUser.
func (s *Service) openSession(ctx context.Context, r LoginRequest, checked User, weakHash bool, home home, now time.Time) (tokens Tokens, err error) {
	stronger := ""
	if weakHash {
		stronger, _ = s.hash(ctx, r.Password)
	}
	user, read, tries := checked, true, 0
	err = s.inTurn(ctx, checked.ID, "storing session", func() error {
		if !read {
			if user, err = s.Store.User(ctx, checked.ID); err != nil && !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("reading user: %w", err)
			}
			if user.PasswordHash != checked.PasswordHash || user.Disabled || s.awaited(user) {
				return errOtherUser
			}
			if home, err = s.homeOf(ctx, user, r.Client); err != nil { // of the sessions since
				return err
			}
		}
		oldest, err := s.surplus(ctx, user, now)
		if err != nil {
			return err
		}
		if tries++; tries > triesToEnd {
			oldest = nil
		}
		if read && len(oldest) > 0 {
			read = false
			return ErrConflict // in turn: only one login can end them
		}
		read = false
		var session Session
		if session, tokens, err = s.newSession(ctx, user, r.Client, now); err != nil {
			return err
		}
		b := Batch{CreateSessions: []Session{session}, Events: []Event{sessionEvent(r.Client, EventLogin, OutcomeOK, session, now)}}
		b.endOldest(oldest, r.Client, now)
		home.stay(&b, now)
		if stronger == "" {
			b.CheckUsers = []User{user}
		} else {
			better := user
			better.PasswordHash, better.UpdatedAt = stronger, now
			b.UpdateUsers = []User{better}
		}
		return wrap("storing session", s.Store.Commit(ctx, b))
	})
	if err != nil {
		return Tokens{}, err
	}
	return tokens, nil
}

// triesToEnd is how often a login tries to end the oldest sessions with what it
// stores. Logins at other processes end the same ones; then it leaves them to the
// next login.
const triesToEnd = 3

// endedAtOnce is how many sessions one login ends at most: more than it begins, so
// that a user with very many has fewer after each.
const endedAtOnce = 5

// surplus is what of the user's living sessions ends when one more begins, so that
// there are maxSessions of them. Logins at several processes at once can leave as
// many more, which the next ones end.
func (s *Service) surplus(ctx context.Context, user User, now time.Time) ([]Session, error) {
	const kept = maxSessions - 1
	living, err := s.Store.UserSessions(ctx, user.ID, user.SessionsFrom, now, s.SessionIdle, kept+endedAtOnce)
	if err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	return living[min(len(living), kept):], nil
}

// endOldest ends sessions that have to make room for another one.
func (b *Batch) endOldest(oldest []Session, c Client, now time.Time) {
	for _, session := range oldest {
		session.EndedAt = now
		b.UpdateSessions = append(b.UpdateSessions, session)
		b.Events = append(b.Events, sessionEvent(c, EventLogout, OutcomeTooMany, session, now))
	}
}

// awaited reports whether the user is yet to prove the address.
func (s *Service) awaited(u User) bool { return s.VerifyEmail && u.Email != "" && !u.EmailVerified }

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// accessClaims are the claims of RFC 9068 section 2.2, with the session as sid
// (as in OpenID Connect) and the username (as in RFC 7662).
type accessClaims struct {
	Issuer    string    `json:"iss"`
	Subject   UserID    `json:"sub"`
	Audience  string    `json:"aud"`
	ExpiresAt int64     `json:"exp"`
	IssuedAt  int64     `json:"iat"`
	ID        string    `json:"jti"`
	ClientID  string    `json:"client_id"`
	SessionID SessionID `json:"sid"`
	Scope     string    `json:"scope"`
	Username  string    `json:"username"`
}

// legacyClaims are those of the system this one descends from, with sid and jti.
type legacyClaims struct {
	ExpiresAt int64      `json:"exp"`
	IssuedAt  int64      `json:"iat"`
	Subject   UserID     `json:"sub"`
	User      legacyUser `json:"user"`
	SessionID SessionID  `json:"sid"`
	ID        string     `json:"jti"`
}

type legacyUser struct {
	Username string `json:"username"`
	Name     string `json:"name"`
	Scope    string `json:"scope"`
}

func (s *Service) mint(ctx context.Context, u User, sid SessionID, now time.Time) (string, error) {
	exp, iat := now.Add(s.AccessTokenTTL).Unix(), now.Unix()
	var claims any = accessClaims{
		Issuer: s.Issuer, Subject: u.ID, Audience: s.Audience, ExpiresAt: exp, IssuedAt: iat,
		ID: newID(), ClientID: ClientID, SessionID: sid, Scope: u.Scope, Username: u.Username,
	}
	typ := "at+jwt"
	if s.Legacy {
		claims, typ = legacyClaims{
			ExpiresAt: exp, IssuedAt: iat, Subject: u.ID, SessionID: sid, ID: newID(),
			User: legacyUser{Username: u.Username, Name: u.Name, Scope: u.Scope},
		}, "JWT"
	}
	doc, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return s.Signer.Sign(ctx, typ, doc)
}

// Identity is the answer to "who am I".
type Identity struct {
	ID            UserID
	Username      string
	Name          string
	Email         string
	EmailVerified bool
	PendingEmail  string // takes the place of Email once it is proved
	Scope         string
	SessionID     SessionID // empty: a token that belongs to no session
}

// Me returns who bears the token whose claims were verified, as the store knows
// them now. ErrInvalidToken when the session has ended or its user is disabled
// or gone.
//
// Tokens of the system this one descends from carry no session. Their user is
// looked up by id, and when nobody has been imported under it, the claims
// themselves are the answer.
func (s *Service) Me(ctx context.Context, c latchkey.Claims) (Identity, error) {
	if c.SessionID == "" && c.Legacy {
		return s.legacyMe(ctx, c)
	}
	session, user, err := s.bearer(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	return identity(user, session.ID), nil
}

func (s *Service) legacyMe(ctx context.Context, c latchkey.Claims) (Identity, error) {
	user, err := s.legacyBearer(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	if user.ID == "" {
		return Identity{ID: UserID(c.Subject), Username: c.Username, Scope: c.Scope}, nil
	}
	return identity(user, ""), nil
}

// legacyBearer finds the user of a token without session; without ID: somebody who
// was never imported. ErrInvalidToken.
func (s *Service) legacyBearer(ctx context.Context, c latchkey.Claims) (User, error) {
	switch _, err := s.Store.Ticket(ctx, s.endedToken(c)); {
	case err == nil:
		return User{}, ErrInvalidToken
	case !errors.Is(err, ErrNotFound):
		return User{}, fmt.Errorf("reading ended token: %w", err)
	}
	user, err := s.Store.User(ctx, UserID(c.Subject))
	if errors.Is(err, ErrNotFound) {
		return User{}, s.neverDeleted(ctx, UserID(c.Subject))
	}
	if err != nil {
		return User{}, fmt.Errorf("reading user: %w", err)
	}
	if user.Disabled || !user.SessionsFrom.IsZero() && !c.IssuedAt.After(user.SessionsFrom.Add(legacySkew)) {
		return User{}, ErrInvalidToken
	}
	return user, nil
}

// legacySkew is how far ahead a token may be issued: whole seconds, by another clock,
// within the verifier's leeway.
const legacySkew = 10 * time.Second

// neverDeleted is ErrInvalidToken when there was a user of the id.
func (s *Service) neverDeleted(ctx context.Context, id UserID) error {
	deleted, err := s.Store.UserDeleted(ctx, id)
	if err == nil && deleted {
		return ErrInvalidToken
	}
	return wrap("reading deletion", err)
}

func identity(u User, sid SessionID) Identity {
	return Identity{
		ID: u.ID, Username: u.Username, Name: u.Name, Scope: u.Scope, SessionID: sid,
		Email: u.Email, EmailVerified: u.EmailVerified, PendingEmail: u.PendingEmail,
	}
}

// newID returns 128 bits or more of randomness as lower-case text.
func newID() string { return strings.ToLower(rand.Text()) }
