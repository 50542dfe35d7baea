package revocation

import (
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// issuedAhead is how far ahead a token without epoch may have been issued: in whole
// seconds, by another clock. The auth service refuses as late.
const issuedAhead = 10 * time.Second

// A set is what has ended. The order in which it is told does not matter, nor how often.
type set struct {
	sessions map[string]int64 // by id: when it is forgotten, in seconds
	users    map[string][]ending
	size     int // of both
}

// An ending is one of a user, or several that say the same.
type ending struct {
	epoch, rights int64
	at            int64 // for tokens without epoch: those issued until then, in microseconds
	survivor      string
	expires       int64 // in seconds
}

func newSet() *set {
	return &set{sessions: make(map[string]int64), users: make(map[string][]ending)}
}

// add takes in a revocation.
func (s *set) add(r Revocation) {
	expires := r.ExpiresAt.Unix() + 1
	if r.SessionID != "" {
		before, known := s.sessions[r.SessionID]
		if !known {
			s.size++
		}
		s.sessions[r.SessionID] = max(before, expires)
		return
	}
	e := ending{r.Epoch, r.Rights, r.Time.UnixMicro(), r.Survivor, expires}
	kept := s.users[r.UserID][:0]
	for _, other := range s.users[r.UserID] {
		switch {
		case e.covers(other):
			e.expires = max(e.expires, other.expires)
			s.size--
		case other.covers(e):
			e.expires = max(e.expires, other.expires)
			e.epoch, e.rights, e.at, e.survivor = other.epoch, other.rights, other.at, other.survivor
			s.size--
		default:
			kept = append(kept, other)
		}
	}
	s.users[r.UserID] = append(kept, e)
	s.size++
}

// covers reports whether e ends all that the other ends.
func (e ending) covers(other ending) bool {
	return e.epoch >= other.epoch && e.rights >= other.rights && e.at >= other.at && (e.survivor == "" || e.survivor == other.survivor)
}

// ends reports whether the token has ended.
func (s *set) ends(c *latchkey.Claims) bool {
	if len(s.sessions) > 0 {
		if _, ended := s.sessions[SessionOf(*c)]; ended {
			return true
		}
	}
	return slices.ContainsFunc(s.users[c.Subject], func(e ending) bool { return e.ends(c) })
}

func (e ending) ends(c *latchkey.Claims) bool {
	switch {
	case e.survivor != "" && e.survivor == c.SessionID:
		return false
	case c.Epoch < 0: // equal means ended
		return !c.IssuedAt.After(time.UnixMicro(e.at).Add(issuedAhead))
	}
	return c.Epoch < e.epoch || c.Rights < e.rights
}

// forget drops what speaks of tokens that have expired.
func (s *set) forget(now time.Time) {
	over := now.Unix()
	for id, expires := range s.sessions {
		if expires < over {
			delete(s.sessions, id)
			s.size--
		}
	}
	for id, all := range s.users {
		kept := slices.DeleteFunc(all, func(e ending) bool { return e.expires < over })
		s.size -= len(all) - len(kept)
		if len(kept) == 0 {
			delete(s.users, id)
			continue
		}
		s.users[id] = kept
	}
}
