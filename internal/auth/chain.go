package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"time"

	"github.com/latchkey-auth/latchkey/internal/opaque"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// This file is about sessions that began before refresh tokens were numbered. It may be
// deleted with its columns 90 days after the last server of version 0.2 has stopped: no
// session lives longer.

// chainState is the state of a token of that version, but for those that were spent
// before the last two: searchChain finds these.
func (s *Service) chainState(session storage.Session, secret []byte, now time.Time) tokenState {
	hash := opaque.Hash(secret)
	switch {
	case subtle.ConstantTimeCompare(hash, session.Chain.Hash) == 1:
		return stateOfNumber(session, 0, now)
	case subtle.ConstantTimeCompare(hash, session.Chain.Previous) == 1 && session.Refreshes == 0 && justRefreshed(session, now):
		return tokenRepeated
	}
	return tokenWrong
}

// searchChain reports whether the last token follows from the secret, which was spent
// then. That is a MAC for each token in between: a process does it for a few at a time, and
// a secret that was none of the session's counts. *LimitError.
func (s *Service) searchChain(ctx context.Context, session storage.Session, secret []byte, c Client) (tokenState, error) {
	if session.Chain.Rotations <= shortChain && s.follows(session, secret) {
		return tokenSpent, nil
	}
	a := s.attempts().Unissued(c.Address)
	if session.Chain.Rotations > shortChain {
		a = s.attempts().Alone(a)
	}
	reservation, err := s.reserve(ctx, a)
	if err != nil {
		return tokenWrong, err
	}
	defer reservation.Release()
	if session.Chain.Rotations > shortChain && s.follows(session, secret) {
		return tokenSpent, reservation.GiveBack(ctx)
	}
	return tokenWrong, reservation.Failed(ctx)
}

// shortChain is how far anybody may have us search: a millisecond. Beyond that it is one
// at a time.
const shortChain = 1000

// follows reports whether the last token follows from the secret.
func (s *Service) follows(session storage.Session, secret []byte) bool {
	mac := hmac.New(sha256.New, s.RefreshKey) // one for all: its key is half the work
	for range session.Chain.Rotations {
		secret = follow(mac, session.ID, secret)
		if bytes.Equal(opaque.Hash(secret), session.Chain.Hash) {
			return true
		}
	}
	return false
}

// follow is a step of the chain of secrets, by a MAC under RefreshKey.
func follow(mac hash.Hash, id storage.SessionID, secret []byte) []byte {
	mac.Reset()
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write(secret)
	return mac.Sum(nil)
}
