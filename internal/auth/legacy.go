package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/rights"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/revocation"
)

// This file holds the HS256 compatibility mode: tokens in the form of the system this one
// descends from. It can be deleted with Config.Legacy.

// legacyClaims are those of that system, with sid and jti, and with the epoch and rights
// number by which revocations end them. Tokens that system has minted go by iat.
type legacyClaims struct {
	ExpiresAt int64             `json:"exp"`
	IssuedAt  int64             `json:"iat"`
	Subject   storage.UserID    `json:"sub"`
	User      legacyUser        `json:"user"`
	SessionID storage.SessionID `json:"sid"`
	ID        string            `json:"jti"`
	Epoch     int64             `json:"epoch"`
	Rights    int64             `json:"rights"`
}

type legacyUser struct {
	Username string `json:"username"`
	Name     string `json:"name"`
	Scope    string `json:"scope"`
}

func (s *Service) legacyClaims(u storage.User, session storage.Session, now time.Time) legacyClaims {
	return legacyClaims{
		ExpiresAt: now.Add(s.AccessTokenTTL).Unix(), IssuedAt: now.Unix(), Subject: u.ID, SessionID: session.ID, ID: newID(), Epoch: session.Epoch, Rights: u.Rights,
		User: legacyUser{Username: s.TokenUsername.Of(u), Name: u.Name, Scope: rights.Granted(session.Scope, s.Roles.Scope(u))},
	}
}

// legacyMe is Me for tokens of that system, which carry no session. Their user is looked
// up by id, and when nobody has been imported under it, the claims themselves are the
// answer.
func (s *Service) legacyMe(ctx context.Context, c latchkey.Claims) (Identity, error) {
	user, err := s.legacyBearer(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	if user.ID == "" {
		return Identity{ID: storage.UserID(c.Subject), Username: c.Username, Scope: c.Scope}, nil
	}
	return s.identity(user, ""), nil
}

// legacyBearer finds the user of a token without session; without ID: somebody who
// was never imported. ErrInvalidToken.
func (s *Service) legacyBearer(ctx context.Context, c latchkey.Claims) (storage.User, error) {
	switch _, err := s.Store.Mark(ctx, s.endedToken(c)); {
	case err == nil:
		return storage.User{}, ErrInvalidToken
	case !errors.Is(err, storage.ErrNotFound):
		return storage.User{}, fmt.Errorf("reading ended token: %w", err)
	}
	user, err := s.Store.User(ctx, storage.UserID(c.Subject))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{}, s.neverDeleted(ctx, storage.UserID(c.Subject))
	}
	if err != nil {
		return storage.User{}, fmt.Errorf("reading user: %w", err)
	}
	if user.Disabled || !user.EpochAt.IsZero() && !c.IssuedAt.After(user.EpochAt.Add(legacySkew)) {
		return storage.User{}, ErrInvalidToken
	}
	return user, nil
}

// legacySkew is how far ahead a token may be issued: whole seconds, by another clock,
// within the verifier's leeway.
const legacySkew = 10 * time.Second

// neverDeleted is ErrInvalidToken when there was a user of the id.
func (s *Service) neverDeleted(ctx context.Context, id storage.UserID) error {
	deleted, err := s.Store.UserDeleted(ctx, id)
	if err == nil && deleted {
		return ErrInvalidToken
	}
	return wrap("reading deletion", err)
}

// legacyLogout ends a token of that system, which has no session: it is remembered as
// ended for as long as it would live. With it end all sessions of its user, unless it is
// to go alone; there is none that it could spare.
func (s *Service) legacyLogout(ctx context.Context, claims latchkey.Claims, scope LogoutScope, c Client) error {
	return retry("logging out", func() error {
		user, err := s.legacyBearer(ctx, claims)
		if errors.Is(err, ErrInvalidToken) {
			return nil
		}
		if err != nil {
			return err
		}
		now := s.Now()
		e := c.event(storage.EventLogout, storage.Outcome(scope), now)
		e.UserID = storage.UserID(claims.Subject)
		changes := []storage.Change{storage.AppendEvent{Event: e}, storage.PutMark{Mark: storage.Mark{ID: s.endedToken(claims), ExpiresAt: claims.ExpiresAt}}}
		if user.ID != "" && scope != LogoutThis {
			ended := user
			moveEpoch(&ended, now)
			changes = append(changes, s.changed(user, ended, "", now)...)
		} else {
			alone := s.revoked(storage.Revocation{UserID: storage.UserID(claims.Subject), SessionID: storage.SessionID(revocation.SessionOf(claims))}, now)
			if end := claims.ExpiresAt.Add(revocationLeeway); end.After(alone.Revocation.ExpiresAt) {
				alone.Revocation.ExpiresAt = end
			}
			changes = append(changes, alone)
		}
		return s.Store.Commit(ctx, changes...)
	})
}

// endedToken is the mark that says that a token without session has ended. Such a token
// has no id either; two of one user and second are as good as one.
func (s *Service) endedToken(c latchkey.Claims) storage.MarkID {
	return s.tickets.MarkID("ended", fmt.Sprintf("%s %d %d", c.Subject, c.IssuedAt.Unix(), c.ExpiresAt.Unix()))
}
