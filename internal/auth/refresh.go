package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/refreshtoken"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// newSeed returns the seed of a new session.
func newSeed() []byte {
	seed := make([]byte, 16)
	rand.Read(seed) // never fails, crypto/rand
	return seed
}

func (s *Service) refreshKey() refreshtoken.Key { return s.RefreshKey }

// A tokenState is what a refresh token is to its session.
type tokenState int

const (
	tokenWrong    tokenState = iota // never given out
	tokenLive                       // not spent
	tokenRepeated                   // spent within RefreshGrace: it gives the same successor again
	tokenSpent                      // spent before that
)

func (s *Service) stateOf(session storage.Session, t refreshtoken.Token, now time.Time) tokenState {
	if t.Chain != nil {
		return s.chainState(session, t.Chain, now)
	}
	if !s.refreshKey().Made(session, t) {
		return tokenWrong
	}
	return stateOfNumber(session, t.Number, now)
}

func stateOfNumber(s storage.Session, number int64, now time.Time) tokenState {
	switch {
	case number == s.Refreshes:
		return tokenLive
	case number == s.Refreshes-1 && justRefreshed(s, now):
		return tokenRepeated
	case number < s.Refreshes:
		return tokenSpent
	}
	return tokenWrong
}

func justRefreshed(s storage.Session, now time.Time) bool {
	return now.Sub(s.LastUsedAt).Abs() <= RefreshGrace
}

