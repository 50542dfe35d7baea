package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

// Refresh spends a refresh token and returns the next pair. The user is read
// anew: whoever was disabled or deleted gets ErrInvalidToken, and a changed
// scope takes effect.
//
// A session has one live token; only hashes are stored. The successor is an
// HMAC of the token that is spent, so that every process can give the same
// answer again within RefreshGrace, however often it is asked and whoever won.
// A token that was spent before that is in two hands: the session ends.
func (s *Service) Refresh(ctx context.Context, token string, c Client) (Tokens, error) {
	id, secret, ok := parseRefreshToken(token)
	if !ok {
		return Tokens{}, s.wrongRefresh(ctx, c, Session{}, nil)
	}
	tokens, err := s.refreshRecent(ctx, id, secret, c)
	if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		return tokens, err
	}
	// Somebody else has changed the session, most likely by the same token, whose
	// successor is there now; or the user.
	tokens, session, err := s.refresh(ctx, id, secret, c)
	if errors.Is(err, ErrConflict) {
		err = s.alone(ctx, session.UserID, "refresh "+string(id), "refreshing session", func() error {
			tokens, session, err = s.refresh(ctx, id, secret, c)
			return err
		})
		err = s.recordLimited(ctx, c, EventRefresh, User{ID: session.UserID}, err)
	}
	if errors.Is(err, errWrongSecret) {
		return Tokens{}, s.wrongRefresh(ctx, c, session, secret)
	}
	return tokens, err
}

// errWrongSecret: the token is neither the live one of its session nor was it spent
// a moment ago.
var errWrongSecret = errors.New("wrong refresh token")

// refreshRecent goes by what is remembered of the session and its user. That may
// be out of date, so it only ever rotates, and only if nothing has changed since:
// whatever else there is to say is said by refresh.
func (s *Service) refreshRecent(ctx context.Context, id SessionID, secret []byte, c Client) (Tokens, error) {
	session, user, err := s.Store.RecentSessionUser(ctx, id)
	if err != nil {
		return Tokens{}, err
	}
	now := s.Now()
	if !session.alive(user, now, s.SessionIdle) || !session.live(secret) || session.Rotations >= maxRotations {
		return Tokens{}, ErrConflict
	}
	return s.rotate(ctx, session, user, secret, c, now)
}

// live reports whether the secret is that of the session's live token.
func (s Session) live(secret []byte) bool {
	return subtle.ConstantTimeCompare(hashSecret(secret), s.RefreshHash) == 1
}

// rotate spends the live token.
func (s *Service) rotate(ctx context.Context, session Session, user User, secret []byte, c Client, now time.Time) (Tokens, error) {
	access, err := s.mint(ctx, user, session.ID, now)
	if err != nil {
		return Tokens{}, fmt.Errorf("signing access token: %w", err)
	}
	next := s.successor(session.ID, secret)
	session.PreviousHash, session.RefreshHash = session.RefreshHash, hashSecret(next)
	session.RotatedAt, session.LastUsedAt = now, now
	session.Rotations++
	session.Device, session.Address = shorten(c.Device, maxDevice), c.Address
	err = s.Store.Commit(ctx, Batch{
		RotateSessions: []Rotation{{session, user}},
		Events:         []Event{sessionEvent(c, EventRefresh, OutcomeOK, session, now)},
	})
	if err != nil {
		return Tokens{}, wrap("rotating refresh token", err)
	}
	return Tokens{access, s.AccessTokenTTL, formatRefreshToken(session.ID, next)}, nil
}

// refresh also returns the session as it was read. errWrongSecret.
func (s *Service) refresh(ctx context.Context, id SessionID, secret []byte, c Client) (Tokens, Session, error) {
	session, user, err := s.Store.SessionUser(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Tokens{}, Session{}, errWrongSecret
	}
	if err != nil {
		return Tokens{}, Session{}, fmt.Errorf("reading session: %w", err)
	}
	tokens, err := s.refreshAs(ctx, session, user, secret, c)
	return tokens, session, err
}

func (s *Service) refreshAs(ctx context.Context, session Session, user User, secret []byte, c Client) (Tokens, error) {
	now := s.Now()
	justSpent := subtle.ConstantTimeCompare(hashSecret(secret), session.PreviousHash) == 1 && now.Sub(session.RotatedAt).Abs() <= RefreshGrace
	switch {
	case !session.alive(user, now, s.SessionIdle), session.live(secret) && session.Rotations >= maxRotations:
		return Tokens{}, s.refuseDead(ctx, c, session)
	case session.live(secret):
		return s.rotate(ctx, session, user, secret, c, now)
	case justSpent:
		return s.repeat(ctx, session, user, secret, c, now)
	}
	return Tokens{}, errWrongSecret
}

// repeat gives the successor of a token that was spent a moment ago again.
func (s *Service) repeat(ctx context.Context, session Session, user User, secret []byte, c Client, now time.Time) (Tokens, error) {
	access, err := s.mint(ctx, user, session.ID, now)
	if err != nil {
		return Tokens{}, fmt.Errorf("signing access token: %w", err)
	}
	e := sessionEvent(c, EventRefresh, OutcomeRepeated, session, now)
	if err := s.Store.Commit(ctx, Batch{CheckUsers: []User{user}, Events: []Event{e}}); err != nil {
		return Tokens{}, wrap("repeating a successor", err)
	}
	return Tokens{access, s.AccessTokenTTL, formatRefreshToken(session.ID, s.successor(session.ID, secret))}, nil
}

