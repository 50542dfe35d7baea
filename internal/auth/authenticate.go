package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/attempt"
	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A LoginRequest names a user and proves it.
type LoginRequest struct {
	Username string // or an e-mail address
	Email    string // in place of Username: an address and nothing else
	Password string
	Client   Client
}

// login is the name that was given: one of the two is empty.
func (r LoginRequest) login() string { return r.Username + r.Email }

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

// An authenticated user has shown a credential.
type authenticated struct {
	user     storage.User // as it was when that was checked
	sessions int          // of the user before this sign-in, counted up to storage.MaxCounted
	proof    storage.Proof
	network  knownNetwork
	// strongerHash is to take the place of a weak one; empty: there is no need.
	strongerHash string
}

// The values of Proof for a password: RFC 8176 section 2, and the least there is.
const (
	amrPassword = "pwd"
	acrOneProof = "1"
)

// authenticate checks the password of a user. Whatever is wrong with the name, the
// password or the user, the error is the same after the same work. It counts as a failure
// from before the hash is made until it has succeeded.
//
// ErrInvalidCredentials, ErrEmailNotVerified, *LimitError.
func (s *Service) authenticate(ctx context.Context, r LoginRequest) (authenticated, error) {
	user, sessions, err := storage.FindLogin(ctx, s.Store, r.login())
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return authenticated{}, fmt.Errorf("looking up user: %w", err)
	}
	mark := s.networkMark(user, r.Client)
	reservation, err := s.reserve(ctx, s.attempts().Login(attempt.Account(user, r.login()), mark, r.Client.Address))
	if err != nil {
		return authenticated{}, s.recordLimited(ctx, r.Client, storage.EventLogin, user, err)
	}
	defer reservation.Release()
	// An unknown user has no hash, and verify then checks the decoy: the time and the
	// work are those of a known one.
	ok, weak, err := s.verify(ctx, user.PasswordHash, r.Password)
	if err != nil {
		return authenticated{}, err
	}
	if !ok || user.Disabled || s.awaitsVerification(user) {
		return authenticated{}, s.refuseLogin(ctx, r, user, ok, reservation)
	}
	if err := reservation.GiveBack(ctx); err != nil {
		return authenticated{}, err
	}
	network := s.networkOf(storage.Mark{ID: mark, ExpiresAt: reservation.MarkExpires()})
	a := authenticated{user: user, sessions: sessions, network: network, proof: storage.Proof{AMR: []string{amrPassword}, ACR: acrOneProof, At: s.Now()}}
	if weak { // a stronger hash is a bonus: when hashing is too busy the login goes on without it
		a.strongerHash, _ = s.hash(ctx, r.Password)
	}
	return a, nil
}

// refuseLogin records why a login is refused, and returns the one error that does not
// say so; or ErrEmailNotVerified, to whoever knows the password.
func (s *Service) refuseLogin(ctx context.Context, r LoginRequest, user storage.User, passwordRight bool, reservation *limit.Reservation) error {
	ctx = context.WithoutCancel(ctx) // it has failed, whatever becomes of the client
	if err := reservation.Failed(ctx); err != nil {
		return err
	}
	outcome := storage.OutcomeWrongPassword
	switch {
	case user.ID == "":
		outcome = storage.OutcomeUnknownUser
	case passwordRight && !user.Disabled:
		outcome = storage.OutcomeUnverified
	case passwordRight:
		outcome = storage.OutcomeDisabledUser
	}
	why := ErrInvalidCredentials
	if outcome == storage.OutcomeUnverified {
		why = ErrEmailNotVerified
	} else if registering, err := s.registering(ctx, r); err != nil {
		return err
	} else if registering { // whatever the account with that address is
		outcome, why = storage.OutcomeUnverified, ErrEmailNotVerified
	}
	e := r.Client.event(storage.EventLogin, outcome, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, storage.AppendEvent{Event: e}); err != nil {
		return fmt.Errorf("recording refused login: %w", err)
	}
	return why
}

// registering reports whether the password is that of a registration of the address
// which is yet to be proved. An address with an account has such a ticket too once
// somebody has registered it (see registerByMail): or else whoever registers it could
// tell the two apart by logging in.
func (s *Service) registering(ctx context.Context, r LoginRequest) (bool, error) {
	key, err := EmailKey(r.login())
	if err != nil || s.Registration != RegistrationOpen || !s.VerifyEmail {
		return false, nil
	}
	t, err := s.Store.Ticket(ctx, s.tickets.ID(storage.PurposeRegister, key))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, fmt.Errorf("reading ticket: %w", err)
	}
	if !s.Now().Before(t.ExpiresAt) {
		t = storage.Ticket{}
	}
	// Without a registration the decoy is checked: the time must not tell whether
	// there is one.
	ok, _, err := s.verify(ctx, t.PasswordHash, r.Password)
	return ok, err
}

// awaitsVerification reports whether the user is yet to prove the address.
func (s *Service) awaitsVerification(u storage.User) bool {
	return s.VerifyEmail && u.Email != "" && !u.EmailVerified
}

// confirm has a user who is signed in prove the password again. The reservation is to be
// released when the request is over: it has a place of the client's network.
// ErrInvalidCredentials, *LimitError.
func (s *Service) confirm(ctx context.Context, user storage.User, password string, kind storage.EventKind, c Client) (*limit.Reservation, error) {
	if err := checkLogin(LoginRequest{Username: user.Username, Password: password}); err != nil {
		return nil, err
	}
	reservation, err := s.reserve(ctx, s.attempts().Confirm(user.ID, c.Address))
	if err != nil {
		return nil, s.recordLimited(ctx, c, kind, user, err)
	}
	if err := s.confirmed(ctx, reservation, user, password, kind, c); err != nil {
		reservation.Release()
		return nil, err
	}
	return reservation, nil
}

func (s *Service) confirmed(ctx context.Context, reservation *limit.Reservation, user storage.User, password string, kind storage.EventKind, c Client) error {
	ok, _, err := s.verify(ctx, user.PasswordHash, password)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if ok {
		return reservation.GiveBack(ctx)
	}
	if err := reservation.Failed(ctx); err != nil {
		return err
	}
	e := c.event(kind, storage.OutcomeWrongPassword, s.Now())
	e.UserID = user.ID
	if err := s.Store.Commit(ctx, storage.AppendEvent{Event: e}); err != nil {
		return fmt.Errorf("recording wrong password: %w", err)
	}
	return ErrInvalidCredentials
}

// sameCredentials reports whether what proved the user before still does. A stronger
// hash of the same password does not move the epoch.
func sameCredentials(before, now storage.User) bool {
	return before.Epoch == now.Epoch || before.PasswordHash == now.PasswordHash
}

// CheckPassword returns the enabled user with the password, for operators.
// ErrNotFound when there is no such user, ErrInvalidCredentials when the
// password is another one or the user is disabled.
func (s *Service) CheckPassword(ctx context.Context, login, password string) (storage.User, error) {
	u, err := s.UserByLogin(ctx, login)
	if err != nil {
		return storage.User{}, err
	}
	if u.Disabled || u.PasswordHash == "" {
		return storage.User{}, ErrInvalidCredentials
	}
	ok, _, err := s.verify(ctx, u.PasswordHash, password)
	if err == nil && !ok {
		err = ErrInvalidCredentials
	}
	return u, err
}
