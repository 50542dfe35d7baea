package web

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// readiness asks the store once a second at most: the question is a write, and
// anybody may ask it.
type readiness struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

const readyFor = time.Second

func (r *readiness) check(ctx context.Context, s *auth.Service) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := s.Now(); r.asked.IsZero() || now.Sub(r.asked) >= readyFor || now.Before(r.asked) {
		// The answer is everybody's: it does not hang on this caller.
		r.err = s.Ready(context.WithoutCancel(ctx))
		r.asked = s.Now() // those who have waited for it do not ask again, however long it took
	}
	return r.err
}
