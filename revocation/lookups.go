package revocation

import (
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey"
)

// mostLookUps is how many look-ups are remembered, in each of two generations.
const mostLookUps = 4096

// A lookUpKey is all by which a look-up judges a token.
type lookUpKey struct {
	subject, session string
	issued, expires  int64
	epoch, rights    int64
}

func keyOf(c *latchkey.Claims) lookUpKey {
	return lookUpKey{c.Subject, c.SessionID, c.IssuedAt.Unix(), c.ExpiresAt.Unix(), c.Epoch, c.Rights}
}

// A lookedUp is what a look-up said, and when it began.
type lookedUp struct {
	at    time.Time
	ended bool
}

func (l lookedUp) verdict() error {
	if l.ended {
		return errEnded
	}
	return nil
}

// lookUps remembers look-ups in two generations: when the young one is full it becomes
// the old one, and what was old is forgotten.
type lookUps struct {
	mu         sync.Mutex // guards young and old
	young, old map[lookUpKey]lookedUp
}

func newLookUps() *lookUps { return &lookUps{young: make(map[lookUpKey]lookedUp)} }

func (l *lookUps) get(k lookUpKey) (lookedUp, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.young[k]; ok {
		return one, true
	}
	one, ok := l.old[k]
	return one, ok
}

func (l *lookUps) put(k lookUpKey, one lookedUp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.young) >= mostLookUps {
		l.young, l.old = make(map[lookUpKey]lookedUp), l.young
	}
	l.young[k] = one
}