// wrongRefresh ends the session if the token was spent before. Only failures are
// limited: nobody can guess a good token.
func (s *Service) wrongRefresh(ctx context.Context, c Client, session Session, secret []byte) error {
	now := s.Now()
	spent, done, err := s.wasSpent(ctx, c, session, secret)
	if err != nil {
		return s.recordLimited(ctx, c, EventRefresh, User{}, err)
	}
	defer done()
	if spent {
		return s.endReused(ctx, c, session, now)
	}
	return s.refuseRefresh(ctx, c, session, OutcomeWrongToken, s.stray(c).hits(now))
}

// refuseDead records that the session is not alive, which no limit stands against, and
// returns the error that does not say so.
func (s *Service) refuseDead(ctx context.Context, c Client, session Session) error {
	e := sessionEvent(c, EventRefresh, OutcomeDeadSession, session, s.Now())
	if err := s.recordRepeated(ctx, "dead session "+string(session.ID), e); err != nil {
		return err
	}
	return ErrInvalidToken
}

// refuseRefresh records why, and returns the one error that does not say so.
func (s *Service) refuseRefresh(ctx context.Context, c Client, session Session, why Outcome, hits []Hit) error {
	e := sessionEvent(c, EventRefresh, why, session, s.Now())
	if err := s.Store.Commit(ctx, Batch{Events: []Event{e}, Hits: hits}); err != nil {
		return fmt.Errorf("recording refused refresh: %w", err)
	}
	return ErrInvalidToken
}

func (s *Service) endReused(ctx context.Context, c Client, session Session, now time.Time) error {
	session.EndedAt = now
	err := s.Store.Commit(ctx, Batch{
		UpdateSessions: []Session{session},
		Events:         []Event{sessionEvent(c, EventRefresh, OutcomeReused, session, now)},
	})
	if errors.Is(err, ErrConflict) { // somebody else has ended it
		return s.refuseDead(ctx, c, session)
	}
	if err != nil {
		return wrap("ending session", err)
	}
	return ErrInvalidToken
}

func sessionEvent(c Client, kind EventKind, outcome Outcome, session Session, now time.Time) Event {
	e := c.event(kind, outcome, now)
	e.UserID, e.SessionID = session.UserID, session.ID
	return e
}

// successor is the secret that follows a spent one.
func (s *Service) successor(id SessionID, secret []byte) []byte {
	return follow(hmac.New(sha256.New, s.RefreshKey), id, secret)
}

// follow is a step of the chain of secrets, by a MAC under RefreshKey.
func follow(mac hash.Hash, id SessionID, secret []byte) []byte {
	mac.Reset()
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write(secret)
	return mac.Sum(nil)
}

// maxRotations bounds the look back: a session that has been refreshed so often,
// every 78 s for 90 days, is refreshed no more. If it were, whoever has stolen a token
// could go on until it is not known any more as one that was spent.
const maxRotations = 100_000

// spentBefore reports whether the secret was once the session's: whether the
// live one follows from it. The session's id stands in every access token, so a
// made-up secret must not end the session.
func (s *Service) spentBefore(session Session, secret []byte) bool {
	mac := hmac.New(sha256.New, s.RefreshKey) // one for all: its key is half the work
	for range session.Rotations {
		secret = follow(mac, session.ID, secret)
		if bytes.Equal(hashSecret(secret), session.RefreshHash) {
			return true
		}
	}
	return false
}

// shortChain is how far anybody may have us look back: a millisecond. Further back it
// is one at a time.
const shortChain = 1000

// wasSpent is spentBefore, limited where a made-up secret would cost much, and
// where it was none of the session's: that counts. done is to be called when the
// outcome is stored. *LimitError.
func (s *Service) wasSpent(ctx context.Context, c Client, session Session, secret []byte) (spent bool, done func(), err error) {
	short := session.Rotations <= shortChain
	if short && s.spentBefore(session, secret) {
		return true, func() {}, nil
	}
	attempt := s.stray(c)
	if !short {
		attempt.places = append(attempt.places, place{"long chain", 1})
	}
	done, err = s.allow(ctx, attempt)
	if err != nil {
		return false, nil, err
	}
	return !short && s.spentBefore(session, secret), done, nil
}

func hashSecret(secret []byte) []byte {
	hash := sha256.Sum256(secret)
	return hash[:]
}

// formatSecret joins the id under which something is looked up and the secret
// that proves it: the form of refresh tokens and of the tokens in links.
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
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return id, secret, err == nil && len(secret) == sha256.Size && !strings.ContainsAny(text, "\r\n")
}

func formatRefreshToken(id SessionID, secret []byte) string { return formatSecret(string(id), secret) }

func parseRefreshToken(token string) (SessionID, []byte, bool) {
	id, secret, ok := parseSecret(token)
	return SessionID(id), secret, ok
}
