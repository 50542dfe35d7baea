package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// A refreshToken is <session>.<number>.<MAC>. Its number says what it is: the live one of
// its session, one that was spent a moment ago, or one that was spent before. The MAC is
// made of a key of the service and the session's seed: the store alone cannot make it, and
// nobody can make up a token that was ever given out.
type refreshToken struct {
	session storage.SessionID
	number  int64
	mac     []byte
	chain   []byte // the secret of a token of the version before, see chain.go
}

// parseRefreshToken takes one spelling only.
func parseRefreshToken(token string) (t refreshToken, ok bool) {
	if len(token) > MaxToken {
		return refreshToken{}, false
	}
	if strings.Count(token, ".") == 1 {
		id, secret, ok := parseSecret(token)
		return refreshToken{session: storage.SessionID(id), chain: secret}, ok
	}
	id, rest, _ := strings.Cut(token, ".")
	number, mac, ok := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || id == "" || len(id) > maxID || err != nil || n < 0 || strconv.FormatInt(n, 10) != number {
		return refreshToken{}, false
	}
	secret, ok := decodeSecret(mac)
	return refreshToken{session: storage.SessionID(id), number: n, mac: secret}, ok
}

// newSeed returns the seed of a new session.
func newSeed() []byte {
	seed := make([]byte, 16)
	rand.Read(seed) // never fails, crypto/rand
	return seed
}

// refreshToken is the live one of the session.
func (s *Service) refreshToken(session storage.Session) string {
	mac := s.refreshMAC(session, session.Refreshes)
	return string(session.ID) + "." + strconv.FormatInt(session.Refreshes, 10) + "." + base64.RawURLEncoding.EncodeToString(mac)
}

func (s *Service) refreshMAC(session storage.Session, number int64) []byte {
	mac := hmac.New(sha256.New, s.RefreshKey)
	fmt.Fprintf(mac, "refresh\x00%s\x00%d\x00", session.ID, number)
	mac.Write(session.Seed)
	return mac.Sum(nil)
}

// A tokenState is what a refresh token is to its session.
type tokenState int

const (
	tokenWrong    tokenState = iota // never given out
	tokenLive                       // not spent
	tokenRepeated                   // spent within RefreshGrace: it gives the same successor again
	tokenSpent                      // spent before that
)

func (s *Service) stateOf(session storage.Session, t refreshToken, now time.Time) tokenState {
	if t.chain != nil {
		return s.chainState(session, t.chain, now)
	}
	if len(session.Seed) == 0 || !hmac.Equal(t.mac, s.refreshMAC(session, t.number)) {
		return tokenWrong
	}
	return stateOfNumber(session, t.number, now)
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
	t, ok := parseRefreshToken(token)
	if !ok {
		return Tokens{}, s.refuseUnissued(ctx, c)
	}
	err = retry("refreshing session", func() error {
		session, user, err := s.Store.SessionUser(ctx, t.session)
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

func (s *Service) refresh(ctx context.Context, session storage.Session, user storage.User, t refreshToken, c Client) (Tokens, error) {
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
	return Tokens{access, s.AccessTokenTTL, s.refreshToken(session)}, nil
}

// repeat gives the successor of a token that was spent a moment ago again.
func (s *Service) repeat(ctx context.Context, session storage.Session, user storage.User, t refreshToken, c Client, now time.Time) (Tokens, error) {
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
func (s *Service) successor(session storage.Session, t refreshToken) string {
	if session.Refreshes == 0 { // of the version before, and so is its successor
		return formatSecret(string(session.ID), follow(hmac.New(sha256.New, s.RefreshKey), session.ID, t.chain))
	}
	return s.refreshToken(session)
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
	t, ok := parseRefreshToken(token)
	if !ok {
		return nil
	}
	return retry("logging out", func() error {
		session, user, err := s.Store.SessionUser(ctx, t.session)
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
func (s *Service) searchedState(ctx context.Context, session storage.Session, t refreshToken, c Client) (tokenState, error) {
	state := s.stateOf(session, t, s.Now())
	switch {
	case state != tokenWrong:
		return state, nil
	case t.chain != nil:
		return s.searchChain(ctx, session, t.chain, c)
	}
	return tokenWrong, s.countUnissued(ctx, c)
}

func hashSecret(secret []byte) []byte {
	hash := sha256.Sum256(secret)
	return hash[:]
}

// formatSecret joins the id under which something is looked up and the secret
// that proves it: the form of the tokens in links.
func formatSecret(id string, secret []byte) string {
	return id + "." + base64.RawURLEncoding.EncodeToString(secret)
}

// secretText is the length of a secret in base64.
const secretText = (sha256.Size*8 + 5) / 6

// parseSecret takes one spelling only.
func parseSecret(token string) (id string, secret []byte, ok bool) {
	if len(token) > MaxToken {
		return "", nil, false
	}
	id, text, ok := strings.Cut(token, ".")
	if !ok || id == "" || len(id) > maxID {
		return "", nil, false
	}
	secret, ok = decodeSecret(text)
	return id, secret, ok
}

func decodeSecret(text string) ([]byte, bool) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return secret, err == nil && len(secret) == sha256.Size && !strings.ContainsAny(text, "\r\n")
}