// Refresh spends a refresh token and returns the next pair. The user is read anew: whoever
// was disabled or deleted gets ErrInvalidToken, and a changed scope takes effect.
//
// Within RefreshGrace a spent token gives the same successor again, in every process,
// however often it is asked and whoever won. A token that was spent before that is in two
// hands: the session ends. *LimitError.
func (s *Service) Refresh(ctx context.Context, token string, c Client) (tokens Tokens, err error) {
	t, ok := refreshtoken.Parse(token)
	if !ok {
		return Tokens{}, s.refuseUnissued(ctx, c)
	}
	err = retry("refreshing session", func() error {
		session, user, err := s.Store.SessionUser(ctx, t.Session)
		if errors.Is(err, storage.ErrNotFound) {
			return s.refuseUnissued(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("reading session: %w", err)
		}
		tokens, err = s.refresh(ctx, session, user, t, c)
		return err
	})
	if err != nil {
		return Tokens{}, err
	}
	return tokens, nil
}

func (s *Service) refresh(ctx context.Context, session storage.Session, user storage.User, t refreshtoken.Token, c Client) (Tokens, error) {
	now := s.Now()
	if !alive(session, user, now, s.SessionIdle) {
		return Tokens{}, s.refuseDead(ctx, session, c)
	}
	state, err := s.searchedState(ctx, session, t, c)
	if err != nil {
		return Tokens{}, s.recordLimited(ctx, c, storage.EventRefresh, storage.User{}, err)
	}
	switch state {
	case tokenLive:
		return s.spend(ctx, session, user, c, now)
	case tokenRepeated:
		return s.repeat(ctx, session, user, t, c, now)
	case tokenSpent:
		return Tokens{}, s.endReused(ctx, session, c, now)
	}
	return Tokens{}, s.refuseWrong(ctx, session, c)
}

// spend makes the next token the live one.
func (s *Service) spend(ctx context.Context, session storage.Session, user storage.User, c Client, now time.Time) (Tokens, error) {
	if len(session.Seed) == 0 { // of the version before
		session.Seed = newSeed()
	}
	session.Refreshes++
	session.LastUsedAt, session.Device, session.Address = now, shorten(c.Device, maxDevice), c.Address
	access, err := s.mint(ctx, user, session, now)
	if err != nil {
		return Tokens{}, err
	}
	e := sessionEvent(c, storage.EventRefresh, storage.OutcomeOK, session, now)
	err = s.Store.Commit(ctx, storage.RefreshSession{Session: session}, storage.CheckEpoch{UserID: user.ID, Epoch: user.Epoch}, storage.AppendEvent{Event: e})
	if err != nil {
		return Tokens{}, wrap("storing refresh", err)
	}
	return Tokens{access, s.AccessTokenTTL, s.refreshKey().Live(session)}, nil
}

// repeat gives the successor of a token that was spent a moment ago again.
func (s *Service) repeat(ctx context.Context, session storage.Session, user storage.User, t refreshtoken.Token, c Client, now time.Time) (Tokens, error) {
	access, err := s.mint(ctx, user, session, now)
	if err != nil {
		return Tokens{}, err
	}
	e := sessionEvent(c, storage.EventRefresh, storage.OutcomeRepeated, session, now)
	if err := s.Store.Commit(ctx, storage.CheckEpoch{UserID: user.ID, Epoch: user.Epoch}, storage.AppendEvent{Event: e}); err != nil {
		return Tokens{}, wrap("repeating a refresh", err)
	}
	return Tokens{access, s.AccessTokenTTL, s.successor(session, t)}, nil
}

// successor is the token that followed one that was spent a moment ago.
func (s *Service) successor(session storage.Session, t refreshtoken.Token) string {
	if session.Refreshes == 0 { // of the version before, and so is its successor
		return opaque.Format(string(session.ID), follow(hmac.New(sha256.New, s.RefreshKey), session.ID, t.Chain))
	}
	return s.refreshKey().Live(session)
}

// refuseDead records that the session is not alive, which no limit stands against, and
// returns the error that does not say so.
func (s *Service) refuseDead(ctx context.Context, session storage.Session, c Client) error {
	e := sessionEvent(c, storage.EventRefresh, storage.OutcomeDeadSession, session, s.Now())
	if err := s.repeats.Record(ctx, "dead session "+string(session.ID), e); err != nil {
		return err
	}
	return ErrInvalidToken
}

// refuseUnissued counts a token of no session, and refuses it. *LimitError.
func (s *Service) refuseUnissued(ctx context.Context, c Client) error {
	if err := s.countUnissued(ctx, c); err != nil {
		return s.recordLimited(ctx, c, storage.EventRefresh, storage.User{}, err)
	}
	return s.refuseWrong(ctx, storage.Session{}, c)
}

// refuseWrong records a token that nobody was given, and returns ErrInvalidToken. Only
// these are limited: nobody can guess a good token.
func (s *Service) refuseWrong(ctx context.Context, session storage.Session, c Client) error {
	e := sessionEvent(c, storage.EventRefresh, storage.OutcomeWrongToken, session, s.Now())
	if err := s.Store.Commit(ctx, storage.AppendEvent{Event: e}); err != nil {
		return fmt.Errorf("recording wrong token: %w", err)
	}
	return ErrInvalidToken
}

// endReused ends a session one of whose spent tokens has come again.
func (s *Service) endReused(ctx context.Context, session storage.Session, c Client, now time.Time) error {
	err := s.Store.Commit(ctx, s.ending(session, sessionEvent(c, storage.EventRefresh, storage.OutcomeReused, session, now))...)
	if errors.Is(err, storage.ErrConflict) { // somebody else has ended it
		return s.refuseDead(ctx, session, c)
	}
	if err != nil {
		return wrap("ending session", err)
	}
	return ErrInvalidToken
}

// LogoutByRefreshToken ends the session that the token belongs to, for clients
// whose access token has expired. Idempotent: any other token is no error, and
// changes nothing but that it counts. *LimitError.
func (s *Service) LogoutByRefreshToken(ctx context.Context, token string, c Client) error {
	t, ok := refreshtoken.Parse(token)
	if !ok {
		return nil
	}
	return retry("logging out", func() error {
		session, user, err := s.Store.SessionUser(ctx, t.Session)
		now := s.Now()
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("reading session: %w", err)
		case !alive(session, user, now, s.SessionIdle):
			return nil
		}
		state, err := s.searchedState(ctx, session, t, c)
		if err != nil {
			return s.recordLimited(ctx, c, storage.EventLogout, storage.User{}, err)
		}
		if state != tokenWrong {
			return s.endByOwner(ctx, session, c, now)
		}
		e := sessionEvent(c, storage.EventLogout, storage.OutcomeWrongToken, session, now)
		return wrap("recording wrong token", s.Store.Commit(ctx, storage.AppendEvent{Event: e}))
	})
}

// searchedState is stateOf, also for tokens of the version before that were spent long
// ago. A wrong one counts. *LimitError.
func (s *Service) searchedState(ctx context.Context, session storage.Session, t refreshtoken.Token, c Client) (tokenState, error) {
	state := s.stateOf(session, t, s.Now())
	switch {
	case state != tokenWrong:
		return state, nil
	case t.Chain != nil:
		return s.searchChain(ctx, session, t.Chain, c)
	}
	return tokenWrong, s.countUnissued(ctx, c)
}
